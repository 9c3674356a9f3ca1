"""What might as well have happened: bands of resampled trades, paths of cross-validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.views.charts.drawing import chart, hover, legend_above, whole_numbers
from toolkit.views.charts.frames import require_columns, require_rows
from toolkit.views.charts.reduction import bars_per_point
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import zero_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PERCENTILES = ("p5", "p25", "p50", "p75", "p95")
MOST_POINTS = 800


def bands_figure(
    bands: pd.DataFrame, *, figures: pd.DataFrame | None = None, theme: Theme = LIGHT
) -> Any:
    """Return bands of equity (dollars) by trade number, and below them each figure's interval.

    `bands` as `MonteCarlo.bands`, `figures` as `MonteCarlo.frame`. Raises ConfigError where
    columns are missing or there is no trade.
    """
    from bokeh.models import Column

    require_columns("bands", bands, PERCENTILES)
    require_rows("bands", bands)
    parts = [_bands(bands)]
    if figures is not None and not figures.empty:
        require_columns("figures", figures, ("metric", "value", "low", "high"))
        parts.append(_intervals(figures))
    layout = Column(*parts, sizing_mode="stretch_width", spacing=0, name="bands")
    apply_theme(layout, theme)
    return layout


def intervals_figure(figures: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return each figure's interval with the run's own value as a dot, each on its own scale.

    `figures` has metric, value, low, high. Raises ConfigError where they are missing.
    """
    require_columns("figures", figures, ("metric", "value", "low", "high"))
    require_rows("figures", figures)
    plot = _intervals(figures)
    apply_theme(plot, theme)
    return plot


def paths_figure(paths: pd.DataFrame, figures: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return every path's equity (dollars), their median, and how the Sharpe ratios are spread.

    `paths` as `CombinatorialPurged.paths` (a column per path), `figures` as its `frame`. Raises
    ConfigError where columns are missing or there is no path.
    """
    from bokeh.models import Column

    require_columns("figures", figures, ("path", "sharpe", "total_return_percent"))
    require_rows("paths", paths)
    parts = [_paths(paths, figures), _spread(figures)]
    layout = Column(*parts, sizing_mode="stretch_width", spacing=0, name="paths")
    apply_theme(layout, theme)
    return layout


def _bands(bands: pd.DataFrame) -> Any:
    from bokeh.models import ColumnDataSource, DataRange1d, NumeralTickFormatter

    rows = _thinned(bands)
    data = {name: rows[name].to_numpy(dtype=float).tolist() for name in PERCENTILES}
    source = ColumnDataSource({"trade": rows.index.tolist(), **data}, name="bands")
    start, end = (float(bands["p50"].iloc[i]) for i in (0, -1))
    plot = chart(
        name="equity_bands", title="Equity had the trades come in other ways, $", height=300
    )
    plot.xaxis.axis_label = "trades"
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    zero_line(plot, at=start)
    drawn = {}
    for low, high, alpha, label in (
        ("p5", "p95", 0.18, "9 of 10 paths"),
        ("p25", "p75", 0.32, "half of them"),
    ):
        area = plot.varea("trade", low, high, source=source, fill_alpha=alpha, name=label)
        drawn[label] = role(area.glyph, fill_color="accent") and area
    middle = plot.line("trade", "p50", source=source, line_width=2, name="median")
    drawn[f"median, {end:,.2f} $ at the end"] = role(middle.glyph, line_color="accent") and middle
    edges = [plot.line("trade", n, source=source, line_width=0.5) for n in ("p5", "p95")]
    for edge in edges:
        role(edge.glyph, line_color="accent")
    plot.y_range = DataRange1d(renderers=[middle, *edges], range_padding=0.08)
    tooltips = [
        ("after", "@trade trades"),
        ("95th, 75th", "@p95{0,0.00} $, @p75{0,0.00} $"),
        ("median", "@p50{0,0.00} $"),
        ("25th, 5th", "@p25{0,0.00} $, @p5{0,0.00} $"),
    ]
    hover(plot, [middle], tooltips)
    plot.tools[-1].mode = "vline"
    legend_above(plot, drawn)
    return plot


def _thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every n-th row and the last."""
    size = bars_per_point(len(frame), MOST_POINTS)
    rows = sorted({*range(0, len(frame), size), len(frame) - 1})
    return frame.iloc[rows]


def _intervals(figures: pd.DataFrame) -> Any:
    """Draw each figure on a scale of its own: low to high, the run's value as a dot."""
    from bokeh.models import CategoricalAxis, ColumnDataSource, CustomJSTickFormatter

    names = [str(name).replace("_percent", ", %").replace("_", " ") for name in figures["metric"]]
    low, value, high = (figures[n].astype(float).tolist() for n in ("low", "value", "high"))
    story = [
        f"{here:,.2f}  ({least:,.2f} to {most:,.2f})"
        for least, here, most in zip(low, value, high, strict=True)
    ]
    plot = chart(
        name="intervals",
        title="The run's figures, and where nine of ten of the paths have them",
        height=64 + 28 * len(names),
        y_range=list(reversed(names)),
        min_border_left=120,
    )
    plot.xaxis.visible = False
    plot.grid.visible = False
    places = [_place(*three) for three in zip(low, value, high, strict=True)]
    data = {
        "metric": names,
        "low": [place[0] for place in places],
        "value": [place[1] for place in places],
        "high": [place[2] for place in places],
    }
    source = ColumnDataSource(data)
    ways = plot.segment(
        "low", "metric", "high", "metric", source=source, line_width=5, line_alpha=0.4
    )
    dots = plot.scatter("value", "metric", source=source, size=9)
    role(ways.glyph, line_color="accent")
    role(dots.glyph, fill_color="accent", line_color="surface")
    labels = dict(zip(names, story, strict=True))
    axis = CategoricalAxis(axis_line_alpha=0)
    axis.formatter = CustomJSTickFormatter(
        args={"labels": labels}, code="return labels[tick] ?? ''"
    )
    plot.add_layout(axis, "right")
    return plot


def _place(low: float, value: float, high: float) -> tuple[float, float, float]:
    """Return the three on a scale from 0 to 1 that holds them all."""
    first, last = min(low, value), max(high, value)
    span = (last - first) or 1.0
    return (low - first) / span, (value - first) / span, (high - first) / span


def _paths(paths: pd.DataFrame, figures: pd.DataFrame) -> Any:
    from bokeh.models import ColumnDataSource, DataRange1d, NumeralTickFormatter

    rows = _thinned(paths)
    count = len(paths.columns)
    lost = float((figures["total_return_percent"] <= 0).mean())
    title = f"Equity on {count:,} paths of tests, $: {100.0 * lost:.0f} % of them earn nothing"
    plot = chart(name="paths_of_equity", title=title, height=280)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    plot.xaxis.axis_label = "share of the time, %"
    place = [100.0 * i / max(len(rows) - 1, 1) for i in range(len(rows))]
    data = {
        "xs": [place] * count,
        "ys": [rows[name].to_numpy(dtype=float).tolist() for name in paths.columns],
        "path": [str(name) for name in paths.columns],
        "sharpe": figures["sharpe"].tolist(),
        "total": figures["total_return_percent"].tolist(),
    }
    lines = plot.multi_line("xs", "ys", source=ColumnDataSource(data), line_alpha=0.45)
    role(lines.glyph, line_color="muted")
    middle = plot.line(place, rows.median(axis=1).tolist(), line_width=2.5, name="median")
    role(middle.glyph, line_color="accent")
    zero_line(plot, at=float(paths.iloc[0].median()))
    plot.y_range = DataRange1d(renderers=[lines], range_padding=0.05)
    hover(
        plot,
        [lines],
        [("path", "@path"), ("Sharpe", "@sharpe{0.00}"), ("return", "@total{+0.000} %")],
    )
    legend_above(plot, {"a path": lines, "their median": middle})
    return plot


def _spread(figures: pd.DataFrame) -> Any:
    import numpy as np
    from bokeh.models import Span

    values = figures["sharpe"].dropna().to_numpy(dtype=float)
    plot = chart(name="spread", title=_spread_title(values), height=200)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "Sharpe ratio of a path, a year", "paths"
    whole_numbers(plot.yaxis)
    if len(values):
        width = (float(np.ptp(values)) or 1.0) / 20
        first, last = np.floor(values.min() / width), np.ceil(values.max() / width + 1e-9)
        edges = np.arange(first, max(last, first + 1) + 1) * width
        counts = np.histogram(values, edges)[0]
        for wanted, colour in ((edges[:-1] >= -1e-12, "gain"), (edges[:-1] < -1e-12, "loss")):
            bars = plot.quad(
                left=edges[:-1][wanted].tolist(),
                right=edges[1:][wanted].tolist(),
                top=counts[wanted].tolist(),
                bottom=0,
            )
            role(bars.glyph, fill_color=colour, line_color="surface")
            hover(plot, [bars], [("Sharpe", "@left{0.00} to @right{0.00}"), ("paths", "@top")])
    plot.add_layout(role(Span(location=0, dimension="height"), line_color="muted"))
    plot.y_range.start = 0
    return plot


def _spread_title(values: np.ndarray[Any, Any]) -> str:
    import numpy as np

    if not len(values):
        return "No path has a Sharpe ratio"
    return (
        f"Sharpe ratios: median {np.median(values):.2f}, from {values.min():.2f}"
        f" to {values.max():.2f}, {100.0 * (values < 0).mean():.0f} % below zero"
    )
