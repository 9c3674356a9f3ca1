"""The live chart as a widget of the notebook; needs the built JavaScript."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from toolkit.views.charts.theme import DARK, FONT, LIGHT
from toolkit.views.feed import ChartFeed
from toolkit.views.notebook.chart_sender import ChartSender


class LiveChart(anywidget.AnyWidget):  # type: ignore[misc] # untyped vendor
    """Candles, EMA, StochRSI, fills and position of one symbol, live; made by `live_chart`."""

    symbol = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(520, min=240).tag(sync=True)
    limit = traitlets.Int(500).tag(sync=True)
    look = traitlets.Dict().tag(sync=True)
    history = traitlets.Dict().tag(sync=True)
    alive = traitlets.List().tag(sync=True, echo_update=False)

    def __init__(self, feed: ChartFeed, *, bundle: Path, height: int) -> None:
        self._feed = feed
        self._sender = ChartSender(
            feed,
            send_update=self.send,
            send_history=lambda: self.send_state("history"),
        )
        super().__init__(
            _esm=bundle.read_text("utf-8"),
            symbol=feed.symbol,
            height=height,
            limit=feed.limit,
            look={"font": FONT, "light": asdict(LIGHT), "dark": asdict(DARK)},
        )
        self.observe(self._on_alive, "alive")
        feed.on_change(self._sender.on_change)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the synced state; `history` is always what the feed knows now."""
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        if key is None or "history" in (key if isinstance(key, (set, list, tuple)) else [key]):
            state["history"] = self._sender.history()
        return state

    def _on_alive(self, change: dict[str, Any]) -> None:
        _view, _beat, newly = change["new"]
        self._sender.on_alive(new_view=newly)
        self.send({"kind": "pulse"})

    def stop(self) -> None:
        """Stop following and keep the last picture, which then says that it is closed."""
        self._feed.close()
        self._sender.on_change("state")

    def close(self) -> None:
        """Release everything; the chart disappears from the notebook."""
        self._feed.close()
        super().close()
