"""What a sweep costs: processor time, memory, threads, the first result; and vectorbt beside it.

    python -m tests.benchmarks.sweep [--json] [--sets 10000] [--bars 100000] [--only NAME ...]

- `cpu_ns_per_set_bar`: processor time of `sweep` with one thread, all of it, by sets x bars.
- `vectorbt_ratio`: processor time of vectorbt's `Portfolio.from_signals`, Sharpe ratio and total
  return by ours, on the same entries and stops; `vectorbt_simulation_ratio` without its ratios.
- `threads_speedup`: one thread's time by two threads', on two idle processors.
- `peak_mb`, `peak_mb_long`: most memory (RSS) of a fresh process that reads a file and sweeps it,
  imports included; the long one has 500,000 bars. Compiled code comes from the cache.
- `first_result_*_s`: a fresh process from its start to the first `tk.backtest` of 100,000 bars,
  with numba's cache filled (warm) and empty (cold); `first_stats*_s` to `run.portfolio.stats()`.
  `_cpu_s` is their processor time.

Processor time is as good on a busy machine as on an idle one, give or take a third.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.kernel import Kernel
from toolkit.core.layout import Rules
from toolkit.core.parameters import Parameters
from toolkit.research.signals import Signals
from toolkit.research.sweeps.sweep import sweep
from toolkit.research.tape import Tape, tape_of
from toolkit.runtime import thread_crew

LONG = 500_000
COLUMNS = 40  # of vectorbt's run
DECIDING = {
    "rsi_length": [7, 10, 14, 18, 21],
    "stoch_rsi.lower_band": [25, 30, 35, 40],
    "ema_period": [5, 9, 13, 20, 30],
}


def grid(sets: int) -> dict[str, list[float]]:
    """Return a grid of about so many sets: 100 decision settings with stops and targets."""
    side = max(1, math.isqrt(sets // 100))
    steps = [round(0.1 + 0.45 * n / side, 4) for n in range(side)]
    return {**DECIDING, "stop_loss": steps, "take_profit": [2 * step for step in steps]}


def processor(work: Callable[[], Any]) -> float:
    """Return the processor seconds of all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def one_thread(tape: Tape, sets: int) -> dict[str, float]:
    """Sweep with one thread."""
    sweep(tape, {"ema_period": [9]}, progress=False)
    done = [0]
    seconds = processor(lambda: done.append(sweep(tape, grid(sets), progress=False).grid.size))
    return {"cpu_ns_per_set_bar": seconds * 1e9 / done[-1] / len(tape.market.time)}


def two_threads(tape: Tape, sets: int) -> dict[str, float]:
    """Sweep with one thread and with two, the best of three each."""
    best = {}
    for workers in (1, 2):
        crew, times = thread_crew(workers), []
        for _ in range(3):
            began = time.perf_counter()
            sweep(tape, grid(sets), crew=crew, progress=False)
            times.append(time.perf_counter() - began)
        best[workers] = min(times)
    return {"threads_speedup": best[1] / best[2]}


def beside_vectorbt(tape: Tape) -> dict[str, float]:
    """Run the same entries with the same stops and targets through both."""
    import vectorbt as vbt

    decisions = Signals(tape).decisions(Parameters())
    stops = np.linspace(0.1, 0.55, COLUMNS)
    risk = Rules.of(Parameters().replace(trailing_stop=0, cooldown=0).risk)
    rules = [risk._replace(stop_loss=s, take_profit=2 * s) for s in stops.tolist()]
    kernel = Kernel(tape.market, charges=tape.charges(Costs()))

    def ours() -> None:
        kernel.measure(kernel.plan(decisions), rules, capital=1e4)

    market = tape.market
    entries = np.concatenate([[False], decisions.entry[:-1]])[:, None]

    def simulate(bars: int) -> Any:
        return vbt.Portfolio.from_signals(
            np.tile(market.close[:bars, None], (1, COLUMNS)),
            entries=np.tile(entries[:bars], (1, COLUMNS)),
            exits=False,
            price=market.open[:bars, None],
            open=market.open[:bars, None],
            high=market.high[:bars, None],
            low=market.low[:bars, None],
            sl_stop=stops / 100.0,
            tp_stop=2.0 * stops / 100.0,
            size=5.0,
            init_cash=1e4,
            freq="1min",
        )

    def measured(bars: int) -> None:
        portfolio = simulate(bars)
        portfolio.sharpe_ratio()
        portfolio.total_return()

    ours(), measured(1000)
    mine, bars = min(processor(ours) for _ in range(3)), len(market.time)
    theirs, simulated = processor(lambda: measured(bars)), processor(lambda: simulate(bars))
    each = 1e9 / COLUMNS / bars
    return {
        "vectorbt_ratio": theirs / mine,
        "vectorbt_simulation_ratio": simulated / mine,
        "vectorbt_cpu_ns_per_set_bar": theirs * each,
        "same_signals_cpu_ns_per_set_bar": mine * each,
    }


SWEEP = r"""
import pathlib, re, toolkit as tk
table = tk.sweep({file!r}, {grid!r}, progress=False, store=False)
assert table.frame.shape[0] == {sets}
# getrusage counts what the parent held when it forked.
print(int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024)
"""
FIRST = (
    "import toolkit as tk; run = tk.backtest({file!r}); print(run.stats()['trades'], flush=True)"
)
STATS = "import toolkit as tk; print(tk.backtest({file!r}).portfolio.stats()['Total Trades'])"
IMPORT = """
import sys, time
began = time.perf_counter()
import toolkit
seconds = time.perf_counter() - began
heavy = {"vectorbt", "panel", "jupyter", "jupyterlab", "numba", "pandas"} & set(sys.modules)
assert not heavy, heavy
print(seconds)
"""


class Fresh:
    """Runs code in new processes, with state and numba's cache in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "TOOLKIT_STATE_DIR": str(folder / "state"),
            "NUMBA_CACHE_DIR": str(folder / "cache"),
        }
        self.cache = folder / "cache"

    def run(self, code: str) -> Ended:
        """Run code to its end; its last word must be a number."""
        began, before = time.perf_counter(), _children()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return Ended(
            number=float(done.stdout.split()[-1]),
            seconds=time.perf_counter() - began,
            processor=_children() - before,
        )


class Ended(NamedTuple):
    """A process that has ended: what it printed last, its time and its processor time."""

    number: float
    seconds: float
    processor: float


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(fresh: Fresh, folder: Path, sets: int, bars: int, name: str) -> dict[str, float]:
    """Sweep a file in a new process."""
    file = str(folder / f"{bars}.parquet")
    noise(1, bars=bars).to_parquet(file)
    fresh.run(SWEEP.format(file=file, grid={"ema_period": [9]}, sets=1))
    wide = grid(sets)
    size = math.prod(len(values) for values in wide.values())
    return {name: fresh.run(SWEEP.format(file=file, grid=wide, sets=size)).number}


def first_results(fresh: Fresh, folder: Path) -> dict[str, float]:
    """Start processes and wait for their first result."""
    file = str(folder / "first.parquet")
    noise(1, bars=100_000).to_parquet(file)
    cold = Fresh(folder / "cold")
    cold.run(IMPORT)
    found = _named("first_result_cold", cold.run(FIRST.format(file=file)))
    fresh.run(FIRST.format(file=file))
    warm = min((fresh.run(FIRST.format(file=file)) for _ in range(3)), key=lambda e: e.seconds)
    found |= _named("first_result_warm", warm)
    found["import_s"] = min(fresh.run(IMPORT).number for _ in range(3))
    found |= _named("first_stats_cold", fresh.run(STATS.format(file=file)))
    return found | _named("first_stats", fresh.run(STATS.format(file=file)))


def _named(name: str, ended: Ended) -> dict[str, float]:
    return {f"{name}_s": ended.seconds, f"{name}_cpu_s": ended.processor}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="processor time and memory of a sweep")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--bars", type=int, default=100_000)
    parser.add_argument(
        "--only", nargs="*", default=[], help="cpu, vectorbt, threads, memory, first"
    )
    options = parser.parse_args()
    tape = tape_of(noise(1, bars=options.bars))
    figures: dict[str, float] = {"sets": options.sets, "bars": options.bars}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fresh = Fresh(folder)
        parts: dict[str, Callable[[], dict[str, float]]] = {
            "cpu": lambda: one_thread(tape, options.sets),
            "vectorbt": lambda: beside_vectorbt(tape),
            "threads": lambda: two_threads(tape, min(options.sets, 2500)),
            "memory": lambda: (
                memory(fresh, folder, options.sets, options.bars, "peak_mb")
                | memory(fresh, folder, options.sets, LONG, "peak_mb_long")
            ),
            "first": lambda: first_results(fresh, folder),
        }
        for part, measure in parts.items():
            if options.only and part not in options.only:
                continue
            found = measure()
            figures |= found
            if not options.json:
                for figure, value in found.items():
                    sys.stdout.write(f"{figure:34} {value:.2f}\n")
                    sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
