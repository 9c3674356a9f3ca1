"""Figures of a backtest: price with its trades, StochRSI, equity, drawdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError
from toolkit.views.charts import scripts
from toolkit.views.charts.drawing import candles, line, pane, time_axis
from toolkit.views.charts.heatmap import heatmap_figure, require_columns
from toolkit.views.charts.reduction import Overview, overview
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["heatmap_figure", "run_figure"]

MAX_CANDLES = 1000
_BARS = ("timestamp", "open", "high", "low", "close")
_TRADES = (
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "pnl",
    "return_percent",
    "exit_reason",
)


def run_figure(
    *,
    bars: pd.DataFrame,
    trades: pd.DataFrame,
    equity: pd.Series[float],
    indicators: pd.DataFrame | None = None,
    symbol: str = "",
    theme: Theme = LIGHT,
    max_candles: int = MAX_CANDLES,
) -> Any:
    """Return a Bokeh layout of one symbol's run: price and trades, StochRSI, equity, drawdown.

    `bars` has timestamp, open, high, low, close; `equity` is indexed by time; `indicators` (ema,
    stoch_rsi_k, stoch_rsi_d) has a row per bar, None leaves them out. Beyond `max_candles`
    several bars share a candle and indicators, which would mislead then, are left out; the title
    says so. Raises ConfigError where columns are missing or there are no bars.
    """
    from bokeh.models import Column, ColumnDataSource

    require_columns("bars", bars, _BARS)
    require_columns("trades", trades, _TRADES)
    if bars.empty:
        raise ConfigError("there are no bars to draw", field="bars", allowed="one row at least")
    shown = overview(
        bars=bars, trades=trades, equity=equity, indicators=indicators, max_candles=max_candles
    )
    source = ColumnDataSource(shown.candles, name="bars")
    panes = _panes(source, shown, title=_title(symbol, shown))
    layout = Column(*panes, sizing_mode="stretch_width", spacing=0, name="run")
    apply_theme(layout, theme)
    return layout


def _panes(source: Any, shown: Overview, *, title: str) -> list[Any]:
    from bokeh.models import Range1d

    count = len(shown.candles["x"])
    view = Range1d(-1, count, bounds=(-1 - count * 0.05, count * 1.05), syncable=False)
    panes = [_price(source, shown, view, title=title)]
    if "stoch_rsi_k" in shown.candles:
        panes.append(_momentum(source, view))
    panes += [_equity(source, view), _drawdown(source, view)]
    _finish(panes, source, view, count)
    return panes


def _title(symbol: str, shown: Overview) -> str:
    story = f"{shown.bars:,} bars"
    if shown.bars_per_candle > 1:
        story += f", {shown.bars_per_candle} to a candle (indicators left out)"
    trades = len(shown.trades["pnl"])
    story += f", {trades:,} trade{'s' * (trades != 1)}"
    return f"{symbol}   {story}" if symbol else story


def _price(source: Any, shown: Overview, view: Any, *, title: str) -> Any:
    from bokeh.models import ColumnDataSource, DataRange1d, HoverTool

    plot = pane(
        view, name="price", title=title, window_axis="x", height=320, sizing_mode="stretch_width"
    )
    wicks, _ = candles(plot, source)
    drawn = [wicks]
    if "ema" in shown.candles:
        drawn.append(line(plot, source, "ema", "ema"))
    plot.y_range = DataRange1d(renderers=drawn, range_padding=0.1)
    trades = ColumnDataSource(shown.trades, name="trades")
    marks = _trade_marks(plot, trades)
    hover = HoverTool(
        renderers=marks,
        tooltips=[
            ("bought", "@entry_price{0,0.00####} on @entry_time{%F %T}"),
            ("sold", "@exit_price{0,0.00####} on @exit_time{%F %T}"),
            ("result", "@pnl{+0,0.00} (@return_percent{+0.00} %)"),
            ("reason", "@exit_reason"),
        ],
        formatters={"@entry_time": "datetime", "@exit_time": "datetime"},
    )
    plot.add_tools(hover)
    return plot


def _trade_marks(plot: Any, trades: Any) -> list[Any]:
    ways = plot.segment(
        "entry_x", "entry_price", "exit_x", "exit_price", source=trades, line_dash="dotted"
    )
    role(ways.glyph, line_color="muted")
    marks = []
    for kind, marker, colour in (
        ("entry", "triangle", "buy"),
        ("exit", "inverted_triangle", "sell"),
    ):
        drawn = plot.scatter(
            f"{kind}_x", f"{kind}_price", source=trades, marker=marker, size=10, name=kind
        )
        role(drawn.glyph, fill_color=colour, line_color="surface")
        marks.append(drawn)
    return marks


def _momentum(source: Any, view: Any) -> Any:
    from bokeh.models import FixedTicker, Range1d

    plot = pane(
        view, name="momentum", title="StochRSI %K, %D", height=130, sizing_mode="stretch_width"
    )
    plot.y_range = Range1d(-4, 104)
    plot.yaxis.ticker = FixedTicker(ticks=[0, 50, 100])
    line(plot, source, "stoch_rsi_d", "slow")
    line(plot, source, "stoch_rsi_k", "fast")
    return plot


def _equity(source: Any, view: Any) -> Any:
    from bokeh.models import DataRange1d, NumeralTickFormatter

    plot = pane(
        view,
        name="equity",
        title="Equity",
        window_axis="x",
        height=150,
        sizing_mode="stretch_width",
    )
    drawn = line(plot, source, "equity", "accent")
    plot.y_range = DataRange1d(renderers=[drawn], range_padding=0.1)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    return plot


def _drawdown(source: Any, view: Any) -> Any:
    from bokeh.models import DataRange1d, NumeralTickFormatter

    plot = pane(
        view,
        name="drawdown",
        title="Drawdown, %",
        window_axis="x",
        height=140,
        sizing_mode="stretch_width",
    )
    area = plot.varea("x", 0, "drawdown", source=source, fill_alpha=0.35)
    role(area.glyph, fill_color="down")
    drawn = line(plot, source, "drawdown", "down", width=1.0)
    plot.y_range = DataRange1d(renderers=[drawn], end=0, range_padding=0.1)
    plot.yaxis.formatter = NumeralTickFormatter(format="0.0[00]")
    return plot


def _finish(panes: list[Any], source: Any, view: Any, count: int) -> None:
    """Give the panes one time axis, at the bottom, and a double click that shows it all."""
    from bokeh.events import DoubleTap
    from bokeh.models import CustomJS

    everything = CustomJS(args={"view": view, "count": count}, code=scripts.SHOW_ALL)
    for plot in panes:
        time_axis(plot, source)
        plot.xaxis.visible = plot is panes[-1]
        plot.js_on_event(DoubleTap, everything)
