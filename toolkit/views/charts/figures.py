"""The live chart as a Bokeh layout: candles, EMA, fills, and a StochRSI pane below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.views.charts import scripts
from toolkit.views.charts.drawing import (
    breaks,
    candles,
    line,
    link_crosshairs,
    on_data,
    pane,
    time_axis,
)
from toolkit.views.charts.sources import ChartSources
from toolkit.views.charts.theme import FONT, LIGHT, Theme, apply_theme, role

if TYPE_CHECKING:
    from toolkit.core.parameters import Parameters

__all__ = ["ChartSources", "chart_figure"]

_LEGEND_STYLE = f"""
:host {{ font: 12px {FONT}; font-variant-numeric: tabular-nums; padding: 2px 10px; }}
.bk-clearfix {{ display: flex !important; flex-wrap: wrap; column-gap: 12px; width: 100%; }}
.bk-clearfix::before, .bk-clearfix::after {{ display: none; }}
span {{ white-space: nowrap; color: var(--tk-text, inherit); }}
i {{ font-style: normal; opacity: 0.72; margin-right: 4px; color: var(--tk-muted, inherit); }}
.when, .wait {{ color: var(--tk-muted, inherit); }}
.ema {{ color: var(--tk-ema, inherit); }}
.fast {{ color: var(--tk-fast, inherit); }}
.slow {{ color: var(--tk-slow, inherit); }}
.late {{ opacity: 0.72; }}
"""


def chart_figure(
    sources: ChartSources,
    *,
    theme: Theme = LIGHT,
    visible: int = 120,
    height: int | None = None,
    parameters: Parameters | None = None,
) -> Any:
    """Return a Bokeh layout that shows `sources` and follows them as they are updated.

    `visible` bars are shown at first; `height` is in pixels, None fills the room there is.
    The bands of the StochRSI pane are those of `parameters` (see `set_bands` for later changes).
    """
    from bokeh.models import Column, Range1d

    newest = sources.last_x
    view = Range1d(
        start=max(newest + 2.5 - visible, sources.bars.data["x"][0] - 1) if newest >= 0 else 0,
        end=newest + 3 if newest >= 0 else visible,
        tags=[newest] if newest >= 0 else [],
        syncable=False,
    )
    price = _price_pane(sources, view)
    momentum = _momentum_pane(sources, view, parameters)
    legend = _legend(sources, (price, momentum))
    link_crosshairs(price, momentum)
    _follow(sources, view, visible, (price, momentum))
    layout = Column(legend, price, momentum, name="chart", spacing=0, sizing_mode=_sizing(height))
    if height is not None:
        layout.height = height
    apply_theme(layout, theme)
    return layout


def set_bands(layout: Any, parameters: Parameters) -> None:
    """Move the band lines of a chart's StochRSI pane to those of `parameters`."""
    for name in ("lower_band", "upper_band"):
        layout.select_one({"name": name}).location = getattr(parameters.stoch_rsi, name)


def _sizing(height: int | None) -> str:
    return "stretch_both" if height is None else "stretch_width"


def _price_pane(sources: ChartSources, view: Any) -> Any:
    from bokeh.models import DataRange1d, NumeralTickFormatter

    plot = pane(view, name="price", window_axis="x", sizing_mode="stretch_both", min_height=180)
    breaks(plot, sources.breaks)
    wicks, _ = candles(plot, sources.bars)
    average = line(plot, sources.bars, "ema", "ema")
    plot.y_range = DataRange1d(renderers=[wicks, average], range_padding=0.12, syncable=False)
    close = sources.bars.data["close"]
    small = bool(close) and abs(close[-1]) < 1
    plot.yaxis.formatter = NumeralTickFormatter(format="0.000000" if small else "0,0.00")
    plot.xaxis.visible = False
    time_axis(plot, sources.bars)
    _levels(plot, sources.levels)
    _last_price(plot, sources.bars)
    _corrections(plot, sources.corrections)
    _fills(plot, sources.fills)
    return plot


def _momentum_pane(sources: ChartSources, view: Any, parameters: Parameters | None) -> Any:
    from bokeh.models import FixedTicker, Range1d, Span

    plot = pane(view, name="momentum", sizing_mode="stretch_width", height=150)
    plot.y_range = Range1d(-4, 104, syncable=False)
    plot.yaxis.ticker = FixedTicker(ticks=[0, 50, 100])
    time_axis(plot, sources.bars)
    breaks(plot, sources.breaks)
    group = _parameters(parameters).stoch_rsi
    for name in ("lower_band", "upper_band"):
        band = Span(location=getattr(group, name), dimension="width", line_dash="dotted", name=name)
        plot.add_layout(role(band, line_color="muted"))
    line(plot, sources.bars, "d", "slow")
    line(plot, sources.bars, "k", "fast")
    _gap_labels(plot, sources.breaks)
    return plot


def _gap_labels(plot: Any, source: Any) -> None:
    drawn = plot.text(
        "x",
        100,
        text="label",
        source=source,
        x_offset=5,
        text_baseline="top",
        text_font={"value": FONT},
        text_font_size="11px",
        name="gap_label",
    )
    role(drawn.glyph, text_color="warning", background_fill_color="surface")


def _parameters(parameters: Parameters | None) -> Parameters:
    from toolkit.core.parameters import Parameters

    return parameters or Parameters()


def _levels(plot: Any, source: Any) -> None:
    """Draw entry, stop and target of the open position across the pane."""
    from bokeh.models import CDSView, GroupFilter, HoverTool

    for kind, colour in (("entry", "accent"), ("stop", "down"), ("target", "up")):
        view = CDSView(filter=GroupFilter(column_name="kind", group=kind))
        drawn = plot.hspan("price", source=source, view=view, line_dash="dashed", name=kind)
        role(drawn.glyph, line_color=colour)
        tooltips = "@kind @price{0,0.00####}"
        plot.add_tools(HoverTool(renderers=[drawn], tooltips=tooltips, visible=False))


def _fills(plot: Any, source: Any) -> None:
    """Mark where the bot bought (triangle up) and sold (triangle down), at the exact price."""
    from bokeh.models import CDSView, GroupFilter, HoverTool

    tooltips = [
        ("", "@side @quantity{0,0.[000000]} at @price{0,0.00####}"),
        ("reason", "@reason"),
        ("time", "@time{%F %T} UTC"),
    ]
    marks = []
    for side, marker in (("buy", "triangle"), ("sell", "inverted_triangle")):
        view = CDSView(filter=GroupFilter(column_name="side", group=side))
        drawn = plot.scatter(
            "x",
            "price",
            source=source,
            view=view,
            marker=marker,
            size=13,
            line_width=1.5,
            name=side,
        )
        marks.append(drawn)
        role(drawn.glyph, fill_color=side, line_color="surface")
    hover = HoverTool(renderers=marks, tooltips=tooltips, formatters={"@time": "datetime"})
    hover.visible = False
    plot.add_tools(hover)


def _corrections(plot: Any, source: Any) -> None:
    """Mark bars that the feed has corrected since they were first final."""
    from bokeh.models import HoverTool

    drawn = plot.scatter("x", "price", source=source, marker="diamond", size=10, name="correction")
    role(drawn.glyph, fill_color="warning", line_color="surface")
    plot.add_tools(HoverTool(renderers=[drawn], tooltips="@label", visible=False))


def _last_price(plot: Any, bars: Any) -> None:
    from bokeh.models import CustomJS, Span

    close = bars.data["close"]
    rule = Span(
        dimension="width",
        line_dash="dotted",
        location=close[-1] if close else 0,
        visible=bool(close),
        syncable=False,
    )
    plot.add_layout(role(rule, line_color="muted"))
    on_data(bars, CustomJS(args={"bars": bars, "line": rule}, code=scripts.LAST_PRICE))


def _legend(sources: ChartSources, plots: tuple[Any, ...]) -> Any:
    from bokeh.events import MouseLeave, MouseMove
    from bokeh.models import CustomJS, Div

    legend = Div(
        text="",
        name="legend",
        syncable=False,
        margin=0,
        sizing_mode="stretch_width",
        stylesheets=[_LEGEND_STYLE],
    )
    code = CustomJS(args={"bars": sources.bars, "legend": legend}, code=scripts.LEGEND)
    on_data(sources.bars, code)
    plots[0].js_on_change("inner_height", code)
    for plot in plots:
        plot.js_on_event(MouseMove, code)
        plot.js_on_event(MouseLeave, code)
    return legend


def _follow(sources: ChartSources, view: Any, visible: int, plots: tuple[Any, ...]) -> None:
    from bokeh.events import DoubleTap
    from bokeh.models import CustomJS

    args = {"bars": sources.bars, "view": view, "visible": visible}
    code = CustomJS(args=args, code=scripts.FOLLOW)
    on_data(sources.bars, code)
    for plot in plots:
        plot.js_on_event(DoubleTap, code)
