"""The ledger: every distinct trial counts once, over all data that overlaps."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import StoreError
from toolkit.research.store.trials import (
    DataKey,
    TrialLedger,
    trial_digest,
    trial_digests,
    vector_of,
)
from toolkit.research.tape import tape_of

START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
KEY = DataKey(
    symbols=("AAPL", "MSFT"),
    timeframe=60.0,
    first=START,
    last=START + timedelta(days=1),
    feed="iex",
    fingerprint="0" * 16,
)


@pytest.fixture
def trials(tmp_path: Path) -> TrialLedger:
    return TrialLedger.open(tmp_path)


def sharpes(*values: float) -> np.ndarray:
    return np.array(values)


def test_a_set_counts_once_however_often_it_is_run(trials: TrialLedger) -> None:
    trials.add(KEY, ["a", "b"], sharpes(0.1, 0.2), source="sweep")
    trials.add(KEY, ["b", "c"], sharpes(0.9, 0.3), source="slider")
    known = trials.known(KEY)
    assert known.count == 3
    assert sorted(known.sharpes) == [0.1, 0.2, 0.3]


def test_a_set_that_never_moved_counts_with_a_ratio_of_zero(trials: TrialLedger) -> None:
    trials.add(KEY, ["a"], sharpes(math.nan), source="backtest")
    assert trials.known(KEY).sharpes.tolist() == [0.0]


@pytest.mark.parametrize(
    ("other", "count"),
    [
        ({"fingerprint": "1" * 16}, 1),
        ({"feed": "sip"}, 1),
        ({"first": KEY.last, "last": KEY.last + timedelta(days=9)}, 1),
        ({"first": KEY.last + timedelta(minutes=1), "last": KEY.last + timedelta(days=9)}, 0),
        ({"last": KEY.first - timedelta(minutes=1), "first": KEY.first - timedelta(days=9)}, 0),
        ({"symbols": ("MSFT", "AAPL")}, 1),
        ({"symbols": ("AAPL",)}, 0),
        ({"timeframe": 300.0}, 0),
        ({"feed": "simulated"}, 0),
    ],
)
def test_what_overlaps_is_the_same_data(
    trials: TrialLedger, other: dict[str, object], count: int
) -> None:
    trials.add(KEY, ["a"], sharpes(0.1), source="sweep")
    assert trials.known(replace(KEY, **other)).count == count


def test_the_same_set_on_overlapping_data_is_one_trial(trials: TrialLedger) -> None:
    later = replace(KEY, last=KEY.last + timedelta(days=1), fingerprint="1" * 16)
    for key, sharpe in ((KEY, 0.1), (later, 0.2)):
        trials.add(key, ["a"], sharpes(sharpe), source="sweep")
    assert trials.known(KEY).sharpes.tolist() == [0.2]


def test_looks_are_counted_over_what_overlaps(trials: TrialLedger) -> None:
    later = replace(KEY, first=KEY.last, last=KEY.last + timedelta(days=1))
    apart = replace(KEY, first=KEY.last + timedelta(days=1), last=KEY.last + timedelta(days=2))
    assert [trials.look(key, "mine") for key in (KEY, KEY, later)] == [1, 2, 3]
    assert trials.look(replace(apart, symbols=("AAPL",)), "other") == 1


def test_a_digest_tells_parameters_and_costs_apart() -> None:
    base, costs = Parameters(), Costs()
    assert trial_digest(base, costs) == trial_digest(Parameters(), Costs())
    changed = {
        trial_digest(base.replace(cooldown=61), costs),
        trial_digest(base.replace(exit_on_signal=True), costs),
        trial_digest(base, Costs(slippage_bps=1)),
        trial_digest(base, costs),
    }
    assert len(changed) == 4
    rows = np.stack([vector_of(base), vector_of(base.replace(cooldown=61))])
    assert trial_digests(rows, costs)[1] == trial_digest(base.replace(cooldown=61), costs)


def test_a_tape_has_a_key() -> None:
    key = DataKey.of(tape_of(noise(1, bars=100)))
    assert key.symbols == ("AAPL",)
    assert key.timeframe == 60.0
    assert key.last - key.first == timedelta(minutes=99)
    assert key.first.utcoffset() == timedelta(0)


def test_two_processes_write_at_the_same_time(tmp_path: Path) -> None:
    program = (
        "import sys, numpy; from datetime import *\n"
        "from toolkit.research.store.trials import DataKey, TrialLedger\n"
        "now = datetime(2026, 1, 5, 15, tzinfo=UTC)\n"
        "key = DataKey(symbols=('AAPL', 'MSFT'), timeframe=60.0, first=now, last=now, feed='iex',"
        " fingerprint='')\n"
        "ledger = TrialLedger.open(sys.argv[1])\n"
        "for n in range(50): ledger.add(key, [f'{n}', sys.argv[2] + f'{n}'], numpy.zeros(2),"
        " source='sweep')"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    others = [subprocess.Popen([*arguments, name]) for name in "ab"]
    assert [other.wait(60) for other in others] == [0, 0]
    assert TrialLedger.open(tmp_path).known(KEY).count == 150


def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "trials.sqlite").write_bytes(b"this is no database, " * 100)
    with pytest.raises(StoreError, match="damaged: move it away"):
        TrialLedger.open(tmp_path).known(KEY)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="set TOOLKIT_STATE_DIR"):
        TrialLedger.open(tmp_path / "file").look(KEY, "mine")


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 20), st.integers(0, 5), st.lists(st.sampled_from("abcdef"), max_size=4)
        ),
        max_size=8,
    ),
    st.integers(0, 20),
    st.integers(0, 5),
)
def test_it_counts_what_a_plain_list_would(
    tmp_path_factory: pytest.TempPathFactory,
    added: list[tuple[int, int, list[str]]],
    first: int,
    days: int,
) -> None:
    def span(start: int, length: int) -> DataKey:
        begin = START + timedelta(days=start)
        return replace(KEY, first=begin, last=begin + timedelta(days=length))

    ledger = TrialLedger.open(tmp_path_factory.mktemp("ledger"))
    wanted: set[str] = set()
    for start, length, names in added:
        ledger.add(span(start, length), names, np.zeros(len(names)), source="sweep")
        if start <= first + days and start + length >= first:
            wanted.update(names)
    assert ledger.known(span(first, days)).count == len(wanted)
