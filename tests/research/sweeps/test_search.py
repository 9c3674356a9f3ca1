"""Which sets a sweep runs: distinct, sound, repeatable, and Optuna's better than chance."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.research.markets import noise, pulled_back
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.research.sweeps.search import BATCH, Search, search_of
from toolkit.research.sweeps.sets import Sets
from toolkit.research.sweeps.sweep import sweep
from toolkit.runtime import thread_crew

SPACE = {"ema_period": (1, 60), "lookback": (1, 10), "stop_loss": (0.05, 2.0), "k": [1, 3, 5]}


def goal(sets: Sets) -> np.ndarray:
    """Best at an EMA of 40 and a lookback of 3."""
    columns = {"ema.ema_period": 0, "rules.lookback": np.zeros(sets.size), **sets.columns()}
    return -(np.abs(columns["ema.ema_period"] - 40) + 5.0 * np.abs(columns["rules.lookback"] - 3))


def explored(search: Search) -> Sets:
    sets = search.first()
    while (more := search.more(sets, goal(sets))) is not None:
        assert sets.size < more.size <= sets.size + BATCH
        sets = more
    return sets


def run(method: str, **options: Any) -> Sets:
    return explored(search_of(options.pop("space", SPACE), Parameters(), method=method, **options))


@pytest.mark.parametrize("method", ["random", "optuna"])
def test_as_many_distinct_sets_as_asked_for_and_the_same_for_a_seed(method: str) -> None:
    one, two = (run(method, trials=40, seed=3) for _ in range(2))
    assert one.size == 40 == len(np.unique(one.codes, axis=0))
    np.testing.assert_array_equal(one.codes, two.codes)
    assert not np.array_equal(one.codes, run(method, trials=40, seed=4).codes)


def test_optuna_finds_more_than_chance() -> None:
    guided = [goal(run("optuna", trials=64, seed=seed)).max() for seed in range(2)]
    chance = [goal(run("random", trials=64, seed=seed)).max() for seed in range(2)]
    assert np.mean(guided) > np.mean(chance)
    assert np.mean(guided) >= -3.0


@pytest.mark.parametrize("method", ["random", "optuna"])
def test_a_space_no_larger_than_the_trials_is_run_as_a_grid(method: str) -> None:
    space = {"ema_period": [5, 9], "stop_loss": (0.1, 0.3)}
    assert run(method, trials=10, space=space).size == 10
    assert run(method, trials=9, space=space).size == 9


def test_a_space_nearly_used_up_still_gives_distinct_sets() -> None:
    space = {"ema_period": (1, 8), "lookback": (1, 5)}
    sets = run("optuna", trials=39, space=space)
    assert sets.size == 39 == len(np.unique(sets.codes, axis=0))


SWITCHES = {"ema.enabled": [True, False], "stoch_rsi.enabled": [True, False], "k": (1, 9)}


@pytest.mark.parametrize("method", ["grid", "random", "optuna"])
def test_sets_without_a_condition_are_never_run(method: str) -> None:
    options = {} if method == "grid" else {"trials": 20}
    sets = run(method, space=SWITCHES, **options)
    assert sets.valid().all()
    assert sets.size == (27 if method == "grid" else 20)


def test_only_as_many_as_there_are_when_fewer_are_sound() -> None:
    assert run("random", space=SWITCHES, trials=30).size == 27
    assert run("optuna", space=SWITCHES, trials=30).size == 27


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_random_sets_are_distinct_whatever_the_seed(trials: int, seed: int) -> None:
    sets = run("random", trials=trials, seed=seed)
    assert sets.size == trials == len({row.tobytes() for row in sets.codes})


def test_sets_without_a_value_are_taken_as_the_worst() -> None:
    search = search_of(SPACE, Parameters(), method="optuna", trials=40)
    sets = search.first()
    while (more := search.more(sets, np.full(sets.size, math.nan))) is not None:
        sets = more
    assert sets.size == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "luck"}, "method is 'luck'; allowed: grid, random, optuna"),
        ({"method": "grid", "trials": 5}, "trials is 5; allowed: None with method='grid'"),
        ({"method": "random", "trials": 0}, "trials is 0; allowed: whole numbers from 1"),
        ({"method": "random", "trials": 1.5}, "trials is 1.5"),
        ({"method": "optuna", "seed": -1}, "seed is -1"),
        ({"method": "grid"}, "up to 200000 sets; take wider steps, or method='random'"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    space = {"ema_period": (1, 500), "rsi_length": (2, 200), "k": (1, 50)}
    with pytest.raises(ConfigError, match=message):
        search_of(space, Parameters(), **options)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"stochrsi-toolkit\[backtest\].*method='random'"):
        search_of(SPACE, Parameters(), method="optuna", trials=5)


def test_a_guided_sweep_is_the_same_with_any_number_of_threads() -> None:
    bars = noise(1, bars=800)
    options: dict[str, Any] = {"method": "optuna", "trials": 24, "seed": 1, "progress": False}
    one = sweep(bars, SPACE, **options)
    two = sweep(bars, SPACE, crew=thread_crew(2), **options)
    np.testing.assert_array_equal(one.grid.codes, two.grid.codes)
    np.testing.assert_array_equal(one.results.metrics, two.results.metrics)
    assert one.how["method"] == "optuna" and one.how["trials"] == 24


def test_a_guided_sweep_improves_on_its_own_beginning() -> None:
    space = {"stoch_rsi.lower_band": (5, 95), "ema.enabled": [True, False], "take_profit": (0.1, 3)}
    table = sweep(pulled_back(1), space, method="optuna", trials=48, seed=2, progress=False)
    sharpes = table.results.metrics[:, 5]
    assert np.nanmean(sharpes[-BATCH:]) > np.nanmean(sharpes[:BATCH])


def test_an_interrupted_guided_sweep_keeps_what_is_done() -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 40
        if done >= 20:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"method": "optuna", "trials": 40, "seed": 2}
    table = sweep(noise(1, bars=800), SPACE, progress=interrupt, **options)
    whole = sweep(noise(1, bars=800), SPACE, progress=False, **options)
    assert table.interrupted
    assert 20 <= len(table.frame) <= 2 * BATCH
    done = table.frame.index
    assert table.frame.equals(whole.frame.loc[done])
