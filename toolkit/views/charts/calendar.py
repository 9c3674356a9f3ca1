"""Returns by month, day or hour as a calendar, gains and losses in colours of equal weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.views.charts import page_scripts
from toolkit.views.charts.drawing import chart, hover
from toolkit.views.charts.frames import require_columns, require_rows
from toolkit.views.charts.theme import FONT, LIGHT, Theme, apply_theme, colour_of, role

if TYPE_CHECKING:
    import pandas as pd

TOTAL = "all"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_ROWS = 60


def calendar_figure(returns: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return a calendar of `return_percent`; `returns` as `run.returns` gives them.

    The last column is the whole row, compounded. The newest 60 rows are shown. Raises ConfigError
    where columns are missing or there is no period.
    """
    from bokeh.models import ColumnDataSource, CustomJS, LinearColorMapper

    require_columns("returns", returns, ("start", "row", "column", "return_percent"))
    require_rows("returns", returns)
    rows = list(dict.fromkeys(returns["row"]))
    shown = returns[returns["row"].isin(rows[-MOST_ROWS:])]
    limit = float(shown["return_percent"].abs().max()) or 1.0
    plot = _grid(shown, rows)
    mapper = LinearColorMapper(
        palette=colour_of(theme, "diverging"), low=-limit, high=limit, name="shades"
    )
    role(mapper, palette="diverging")
    data = _cells(shown, limit)
    drawn = plot.rect(
        "column",
        "row",
        0.96,
        0.92,
        source=ColumnDataSource(data),
        fill_color={"field": "value", "transform": mapper},
        line_color=None,
        name="cells",
    )
    texts = [
        _write(plot, [i for i, s in enumerate(data["strength"]) if s == strong], data, colour)
        for strong, colour in (("weak", "text"), ("strong", "surface"))
    ]
    args = {"plot": plot, "texts": texts, "columns": len(plot.x_range.factors), "least": 38}
    plot.js_on_change("inner_width", CustomJS(args=args, code=page_scripts.FIT_CELLS))
    _totals(plot, shown)
    hover(plot, [drawn], [("from", "@start{%F %H:%M} UTC"), ("return", "@exact")], times=["start"])
    apply_theme(plot, theme)
    return plot


def _grid(shown: pd.DataFrame, rows: list[str]) -> Any:
    from bokeh.models import NoOverlap

    names = set(shown["column"])
    order = [n for n in (*MONTHS, *DAYS) if n in names] or sorted(names)
    unit = "Monthly" if names <= set(MONTHS) else "Daily" if names <= set(DAYS) else "Hourly"
    kept = [row for row in rows if row in set(shown["row"])]
    title = f"{unit} returns, %" + (
        "" if len(kept) == len(rows) else f", the last {MOST_ROWS} rows"
    )
    plot = chart(
        name="calendar",
        title=title,
        height=64 + 28 * len(kept),
        x_range=[*order, TOTAL],
        y_range=list(reversed(kept)),
        x_axis_location="above",
        min_border_left=84,
    )
    plot.grid.visible = False
    plot.axis.axis_line_alpha = 0
    plot.xaxis.major_label_policy = NoOverlap()
    return plot


def _cells(shown: pd.DataFrame, limit: float) -> dict[str, list[Any]]:
    from toolkit.views.charts.reduction import milliseconds

    values = shown["return_percent"].tolist()
    return {
        "row": shown["row"].tolist(),
        "column": shown["column"].tolist(),
        "value": values,
        "shown": [_short(value) for value in values],
        "exact": [f"{value:+.4f} %" for value in values],
        "start": milliseconds(shown["start"]).tolist(),
        "strength": ["strong" if abs(v) > 0.62 * limit else "weak" for v in values],
    }


def _totals(plot: Any, shown: pd.DataFrame) -> None:
    growth = 1.0 + shown["return_percent"].astype(float) / 100.0
    whole = 100.0 * (growth.groupby(shown["row"], sort=False).prod() - 1.0)
    data = {
        "row": whole.index.tolist(),
        "column": [TOTAL] * len(whole),
        "shown": [_short(value) for value in whole],
    }
    _write(plot, range(len(whole)), data, "text", bold=True)


def _write(
    plot: Any, which: Any, data: dict[str, list[Any]], colour: str, *, bold: bool = False
) -> Any:
    from bokeh.models import ColumnDataSource

    chosen = {n: [data[n][i] for i in which] for n in ("row", "column", "shown")}
    text = plot.text(
        "column",
        "row",
        text="shown",
        source=ColumnDataSource(chosen),
        text_align="center",
        text_baseline="middle",
        text_font={"value": FONT},
        text_font_size="11px",
        text_font_style="bold" if bold else "normal",
    )
    return role(text.glyph, text_color=colour) and text


def _short(value: float) -> str:
    return f"{value:+.1f}" if abs(value) >= 10.0 else f"{value:+.2f}"
