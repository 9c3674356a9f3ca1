"""Sweeps on a Dask cluster whose workers are killed: nothing lost, equal to the bit.

    python -m tests.soak.dask --rounds 5

Each round kills a worker of two, and then the only worker of one, which loses the data too.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from typing import Any

import distributed
import numpy as np

from tests.research.markets import noise
from toolkit.research.sweeps.cluster import DaskCrew, connect
from toolkit.research.sweeps.sweep import sweep
from toolkit.research.sweeps.table import SweepTable

BARS = noise(1, bars=20_000)
GRID = {"ema_period": list(range(2, 82)), "stop_loss": [0.1, 0.2, 0.3, 0.5]}


def main() -> int:
    """Run the rounds; returns 1 where a result differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    local, failures = sweep(BARS, GRID, progress=False), 0
    for number in range(rounds):
        for workers in (2, 1):
            table, seconds = killed(workers)
            equal = all(
                np.array_equal(ours, theirs, equal_nan=True)
                for ours, theirs in zip(local.results, table.results, strict=True)
            )
            failures += not equal
            what = "equal to the bit" if equal else "DIFFERENT"
            said = f"round {number + 1}, {workers} workers: {what}, {seconds:.1f} s\n"
            sys.stdout.write(said)
    return 1 if failures else 0


def killed(workers: int) -> tuple[SweepTable, float]:
    """Sweep on so many workers, one of which is killed after the first results."""
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=":0",  # else all clusters of a machine want one port
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
        ) as cluster,
        connect(cluster.scheduler_address) as client,
    ):
        victims = list(client.run(os.getpid).values())

        def kill(done: int, _total: int) -> None:
            if done and victims:
                os.kill(victims.pop(), signal.SIGKILL)
                victims.clear()

        began = time.monotonic()
        crew: Any = DaskCrew(client, seconds=0.5)
        return sweep(BARS, GRID, crew=crew, progress=kill), time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
