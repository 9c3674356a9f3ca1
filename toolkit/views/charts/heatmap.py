"""A sweep as a heatmap over two of its parameters, or as points where it has no grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from toolkit.errors import ConfigError
from toolkit.views.charts.drawing import chart, hover
from toolkit.views.charts.frames import compact, exact, require_columns, words
from toolkit.views.charts.theme import FONT, LIGHT, Theme, apply_theme, colour_of, role

if TYPE_CHECKING:
    import pandas as pd

Best = Literal["highest", "lowest"]
_MOST_LEVELS, _LEAST_FILLED = 16, 0.34  # beyond, cells would be mostly empty


def heatmap_figure(
    table: pd.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    best: Best = "highest",
    theme: Theme = LIGHT,
) -> Any:
    """Return a heatmap of `value` over two columns of a sweep, the best cell framed.

    Where several rows share a cell it shows their mean, and the title says so; cells without a
    value are hatched, an infinite mean has the top colour. Values of both signs get colours of
    equal weight around 0. Draws points instead where few cells of many would be filled. Raises
    ConfigError for an unknown column or where no value is a number.
    """
    cells = cells_of(table, (x, y), value)
    chosen = best_of(cells, best)
    colours = colours_of(cells["mean"], theme)
    plot = _points(cells, x, y) if _is_sparse(cells, x, y) else _grid(cells, x, y)
    draw_cells(plot, cells, Look(x=x, y=y, value=value, colours=colours), chosen=chosen)
    plot.title.text = headline(cells.iloc[chosen], (x, y), value, best, cells)
    colour_bar(plot, colours)
    apply_theme(plot, theme)
    return plot


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The columns of a heatmap and its mapper of colours."""

    x: str
    y: str
    value: str
    colours: Any


def cells_of(table: pd.DataFrame, names: tuple[str, ...], value: str) -> pd.DataFrame:
    """Return columns `names`, `mean` (NaN where there is no value) and `size`, in order."""
    require_columns("table", table, (*names, value))
    if not table[value].notna().any():
        raise ConfigError(f"no value of {value} is a number", field=value, allowed="numbers")
    grouped = table.groupby(list(names), sort=True)[value]
    return grouped.agg(["mean", "size"]).reset_index()


def best_of(cells: pd.DataFrame, best: Best) -> int:
    """Return the row with the best mean."""
    means = cells["mean"].to_numpy()
    return int(np.nanargmax(means) if best == "highest" else np.nanargmin(means))


def headline(
    top: pd.Series[Any], names: tuple[str, ...], value: str, best: Best, cells: pd.DataFrame
) -> str:
    """Return where the best cell is and what it is worth."""
    shared = int(cells["size"].max())
    place = ", ".join(f"{words(name)} {compact(top[name])}" for name in names)
    mean = f" (mean of {shared} runs a cell)" if shared > 1 else ""
    return f"{words(value)}: {best} {_best_value(top['mean'])} at {place}{mean}"


def colours_of(values: pd.Series[float], theme: Theme) -> Any:
    """Return a mapper from values to colours: around 0 where there are both signs."""
    from bokeh.models import LinearColorMapper

    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    palette = "diverging" if low < 0.0 < high else "sequential"
    if palette == "diverging":
        low, high = -max(-low, high), max(-low, high)
    # One value only: any colour will do, but a mapper needs a range.
    high = high if high > low else low + 1.0
    mapper = LinearColorMapper(palette=colour_of(theme, palette), low=low, high=high)
    return role(mapper, palette=palette)


def draw_cells(plot: Any, cells: pd.DataFrame, look: Look, *, chosen: int | None) -> Any:
    """Draw cells and, beneath them, hatching where there is nothing; frame the chosen one."""
    from bokeh.models import ColumnDataSource

    points = not hasattr(plot.x_range, "factors")
    if not points:
        _hatch(plot, cells, look)
    known = cells[cells["mean"].notna()]
    source = ColumnDataSource(cell_columns(known, look, points=points))
    colour = {"field": "shade", "transform": look.colours}
    options = {"source": source, "fill_color": colour, "line_color": None, "name": "cells"}
    mark = {"size": 14} if points else {"width": 1, "height": 1}
    drawn = (plot.scatter if points else plot.rect)("x", "y", **mark, **options)
    tooltips = [
        (words(look.x), "@x_shown"),
        (words(look.y), "@y_shown"),
        (words(look.value), "@shown"),
        ("runs", "@runs"),
    ]
    hover(plot, [drawn], tooltips)
    if chosen is not None:
        _frame(plot, cells.iloc[chosen], look, points=points)
    return source


def cell_columns(cells: pd.DataFrame, look: Look, *, points: bool = False) -> dict[str, list[Any]]:
    """Return what the cells of one heatmap are drawn from."""
    means, place = cells["mean"], (float if points else compact)
    return {
        "x": [place(v) for v in cells[look.x]],
        "y": [place(v) for v in cells[look.y]],
        "x_shown": [compact(v) for v in cells[look.x]],
        "y_shown": [compact(v) for v in cells[look.y]],
        "value": means.tolist(),
        "shade": means.clip(look.colours.low, look.colours.high).tolist(),
        "shown": [exact(v) for v in means],
        "runs": cells["size"].tolist(),
    }


def colour_bar(plot: Any, colours: Any) -> None:
    """Add the scale of the colours at the right."""
    from bokeh.models import ColorBar

    bar = ColorBar(
        color_mapper=colours,
        width=10,
        padding=8,
        major_label_text_font=FONT,
        major_label_text_font_size="11px",
        background_fill_color=None,
        bar_line_color=None,
        major_tick_line_color=None,
    )
    plot.add_layout(role(bar, major_label_text_color="muted"), "right")


def factors(cells: pd.DataFrame, x: str, y: str, **options: Any) -> Any:
    """Return an empty figure with a place for each value of two parameters."""
    from bokeh.models import NoOverlap

    plot = chart(
        x_range=[compact(v) for v in sorted(cells[x].unique())],
        y_range=[compact(v) for v in sorted(cells[y].unique())],
        x_axis_label=words(x),
        y_axis_label=words(y),
        **options,
    )
    plot.grid.visible = False
    for axis in plot.axis:
        axis.axis_line_alpha = 0
        axis.major_label_policy = NoOverlap()
    return plot


def _grid(cells: pd.DataFrame, x: str, y: str) -> Any:
    return factors(cells, x, y, name="heatmap", title="", height=420, min_border_right=8)


def _points(_cells: pd.DataFrame, x: str, y: str) -> Any:
    plot = chart(name="heatmap", title="", height=420, min_border_right=8)
    plot.xaxis.axis_label, plot.yaxis.axis_label = words(x), words(y)
    return plot


def _is_sparse(cells: pd.DataFrame, x: str, y: str) -> bool:
    columns, rows = cells[x].nunique(), cells[y].nunique()
    many = max(columns, rows) > _MOST_LEVELS
    return many and len(cells) < _LEAST_FILLED * columns * rows


def _hatch(plot: Any, cells: pd.DataFrame, look: Look) -> None:
    """Hatch every place of the grid that has no value, and say why there is none."""
    run = {(compact(a), compact(b)) for a, b in zip(cells[look.x], cells[look.y], strict=True)}
    known = cells[cells["mean"].notna()]
    valued = {(compact(a), compact(b)) for a, b in zip(known[look.x], known[look.y], strict=True)}
    places = [
        (a, b) for a in plot.x_range.factors for b in plot.y_range.factors if (a, b) not in valued
    ]
    if not places:
        return
    data = {
        "x": [a for a, _ in places],
        "y": [b for _, b in places],
        "why": ["ran, but has no value" if place in run else "not run" for place in places],
    }
    drawn = plot.rect(
        "x",
        "y",
        1,
        1,
        source=data,
        fill_alpha=0,
        line_color=None,
        hatch_pattern="/",
        hatch_alpha=0.5,
        hatch_weight=0.5,
        hatch_scale=8,
        name="nothing",
    )
    role(drawn.glyph, hatch_color="muted")
    hover(plot, [drawn], [(words(look.x), "@x"), (words(look.y), "@y"), ("", "@why")])


def _frame(plot: Any, top: pd.Series[Any], look: Look, *, points: bool) -> None:
    place = float if points else compact
    data = {"x": [place(top[look.x])], "y": [place(top[look.y])]}
    for name, colour, width in (("edge", "surface", 5.0), ("best", "text", 2.0)):
        if points:
            frame = plot.scatter("x", "y", source=data, size=20, fill_color=None)
        else:
            frame = plot.rect("x", "y", 1, 1, source=data, fill_color=None)
        frame.name, frame.glyph.line_width = name, width
        role(frame.glyph, line_color=colour)


def _best_value(value: float) -> str:
    # A profit factor divides by the losses.
    return "∞ (no losing trade)" if math.isinf(value) else compact(value)
