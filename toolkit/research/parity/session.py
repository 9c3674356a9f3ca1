"""What happened in a live, paper or simulated session, as far as it bears on its trades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters, Value
from toolkit.core.types import Bar, ExitPlan, Fill, OrderRequest, OrderUpdate
from toolkit.market.hours import Hours
from toolkit.research.parity.trades import Key


class Cause(StrEnum):
    """Why a trade differs; in this order the facts are swapped in, the unexplained is left over."""

    OTHER_FEED = "other feed"  # the bars are of another feed than the session's
    WARM_UP = "warm-up"  # the indicators began with other bars
    MISSING_BAR = "missing bar"  # the session never saw it
    LATE_BAR = "late bar"  # it came after its successor, or too late to act on
    REVISED_BAR = "revised bar"  # the session saw other prices
    PARAMETER_CHANGE = "parameter change"
    OUTAGE = "outage"  # bot, feed or broker were away, or an answer was lost
    GATE_CLOSED = "gate closed"  # entries were stopped, limited or refused
    MANUAL_ORDER = "manual order"  # a person bought or sold
    PARTIAL_FILL = "partial fill"  # less was filled than the strategy asked for
    FILL_PRICE = "fill price"  # price, fee or moment of an execution
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A final bar as the session saw it first; `delay` in seconds after its close, None: unknown.

    `cause` and `refusal` say why no entry could be made at it; empty where one could.
    `unattended` bars moved the indicators, but nobody decided on them.
    """

    bar: Bar
    delay: float | None = None
    refusal: str = ""
    cause: Cause | None = None
    unattended: bool = False

    @property
    def key(self) -> Key:
        """Its symbol and time."""
        return self.bar.symbol, self.bar.timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Parameters that somebody changed before the bar at `position` was decided on."""

    position: int
    values: Mapping[str, Value]
    who: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An entry that was asked for and bought nothing; its end was known before `position`."""

    position: int
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A fill, the bar that its order was decided on, and how many bars were decided on before.

    `delay` is that of the bar, in seconds after its close. `by_hand`: a person asked for it.
    """

    fill: Fill
    decided: datetime | None
    position: int
    delay: float = 0.0
    by_hand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What protects a position from before the session, and its highest price so far."""

    plan: ExitPlan
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the session began with: `recovered` and `pending` are orders of an earlier run.

    `hours` None: any bar may lead to an entry.
    """

    parameters: Parameters
    capital: float
    costs: Costs
    name: str = "stochrsi"
    hours: Hours | None = None
    recovered: tuple[OrderUpdate, ...] = ()
    pending: tuple[OrderRequest, ...] = ()
    lots: Mapping[str, Lot] = field(default_factory=dict)
    warm_up: Mapping[str, tuple[Bar, ...]] = field(default_factory=dict)

    @property
    def fills(self) -> tuple[Fill, ...]:
        """The fills of earlier runs."""
        return tuple(update for update in self.recovered if isinstance(update, Fill))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A whole session. `timeframe` in seconds; `filled` is the share of each entry that was filled.

    `corrections` hold the last version of bars that came again, or came after their successor.
    `outages` are spans in which bot, feed or broker were away, and why. `other_feed`: the bars
    are of another feed than the session's, whose own are not known. `notes` are for people: what
    of the source could not be read, or is left out.
    """

    source: str
    symbols: tuple[str, ...]
    timeframe: float
    real_time: bool
    start: Start
    seen: tuple[Seen, ...]
    corrections: Mapping[Key, Bar] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    outages: tuple[tuple[datetime, datetime, str], ...] = ()
    executions: tuple[Execution, ...] = ()
    filled: Mapping[Key, float] = field(default_factory=dict)
    failures: Mapping[Key, Failure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    other_feed: bool = False
