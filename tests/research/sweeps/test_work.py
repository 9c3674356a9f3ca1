"""What threads share: one sweeper, its signals and its kernel."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.core.markets import random_bars
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.market.tables import frame_of
from toolkit.research.backtest import run_of
from toolkit.research.kept import Kept
from toolkit.research.scoring import BLOCKS, METRICS, block_edges
from toolkit.research.signals import Signals
from toolkit.research.sweeps import work
from toolkit.research.sweeps.sweep import sweep
from toolkit.research.sweeps.work import Hand, Rows, Study, Sweeper
from toolkit.research.tape import tape_of
from toolkit.runtime import thread_crew

SYMBOLS = ("AAPL", "AMD", "AMZN", "BTC/USD", "ETH/USD", "GOOG", "META", "MSFT", "NVDA", "TSLA")
RISKS = [
    (n, {"stop_loss": stop, "max_positions": most, "cooldown": wait, "atr_stop": atr})
    for n, (stop, most, wait, atr) in enumerate(
        (stop, most, wait, atr)
        for stop in (0.1, 0.4)
        for most in (1, 2, 5, 10)
        for wait in (0.0, 300.0)
        for atr in (False, True)
    )
]


def study_of(seed: int, symbols: int) -> Study:
    bars = frame_of(random_bars(seed, symbols=SYMBOLS[:symbols], count=300))
    tape = tape_of(bars)
    return Study(
        tape=tape,
        capital=3000.0,
        costs=Costs(slippage_bps=1.0),
        edges=block_edges(len(tape.steps()), BLOCKS),
    )


@pytest.mark.parametrize(("seed", "symbols"), [(1, 1), (2, 2), (3, 10)])
def test_runs_side_by_side_are_those_of_single_backtests_to_the_last_bit(
    seed: int, symbols: int
) -> None:
    study = study_of(seed, symbols)
    chosen = Parameters().replace(trade_capital_percent=45, exit_on_signal=seed == 2, lookback=4)
    rows = Sweeper(study).run(chosen, RISKS)
    for at, (number, changes) in enumerate(RISKS):
        one = replace(chosen, risk=replace(chosen.risk, **changes))
        run = run_of(study.tape, one, capital=3000.0, costs=study.costs)
        assert rows.number[at] == number
        np.testing.assert_equal(
            dict(zip(METRICS, rows.metrics[at], strict=True)), run.score.metrics
        )
        np.testing.assert_equal(rows.moments[at], np.array(run.score.moments))
        np.testing.assert_equal(rows.blocks[at], run.score.blocks)


def test_a_long_group_is_cut_where_ctrl_c_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(5, 2)
    whole = Sweeper(study).run(Parameters(), RISKS)
    monkeypatch.setattr(work, "BARS_AT_ONCE", 3 * len(study.tape.market.time))
    assert Hand(study).most == 3
    same(Sweeper(study).run(Parameters(), RISKS), whole)


def same(rows: Rows, others: Rows) -> None:
    for mine, theirs in zip(rows, others, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_threads_share_a_hand_and_a_pickled_one_does_the_same() -> None:
    study = study_of(4, 3)
    settings = [Parameters().replace(ema_period=n, rsi_length=5 + n % 3) for n in range(2, 26)]
    groups = [(each, RISKS[:6]) for each in settings]
    hand = Hand(study)
    alone = [Hand(study)(group) for group in groups]
    numbered = list(enumerate(groups))
    done = dict(thread_crew(4).map(lambda item: (item[0], hand(item[1])), numbered))
    for number, rows in enumerate(alone):
        same(done[number], rows)
    same(pickle.loads(pickle.dumps(hand))(groups[0]), alone[0])


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also where the test runner ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_threads_work_keeps_what_is_done() -> None:
    def press(done: int, _total: int) -> None:
        if done >= 4:
            os.kill(os.getpid(), signal.SIGINT)

    grid = {"ema_period": range(2, 60), "stop_loss": [0.1, 0.2]}
    table = sweep(noise(1, bars=2000), grid, crew=thread_crew(2), progress=press)
    assert table.interrupted
    assert 4 <= len(table.frame) < 116
    assert not [t for t in threading.enumerate() if t.name.startswith("crew-")]
    whole = sweep(noise(1, bars=2000), grid, progress=False).frame
    assert table.frame.equals(whole.loc[table.frame.index])


def test_signals_do_not_depend_on_what_was_asked_before() -> None:
    tape = tape_of(frame_of(random_bars(8, symbols=SYMBOLS[:3], count=301)))
    signals = Signals(tape)
    for number in range(40):
        chosen = Parameters().replace(
            {
                "rsi_length": 2 + number % 7,
                "ema_period": 3 + number % 5,
                "stochastic.enabled": number % 2 == 0,
                "lookback": 1 + number % 4,
                "exit_on_signal": number % 3 == 0,
                "adaptive_bands": number % 4 == 0,
                "atr_period": 2 + number % 6,
            }
        )
        for mine, fresh in zip(
            signals.decisions(chosen), Signals(tape).decisions(chosen), strict=True
        ):
            np.testing.assert_array_equal(mine, fresh)


def test_what_is_kept_is_computed_once_however_many_ask() -> None:
    asked: list[int] = []
    gate = threading.Barrier(4)

    def slow(number: int) -> int:
        asked.append(number)
        return number * number

    kept = Kept(slow, most=2)

    def ask(_worker: int) -> list[int]:
        gate.wait()
        return [kept(3) for _ in range(50)]

    assert list(thread_crew(4).map(ask, range(4))) == [[9] * 50] * 4
    assert asked == [3]
    assert [kept(n) for n in (1, 2, 3, 2, 1)] == [1, 4, 9, 4, 1]
    assert asked == [3, 1, 2, 3, 1]  # two are kept: those that were asked for last
