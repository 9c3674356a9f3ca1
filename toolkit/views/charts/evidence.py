"""All that was found about a set at a glance: each figure, what is needed, whether it passed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from toolkit.views.charts.drawing import chart, legend_above
from toolkit.views.charts.frames import compact, require_columns, require_rows
from toolkit.views.charts.theme import FONT, LIGHT, Theme, apply_theme, role

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("part", "figure", "value", "needed", "passed")


def evidence_figure(figures: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return every figure that had to pass, with its value and what was needed.

    `figures` as `Validation.frame`. Raises ConfigError where columns are missing or nothing had
    to pass.
    """
    from bokeh.models import ColumnDataSource, FactorRange

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
        x_range=(0.0, 1.0),
        min_border_left=190,
    )
    plot.grid.visible = False
    plot.xaxis.visible = False
    plot.yaxis.axis_line_alpha = 0
    said, drawn = [_said(row) for row in rows], {}
    for wanted, label, colour, marker in (
        (True, "passed", "gain", "circle"),
        (False, "not passed", "loss", "x"),
    ):
        kept = [i for i, ok in enumerate(passed) if ok is wanted]
        if not kept:
            continue
        data = {"name": [names[i] for i in kept], "said": [said[i] for i in kept]}
        source = ColumnDataSource({**data, "x": [0.03] * len(kept)})
        marks = plot.scatter("x", "name", source=source, marker=marker, size=10, line_width=3)
        text = plot.text(
            "x",
            "name",
            text="said",
            source=source,
            x_offset=14,
            text_baseline="middle",
            text_font={"value": FONT},
            text_font_size="11px",
        )
        role(text.glyph, text_color="text")
        drawn[label] = role(marks.glyph, fill_color=colour, line_color=colour) and marks
    legend_above(plot, drawn)
    apply_theme(plot, theme)
    return plot


def _said(row: dict[Any, Any]) -> str:
    value = float(row["value"])
    shown = f"{value:,.0f}" if abs(value) >= 1000.0 else f"{value:.3g}"
    shown = "\N{EN DASH}" if math.isnan(value) else shown
    needed = row["needed"]
    missing = needed is None or (isinstance(needed, float) and math.isnan(needed))
    return shown if missing else f"{shown}  (needed: {compact(needed)})"
