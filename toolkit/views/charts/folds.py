"""Walk-forward: each fold's time of training and of testing, and what was chosen in each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError
from toolkit.views.charts.drawing import chart, hover, legend_above
from toolkit.views.charts.frames import compact, require_columns, require_rows, words
from toolkit.views.charts.money import money_panes
from toolkit.views.charts.reduction import milliseconds
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role

if TYPE_CHECKING:
    import pandas as pd

SPANS = ("train_start", "train_end", "test_start", "test_end")
FIGURES = ("in_sample_sharpe", "sharpe", "total_return_percent", "trades")


def lanes_figure(
    folds: pd.DataFrame, *, equity: pd.Series[float] | None = None, theme: Theme = LIGHT
) -> Any:
    """Return a lane per fold: training, then testing in the colour of its result, and its figures.

    `folds` as `WalkForward.frame`; below the lanes the joined `equity` of all tests, in dollars.
    Raises ConfigError where columns are missing or there is no fold.
    """
    from bokeh.models import Column

    require_columns("folds", folds, ("fold", *SPANS, *FIGURES))
    require_rows("folds", folds)
    parts = [_lanes(folds)]
    if equity is not None and not equity.empty:
        parts.append(money_panes(equity, title="Equity of all tests joined, $"))
    layout = Column(*parts, sizing_mode="stretch_width", spacing=8, name="lanes")
    apply_theme(layout, theme)
    return layout


def stability_figure(folds: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return for each swept parameter the value that every fold chose.

    A parameter that jumps from fold to fold follows the noise. Raises ConfigError where columns
    are missing or nothing was swept.
    """
    from bokeh.models import Column

    require_columns("folds", folds, ("fold",))
    require_rows("folds", folds)
    names = [n for n in folds.columns if "." in str(n)]
    if not names:
        raise ConfigError(
            "no parameter was swept", field="folds", allowed="a column per swept parameter"
        )
    parts = [_choices(folds, name, last=name == names[-1]) for name in names]
    layout = Column(*parts, sizing_mode="stretch_width", spacing=0, name="stability")
    apply_theme(layout, theme)
    return layout


def _lanes(folds: pd.DataFrame) -> Any:
    from bokeh.models import CategoricalAxis, ColumnDataSource, NoOverlap

    names = [str(fold) for fold in folds["fold"]]
    plot = chart(
        name="lanes_of_time",
        title="",
        height=84 + 30 * len(names),
        y_range=list(reversed(names)),
        x_axis_type="datetime",
        min_border_right=8,
    )
    plot.title.visible = False
    plot.ygrid.visible = False
    plot.yaxis.axis_label = "fold"
    plot.xaxis.major_label_policy = NoOverlap()
    source = ColumnDataSource(_lane_data(folds, names))
    drawn = {}
    for part, colour, alpha in (
        ("train", "muted", 0.35),
        ("won", "gain", 0.9),
        ("lost", "loss", 0.9),
    ):
        start, end = (
            ("train_start", "train_end") if part == "train" else (f"{part}_start", f"{part}_end")
        )
        bars = plot.hbar(
            y="fold", left=start, right=end, height=0.6, source=source, fill_alpha=alpha, name=part
        )
        bars.glyph.line_color = None
        label = {"train": "training", "won": "test: earned", "lost": "test: lost or nothing"}[part]
        drawn[label] = role(bars.glyph, fill_color=colour) and bars
    figures = CategoricalAxis(
        axis_label="Sharpe in training → in the test, return", axis_line_alpha=0
    )
    figures.formatter = _override(dict(zip(names, source.data["story"], strict=True)))
    plot.add_layout(figures, "right")
    tooltips = [
        ("training", "@train_start{%F %H:%M} to @train_end{%F %H:%M} UTC"),
        ("test", "@test_start{%F %H:%M} to @test_end{%F %H:%M} UTC"),
        ("Sharpe", "@before in training, @after in the test"),
        ("test", "@return, @trades trades"),
        ("chosen", "@chosen"),
    ]
    hover(plot, list(drawn.values()), tooltips, times=SPANS)
    legend_above(plot, drawn)
    return plot


def _lane_data(folds: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    data: dict[str, Any] = {name: milliseconds(folds[name]).tolist() for name in SPANS}
    won = [value > 0 for value in folds["total_return_percent"]]
    for part, wanted in (("won", True), ("lost", False)):
        for edge in ("start", "end"):
            moments = zip(data[f"test_{edge}"], won, strict=True)
            data[f"{part}_{edge}"] = [t if w is wanted else math.nan for t, w in moments]
    swept = [n for n in folds.columns if "." in str(n)]
    data["fold"] = names
    data["before"] = [_ratio(v) for v in folds["in_sample_sharpe"]]
    data["after"] = [_ratio(v) for v in folds["sharpe"]]
    data["return"] = [f"{v:+.3f} %" for v in folds["total_return_percent"]]
    data["trades"] = folds["trades"].tolist()
    data["chosen"] = [
        ", ".join(f"{words(n)} {compact(row[n])}" for n in swept) for _, row in folds.iterrows()
    ]
    data["story"] = [
        f"{a} → {b}, {c}"
        for a, b, c in zip(data["before"], data["after"], data["return"], strict=True)
    ]
    return data


def _override(labels: dict[str, str]) -> Any:
    from bokeh.models import CustomJSTickFormatter

    return CustomJSTickFormatter(args={"labels": labels}, code="return labels[tick] ?? ''")


def _choices(folds: pd.DataFrame, name: str, *, last: bool) -> Any:
    from bokeh.models import ColumnDataSource, FixedTicker, NoOverlap

    values = folds[name].tolist()
    most, count = Counter(values).most_common(1)[0]
    title = f"{words(name)}: {compact(most)} in {count} of {len(values)} folds"
    plot = chart(
        name=name,
        title=title,
        height=120 + 30 * last,
        x_range=[str(f) for f in folds["fold"]],
        y_range=_padded([float(v) for v in values]),
    )
    plot.xgrid.visible = False
    plot.xaxis.visible = last
    plot.xaxis.axis_label = "fold"
    plot.yaxis.ticker = FixedTicker(ticks=sorted({float(v) for v in values}))
    plot.yaxis.major_label_policy = NoOverlap()
    data = {
        "fold": [str(f) for f in folds["fold"]],
        "value": [float(v) for v in values],
        "shown": [compact(v) for v in values],
    }
    source = ColumnDataSource(data)
    steps = plot.step("fold", "value", source=source, mode="center", line_width=1.5)
    dots = plot.scatter("fold", "value", source=source, size=8)
    role(steps.glyph, line_color="accent")
    role(dots.glyph, fill_color="accent", line_color="surface")
    hover(plot, [dots], [("fold", "@fold"), (words(name), "@shown")])
    return plot


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    edge = 0.15 * (high - low) or max(abs(high) * 0.1, 1.0)
    return low - edge, high + edge


def _ratio(value: float) -> str:
    return "\N{EN DASH}" if math.isnan(value) else f"{value:.2f}"
