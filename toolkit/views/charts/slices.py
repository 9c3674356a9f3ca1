"""A sweep over three parameters: a heatmap per value of the third, side by side or by slider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError
from toolkit.views.charts.frames import compact, words
from toolkit.views.charts.heatmap import (
    Best,
    Look,
    best_of,
    cell_columns,
    cells_of,
    colour_bar,
    colours_of,
    draw_cells,
    factors,
    headline,
)
from toolkit.views.charts.theme import FONT, LIGHT, Theme, apply_theme, role

if TYPE_CHECKING:
    import pandas as pd

MOST_SLICES = 24
_SIDE = 280
_SWAP = """
cells.setv({data: slices[cb_obj.value]}, {sync: false})
label.setv({text: names[cb_obj.value]}, {sync: false})
"""


def slices_figure(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    value: str,
    *,
    best: Best = "highest",
    theme: Theme = LIGHT,
) -> Any:
    """Return a small heatmap of `value` for each value of `by`, all in the same colours.

    Raises ConfigError for an unknown column, two that are the same, or more than 24 slices.
    """
    from bokeh.models import Column, Row

    cells, levels = _slices(table, (x, y, by), value)
    if len(levels) > MOST_SLICES:
        raise ConfigError(
            f"{by} has {len(levels)} values; up to {MOST_SLICES} fit side by side: use a slider",
            field="by",
            value=by,
            allowed="plot('slider', ...)",
        )
    chosen, colours = best_of(cells, best), colours_of(cells["mean"], theme)
    look, parts = Look(x=x, y=y, value=value, colours=colours), []
    for level in levels:
        rows = cells[cells[by] == level].reset_index(drop=True)
        here = cells.loc[chosen, by] == level
        plot = factors(cells, x, y, name="slice", title="", height=_SIDE, width=_SIDE + 40)
        plot.sizing_mode = "fixed"
        plot.title.text = f"{words(by)} {compact(level)}"
        draw_cells(plot, rows, look, chosen=best_of(rows, best) if here else None)
        parts.append(plot)
    note = _note(headline(cells.iloc[chosen], (x, y, by), value, best, cells))
    grid = Row(*parts, styles={"flex-wrap": "wrap"}, sizing_mode="stretch_width", spacing=8)
    layout = Column(note, _scale(colours), grid, sizing_mode="stretch_width", name="slices")
    apply_theme(layout, theme)
    return layout


def slider_figure(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    value: str,
    *,
    best: Best = "highest",
    theme: Theme = LIGHT,
) -> Any:
    """Return one heatmap of `value` and a slider over the values of `by`, at the best one first.

    The colours stay the same for all of them. Raises ConfigError as `slices_figure`.
    """
    from bokeh.models import Column, CustomJS, Div, Slider

    cells, levels = _slices(table, (x, y, by), value)
    chosen, colours = best_of(cells, best), colours_of(cells["mean"], theme)
    look = Look(x=x, y=y, value=value, colours=colours)
    frames = [cells[cells[by] == level] for level in levels]
    plot = factors(cells, x, y, name="slice", title="", height=420, min_border_right=8)
    plot.title.text = headline(cells.iloc[chosen], (x, y, by), value, best, cells)
    first = levels.index(cells.loc[chosen, by])
    source = draw_cells(plot, frames[first].reset_index(drop=True), look, chosen=None)
    colour_bar(plot, colours)
    names = [f"{words(by)} {compact(level)}" for level in levels]
    label = Div(text=names[first], styles=_STYLE, margin=(4, 0, 0, 12))
    slider = Slider(
        start=0,
        end=max(len(levels) - 1, 1),
        value=first,
        step=1,
        show_value=False,
        title="",
        disabled=len(levels) < 2,
        sizing_mode="stretch_width",
        margin=(0, 24, 8, 24),
    )
    slices = [cell_columns(frame[frame["mean"].notna()], look) for frame in frames]
    args = {"cells": source, "slices": slices, "label": label, "names": names}
    slider.js_on_change("value", CustomJS(args=args, code=_SWAP))
    layout = Column(label, slider, plot, sizing_mode="stretch_width", spacing=0, name="slider")
    apply_theme(layout, theme)
    return layout


_STYLE = {"font": f"13px {FONT}", "color": "inherit"}


def _slices(
    table: pd.DataFrame, names: tuple[str, str, str], value: str
) -> tuple[pd.DataFrame, list[Any]]:
    if len(set(names)) < 3:
        raise ConfigError(
            f"x, y and by are {', '.join(names)}; allowed: three different parameters",
            field="by",
            allowed="three different parameters",
        )
    cells = cells_of(table, names, value)
    return cells, sorted(cells[names[2]].unique())


def _note(text: str) -> Any:
    from bokeh.models import Div

    return Div(text=text, styles=_STYLE, margin=(4, 0, 4, 12), sizing_mode="stretch_width")


def _scale(colours: Any) -> Any:
    """Return the scale of the colours as a strip of its own, above all slices."""
    from bokeh.models import ColorBar
    from bokeh.plotting import figure

    strip = figure(
        height=52,
        width=320,
        tools="",
        toolbar_location=None,
        min_border=0,
        name="scale",
        x_range=(0, 1),
        y_range=(0, 1),
    )
    strip.scatter([], [])  # Bokeh warns of a figure that draws nothing
    strip.axis.visible = False
    strip.grid.visible = False
    bar = ColorBar(
        color_mapper=colours,
        orientation="horizontal",
        height=10,
        width=280,
        padding=6,
        location=(0, 0),
        major_label_text_font=FONT,
        major_label_text_font_size="11px",
        background_fill_color=None,
        bar_line_color=None,
        major_tick_line_color=None,
    )
    strip.add_layout(role(bar, major_label_text_color="muted"), "above")
    return strip
