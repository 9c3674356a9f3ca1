"""Our round trips beside vectorbt's, one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.layout import Ints
from toolkit.research.backtest import BacktestRun
from toolkit.research.checks.result import CheckResult
from toolkit.research.plotting import Plotter

if TYPE_CHECKING:
    import pandas as pd

PRICE_TOLERANCE = 1e-9  # relative
QUANTITY_TOLERANCE = 1e-6  # relative; the rounding of money in the capital that sizes it
MONEY_TOLERANCE = 1e-4  # dollars
COMPARED = (
    ("exit_time", 0.0, 0.0),
    ("entry_price", PRICE_TOLERANCE, 0.0),
    ("exit_price", PRICE_TOLERANCE, 0.0),
    ("quantity", QUANTITY_TOLERANCE, 2e-9),
    ("pnl", 0.0, MONEY_TOLERANCE),
)
TOLD = 20


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CrossCheck(CheckResult):
    """Round trips of both sides, paired by symbol and entry; `pairs` is the table of `frame`."""

    pairs: pd.DataFrame
    plotter: Plotter | None = field(default=None)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per round trip: ours, `vectorbt_...`, and the `difference` in words."""
        return self.pairs

    @property
    def trades(self) -> int:
        """How many round trips ours are."""
        return int((self.pairs["side"] != "vectorbt").sum())

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """The first 20 differences as sentences."""
        wrong = self.pairs[self.pairs["difference"] != ""].head(TOLD)
        return tuple(f"round trip {at}: {text}" for at, text in wrong["difference"].items())

    @property
    def agrees(self) -> bool:
        """Whether vectorbt made the same trades."""
        return not self.differences

    @property
    def ok(self) -> bool:
        """Whether vectorbt made the same trades."""
        return self.agrees

    @property
    def sentence(self) -> str:
        """How many round trips agree, and the first that does not."""
        wrong = int((self.pairs["difference"] != "").sum())
        if wrong:
            return f"{wrong:,} of {len(self.pairs):,} round trips differ; {self.differences[0]}"
        if not len(self.pairs):
            return "vectorbt makes no trades either"
        return f"vectorbt makes the same {self.trades:,} round trips"


def compare(run: BacktestRun, theirs: pd.DataFrame, times: Any, row: Ints) -> CrossCheck:
    """Pair a run's round trips with vectorbt's records of closed trades.

    `times` are those of vectorbt's rows, `row` is the row of each event of the tape.
    """
    import pandas as pd

    symbols = np.array(run.tape.symbols, dtype=object)
    trips = run.outcome.trips
    ours = pd.DataFrame(
        {
            "symbol": symbols[trips["symbol"]],
            "entry_time": times[row[trips["entry"]]],
            "exit_time": times[row[trips["exit"]]],
            "entry_price": trips["entry_price"],
            "exit_price": trips["exit_price"],
            "quantity": trips["quantity"],
            "pnl": trips["profit"] / 1e6,
        }
    )
    other = pd.DataFrame(
        {
            "symbol": symbols[theirs["col"].to_numpy()],
            "entry_time": times[theirs["entry_idx"].to_numpy()],
            "vectorbt_exit_time": times[theirs["exit_idx"].to_numpy()],
            "vectorbt_entry_price": theirs["entry_price"].to_numpy(),
            "vectorbt_exit_price": theirs["exit_price"].to_numpy(),
            "vectorbt_quantity": theirs["size"].to_numpy(),
            "vectorbt_pnl": theirs["pnl"].to_numpy(),
        }
    )
    keys = ["symbol", "entry_time"]
    both = ours.merge(other, on=keys, how="outer", indicator="side")
    sides = {"both": "both", "left_only": "ours", "right_only": "vectorbt"}
    both["side"] = both["side"].map(sides).astype(str)
    both = both.sort_values(["entry_time", "symbol"], ignore_index=True)
    both["difference"] = _differences(both)
    return CrossCheck(pairs=both)


def _differences(both: pd.DataFrame) -> list[str]:
    """Return for each pair what differs, empty where nothing does."""
    texts: list[list[str]] = [[] for _ in range(len(both))]
    for at, side in enumerate(both["side"]):
        if side != "both":
            texts[at].append("only here" if side == "ours" else "only in vectorbt")
    paired = (both["side"] == "both").to_numpy()
    for name, relative, absolute in COMPARED:
        a, b = both[name].to_numpy(), both[f"vectorbt_{name}"].to_numpy()
        if name == "exit_time":
            same = a == b
        else:
            same = np.isclose(a.astype(float), b.astype(float), rtol=relative, atol=absolute)
        for at in np.flatnonzero(paired & ~same).tolist():
            texts[at].append(f"{name} is {a[at]} here, {b[at]} in vectorbt")
    return ["; ".join(parts) for parts in texts]
