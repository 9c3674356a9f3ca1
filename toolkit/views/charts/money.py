"""Equity beside buy and hold, drawdown and exposure over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.views.charts.drawing import legend_above, line
from toolkit.views.charts.frames import require_rows
from toolkit.views.charts.reduction import Track, at_times, equity_tracks, milliseconds
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import MAX_POINTS, Reading, Timeline, zero_line

if TYPE_CHECKING:
    import pandas as pd


def money_figure(
    equity: pd.Series[float],
    *,
    benchmark: pd.DataFrame | None = None,
    exposure: pd.DataFrame | None = None,
    theme: Theme = LIGHT,
    max_points: int = MAX_POINTS,
) -> Any:
    """Return a Bokeh layout of equity (dollars), drawdown and exposure (percent) over time.

    `equity` is indexed by time, `benchmark` too, its columns are lines named by what they hold:
    those that would flatten the strategy's line are hidden until their name is clicked.
    `exposure` has `exposure_percent` by time. Raises ConfigError where there is no equity.
    """
    layout = money_panes(equity, benchmark=benchmark, exposure=exposure, max_points=max_points)
    apply_theme(layout, theme)
    return layout


def money_panes(
    equity: pd.Series[float],
    *,
    benchmark: pd.DataFrame | None = None,
    exposure: pd.DataFrame | None = None,
    title: str = "Equity, $",
    max_points: int = MAX_POINTS,
) -> Any:
    """Return the same as a part of another layout, which paints it."""
    require_rows("equity", equity)
    times = milliseconds(equity.index.to_series())
    tracks = equity_tracks(equity, times)
    tracks |= benchmark_tracks(benchmark, times)
    if exposure is not None:
        invested = at_times(exposure["exposure_percent"], times)
        tracks["exposure"] = Track(values=invested, how="max")
    timeline = Timeline(times, tracks, most=max_points)
    beside = list(benchmark.columns) if benchmark is not None else []
    equity_pane(timeline, height=260, title=title, beside=beside)
    drawdown_pane(timeline, height=140)
    readings = [
        Reading(column="equity", name="equity", unit=" $"),
        Reading(column="drawdown", name="drawdown", unit=" %"),
    ]
    readings[1:1] = [
        Reading(column=name, name=name, unit=" $")
        for name in (benchmark.columns if benchmark is not None else ())
    ]
    if exposure is not None:
        _exposure_pane(timeline, height=120)
        readings.append(Reading(column="exposure", name="exposure", decimals=1, unit=" %"))
    return timeline.layout(name="money", readings=readings)


def benchmark_tracks(benchmark: pd.DataFrame | None, times: Any) -> dict[str, Track]:
    """Return each column of `benchmark` (dollars by time) at each of `times` (ms)."""
    if benchmark is None:
        return {}
    return {str(name): Track(values=at_times(benchmark[name], times)) for name in benchmark}


def equity_pane(
    timeline: Timeline, *, height: int, title: str = "Equity, $", beside: Sequence[str] = ()
) -> Any:
    """Add equity in dollars, and the tracks named in `beside` to compare it with."""
    from bokeh.models import DataRange1d, NumeralTickFormatter

    plot = timeline.pane("equity", title=title, height=height + 24 * bool(beside))
    zero_line(plot, at=_first(timeline.tracks["equity"].values))
    drawn = [line(plot, timeline.source, "equity", "accent")]
    for name, dash in zip(beside, ("solid", "dashed"), strict=False):
        other = line(plot, timeline.source, name, "slow")
        other.glyph.line_dash = dash
        other.visible = _span(timeline, name) <= 4.0 * _span(timeline, "equity")
        drawn.append(other)
    if beside:
        legend_above(plot, dict(zip(("strategy", *beside), drawn, strict=False)))
    plot.y_range = DataRange1d(renderers=drawn, range_padding=0.1, only_visible=True)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    return plot


def _first(values: Iterable[float]) -> float:
    return next((float(value) for value in values if not math.isnan(value)), 0.0)


def _span(timeline: Timeline, name: str) -> float:
    known = [v for v in timeline.source.data[name] if not math.isnan(v)]
    return max(known) - min(known) if known else 0.0


def drawdown_pane(timeline: Timeline, *, height: int) -> Any:
    """Add the fall from the highest equity so far, in percent, shaded."""
    from bokeh.models import DataRange1d

    plot = timeline.pane("drawdown", title="Drawdown, %", height=height)
    area = plot.varea("x", 0, "drawdown", source=timeline.source, fill_alpha=0.3)
    role(area.glyph, fill_color="down")
    drawn = line(plot, timeline.source, "drawdown", "down", width=1.0)
    plot.y_range = DataRange1d(renderers=[drawn], end=0, range_padding=0.1)
    return plot


def _exposure_pane(timeline: Timeline, *, height: int) -> Any:
    from bokeh.models import DataRange1d

    plot = timeline.pane("exposure", title="Exposure, % of equity", height=height)
    area = plot.varea("x", 0, "exposure", source=timeline.source, fill_alpha=0.3)
    role(area.glyph, fill_color="accent")
    drawn = line(plot, timeline.source, "exposure", "accent", width=1.0)
    plot.y_range = DataRange1d(renderers=[drawn], start=0, range_padding=0.1)
    return plot
