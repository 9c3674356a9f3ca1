"""A hold-out: sealed, counted, and dearer with every look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.research.markets import noise, pulled_back
from toolkit.core.costs import Costs
from toolkit.errors import ConfigError, DataError
from toolkit.research.backtest import backtest
from toolkit.research.store.trials import DataKey, TrialLedger, trial_digest
from toolkit.research.tape import tape_of
from toolkit.research.validation.hold_out import hold_out
from toolkit.research.validation.segments import cut

GOOD = {"ema.enabled": False, "rsi_length": 9, "stoch_rsi.lower_band": 20, "stop_loss": 0.4}


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger.open(tmp_path)


def test_the_sealed_bars_are_not_in_the_hand(ledger: TrialLedger) -> None:
    bars = noise(1, bars=1000)
    research, sealed = hold_out(bars, share=0.25, ledger=ledger)
    assert research["timestamp"].tolist() == bars["timestamp"][:750].tolist()
    assert research.attrs["timeframe"] == 60.0
    assert repr(sealed).startswith("<Sealed: 250 timestamps from 2026-01-06 03:00 UTC on")
    backtest(research)  # they are bars like others


def test_looks_are_counted_over_sessions(ledger: TrialLedger, tmp_path: Path) -> None:
    bars = noise(1, bars=1000)
    _, sealed = hold_out(bars, ledger=ledger)
    assert [sealed.look(GOOD).looks for _ in range(2)] == [1, 2]
    _, again = hold_out(bars, ledger=TrialLedger.open(tmp_path))
    third = again.look({**GOOD, "stop_loss": 0.2})
    assert third.looks == 3
    assert third.sentence.startswith("This hold-out was looked at 3 times; ")
    _, other = hold_out(noise(1, bars=1000, symbol="MSFT"), ledger=ledger)
    assert other.look(GOOD).looks == 1


def test_a_look_trades_the_sealed_part_with_warm_indicators(ledger: TrialLedger) -> None:
    bars = pulled_back(2, bars=4000)
    _, sealed = hold_out(bars, share=0.5, ledger=ledger)
    look = sealed.look(GOOD)
    assert len(look.run.tape.frame) == 2000
    whole = backtest(bars, GOOD)
    np.testing.assert_array_equal(look.run.decisions.entry, whole.decisions.entry[2000:])


def test_every_look_costs(ledger: TrialLedger) -> None:
    _, sealed = hold_out(pulled_back(2, bars=4000), ledger=ledger)
    looks = [sealed.look(GOOD) for _ in range(3)]
    assert looks[0].haircut_sharpe == looks[0].sharpe > 0.0
    assert looks[0].haircut == 0.0
    left = [look.haircut_sharpe for look in looks]
    assert left == sorted(left, reverse=True) and left[2] < left[0]
    sure = [look.probability for look in looks]
    assert sure[1] == pytest.approx(sure[0] ** 2)
    assert "worth" in looks[2].sentence and "worth" not in looks[0].sentence
    frame = looks[2].frame.set_index("figure")["value"]
    assert frame["looks"] == 3 and frame["haircut"] == pytest.approx(1.0 - left[2] / left[0])


def test_sets_tried_on_the_sealed_bars_by_other_ways_count_too(ledger: TrialLedger) -> None:
    bars = pulled_back(2, bars=4000)
    run = backtest(bars, GOOD)
    digest = trial_digest(run.parameters, Costs())
    ledger.add(DataKey.of(run.tape), [digest], np.array([0.1]), source="backtest")
    research, sealed = hold_out(bars, ledger=ledger)
    ledger.add(DataKey.of(tape_of(research)), ["other"], np.array([0.1]), source="sweep")
    look = sealed.look(GOOD)
    assert (look.looks, look.tried) == (1, 1)
    assert "1 set was tried on its bars by other ways" in look.sentence
    assert look.haircut_sharpe < look.sharpe


def test_a_loss_and_no_trade_are_said(ledger: TrialLedger) -> None:
    _, sealed = hold_out(noise(1, bars=1000), ledger=ledger)
    assert "did not trade there" in sealed.look({"stoch_rsi.lower_band": 0}).sentence
    look = sealed.look({**GOOD, "stop_loss": 0.1}, costs=Costs(slippage_bps=50.0))
    assert look.sharpe < 0.0
    assert look.sentence.endswith("it lost.")
    assert np.isnan(look.haircut)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_wrong_share_is_named(ledger: TrialLedger, share: float) -> None:
    with pytest.raises(ConfigError, match="share is"):
        hold_out(noise(1, bars=1000), share=share, ledger=ledger)


def test_too_few_bars_are_said(ledger: TrialLedger) -> None:
    with pytest.raises(DataError, match="too few to seal"):
        hold_out(noise(1, bars=50), ledger=ledger)


def test_symbols_are_sealed_at_the_same_time(ledger: TrialLedger) -> None:
    both = pd.concat([noise(7, bars=500), noise(8, bars=500, symbol="MSFT")])
    research, sealed = hold_out(both, ledger=ledger)
    assert research.groupby("symbol").size().tolist() == [400, 400]
    part = cut(sealed.tape, sealed.first, sealed.steps)
    assert research["timestamp"].max() < part.span[0]
