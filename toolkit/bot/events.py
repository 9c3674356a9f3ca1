"""What the bot tells the world, besides the nouns of `core.types`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from toolkit.core.gates import GateReason
from toolkit.core.limits import LimitsStatus
from toolkit.core.parameters import Value
from toolkit.core.types import (
    Account,
    Bar,
    Evaluation,
    Fill,
    Indicators,
    MarketGap,
    Order,
    Position,
    Quote,
    RoundTrip,
    Signal,
    Trade,
)
from toolkit.market.port import FeedHealth


class BotState(StrEnum):
    """`paused` takes no new entries, exits go on; `finished` means that the data ended."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """State of the bot and its feed; `reason` says why it takes no entries.

    `gates` are all that are closed, gravest first; those of single symbols do not pause the bot.
    `limits` is None where there are none.
    """

    timestamp: datetime
    state: BotState
    reason: str
    market: str
    broker: str
    symbols: tuple[str, ...]
    market_time: datetime | None
    bars: int
    gates: tuple[GateReason, ...] = ()
    feed: FeedHealth = field(default_factory=FeedHealth)
    limits: LimitsStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BarCorrection:
    """A bar that was final before and came again: `decided` tells whether it was acted on.

    The strategy does not see it; `indicators` are those of the first version, None where unknown.
    """

    bar: Bar
    decided: bool
    indicators: Indicators | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Running totals; money after fees, drawdown in percent of the equity peak."""

    timestamp: datetime
    trades: int
    wins: int
    win_rate_percent: float
    realised_pnl: float
    max_drawdown_percent: float
    bars: int
    bars_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ParametersChanged:
    """A confirmed change: who, when, and each value before and after; all values now in force."""

    timestamp: datetime
    who: str
    old: Mapping[str, Value]
    new: Mapping[str, Value]
    parameters: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something went wrong and the bot went on; `code` as in `toolkit.errors`."""

    timestamp: datetime
    code: str
    message: str
    symbol: str | None = None


Event = (
    Bar
    | Quote
    | Trade
    | MarketGap
    | BarCorrection
    | Evaluation
    | Signal
    | Order
    | Fill
    | RoundTrip
    | Position
    | Account
    | ParametersChanged
    | Performance
    | Health
    | Problem
)

Publish = Callable[[Event], None]
