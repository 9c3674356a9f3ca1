"""How often the verdict is right: `python -m tests.soak.overfitting --sweeps 1000`.

Sweeps over markets without any edge, for which it must say "no evidence", and over markets with a
planted one, which it must find. Small, middle and large grids; calm, fat-tailed and clustered
volatility. Ends with 1 when the lower bound of either rate, with 95 % confidence, is below what is
promised: 95 % and 90 %.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tests.research.markets import frame, noise, pulled_back
from toolkit.core.costs import Costs
from toolkit.research.sweeps.sweep import sweep

MIDDLE: dict[str, Sequence[Any]] = {
    "ema_period": [3, 5, 9, 14],
    "stoch_rsi.lower_band": [20, 35, 50, 65],
    "stop_loss": [0.1, 0.2, 0.4],
}
GRIDS: dict[str, dict[str, Sequence[Any]]] = {
    "2 sets": {"ema_period": [5, 9]},
    "48 sets": MIDDLE,
    "240 sets": {**MIDDLE, "take_profit": [0.2, 0.3, 0.5, 0.8, 1.2]},
}
EDGE_GRIDS: dict[str, dict[str, Sequence[Any]]] = {
    "2 sets": {"rsi_length": [9, 14], "stoch_rsi.lower_band": [20], "stop_loss": [0.4]},
    "48 sets": {
        **{n: v for n, v in MIDDLE.items() if n != "ema_period"},
        "rsi_length": [5, 9, 14, 21],
    },
    "240 sets": {
        **{n: v for n, v in MIDDLE.items() if n != "ema_period"},
        "rsi_length": [5, 9, 14, 21],
        "take_profit": [0.2, 0.3, 0.5, 0.8, 1.2],
    },
}
# Costs would make noise lose, and the verdict's task easy.
FREE = Costs(sec_fee_per_million=0.0, taf_per_share=0.0, cat_per_share=0.0)
FIRST_SEED = 100_000  # no seed of the suite


def fat_tailed(seed: int, *, bars: int = 3000) -> pd.DataFrame:
    """A walk whose steps follow Student's law with 4 degrees of freedom."""
    rng = np.random.default_rng(seed)
    volatility = 0.0005 * np.sqrt(2.0 / rng.chisquare(4, bars))
    return frame(np.cumsum(rng.normal(0.0, volatility)), rng, "AAPL", volatility)


def clustered(seed: int, *, bars: int = 3000) -> pd.DataFrame:
    """A walk whose volatility wanders slowly, fourfold between calm and storm."""
    rng = np.random.default_rng(seed)
    level, levels = 0.0, []
    for shock in rng.normal(0.0, 0.1, bars).tolist():
        level = 0.98 * level + shock
        levels.append(level)
    volatility = 0.0005 * np.exp(np.array(levels))
    return frame(np.cumsum(rng.normal(0.0, volatility)), rng, "AAPL", volatility)


@dataclass(frozen=True)
class Case:
    """One kind of market and grid; `edge` says whether there is something to find."""

    market: str
    grid: str
    edge: bool

    def run(self, seed: int) -> bool:
        """Whether the verdict supports the best set."""
        bars = MARKETS[self.market](seed)
        grids, base = (
            (EDGE_GRIDS, {"ema.enabled": False}) if self.edge else (GRIDS, {"lookback": 3})
        )
        costs = None if self.edge else FREE
        table = sweep(bars, grids[self.grid], base=base, costs=costs, progress=False)
        return table.verdict().supported


MARKETS: dict[str, Callable[[int], pd.DataFrame]] = {
    "noise": noise,
    "long noise": partial(noise, bars=20_000),
    "fat tails": fat_tailed,
    "clusters": clustered,
    "edge": partial(pulled_back, bars=20_000),
}
CASES = [
    *(Case("noise", grid, False) for grid in GRIDS),
    *(Case("edge", grid, True) for grid in EDGE_GRIDS),
    *(Case(m, grid, False) for m in ("fat tails", "clusters", "long noise") for grid in GRIDS),
]


def bounds(hits: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Clopper and Pearson's exact interval of a share."""
    tail = (1.0 - confidence) / 2.0
    low = _solve(lambda p: 1.0 - _below(hits - 1, of, p), tail) if hits else 0.0
    high = _solve(lambda p: 1.0 - _below(hits, of, p), 1.0 - tail) if hits < of else 1.0
    return low, high


def _below(hits: int, of: int, p: float) -> float:
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 or hits >= of else 0.0
    logs = (
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)
        + k * math.log(p) + (of - k) * math.log1p(-p)
        for k in range(hits + 1)
    )  # fmt: skip
    return math.fsum(math.exp(value) for value in logs)


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2.0


def _row(case: Case, supported: int, sweeps: int) -> dict[str, Any]:
    right = supported if case.edge else sweeps - supported
    low, high = bounds(right, sweeps)
    return {
        "market": case.market,
        "grid": case.grid,
        "must": "find the edge" if case.edge else "say no evidence",
        "sweeps": sweeps,
        "right": right / sweeps,
        "low": low,
        "high": high,
    }


def _total(rows: Iterable[dict[str, Any]], must: str) -> dict[str, Any]:
    mine = [row for row in rows if row["must"] == must]
    sweeps = sum(row["sweeps"] for row in mine)
    low, high = bounds(round(sum(r["right"] * r["sweeps"] for r in mine)), sweeps)
    worst = min(row["right"] for row in mine)
    right = sum(row["right"] * row["sweeps"] for row in mine) / sweeps
    return {
        "must": must,
        "sweeps": sweeps,
        "right": right,
        "low": low,
        "high": high,
        "worst": worst,
    }


def main() -> int:
    """Run all cases and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=200, help="of each case")
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose name begins so: 'noise 2'")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    seeds = range(options.seed, options.seed + options.sweeps)
    with ProcessPoolExecutor(options.workers) as pool:
        for case in CASES:
            if not f"{case.market} {case.grid}".startswith(options.only):
                continue
            supported = sum(pool.map(case.run, seeds, chunksize=10))
            rows.append(_row(case, supported, options.sweeps))
            if not options.json:
                print(_line(rows[-1]), flush=True)  # noqa: T201
    promised = {"say no evidence": 0.95, "find the edge": 0.9}
    totals = [_total(rows, must) for must in promised if any(r["must"] == must for r in rows)]
    if options.json:
        print(json.dumps({"cases": rows, "totals": totals}, indent=2))  # noqa: T201
    else:
        for total in totals:
            print(f"all, {_line({**total, 'market': '', 'grid': ''})}")  # noqa: T201
    return 0 if all(total["low"] >= promised[total["must"]] for total in totals) else 1


def _line(row: dict[str, Any]) -> str:
    where = f"{row['market']:>10} {row['grid']:>8}"
    return (
        f"{where} {row['must']:>15}: {100 * row['right']:6.2f} % of {row['sweeps']}"
        f" ({100 * row['low']:.2f} to {100 * row['high']:.2f} %)"
    )


if __name__ == "__main__":
    sys.exit(main())
