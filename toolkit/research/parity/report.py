"""The parity report: what the session and its backtest have done otherwise, why, and its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from toolkit.core.report import rfc3339
from toolkit.core.types import ZERO, Bar
from toolkit.errors import ConfigError
from toolkit.research.parity.attribution import Difference
from toolkit.research.parity.session import Cause
from toolkit.research.parity.trades import Leg, Trade
from toolkit.research.plotting import Plotter, draw

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "symbol",
    "side",
    "live_time",
    "live_price",
    "live_quantity",
    "backtest_time",
    "backtest_price",
    "backtest_quantity",
    "cause",
    "cost",
    "decided",
    "follows",
    "detail",
)
SHOWN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that was otherwise than a backtest assumes, whether it changed a trade or not."""

    cause: Cause
    symbol: str
    time: datetime
    detail: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ParityReport:
    """A session beside its backtest; all money in dollars, after fees.

    `cost` is above 0 where the session earned less than its backtest. Trades that are open at the
    end count at the last price on both sides. `moved` trades of the session stand for one of the
    backtest that was decided on a few bars earlier or later.
    """

    source: str
    symbols: tuple[str, ...]
    start: datetime
    end: datetime
    live: tuple[Trade, ...]
    backtest: tuple[Trade, ...]
    differences: tuple[Difference, ...]
    known: tuple[Fact, ...]
    market: tuple[Bar, ...] = ()
    moved: int = 0
    notes: tuple[str, ...] = ()
    plotter: Plotter | None = field(default=None)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row for each leg that differs and each cause; the unexplained come first.

        Times in UTC, NaT and NaN where there is no such leg, `cost` in dollars. `follows` marks
        sizes that only follow from the capital that earlier differences left.
        """
        import pandas as pd

        rows = [_row(d) for d in self._ordered]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        for name in ("live_time", "backtest_time", "decided"):
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
        numbers = [n for n in COLUMNS if n.endswith(("price", "quantity")) or n == "cost"]
        return frame.astype({**dict.fromkeys(numbers, "float64"), "follows": bool})

    @cached_property
    def causes(self) -> pd.DataFrame:
        """Cause, count of trades that differ for it, and its cost; the unexplained come first."""
        import pandas as pd

        totals = self.totals
        rows = [(c.value, count, float(cost)) for c, (count, cost) in totals.items()]
        return pd.DataFrame(rows, columns=["cause", "count", "cost"])

    @cached_property
    def facts(self) -> pd.DataFrame:
        """Cause, symbol, time and detail of all that was otherwise, also where no trade changed."""
        import pandas as pd

        rows = [(f.cause.value, f.symbol, f.time, f.detail) for f in self.known]
        frame = pd.DataFrame(rows, columns=["cause", "symbol", "time", "detail"])
        frame["time"] = pd.to_datetime(frame["time"], utc=True).astype("datetime64[us, UTC]")
        return frame

    def bars(self, symbol: str | None = None) -> pd.DataFrame:
        """Return the bars that the backtest traded on, by default of the first symbol."""
        from toolkit.market.tables import frame_of

        name = symbol or self.symbols[0]
        if name not in self.symbols:
            raise ConfigError(
                f"the session did not trade {name!r}; it traded {', '.join(self.symbols)}",
                field="symbol",
                value=name,
                allowed=list(self.symbols),
            )
        return frame_of(bar for bar in self.market if bar.symbol == name)

    @property
    def totals(self) -> dict[Cause, tuple[int, Decimal]]:
        """Count and cost of each cause that there is; unexplained first, then the dearest."""
        found: dict[Cause, tuple[int, Decimal]] = {}
        for cause in Cause:
            mine = [d for d in self.differences if d.cause is cause]
            keys = {d.key for d in mine if not d.follows}
            if mine:
                found[cause] = (len(keys), sum((d.cost for d in mine), ZERO))
        last = Cause.UNEXPLAINED
        ordered = sorted(found.items(), key=lambda item: (item[0] is not last, -abs(item[1][1])))
        return dict(ordered)

    @property
    def live_profit(self) -> Decimal:
        """What the session earned."""
        return _profit(self.live)

    @property
    def backtest_profit(self) -> Decimal:
        """What the backtest earns."""
        return _profit(self.backtest)

    @property
    def cost(self) -> Decimal:
        """What all differences cost together: backtest less live."""
        return self.backtest_profit - self.live_profit

    @property
    def count(self) -> int:
        """How many trades differ, apart from sizes that only follow."""
        return len({d.key for d in self.differences if not d.follows})

    @property
    def unexplained(self) -> int:
        """How many trades differ and nothing says why."""
        return self.totals.get(Cause.UNEXPLAINED, (0, ZERO))[0]

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        begin = f"The session made {_signed(self.live_profit)}, its backtest "
        if not self.differences:
            return f"{begin}the same: {len(self.live)} trades, no difference."
        named = ", ".join(
            f"{cause.value} {_cost(cost)} ({count})" for cause, (count, cost) in self.totals.items()
        )
        text = (
            f"{begin}{_signed(self.backtest_profit)}: {self.count} of {self._pairs} trades differ,"
            f" which {_cost(self.cost)}: {named}."
        )
        if self.unexplained:
            cost = self.totals[Cause.UNEXPLAINED][1]
            return f"UNEXPLAINED: {_trades(self.unexplained)}, which {_cost(cost)}. {text}"
        return f"{text} Nothing is unexplained."

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw the report: `causes` (usual) or `pairs`; raises ConfigError without a plotter."""
        return draw(self.plotter, self, kind, **options)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "source": self.source,
            "symbols": list(self.symbols),
            "start": rfc3339(self.start),
            "end": rfc3339(self.end),
            "sentence": self.sentence,
            "trades": {"live": len(self.live), "backtest": len(self.backtest)},
            "profit": {"live": float(self.live_profit), "backtest": float(self.backtest_profit)},
            "cost": float(self.cost),
            "count": self.count,
            "unexplained": self.unexplained,
            "causes": [
                {"cause": cause.value, "count": count, "cost": float(cost)}
                for cause, (count, cost) in self.totals.items()
            ],
            "differences": [_json(d) for d in self._ordered],
            "facts": dict(Counter(fact.cause.value for fact in self.known)),
            "notes": list(self.notes),
        }

    @property
    def _pairs(self) -> int:
        return len({t.key for t in self.live} | {t.key for t in self.backtest}) - self.moved

    @property
    def _ordered(self) -> list[Difference]:
        """The unexplained first, else by time; what only follows comes last."""
        last = Cause.UNEXPLAINED
        return sorted(self.differences, key=lambda d: (d.cause is not last, d.follows, d.key[1]))

    def __repr__(self) -> str:
        return f"<ParityReport {', '.join(self.symbols)}: {self.sentence}>"

    def _repr_html_(self) -> str:
        loud = " style='color:#c62828;font-weight:bold'" if self.unexplained else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        causes = self.causes.to_html(index=False, float_format="{:,.2f}".format)
        rows = self.frame[~self.frame["follows"]].head(SHOWN)
        table = rows.drop(columns=["follows"]).to_html(index=False, na_rep="")
        body = f"{causes}{table}" if self.differences else ""
        return f"<p{loud}>{escape(self.sentence)}</p>{notes}{body}"


def _row(difference: Difference) -> tuple[Any, ...]:
    return (
        difference.key[0],
        difference.side.value,
        *_values(difference.live),
        *_values(difference.backtest),
        difference.cause.value,
        float(difference.cost),
        difference.key[1],
        difference.follows,
        difference.detail,
    )


def _values(leg: Leg | None) -> tuple[Any, ...]:
    if leg is None:
        return None, None, None
    return leg.time, leg.price, float(leg.quantity)


def _json(difference: Difference) -> dict[str, Any]:
    values = dict(zip(COLUMNS, _row(difference), strict=True))
    times = ("live_time", "backtest_time", "decided")
    return {k: rfc3339(v) if k in times and v is not None else v for k, v in values.items()}


def _profit(trades: Iterable[Trade]) -> Decimal:
    return sum((trade.profit for trade in trades), ZERO)


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.2f} $"


def _cost(amount: Decimal) -> str:
    return f"{'cost' if amount >= 0 else 'gained'} {abs(amount):,.2f} $"


def _trades(count: int) -> str:
    return f"{count} trade" if count == 1 else f"{count} trades"
