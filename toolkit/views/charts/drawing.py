"""What charts and runs are drawn with: panes, time axes, candles, lines, marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from toolkit.views.charts import page_scripts, scripts
from toolkit.views.charts.theme import LIGHT, role

_AXIS_WIDTH = 72


def pane(view: Any, *, wheel: Literal["always", "ctrl"] = "always", **options: Any) -> Any:
    """Return an empty figure in the house style: values at the right, no frame, quiet tools.

    The wheel zooms; with `wheel="ctrl"` only with that key, and a finger scrolls the page.
    """
    from bokeh.models import CustomJS, NoOverlap, WheelZoomTool
    from bokeh.plotting import figure

    plot = figure(
        x_range=view,
        y_axis_location="right",
        tools="xpan",
        active_drag="xpan",
        toolbar_location=None,
        min_border_left=10,
        min_border_right=_AXIS_WIDTH,
        min_border_top=4,
        min_border_bottom=4,
        **options,
    )
    keys = {"ctrl": True} if wheel == "ctrl" else {}
    zoom = WheelZoomTool(dimensions="width", modifiers=keys)
    plot.add_tools(zoom)
    plot.toolbar.active_scroll = zoom
    if wheel == "ctrl":
        touch = CustomJS(args={"plot": plot}, code=page_scripts.TOUCH)
        plot.js_on_change("inner_height", touch)
    plot.xgrid.visible = False
    plot.yaxis.major_label_policy = NoOverlap()
    return plot


def time_axis(plot: Any, bars: Any) -> None:
    """Label the bar numbers of the x axis with the times in `bars` (columns `x`, `time`)."""
    from bokeh.models import CustomJSTicker, CustomJSTickFormatter

    axis = plot.xaxis[0]
    ticker = CustomJSTicker(args={"bars": bars, "plot": plot}, major_code=scripts.TICKS)
    axis.ticker = ticker
    axis.formatter = CustomJSTickFormatter(args={"bars": bars}, code=scripts.TICK_LABEL)
    plot.xgrid.ticker = ticker
    plot.xgrid.visible = True


def candles(plot: Any, bars: Any) -> tuple[Any, Any]:
    """Draw wicks and bodies from `bars` (columns x, open, high, low, close, side)."""
    from bokeh.models import CategoricalColorMapper, CustomJSTransform
    from bokeh.transform import dodge

    mapper = role(CategoricalColorMapper(factors=["up", "down"]), palette=["up", "down"])
    mapper.palette = [LIGHT.up, LIGHT.down]
    colour = {"field": "side", "transform": mapper}
    wicks = plot.segment("x", "high", "x", "low", source=bars, line_color=colour, name="wicks")
    middle, height = (
        {"field": "close", "transform": CustomJSTransform(args={"bars": bars}, v_func=code)}
        for code in (scripts.BODY_MIDDLE, scripts.BODY_HEIGHT)
    )
    bodies = plot.rect(
        x="x",
        y=middle,
        width=0.7,
        height=height,
        source=bars,
        fill_color=colour,
        line_color=None,
        name="candles",
    )
    edges = {"x0": dodge("x", -0.35), "x1": dodge("x", 0.35), "y0": "close", "y1": "close"}
    plot.segment(source=bars, line_color=colour, name="closes", **edges)
    return wicks, bodies


def line(plot: Any, source: Any, column: str, colour: str, *, width: float = 1.5) -> Any:
    """Draw one column over x in the colour of a role."""
    drawn = plot.line("x", column, source=source, line_width=width, name=column)
    role(drawn.glyph, line_color=colour)
    return drawn


def breaks(plot: Any, source: Any) -> None:
    """Mark new sessions by a hairline and gaps in the data by a dashed line that says how long."""
    from bokeh.models import CDSView, GroupFilter, HoverTool

    for kind, dash, colour in (("session", "solid", "line"), ("gap", "dashed", "warning")):
        view = CDSView(filter=GroupFilter(column_name="kind", group=kind))
        drawn = plot.vspan("x", source=source, view=view, line_dash=dash, name=kind)
        role(drawn.glyph, line_color=colour)
        if kind == "gap":
            plot.add_tools(HoverTool(renderers=[drawn], tooltips="@label", visible=False))


def on_data(source: Any, code: Any) -> None:
    """Run JavaScript whenever rows of `source` come, change or are replaced."""
    for event in ("streaming", "patching", "change:data"):
        source.js_on_change(event, code)


def link_crosshairs(*plots: Any) -> None:
    """Give the plots one vertical line that follows the pointer in all of them."""
    from bokeh.models import CrosshairTool, Span

    vertical = role(Span(dimension="height", line_dash="dotted"), line_color="muted")
    for plot in plots:
        horizontal = role(Span(dimension="width", line_dash="dotted"), line_color="muted")
        plot.add_tools(CrosshairTool(overlay=[horizontal, vertical], visible=False))


def legend_above(plot: Any, lines: Mapping[str, Any]) -> None:
    """Name the lines in a row above the plot; a click hides one or shows it again."""
    from bokeh.models import CustomJS, Legend, LegendItem

    items = [LegendItem(label=name, renderers=[drawn]) for name, drawn in lines.items()]
    legend = Legend(
        items=items,
        orientation="horizontal",
        click_policy="hide",
        location="top_left",
        margin=0,
        padding=0,
        spacing=12,
    )
    plot.add_layout(legend, "above")
    needed = _AXIS_WIDTH + sum(44 + 6.4 * len(name) for name in lines)
    args = {"plot": plot, "legend": legend, "needed": needed}
    plot.js_on_change("outer_width", CustomJS(args=args, code=page_scripts.FIT_LEGEND))


def chart(*, name: str, title: str, height: int, **options: Any) -> Any:
    """Return an empty figure in the house style whose axes are not time: no tools, values left."""
    from bokeh.models import CustomJS, NoOverlap
    from bokeh.plotting import figure

    options = {"min_border_left": 56, "min_border_right": 24, **options}
    plot = figure(
        name=name,
        title=title,
        height=height,
        tools="",
        toolbar_location=None,
        sizing_mode="stretch_width",
        min_border_top=4,
        min_border_bottom=8,
        **options,
    )
    for axis in plot.axis:
        axis.major_label_policy = NoOverlap()
    args = {"plot": plot, "left": options["min_border_left"] + 16}
    plot.js_on_change("outer_width", CustomJS(args=args, code=page_scripts.FIT_TITLE))
    return plot


def whole_numbers(axis: Any) -> None:
    """Label counts by whole numbers only."""
    from bokeh.models import BasicTicker

    axis.ticker = BasicTicker(min_interval=1)


def hover(plot: Any, renderers: Sequence[Any], tooltips: Any, *, times: Sequence[str] = ()) -> None:
    """Tell what is under the pointer; `times` are columns of milliseconds, shown as UTC."""
    from bokeh.models import HoverTool

    formatters = {f"@{name}": "datetime" for name in times}
    tool = HoverTool(renderers=list(renderers), tooltips=tooltips, formatters=formatters)
    tool.visible = False
    plot.add_tools(tool)
