"""Figures of backtests and sweeps: nothing lost in the overview, the right cell framed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document

from toolkit.errors import ConfigError
from toolkit.views.charts.reduction import (
    Track,
    bars_per_point,
    candle_tracks,
    equity_tracks,
    milliseconds,
    reduced,
    trade_columns,
)
from toolkit.views.charts.runs import heatmap_figure, run_figure
from toolkit.views.charts.theme import DARK


def make_bars(count: int) -> pd.DataFrame:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.001, count)))
    opens = np.roll(close, 1)
    opens[0] = 100.0
    times = pd.date_range("2026-01-05 14:30", periods=count, freq="1min", tz="UTC")
    high, low = np.maximum(opens, close) + 0.1, np.minimum(opens, close) - 0.1
    return pd.DataFrame(
        {"timestamp": times, "open": opens, "high": high, "low": low, "close": close}
    )


def make_trades(bars: pd.DataFrame, entries: list[int]) -> pd.DataFrame:
    exits = [i + 5 for i in entries]
    bought, sold = bars["close"].iloc[entries], bars["close"].iloc[exits]
    pnl = sold.to_numpy() - bought.to_numpy()
    return pd.DataFrame(
        {
            "entry_time": bars["timestamp"].iloc[entries].to_numpy(),
            "entry_price": bought.to_numpy(),
            "exit_time": bars["timestamp"].iloc[exits].to_numpy(),
            "exit_price": sold.to_numpy(),
            "pnl": pnl,
            "return_percent": pnl / bought.to_numpy() * 100,
            "exit_reason": ["take_profit"] * len(entries),
        }
    )


def make_equity(bars: pd.DataFrame) -> pd.Series:
    steps = np.random.default_rng(2).normal(0, 3, len(bars))
    return pd.Series(10_000 + np.cumsum(steps), index=pd.DatetimeIndex(bars["timestamp"]))


def make_indicators(bars: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"ema": bars["close"], "stoch_rsi_k": 40.0, "stoch_rsi_d": 35.0})


def candles(count: int, most: int) -> tuple[pd.DataFrame, dict[str, list]]:
    bars = make_bars(count)
    tracks = candle_tracks(bars)
    tracks |= equity_tracks(make_equity(bars), tracks["time"].values)
    tracks["ema"] = Track(values=bars["close"].to_numpy().copy(), how="exact")
    return bars, reduced(tracks, bars_per_point(count, most))


def test_few_bars_are_shown_as_they_are():
    bars, shown = candles(100, 100)
    assert shown["x"] == list(range(100))
    assert shown["close"] == shown["ema"] == bars["close"].tolist()


def test_candles_keep_opens_closes_highs_and_lows():
    bars, shown = candles(1003, 100)
    group = bars.groupby(np.arange(1003) // 11)
    assert shown["open"] == group["open"].first().tolist()
    assert shown["high"] == group["high"].max().tolist()
    assert shown["low"] == group["low"].min().tolist()
    assert shown["close"] == group["close"].last().tolist()
    assert shown["x"][:2] == [5.0, 16.0]
    assert np.isnan(shown["ema"]).all()


def test_a_trade_stands_at_its_own_bar():
    bars = make_bars(100)
    columns = trade_columns(make_trades(bars, [10, 40]), milliseconds(bars["timestamp"]))
    assert columns["entry_x"] == [10, 40]
    assert columns["exit_x"] == [15, 45]


@pytest.mark.parametrize("most", [7, 100, 5000])
def test_the_deepest_drawdown_and_the_final_equity_survive(most):
    bars, shown = candles(1003, most)
    equity = make_equity(bars)
    drawdown = (equity / equity.cummax() - 1) * 100
    assert min(shown["drawdown"]) == drawdown.min()
    assert shown["equity"][-1] == equity.iloc[-1]


def test_equity_of_other_times_is_taken_as_of_the_bar():
    times = milliseconds(make_bars(4)["timestamp"])
    moments = pd.to_datetime([times[1], times[2] + 30_000, times[3]], unit="ms", utc=True)
    tracks = equity_tracks(pd.Series([10.0, 8.0, 9.0], index=moments), times)
    assert np.array_equal(tracks["equity"].values, [np.nan, 10.0, 10.0, 9.0], equal_nan=True)
    assert tracks["drawdown"].values[3] == pytest.approx(-20.0)


def titles(layout) -> list[str]:
    return [pane.title.text for pane in layout.children if hasattr(pane, "title")]


def test_the_run_says_what_it_shows():
    bars = make_bars(3000)
    options = {
        "bars": bars,
        "trades": make_trades(bars, [10]),
        "equity": make_equity(bars),
        "indicators": make_indicators(bars),
        "symbol": "AAPL",
    }
    whole = run_figure(**options, max_candles=3000)
    assert titles(whole) == [
        "AAPL   3,000 bars, 1 trade",
        "StochRSI %K, %D",
        "Equity, $",
        "Drawdown, %",
    ]
    coarse = run_figure(**options, theme=DARK)
    assert titles(coarse)[:2] == [
        "AAPL   3,000 bars, 3 to a candle (zoom in for more), 1 trade",
        "StochRSI %K, its range in each candle",
    ]
    for layout in (whole, coarse):
        document = Document()
        document.add_root(layout)
        document.validate()


def test_a_run_without_trades_or_indicators_is_drawn():
    bars = make_bars(50)
    layout = run_figure(bars=bars, trades=make_trades(bars, []), equity=make_equity(bars))
    assert titles(layout)[0] == "50 bars, 0 trades"


def test_a_missing_column_or_an_empty_run_is_named():
    bars = make_bars(20)
    options = {"trades": make_trades(bars, [1]), "equity": make_equity(bars)}
    with pytest.raises(ConfigError, match="bars lacks the column 'close'"):
        run_figure(bars=bars.drop(columns="close"), **options)
    with pytest.raises(ConfigError, match="no bars"):
        run_figure(bars=bars.iloc[:0], **options)


def sweep() -> pd.DataFrame:
    rows = [
        {"ema.ema_period": period, "stoch_rsi.lower_band": band, "sharpe": period * 0.1 - band / 50}
        for period in (9, 12, 21)
        for band in (20.0, 35.0)
    ]
    return pd.DataFrame(rows)


def framed(plot) -> tuple[str, str]:
    data = plot.select_one({"name": "best"}).data_source.data
    return data["x"][0], data["y"][0]


def test_the_best_cell_is_framed_and_named():
    plot = heatmap_figure(sweep(), "ema.ema_period", "stoch_rsi.lower_band", "sharpe")
    assert framed(plot) == ("21", "20")
    assert plot.title.text == "sharpe: highest 1.7 at ema period 21, stoch rsi lower band 20"
    assert plot.x_range.factors == ["9", "12", "21"]


def test_the_lowest_may_be_the_best():
    plot = heatmap_figure(
        sweep(), "ema.ema_period", "stoch_rsi.lower_band", "sharpe", best="lowest"
    )
    assert framed(plot) == ("9", "35")


def test_runs_that_share_a_cell_show_their_mean():
    table = pd.concat([sweep(), sweep().assign(sharpe=99.0), sweep().assign(sharpe=-1.0)])
    plot = heatmap_figure(table, "ema.ema_period", "stoch_rsi.lower_band", "sharpe")
    cells = plot.select_one({"name": "cells"}).data_source.data
    assert max(cells["value"]) == pytest.approx((1.7 + 99.0 - 1.0) / 3)
    assert "(mean of 3 runs a cell)" in plot.title.text


@pytest.mark.parametrize("everywhere", [False, True])
def test_an_infinite_value_is_the_best_and_leaves_the_colours_of_the_others(everywhere):
    table = sweep()
    table.loc[table.index if everywhere else [2], "sharpe"] = math.inf
    plot = heatmap_figure(table, "ema.ema_period", "stoch_rsi.lower_band", "sharpe")
    drawn = plot.select_one({"name": "cells"})
    cells, colours = drawn.data_source.data, drawn.glyph.fill_color.transform
    assert np.isfinite([colours.low, colours.high, *cells["shade"]]).all()
    assert colours.high > colours.low
    top = cells["value"].index(math.inf)
    assert cells["shade"][top] == colours.high
    assert cells["shown"][top] == "∞"
    assert "highest ∞ (no losing trade) at" in plot.title.text
    if not everywhere:
        assert framed(plot) == ("12", "20")
        assert colours.high == pytest.approx(1.7)


def test_a_heatmap_without_numbers_or_with_an_unknown_column_is_refused():
    table = sweep()
    with pytest.raises(ConfigError, match="lacks the column 'sortino'"):
        heatmap_figure(table, "ema.ema_period", "stoch_rsi.lower_band", "sortino")
    with pytest.raises(ConfigError, match="no value of sharpe"):
        nothing = table.assign(sharpe=np.nan)
        heatmap_figure(nothing, "ema.ema_period", "stoch_rsi.lower_band", "sharpe")
