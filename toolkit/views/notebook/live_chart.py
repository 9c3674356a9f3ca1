"""`live_chart`: the chart that keeps moving after its cell is done."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigError
from toolkit.views.feed import ChartFeed, Client, RunSoon
from toolkit.views.notebook.extras import notebook_packages

BUNDLE = Path(__file__).parents[1] / "static" / "live_chart.js"
MIN_HEIGHT = 240


def live_chart(
    client: Client, symbol: str, *, height: int = 520, limit: int = 500, bundle: Path = BUNDLE
) -> Any:
    """Return a widget with live candles, EMA, StochRSI, fills and the position of one symbol.

    `height` in pixels, from 240; `limit` is the number of bars, 1 to 1000. Where the JavaScript
    (`bundle`) was not built it is a Bokeh chart, and a warning says so. `stop()` keeps the last
    picture, `close()` removes it. Raises ConfigError for a wrong argument or a missing package,
    ToolkitError when history cannot be loaded.
    """
    if height < MIN_HEIGHT:
        raise ConfigError(
            f"height is {height!r}; allowed: from {MIN_HEIGHT} pixels", field="height", value=height
        )
    feed = ChartFeed(client, symbol, limit=limit, run_soon=_on_kernel_loop())
    feed.start()
    try:
        with notebook_packages():
            return _widget(feed, height=height, bundle=bundle)
    except BaseException:
        feed.close()
        raise


def _widget(feed: ChartFeed, *, height: int, bundle: Path) -> Any:
    if bundle.exists():
        from toolkit.views.notebook.chart_widget import LiveChart

        return LiveChart(feed, bundle=bundle, height=height)
    from toolkit.views.notebook.chart_fallback import BokehChart

    warnings.warn(
        "the chart's JavaScript was not built, so Bokeh draws; for the better chart "
        "install Node.js 18 or newer and install toolkit again",
        stacklevel=3,
    )
    return BokehChart(feed, height=height)


def _on_kernel_loop() -> RunSoon | None:
    """Return what runs a call on the loop of the notebook's cells; None outside of one."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None

    def run_soon(call: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(call)

    return run_soon
