"""All that was found about a set at a glance: each figure, what is needed, whether it passed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from toolkit.views.charts.drawing import chart, hover, legend_above
from toolkit.views.charts.frames import compact, require_columns, require_rows
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("part", "figure", "value", "needed", "passed")


def evidence_figure(figures: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return every figure that had to pass, with its value and what was needed.

    `figures` as `Validation.frame`. Raises ConfigError where columns are missing or nothing had
    to pass.
    """
    from bokeh.models import CategoricalAxis, ColumnDataSource, CustomJSTickFormatter, FactorRange

    require_columns("figures", figures, _COLUMNS)
    judged = figures[figures["passed"].notna()]
    require_rows("figures", judged)
    rows = judged.to_dict("records")
    names = [f"{row['part']}: {row['figure']}".replace("_", " ") for row in rows]
    passed = [bool(row["passed"]) for row in rows]
    plot = chart(
        name="evidence",
        title=f"{sum(passed)} of {len(passed)} tests passed",
        height=70 + 28 * len(names),
        y_range=FactorRange(factors=list(reversed(names))),
        x_range=(-0.5, 0.5),
        min_border_left=220,
    )
    plot.grid.visible = False
    plot.xaxis.visible = False
    plot.yaxis.axis_line_alpha = 0
    drawn = {}
    for wanted, label, colour, marker in (
        (True, "passed", "gain", "circle"),
        (False, "not passed", "loss", "x"),
    ):
        kept = [name for name, ok in zip(names, passed, strict=True) if ok is wanted]
        source = ColumnDataSource({"name": kept, "x": [0.0] * len(kept)})
        marks = plot.scatter("x", "name", source=source, marker=marker, size=11, line_width=3)
        drawn[label] = role(marks.glyph, fill_color=colour, line_color=colour) and marks
    said = [_said(row) for row in rows]
    axis = CategoricalAxis(axis_line_alpha=0)
    labels = dict(zip(names, said, strict=True))
    axis.formatter = CustomJSTickFormatter(
        args={"labels": labels}, code="return labels[tick] ?? ''"
    )
    plot.add_layout(axis, "right")
    hover(plot, list(drawn.values()), [("", "@name")])
    legend_above(plot, drawn)
    apply_theme(plot, theme)
    return plot


def _said(row: dict[Any, Any]) -> str:
    value = float(row["value"])
    shown = "\N{EN DASH}" if math.isnan(value) else f"{value:,.3g}"
    needed = row["needed"]
    missing = needed is None or (isinstance(needed, float) and math.isnan(needed))
    return shown if missing else f"{shown}  (needed: {compact(needed)})"
