"""Validation as `tk` gives it: with pictures, kept, and counted as trials."""

from __future__ import annotations

from typing import Any

import pytest

import toolkit as tk
from tests.research.markets import noise, pulled_back
from toolkit.session.kept import run_store

GRID: dict[str, Any] = {"rsi_length": [9, 14], "stoch_rsi.lower_band": [20, 40]}
BASE = {"ema.enabled": False, "stop_loss": 0.4}
OTHERS: dict[str, Any] = {"base": BASE, "progress": False}


def known(bars: Any) -> int:
    run = tk.backtest(bars, BASE, store=False)
    from toolkit.research.store.trials import DataKey

    return run_store().trials.known(DataKey.of(run.tape)).count


def test_every_part_can_be_drawn() -> None:
    found = tk.validate(pulled_back(1), GRID, draws=100, store=False, **OTHERS)
    for part in (
        found.walk_forward,
        found.cross_validation,
        found.plateau,
        found.bootstrap,
        found.monte_carlo,
    ):
        assert part is not None and part.plotter is not None
    assert found.id is None


def test_a_walk_is_kept_and_its_sets_are_trials() -> None:
    bars = noise(2, bars=800)
    walk = tk.walk_forward(bars, GRID, folds=2, **OTHERS)
    assert known(bars) == 4
    tk.cross_validate(bars, GRID, folds=4, **OTHERS)
    assert known(bars) == 4
    kept = tk.runs().filter(kind="walk_forward")
    assert len(kept) == 1
    assert walk.id is not None
    assert tk.walk_forward(bars, GRID, folds=2, store=False, **OTHERS).id is None


def test_the_verdict_counts_all_that_was_ever_tried() -> None:
    bars = noise(3, bars=800)
    tk.backtest(bars, BASE | {"take_profit": 0.9})
    tk.walk_forward(bars, {"cooldown": [0, 600, 1200]}, folds=2, **OTHERS)
    found = tk.validate(bars, GRID, draws=100, **OTHERS)
    overfitting = found.verdict.overfitting
    assert (overfitting.sets, overfitting.trials) == (4, 8)
    alone = tk.sweep(bars, GRID, store=False, **OTHERS).verdict().overfitting
    assert (alone.sets, alone.trials) == (4, 4)
    assert overfitting.sharpe_by_luck > alone.sharpe_by_luck
    assert "8 trials" in found.sentence or found.supported is False


def test_a_table_is_validated_without_another_sweep() -> None:
    bars = noise(4, bars=800)
    table = tk.sweep(bars, GRID, **OTHERS)
    found = tk.validate(bars, table, draws=100, progress=False)
    assert found.table is table
    with pytest.raises(tk.ConfigError, match="the sweep ran on other bars"):
        tk.validate(noise(5, bars=800), table, progress=False)


def test_the_hold_out_is_looked_at_in_the_hours_of_the_sweep() -> None:
    bars = noise(7, bars=3000)
    research, _ = tk.hold_out(bars)
    table = tk.sweep(research, GRID, sessions="regular", **OTHERS)
    found = tk.validate(bars, table, share=0.2, draws=100, progress=False)
    assert found.look is not None
    assert found.look.run.tape.hours.sessions == "regular"


def test_an_interrupt_of_the_sweep_ends_it_and_keeps_what_was_swept() -> None:
    def interrupt(done: int, _of: int) -> None:
        raise KeyboardInterrupt

    bars = noise(8, bars=800)
    with pytest.raises(KeyboardInterrupt):
        tk.validate(bars, GRID, base=BASE, draws=100, workers=1, progress=interrupt)
    kept = tk.runs()
    assert [record.kind for record in kept] == ["sweep"]
    assert kept.load(kept[0].id).interrupted


def test_looks_at_a_hold_out_are_counted_for_good() -> None:
    bars = noise(6, bars=800)
    research, sealed = tk.hold_out(bars)
    tk.sweep(research, GRID, **OTHERS)
    assert sealed.look(BASE).looks == 1
    _, again = tk.hold_out(bars)
    look = again.look(BASE)
    assert (look.looks, look.tried) == (2, 0)


def test_a_validation_can_seal_and_look_once() -> None:
    found = tk.validate(pulled_back(1), GRID, share=0.3, draws=100, **OTHERS)
    assert found.look is not None and found.look.looks == 1
    assert len(found.run.tape.frame) == 2100 and len(found.look.run.tape.frame) == 900
    sealed = found.frame[found.frame["part"] == "hold_out"].set_index("figure")
    assert sealed.loc["looks", "value"] == 1
    assert sealed.loc["sharpe", "passed"] is bool(found.look.sharpe > 0.0)
    lost = "on the hold-out" in "; ".join(found.reasons)
    assert lost or found.look.sharpe > 0.0


def test_bands_and_histories_have_pictures() -> None:
    run = tk.backtest(pulled_back(1), {**BASE, "rsi_length": 9}, store=False)
    assert tk.bootstrap(run, draws=100).plotter is not None
    assert tk.monte_carlo(run, draws=100).plotter is not None
