"""A sweep on a Dask cluster of processes: equal to the bit, whoever dies."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.research.markets import noise
from toolkit.errors import ConfigError
from toolkit.research.store import code
from toolkit.research.sweeps import cluster as module
from toolkit.research.sweeps.cluster import DaskCrew, WorkersLost, connect
from toolkit.research.sweeps.sweep import sweep

distributed = pytest.importorskip("distributed")
BARS = noise(1, bars=1000)
GRID = {"ema_period": list(range(2, 32)), "stop_loss": [0.1, 0.3]}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two processes on loopback that are started again when they die."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=":0",  # else all clusters of a machine want one port
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
        ) as cluster,
        connect(cluster.scheduler_address) as client,
    ):
        yield client


def slow_square(item: int) -> int:
    time.sleep(0.05)
    return item * item


def test_results_equal_those_of_one_thread_to_the_bit(client: Any) -> None:
    local = sweep(BARS, GRID, progress=False)
    far = sweep(BARS, GRID, crew=DaskCrew(client), progress=False)
    for ours, theirs in zip(local.results, far.results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_data_goes_out_once_for_a_guided_sweep(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, scatter = [], client.scatter
    monkeypatch.setattr(client, "scatter", lambda f, **o: sent.append(f) or scatter(f, **o))
    options: dict[str, Any] = {"method": "optuna", "trials": 40, "progress": False}
    far = sweep(BARS, GRID, crew=DaskCrew(client), **options)
    local = sweep(BARS, GRID, **options)
    np.testing.assert_array_equal(far.results.metrics, local.results.metrics)
    assert len(sent) == 1


def test_a_killed_worker_loses_nothing_and_is_told(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    crew, seen = DaskCrew(client, seconds=0.2), []
    with caplog.at_level(logging.WARNING):
        for result in crew.map(slow_square, range(60)):
            if not seen:
                victim = next(iter(client.run(os.getpid).values()))
                os.kill(victim, signal.SIGKILL)
            seen.append(result)
    assert sorted(seen) == [n * n for n in range(60)]
    assert any("is run again" in record.message for record in caplog.records)


def test_what_a_task_raises_is_raised_here_and_the_rest_is_taken_back(client: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        list(DaskCrew(client).map(reciprocal, range(5, -5, -1)))
    assert sum(len(tasks) for tasks in client.processing().values()) == 0


def reciprocal(item: int) -> float:
    return 1.0 / item


def test_an_interrupted_sweep_keeps_what_is_done(client: Any) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    table = sweep(BARS, GRID, crew=DaskCrew(client), progress=interrupt)
    assert table.interrupted and len(table.frame) >= 6


def test_workers_with_other_code_are_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {**module.versions(), "numba": "0.1"}
    monkeypatch.setattr(module, "versions", Pretended(ours))
    with pytest.raises(ConfigError, match=r"numba .*, here 0\.1; install the same there"):
        DaskCrew(client)


def test_an_installed_toolkit_and_a_checkout_of_the_same_code_are_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_checkout = module.versions()
    monkeypatch.setattr(code, "git_revision", lambda _folder: "")
    code.code_version.cache_clear()
    try:
        assert module.versions() == in_checkout
        assert code.code_version().endswith(in_checkout["toolkit"])
    finally:
        code.code_version.cache_clear()


class Pretended:
    """Says one thing here and the truth elsewhere."""

    def __init__(self, here: dict[str, str]) -> None:
        self._here, self._pid = here, os.getpid()

    def __call__(self) -> dict[str, str]:
        from toolkit.research.sweeps.cluster import versions

        return self._here if os.getpid() == self._pid else versions()


def test_nobody_at_the_address_is_told() -> None:
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        connect("tcp://127.0.0.1:1", timeout=0.5)


def test_a_cluster_that_is_gone_keeps_what_is_done(client: Any) -> None:
    def lose(done: int, _total: int) -> None:
        if done >= 4:
            raise WorkersLost("no worker has been there for 60 s")

    with pytest.warns(UserWarning, match=r"no worker .*; what is done is kept"):
        table = sweep(BARS, GRID, crew=DaskCrew(client), progress=lose)
    assert table.interrupted and len(table.frame) >= 4
