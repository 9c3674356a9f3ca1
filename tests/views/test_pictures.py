"""Pictures of research: what they say, what they refuse, and that each is a sound document."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document

from toolkit.errors import ConfigError
from toolkit.views.charts.calendar import calendar_figure
from toolkit.views.charts.chances import bands_figure, intervals_figure, paths_figure
from toolkit.views.charts.checks import costs_figure, findings_figure, warmup_figure
from toolkit.views.charts.evidence import evidence_figure
from toolkit.views.charts.folds import lanes_figure, stability_figure
from toolkit.views.charts.heatmap import heatmap_figure
from toolkit.views.charts.money import money_figure
from toolkit.views.charts.parity import causes_figure, pairs_figure
from toolkit.views.charts.plateau import plateau_figure
from toolkit.views.charts.slices import slices_figure, slider_figure
from toolkit.views.charts.trades import distribution_figure, excursions_figure

RNG = np.random.default_rng(5)
NAN = math.nan


def sound(layout: Any) -> Any:
    """A document takes the layout without complaint, and it can be sent to a browser."""
    document = Document()
    document.add_root(layout)
    document.validate()
    assert document.to_json()
    return layout


def by_name(layout: Any, name: str) -> Any:
    return layout.select_one({"name": name})


def curve(count: int = 300) -> pd.Series:
    index = pd.date_range("2026-01-05", periods=count, freq="1min", tz="UTC")
    return pd.Series(10_000 + np.cumsum(RNG.normal(0, 1, count)), index=index)


def trades(returns: list[float], reasons: list[str]) -> pd.DataFrame:
    count = len(returns)
    times = pd.date_range("2026-01-05", periods=count, freq="1h", tz="UTC")
    return pd.DataFrame(
        {
            "symbol": "AAPL",
            "entry_time": times,
            "return_percent": returns,
            "pnl": returns,
            "exit_reason": reasons,
            "mae_percent": -0.1,
            "mfe_percent": 0.2,
            "bars_held": 3,
        }
    )


def folds() -> pd.DataFrame:
    start = pd.date_range("2026-01-01", periods=3, freq="10D", tz="UTC")
    days = pd.Timedelta(days=10)
    return pd.DataFrame(
        {
            "fold": [1, 2, 3],
            "train_start": start,
            "train_end": start + 2 * days,
            "test_start": start + 2 * days,
            "test_end": start + 3 * days,
            "ema.ema_period": [9, 9, 20],
            "in_sample_sharpe": [1.5, 2.0, NAN],
            "sharpe": [0.5, -1.0, NAN],
            "total_return_percent": [0.2, -0.3, 0.0],
            "trades": [12, 9, 0],
        }
    )


def swept() -> pd.DataFrame:
    rows = [
        {"risk.stop_loss": s, "ema.ema_period": e, "rules.lookback": k, "sharpe": s * e - k}
        for s in (0.1, 0.2, 0.4)
        for e in (5, 9)
        for k in (1, 2)
    ]
    return pd.DataFrame(rows)


XYZ = ("risk.stop_loss", "ema.ema_period", "rules.lookback")


def test_a_benchmark_that_would_flatten_the_line_waits_for_a_click():
    equity = curve()
    near, far = equity + 1.0, 10_000 + (equity - 10_000) * 50
    layout = money_figure(equity, benchmark=pd.DataFrame({"near": near, "far": far}))
    assert by_name(layout, "near").visible
    assert not by_name(layout, "far").visible
    sound(layout)


def test_no_bar_of_the_distribution_holds_gains_and_losses_both():
    reasons = ["take_profit", "stop_loss", "stop_loss", "signal"]
    plot = sound(distribution_figure(trades([0.5, -0.2, -0.19, 0.01], reasons)))
    bars = by_name(plot, "stop_loss").data_source.data
    assert not any(a < -1e-9 and b > 1e-9 for a, b in zip(bars["left"], bars["right"], strict=True))
    assert sum(bars["count"]) == 2
    assert plot.title.text.startswith("4 trades: mean +0.030 % (dashed)")


def test_the_reasons_stack_up_to_all_trades():
    reasons = ["take_profit", "stop_loss", "another"] * 10
    plot = distribution_figure(trades(RNG.normal(0, 1, 30).tolist(), reasons))
    top = by_name(plot, "another").data_source.data["top"]
    assert sum(top) == 30


def test_excursions_and_no_trades():
    sound(excursions_figure(trades([0.5, -0.2], ["take_profit", "stop_loss"])))
    for draw in (distribution_figure, excursions_figure):
        with pytest.raises(ConfigError, match=r"run\.note"):
            draw(trades([], []))


def test_the_calendar_gives_gains_and_losses_colours_of_equal_weight():
    returns = pd.DataFrame(
        {
            "start": pd.date_range("2026-01-01", periods=3, freq="MS", tz="UTC"),
            "row": ["2026"] * 3,
            "column": ["Jan", "Feb", "Mar"],
            "return_percent": [10.0, -2.0, 5.0],
        }
    )
    plot = sound(calendar_figure(returns))
    shades = by_name(plot, "shades")
    assert (shades.low, shades.high) == (-10.0, 10.0)
    assert plot.title.text == "Monthly returns, %"
    totals = [r.data_source.data["shown"] for r in plot.renderers if r.name is None][-1]
    assert totals == [f"+{100 * (1.1 * 0.98 * 1.05 - 1):.1f}"]


def test_a_fold_that_lost_is_told_from_one_that_earned():
    layout = sound(lanes_figure(folds(), equity=curve()))
    data = by_name(layout, "won").data_source.data
    assert [math.isnan(t) for t in data["won_start"]] == [False, True, True]
    assert data["story"] == ["1.50 → 0.50, +0.200 %", "2.00 → -1.00, -0.300 %", "– → –, +0.000 %"]


def test_stability_says_how_often_the_favourite_was_chosen():
    layout = sound(stability_figure(folds()))
    assert by_name(layout, "ema.ema_period").title.text == "ema period: 9 in 2 of 3 folds"
    with pytest.raises(ConfigError, match="no parameter was swept"):
        stability_figure(folds().drop(columns="ema.ema_period"))


def test_bands_keep_their_last_trade_and_their_figures():
    values = np.sort(RNG.normal(10_000, 10, (2001, 5)), axis=1)
    bands = pd.DataFrame(values, columns=["p5", "p25", "p50", "p75", "p95"])
    figures = pd.DataFrame({"metric": ["sharpe"], "value": [1.0], "low": [-1.0], "high": [2.0]})
    layout = sound(bands_figure(bands, figures=figures))
    data = by_name(layout, "median").data_source.data
    assert data["trade"][-1] == 2000
    assert len(data["trade"]) <= 1000
    sound(intervals_figure(figures))


def test_paths_say_how_many_earn_nothing():
    paths = pd.DataFrame(10_000 + np.cumsum(RNG.normal(0, 1, (50, 4)), axis=0))
    figures = pd.DataFrame(
        {"path": range(4), "sharpe": [1.0, -1.0, NAN, 2.0], "total_return_percent": [1, -1, 0, 2]}
    )
    layout = sound(paths_figure(paths, figures))
    assert "50 % of them earn nothing" in by_name(layout, "paths_of_equity").title.text


def test_the_plateau_tells_the_chosen_set_from_its_neighbours():
    frame = pd.DataFrame(
        {
            "ema.ema_period": [9, 5, 20],
            "distance": [0.0, 1.0, 1.0],
            "metric": [2.0, 1.9, 0.1],
            "kept": [True, True, False],
        }
    )
    plot = sound(plateau_figure(frame, figure="sharpe"))
    assert by_name(plot, "chosen").data_source.data["kind"] == ["chosen", "kept", "worse"]
    assert plot.title.text == "50 % of 2 neighbours nearly keep the sharpe of the chosen set"


def test_both_signs_get_colours_of_equal_weight():
    colours = by_name(
        heatmap_figure(swept(), *XYZ[:2], "sharpe"), "cells"
    ).glyph.fill_color.transform
    assert colours.low == -colours.high


def test_sets_that_were_not_run_are_hatched_and_those_without_a_value_too():
    table = swept().drop(index=[0, 1])
    table.loc[table["ema.ema_period"] == 9, "sharpe"] = NAN
    plot = sound(heatmap_figure(table, *XYZ[:2], "sharpe"))
    nothing = by_name(plot, "nothing").data_source.data
    cells = zip(nothing["x"], nothing["y"], nothing["why"], strict=True)
    found = {(x, y): why for x, y, why in cells}
    assert found.pop(("0.1", "5")) == "not run"
    assert set(found.values()) == {"ran, but has no value"}


def test_a_random_search_is_drawn_as_points():
    table = pd.DataFrame({"a.x": RNG.random(60), "a.y": RNG.random(60), "sharpe": RNG.random(60)})
    plot = sound(heatmap_figure(table, "a.x", "a.y", "sharpe"))
    assert not hasattr(plot.x_range, "factors")
    assert len(by_name(plot, "cells").data_source.data["x"]) == 60


def test_slices_share_their_colours_and_frame_one_cell():
    layout = sound(slices_figure(swept(), *XYZ, "sharpe"))
    plots = list(layout.select({"name": "slice"}))
    mappers = {by_name(plot, "cells").glyph.fill_color.transform.id for plot in plots}
    assert len(plots) == 2
    assert len(mappers) == 1
    assert sum(by_name(plot, "best") is not None for plot in plots) == 1


def test_the_slider_starts_at_the_best_slice():
    layout = sound(slider_figure(swept(), *XYZ, "sharpe"))
    assert layout.children[0].text == "rules lookback 1"
    assert layout.children[1].value == 0
    with pytest.raises(ConfigError, match="three different parameters"):
        slices_figure(swept(), XYZ[0], XYZ[0], XYZ[1], "sharpe")


def test_causes_and_pairs_of_a_parity_report():
    causes = pd.DataFrame({"cause": ["unexplained", "late bar"], "count": [1, 2], "cost": [1, -2]})
    plot = sound(causes_figure(causes))
    assert plot.title.text.startswith("What differs cost -1.00 $ in all")
    assert plot.y_range.factors == ["late bar", "unexplained"]
    assert "No trade differs" in sound(causes_figure(causes.iloc[:0])).title.text
    times = pd.to_datetime(["2026-01-05 14:30", None], utc=True)
    pairs = pd.DataFrame(
        {
            "symbol": "AAPL",
            "side": ["buy", "sell"],
            "live_time": times,
            "live_price": [10.0, NAN],
            "backtest_time": times[::-1],
            "backtest_price": [NAN, 11.0],
            "cause": ["late bar", "gate closed"],
        }
    )
    sound(pairs_figure(pairs))
    with pytest.raises(ConfigError, match="no trade of MSFT"):
        pairs_figure(pairs, symbol="MSFT")


def test_costs_warm_up_findings_and_evidence():
    points = pd.DataFrame(
        {"fee_bps": [0, 1, 0], "slippage_bps": [0, 0, 1], "profit": [5, 1, -1], "trades": 9}
    )
    options = {"fee_bps": 0.0, "slippage_bps": 0.0, "fee_break_even": 1.3}
    layout = sound(costs_figure(points, **options, slippage_break_even=0.8))
    assert "dies at 1.30 bps" in by_name(layout, "fee_bps").title.text
    settled = pd.DataFrame({"symbol": "A", "signals": [90.0, math.inf], "enough": [True, False]})
    assert sound(warmup_figure(settled, loaded=500)).y_range.factors[0].endswith("(never)")
    names = ["kind", "severity", "timestamp", "symbol", "message"]
    none = pd.DataFrame(columns=names)
    assert sound(findings_figure(none)).title.text == "No faults were found"
    row = ["gap", "warning", pd.Timestamp("2026-01-05", tz="UTC"), "A", "3 bars"]
    sound(findings_figure(pd.DataFrame([row], columns=names)))
    rows = [["verdict", "trades", 12.0, "at least 30", False], ["verdict", "pbo", 0.2, NAN, None]]
    figures = pd.DataFrame(rows, columns=["part", "figure", "value", "needed", "passed"])
    assert sound(evidence_figure(figures)).title.text == "0 of 1 tests passed"
