"""Figures of a backtest: price with its trades, StochRSI, equity, drawdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError
from toolkit.views.charts import page_scripts
from toolkit.views.charts.drawing import line
from toolkit.views.charts.frames import require_columns
from toolkit.views.charts.heatmap import heatmap_figure
from toolkit.views.charts.money import benchmark_tracks, drawdown_pane, equity_pane
from toolkit.views.charts.reduction import (
    Track,
    candle_tracks,
    equity_tracks,
    trade_columns,
)
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import MAX_POINTS, Reading, Timeline

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.core.parameters import Parameters

__all__ = ["heatmap_figure", "run_figure"]

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
_INDICATORS = ("ema", "stoch_rsi_k", "stoch_rsi_d")
MARKED, READABLE = 400, 10  # trades in view, bars to a candle whose %K still says something
_DIRECTION = "return this.data.close.map((close, i) => close >= this.data.open[i] ? 'up' : 'down')"


def run_figure(
    *,
    bars: pd.DataFrame,
    trades: pd.DataFrame,
    equity: pd.Series[float],
    indicators: pd.DataFrame | None = None,
    benchmark: pd.DataFrame | None = None,
    parameters: Parameters | None = None,
    symbol: str = "",
    money: bool = True,
    theme: Theme = LIGHT,
    max_candles: int = MAX_POINTS,
) -> Any:
    """Return a Bokeh layout of one symbol's run: price and trades, StochRSI, equity, drawdown.

    `bars` has timestamp, open, high, low, close; `equity` and `benchmark` (see
    `money.money_figure`) are indexed by time; `indicators` (ema, stoch_rsi_k, stoch_rsi_d)
    has a row per bar; the bands are those of `parameters`. Beyond `max_candles` several bars share
    a candle until somebody zooms in; the title says so. Equity and drawdown are left out without
    `money`. Raises ConfigError where columns are missing or there are no bars.
    """
    require_columns("bars", bars, _BARS)
    require_columns("trades", trades, _TRADES)
    if bars.empty:
        raise ConfigError("there are no bars to draw", field="bars", allowed="one row at least")
    tracks = candle_tracks(bars)
    times = tracks.pop("time").values
    tracks |= equity_tracks(equity, times)
    tracks |= benchmark_tracks(benchmark, times)
    tracks |= _indicator_tracks(indicators)
    line_of_time = Timeline(times, tracks, most=max_candles)
    beside = list(benchmark.columns) if benchmark is not None else []
    marks = trade_columns(trades, times)
    layout = _panes(line_of_time, marks, symbol, parameters, beside, money=money)
    apply_theme(layout, theme)
    return layout


def _indicator_tracks(indicators: pd.DataFrame | None) -> dict[str, Track]:
    if indicators is None:
        return {}
    known = {n: indicators[n].to_numpy(dtype=float).copy() for n in _INDICATORS if n in indicators}
    tracks = {name: Track(values=values, how="exact") for name, values in known.items()}
    if "ema" in known:
        tracks["ema"] = Track(values=known["ema"])
    if (k := known.get("stoch_rsi_k")) is not None:
        tracks["k_low"], tracks["k_high"] = Track(values=k, how="min"), Track(values=k, how="max")
    return tracks


def _panes(
    timeline: Timeline,
    trades: Any,
    symbol: str,
    parameters: Parameters | None,
    beside: list[str],
    *,
    money: bool,
) -> Any:
    price = _price(timeline, trades)
    titles = [(price, *_story(symbol, timeline, len(trades["pnl"])))]
    digits = 2 if timeline.source.data["close"][-1] >= 1 else 6
    readings = [Reading(column=n, name=n[0].upper(), decimals=digits) for n in _BARS[1:]]
    if "ema" in timeline.tracks:
        readings.append(Reading(column="ema", name="EMA", decimals=digits))
    readable = timeline.detailed or timeline.size <= READABLE
    if "stoch_rsi_k" in timeline.tracks and readable:
        momentum = _momentum(timeline, parameters)
        titles.append((momentum, "StochRSI %K, %D", "StochRSI %K, its range in each candle"))
        readings += [
            Reading(column=f"stoch_rsi_{n}", name=f"%{n.upper()}", decimals=1) for n in "kd"
        ]
    if money:
        equity_pane(timeline, height=150, beside=beside)
        drawdown_pane(timeline, height=130)
        readings += [
            Reading(column="equity", name="equity", unit=" $"),
            Reading(column="drawdown", name="drawdown", unit=" %"),
        ]
    return timeline.layout(name="run", readings=readings, titles=titles)


def _story(symbol: str, timeline: Timeline, trades: int) -> tuple[str, str]:
    """Return the title for a candle per bar, and for several bars to a candle."""
    head = f"{symbol}   {timeline.bars:,} bars" if symbol else f"{timeline.bars:,} bars"
    tail = f"{trades:,} trade{'s' * (trades != 1)}"
    if trades > MARKED:
        tail += f", marked where {MARKED} or fewer are in view"
    hint = " (zoom in for more)" if timeline.detailed else ""
    return f"{head}, {tail}", f"{head}, # to a candle{hint}, {tail}"


def _price(timeline: Timeline, trades: Any) -> Any:
    from bokeh.models import DataRange1d, NumeralTickFormatter

    plot = timeline.pane("price", title=" ", height=320)
    source = timeline.source
    average = [line(plot, source, "ema", "ema")] if "ema" in timeline.tracks else []
    drawn = [*average, candles_of(plot, source)]
    plot.y_range = DataRange1d(renderers=drawn, range_padding=0.1)
    small = abs(source.data["close"][-1]) < 1
    plot.yaxis.formatter = NumeralTickFormatter(format="0.000000" if small else "0,0.00")
    _trades(plot, trades, timeline.view)
    return plot


def candles_of(plot: Any, source: Any) -> Any:
    """Draw candles of a timeline's source and return their wicks."""
    from bokeh.models import CategoricalColorMapper, CustomJSExpr

    mapper = CategoricalColorMapper(factors=["up", "down"], palette=[LIGHT.up, LIGHT.down])
    role(mapper, palette=["up", "down"])
    colour = {"expr": CustomJSExpr(code=_DIRECTION), "transform": mapper}
    wicks = plot.segment("x", "high", "x", "low", source=source, line_color=colour, name="wicks")
    edges = {"left": "left", "right": "right", "top": "close", "bottom": "open"}
    plot.quad(source=source, fill_color=colour, line_color=None, name="candles", **edges)
    # A bar that closes where it opened has no body to be seen.
    plot.segment("left", "close", "right", "close", source=source, line_color=colour, name="closes")
    return wicks


def _trades(plot: Any, trades: Any, view: Any) -> None:
    from bokeh.models import CDSView, ColumnDataSource, CustomJS, GroupFilter, HoverTool

    source, marks = ColumnDataSource(trades, name="trades"), []
    for result, colour in (("won", "gain"), ("lost", "loss")):
        ways = plot.segment(
            "entry_x",
            "entry_price",
            "exit_x",
            "exit_price",
            source=source,
            view=CDSView(filter=GroupFilter(column_name="result", group=result)),
            line_width=2,
            name=result,
        )
        role(ways.glyph, line_color=colour)
        marks.append(ways)
    size = 10 if len(trades["pnl"]) <= 150 else 7
    for kind, marker, colour in (
        ("entry", "triangle", "buy"),
        ("exit", "inverted_triangle", "sell"),
    ):
        drawn = plot.scatter(
            f"{kind}_x", f"{kind}_price", source=source, marker=marker, size=size, name=kind
        )
        role(drawn.glyph, fill_color=colour, line_color="surface")
        marks.append(drawn)
    tooltips = [
        ("bought", "@entry_price{0,0.00####} $ on @entry_time{%F %T} UTC"),
        ("sold", "@exit_price{0,0.00####} $ on @exit_time{%F %T} UTC"),
        ("result", "@pnl{+0,0.00} $ (@return_percent{+0.000} %)"),
        ("reason", "@exit_reason"),
    ]
    formatters = {"@entry_time": "datetime", "@exit_time": "datetime"}
    for mark in marks:
        mark.visible = len(trades["pnl"]) <= MARKED
    args = {"view": view, "trades": source, "marks": marks, "most": MARKED}
    for edge in ("start", "end"):
        view.js_on_change(edge, CustomJS(args=args, code=page_scripts.MARKS))
    plot.add_tools(
        HoverTool(renderers=marks[2:], tooltips=tooltips, formatters=formatters, visible=False)
    )


def _momentum(timeline: Timeline, parameters: Parameters | None) -> Any:
    from bokeh.models import FixedTicker, Range1d, Span

    plot = timeline.pane("momentum", title=" ", height=130)
    plot.y_range = Range1d(-4, 104)
    plot.yaxis.ticker = FixedTicker(ticks=[0, 50, 100])
    if parameters is not None:
        group = parameters.stoch_rsi
        for name in ("lower_band", "upper_band"):
            band = Span(
                location=getattr(group, name), dimension="width", line_dash="dotted", name=name
            )
            plot.add_layout(role(band, line_color="muted"))
    ranges = plot.varea(
        "x", "k_low", "k_high", source=timeline.source, fill_alpha=0.55, name="k_range"
    )
    role(ranges.glyph, fill_color="fast")
    line(plot, timeline.source, "stoch_rsi_d", "slow")
    line(plot, timeline.source, "stoch_rsi_k", "fast")
    return plot
