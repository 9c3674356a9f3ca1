"""A sweep as a heatmap over two of its parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from toolkit.errors import ConfigError
from toolkit.views.charts.frames import compact, exact, require_columns, words
from toolkit.views.charts.theme import FONT, LIGHT, Theme, apply_theme, gradient, role

if TYPE_CHECKING:
    import pandas as pd


def heatmap_figure(
    table: pd.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    best: Literal["highest", "lowest"] = "highest",
    theme: Theme = LIGHT,
) -> Any:
    """Return a heatmap of `value` over two columns of a sweep, the best cell framed.

    Where several rows share a cell it shows their mean, and the title says so; an
    infinite mean has the top colour. Raises ConfigError for an unknown column or where no value
    is a number.
    """
    require_columns("table", table, (x, y, value))
    known = table[table[value].notna()]
    if known.empty:
        raise ConfigError(f"no value of {value} is a number", field=value, allowed="numbers")
    cells = known.groupby([x, y], sort=True)[value].agg(["mean", "size"]).reset_index()
    means = cells["mean"].to_numpy()
    chosen = int(means.argmax() if best == "highest" else means.argmin())
    plot = _heatmap(cells, x, y, theme, best=chosen)
    top = cells.iloc[chosen]
    shared = int(cells["size"].max())
    plot.title.text = (
        f"{words(value)}: {best} {_best_value(top['mean'])} at "
        f"{words(x)} {compact(top[x])}, {words(y)} {compact(top[y])}"
        + (f" (mean of {shared} runs a cell)" if shared > 1 else "")
    )
    apply_theme(plot, theme)
    return plot


def _heatmap(cells: pd.DataFrame, x: str, y: str, theme: Theme, *, best: int) -> Any:
    from bokeh.models import ColorBar, HoverTool

    plot, colours = _grid(cells, x, y), _colours(cells["mean"], theme)
    means = cells["mean"]
    data = {
        "x": [compact(v) for v in cells[x]],
        "y": [compact(v) for v in cells[y]],
        "value": means.tolist(),
        "shade": means.clip(colours.low, colours.high).tolist(),
        "shown": [exact(v) for v in means],
        "runs": cells["size"].tolist(),
    }
    colour = {"field": "shade", "transform": colours}
    drawn = plot.rect("x", "y", 1, 1, source=data, fill_color=colour, line_color=None, name="cells")
    tooltips = [
        (words(x), "@x"),
        (words(y), "@y"),
        ("value", "@shown"),
        ("runs", "@runs"),
    ]
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=tooltips))
    centre = ([data["x"][best]], [data["y"][best]])
    frame = plot.rect(*centre, 1, 1, fill_color=None, line_width=3, name="best")
    role(frame.glyph, line_color="loss")
    bar = ColorBar(
        color_mapper=colours,
        width=10,
        padding=8,
        major_label_text_font=FONT,
        major_label_text_font_size="11px",
        background_fill_color=None,
    )
    plot.add_layout(role(bar, major_label_text_color="muted"), "right")
    return plot


def _grid(cells: pd.DataFrame, x: str, y: str) -> Any:
    from bokeh.plotting import figure

    plot = figure(
        x_range=[compact(v) for v in sorted(cells[x].unique())],
        y_range=[compact(v) for v in sorted(cells[y].unique())],
        x_axis_label=words(x),
        y_axis_label=words(y),
        tools="",
        toolbar_location=None,
        height=420,
        sizing_mode="stretch_width",
        name="heatmap",
    )
    plot.grid.visible = False
    return plot


def _colours(values: pd.Series[float], theme: Theme) -> Any:
    from bokeh.models import LinearColorMapper

    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    # One value only: any colour will do, but a mapper needs a range.
    return LinearColorMapper(
        palette=gradient(theme.sequential), low=low, high=high if high > low else low + 1.0
    )


def _best_value(value: float) -> str:
    # A profit factor divides by the losses.
    return "∞ (no losing trade)" if math.isinf(value) else compact(value)
