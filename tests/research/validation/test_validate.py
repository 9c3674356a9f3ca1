"""All tests at once: one sentence, one frame, and what is missing counts against a set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.research.markets import noise, pulled_back
from toolkit.errors import ConfigError
from toolkit.research.store.entries import entry_of
from toolkit.research.sweeps.sweep import sweep
from toolkit.research.validation.validate import COLUMNS, Validation, validate

GRID: dict[str, Any] = {
    "rsi_length": [5, 9, 14],
    "stoch_rsi.lower_band": [20, 35, 50],
    "stop_loss": [0.2, 0.4],
}
BASE = {"ema.enabled": False}


def validated(bars: Any, parameters: Any = None, **options: Any) -> Validation:
    table = sweep(bars, GRID, base=BASE, progress=False)
    return validate(bars, table, parameters, draws=200, progress=False, **options)


@pytest.fixture(scope="module")
def edge() -> Validation:
    return validated(pulled_back(1, bars=20_000))


@pytest.fixture(scope="module")
def luck() -> Validation:
    return validated(noise(1))


def test_an_edge_is_supported_in_one_sentence(edge: Validation) -> None:
    assert edge.supported
    assert edge.sentence.startswith("The data supports this set: its Sharpe ratio is ")
    assert edge.sentence.count(".") - edge.sentence.replace(". ", "").count(".") == 0
    for words in ("18 trials", "over the 5 folds after", "histories lose", "neighbouring sets"):
        assert words in edge.sentence


def test_noise_has_reasons_against_it(luck: Validation) -> None:
    assert not luck.supported
    assert luck.sentence.startswith("No evidence for this set: ")
    assert set(luck.verdict.reasons) <= set(luck.reasons)


def test_the_frame_holds_every_part(edge: Validation) -> None:
    assert tuple(edge.frame.columns) == COLUMNS
    assert set(edge.frame["part"]) == {
        "verdict", "walk_forward", "cross_validation", "plateau", "bootstrap", "trades"
    }  # fmt: skip
    asked = edge.frame[edge.frame["needed"].notna()]
    assert asked["passed"].all()
    bands = edge.frame[edge.frame["low"].notna()]
    assert (bands["low"] <= bands["high"]).all()


def test_another_set_than_the_best_can_be_judged() -> None:
    chosen = {"rsi_length": 5, "stoch_rsi.lower_band": 50, "stop_loss": 0.2}
    found = validated(noise(2, bars=1000), chosen)
    assert {name: found.parameters[name] for name in chosen} == chosen
    assert found.run.parameters == found.parameters


def test_what_the_bars_are_too_few_for_counts_against_a_set() -> None:
    found = validated(pulled_back(3, bars=90))
    assert found.cross_validation is None
    assert not found.supported
    assert "too little data for a cross-validation" in found.reasons
    assert "nan" not in found.sentence


def test_other_bars_than_those_of_the_sweep_are_refused() -> None:
    bars = noise(4, bars=600)
    table = sweep(bars, GRID, base=BASE, progress=False)
    with pytest.raises(ConfigError, match="the sweep ran on other bars"):
        validate(noise(5, bars=600), table, progress=False)


def test_the_hours_are_those_of_the_sweep() -> None:
    bars = noise(6, bars=3000)
    table = sweep(bars, GRID, base=BASE, sessions="regular", progress=False)
    found = validate(bars, table, draws=100, progress=False)
    assert found.basis.data.sessions == "regular"
    assert len(found.run.outcome.trips) == found.verdict.trades
    anywhere = sweep(bars, GRID, base=BASE, progress=False)
    assert anywhere.verdict(found.parameters).trades != found.verdict.trades
    with pytest.raises(ConfigError, match="the sweep ran in other hours"):
        validate(bars, anywhere, draws=100, sessions="regular", progress=False)


def test_a_wrong_number_of_draws_is_told_before_anything_runs() -> None:
    bars = noise(4, bars=600)
    table = sweep(bars, GRID, base=BASE, progress=False)
    told: list[int] = []
    with pytest.raises(ConfigError, match="draws is 5"):
        validate(bars, table, draws=5, progress=lambda done, _of: told.append(done))
    assert not told


def test_it_is_kept_and_printed(edge: Validation, luck: Validation) -> None:
    for found in (edge, luck):
        values = json.loads(json.dumps(found.to_json()))
        assert values["supported"] is found.supported
        assert values["sentence"] == found.sentence
        entry = entry_of(found)
        assert entry.kind == "validation"
        assert entry.figures["supported"] is found.supported
        assert found.sentence.split(":")[0] in found._repr_html_()
    assert entry_of(edge.walk_forward).kind == "walk_forward"
    assert entry_of(edge.cross_validation).kind == "cross_validation"
