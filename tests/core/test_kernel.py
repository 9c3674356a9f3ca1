"""The compiled kernel against the oracle and the engine, to the last bit."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from tests.conftest import recordings
from tests.core.markets import drive, random_bars, random_costs, rows
from tests.oracle import oracle
from toolkit.core import execution, kernel
from toolkit.core.costs import Costs
from toolkit.core.layout import Decisions, Rules
from toolkit.core.parameters import Parameters
from toolkit.market.hours import Hours, Sessions
from toolkit.market.tables import frame_of, iter_events, normalise, read_table
from toolkit.research.backtest import BacktestRun, backtest
from toolkit.research.tape import tape_of

SYMBOLS = ("AAPL", "BTC/USD", "MSFT")
# Sessions in UTC around the starts below, from the exchange's own calendar.
CALENDAR = [
    tuple(datetime.fromisoformat(f"2026-{day}T{clock}Z") for clock in clocks)
    for day, *clocks in (
        ("01-05", "14:30", "21:00"),
        ("01-06", "14:30", "21:00"),
        ("07-02", "13:30", "20:00"),
        ("11-27", "14:30", "18:00"),
    )
]
CALENDAR += [  # of the recording of 2019
    (datetime(2019, 11, day, 14, 30, tzinfo=UTC), datetime(2019, 11, day, 21, tzinfo=UTC))
    for day in range(5, 9)
]
EXTENDED = timedelta(hours=5, minutes=30), timedelta(hours=4)
STARTS = (
    datetime(2026, 1, 5, 15, 0, tzinfo=UTC),  # within the session
    datetime(2026, 1, 5, 19, 30, tzinfo=UTC),  # over its end, after which nobody rests
    datetime(2026, 7, 2, 12, 30, tzinfo=UTC),  # before it begins, in summer, before a holiday
    datetime(2026, 11, 27, 16, 30, tzinfo=UTC),  # half a day
    datetime(2026, 1, 6, 0, 30, tzinfo=UTC),  # over the end of the extended one, and midnight
)
EVERYTHING_ON = {
    "stochastic.enabled": True,
    "stochastic.lower_band": 60,
    "rules.lookback": 5,
    "rules.exit_on_signal": True,
    "rules.adaptive_bands": True,
    "rules.adaptive_length": 20,
    "stoch_rsi.upper_band": 60,
    "stoch_rsi.lower_band": 60,
    "risk.atr_stop": True,
    "risk.atr_sizing": True,
    "risk.atr_multiplier": 1.5,
    "risk.max_positions": 2,
    "risk.trade_capital_percent": 80,
    "risk.risk_percent": 0.5,
}


ALL_COSTS = Costs(
    stock_fee_bps=1.0,
    slippage_bps=0.5,
    spread_bps=1.0,
    symbol_spread_bps={"ETH/USD": 3.0},
    impact_bps=10.0,
    max_impact_bps=50.0,
    max_volume_percent=20.0,
    quoted_spread=True,
    targets_rest=True,
)


def random_parameters(seed: int) -> Parameters:
    """Any mixture of options, in ranges that make trades."""
    pick = random.Random(seed)

    def some(*values: Any) -> Any:
        return pick.choice(values)

    return Parameters().replace(
        {
            "stoch_rsi.enabled": some(True, True, False),
            "rsi_length": pick.randint(2, 15),
            "stoch_length": pick.randint(2, 15),
            "k": pick.randint(1, 4),
            "d": pick.randint(1, 4),
            "stoch_rsi.lower_band": some(35, 60, 90),
            "stoch_rsi.upper_band": some(40, 70, 100),
            "ema_period": pick.randint(1, 20),
            "stochastic.enabled": some(True, False, False),
            "k_length": pick.randint(2, 15),
            "stochastic.lower_band": some(35, 60),
            "lookback": pick.randint(1, 5),
            "exit_on_signal": some(True, False),
            "adaptive_bands": some(True, False),
            "adaptive_length": pick.randint(2, 40),
            "atr_period": pick.randint(1, 20),
            "stop_loss": some(0, 0.1, 0.2, 1.0),
            "take_profit": some(0, 0.1, 0.5),
            "trailing_stop": some(0, 0.1, 0.2),
            "trailing_activation": some(0, 0.1, 0.3),
            "atr_stop": some(True, False),
            "atr_sizing": some(True, False),
            "atr_multiplier": some(0.5, 2.0),
            "risk_percent": some(0.05, 1.0),
            "trade_capital_percent": some(5, 40, 100),
            "max_positions": some(1, 2, 10),
            "cooldown": some(0, 60, 300),
        }
    )


def random_hours(seed: int) -> Hours:
    """Any sessions; the random markets begin at 10:00 in New York."""
    pick = random.Random(f"hours {seed}")
    sessions: Sessions = pick.choice(["all", "regular", "extended"])
    flat = 0.0 if sessions == "all" else pick.choice([0.0, 60.0, 900.0])
    return Hours(timeframe=60.0, sessions=sessions, flat_before_close=flat)


def sessions_of(hours: Hours) -> list[tuple[datetime, datetime]] | None:
    """Say when stocks trade, by another calendar than ours."""
    if hours.sessions == "all":
        return None
    early, late = EXTENDED if hours.sessions == "extended" else (timedelta(0), timedelta(0))
    return [(opens - early, closes + late) for opens, closes in CALENDAR]


def compare(
    run: BacktestRun,
    bars: list[dict[str, Any]],
    *,
    sessions: list[tuple[datetime, datetime]] | None = None,
) -> list[dict[str, Any]]:
    """Check a run against the oracle; return its trades."""
    trades: list[dict[str, Any]] = run.to_json()["trades"]
    hours = run.tape.hours
    assert trades == oracle(
        bars,
        run.parameters.to_dict(),
        capital=run.capital,
        costs=run.costs.to_dict(),
        sessions=sessions,
        timeframe=hours.timeframe,
        flat_before_close=hours.flat_before_close,
    )
    return trades


@pytest.mark.parametrize("seed", range(200))
def test_kernel_oracle_and_engine_make_the_same_trades_to_the_last_bit(seed: int) -> None:
    pick = random.Random(seed)
    parameters, costs, hours = random_parameters(seed), random_costs(seed), random_hours(seed)
    symbols, start = SYMBOLS[: 1 + seed % 3], pick.choice(STARTS)
    bars = random_bars(seed, symbols=symbols, count=220, start=start, step=pick.choice([1, 1, 5]))
    capital = pick.choice([37.0, 10_000.0, 1_000_000.0])
    run = backtest(
        frame_of(bars),
        parameters,
        capital=capital,
        costs=costs,
        sessions=hours.sessions,
        flat_before_close=hours.flat_before_close,
    )
    hours = replace(hours, timeframe=run.tape.timeframe)
    trades = compare(run, rows(bars), sessions=sessions_of(hours))
    assert trades == drive(
        bars, parameters, symbols=run.tape.symbols, capital=capital, costs=costs, hours=hours
    )


def test_the_random_markets_reach_every_kind_of_exit() -> None:
    reasons: set[str] = set()
    for seed in range(30):
        bars = frame_of(random_bars(seed, symbols=SYMBOLS, start=STARTS[1]))
        run = backtest(bars, random_parameters(seed), sessions="regular", flat_before_close=60.0)
        reasons |= set(run.trades["exit_reason"])
    assert reasons == {"stop_loss", "trailing_stop", "take_profit", "signal", "flatten"}


@pytest.mark.parametrize("options", [{}, EVERYTHING_ON], ids=["defaults", "everything_on"])
@pytest.mark.parametrize("costs", [Costs(), ALL_COSTS], ids=["usual_costs", "all_costs"])
def test_real_data_trades_as_the_oracle_says(options: dict[str, Any], costs: Costs) -> None:
    files = recordings()
    if not files:
        pytest.skip("no ../shared/data beside this checkout: real recordings are not checked")
    hours = Hours(timeframe=60.0)
    if costs is ALL_COSTS:
        hours = replace(hours, sessions="regular", flat_before_close=300.0)
    for path in files:
        run = backtest(
            path,
            Parameters().replace(options),
            costs=costs,
            sessions=hours.sessions,
            flat_before_close=hours.flat_before_close,
        )
        bars = run.tape.frame.to_dict("records")
        assert compare(run, bars, sessions=sessions_of(hours)), path.name


def test_a_file_of_bars_is_read_bar_by_bar_as_the_bot_does() -> None:
    files = [path for path in recordings() if path.name.startswith("bars")]
    if not files:
        pytest.skip("no ../shared/data beside this checkout: real recordings are not checked")
    table = read_table(files[0])
    ours = backtest(table).to_json()["trades"]
    assert ours == drive(iter_events(table), Parameters(), symbols=table.symbols)


def test_cents_a_million_times_cheaper_do_not_overflow_the_quantity() -> None:
    cheap = [
        dataclasses.replace(
            bar,
            open=bar.open * 1e-12,
            high=bar.high * 1e-12,
            low=bar.low * 1e-12,
            close=bar.close * 1e-12,
        )
        for bar in random_bars(4, symbols=("AAPL",), count=200)
    ]
    run = backtest(frame_of(cheap), random_parameters(3), capital=1e6, costs=Costs.paper())
    trades = compare(run, rows(cheap))
    assert max(trade["quantity"] for trade in trades) > 2.0**63 / 1e9


def test_money_adds_up_at_the_end() -> None:
    for seed in range(40):
        bars, costs = random_bars(seed, symbols=SYMBOLS, start=STARTS[0]), random_costs(seed)
        run = backtest(frame_of(bars), random_parameters(seed), costs=costs, sessions="regular")
        books, lots = run.outcome.books, run.outcome.lots
        tied_up = int((lots["cost"] + lots["entry_fee"])[lots["value"] > 0].sum())
        assert books["cash"] == books["start"] + books["realised"] - tied_up
        assert books["cash"] >= -1  # the micro-dollar that a cut quantity is rounded by
        assert books["realised"] == run.outcome.trips["profit"].sum()
        assert run.outcome.equity[-1] == (books["cash"] + books["value"]) / 1e6


def test_buffers_are_used_again_without_remembering_the_run_before() -> None:
    tape = tape_of(normalise(frame_of(random_bars(1, symbols=SYMBOLS))))
    size = len(tape.market.time)
    engine = kernel.Kernel(tape.market, charges=tape.charges(Costs()))
    always = Decisions(np.ones(size, np.bool_), np.zeros(size, np.bool_), np.full(size, np.nan))
    never = always._replace(entry=np.zeros(size, np.bool_))
    rules = Rules.of(Parameters().risk)
    first = engine.run(always, rules, capital=1e4).trips.copy()
    assert len(first) > 10
    assert len(engine.run(never, rules, capital=1e4).trips) == 0
    assert (engine.run(always, rules, capital=1e4).trips == first).all()


def test_changed_execution_rules_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = kernel._fingerprint()
    old = execution.sell_price
    code = old.__code__.replace(co_consts=(*old.__code__.co_consts, 1.5))
    monkeypatch.setattr(execution, "sell_price", FunctionType(code, old.__globals__))
    changed = kernel._fingerprint()
    monkeypatch.setattr(execution, "TAKE_PROFIT", 7)
    assert len({before, changed, kernel._fingerprint()}) == 3
