"""The nouns of the trade. All timestamps are UTC-aware; a bar is named by its opening time.

Prices are float64, as markets print them; quantities and money are Decimal, as brokers book
them. A Decimal made with `exact` goes to float and back without losing a bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


def exact(value: float) -> Decimal:
    """Return the shortest Decimal that reads back as the same float64."""
    return Decimal(repr(float(value)))


def is_crypto(symbol: str) -> bool:
    """Tell crypto pairs (`BTC/USD`, always open) from stocks (`AAPL`, sessions)."""
    return "/" in symbol


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    OPG = "opg"
    CLS = "cls"


class OrderClass(StrEnum):
    SIMPLE = "simple"
    BRACKET = "bracket"
    OCO = "oco"
    OTO = "oto"


class OrderStatus(StrEnum):
    """`pending`: written down, no answer yet; `unknown`: it left, and its outcome is not known."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        """Whether fills may still come."""
        return self in _OPEN


_OPEN = frozenset(
    {
        OrderStatus.PENDING,
        OrderStatus.UNKNOWN,
        OrderStatus.ACCEPTED,
        OrderStatus.PARTIALLY_FILLED,
    }
)


class SignalKind(StrEnum):
    LONG = "LONG"
    FLAT = "FLAT"


class Reason(StrEnum):
    """Why an order was sent or a position closed."""

    ENTRY = "entry"
    SIGNAL = "signal"
    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"
    TAKE_PROFIT = "take_profit"
    FLATTEN = "flatten"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One candle; `timestamp` is its open, `final` is False while it is forming.

    `feed` says who printed it (`iex`, `sip`, `crypto`, `simulated`; empty: not known),
    `adjustment` what was done to its prices, `revision` how often it was corrected since it was
    first final. `spread` is the mean of ask minus bid of its quotes, None where it had none.
    """

    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    final: bool = True
    feed: str = ""
    adjustment: str = "raw"
    revision: int = 0
    spread: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Best bid and ask; sizes in units of the asset."""

    symbol: str
    timestamp: datetime
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0

    @property
    def mid(self) -> float:
        """Half-way between bid and ask."""
        return (self.bid + self.ask) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A market print."""

    symbol: str
    timestamp: datetime
    price: float
    size: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketGap:
    """Bars that are missing: none came between `after` and `before` (both bar opens)."""

    symbol: str
    after: datetime
    before: datetime
    missing: int


MarketEvent = Bar | Quote | Trade | MarketGap


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicators:
    """Values at one bar's close; NaN while warming up. All but `ema` and `atr` are 0 to 100."""

    rsi: float
    stoch_rsi_k: float
    stoch_rsi_d: float
    stoch_k: float
    stoch_d: float
    ema: float
    atr: float
    lower_band: float
    upper_band: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the strategy says at one final bar: the values, and what they mean."""

    bar: Bar
    indicators: Indicators
    entry: bool
    exit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A decision at a bar's close. `refusal` says why it was not acted on; empty if it was."""

    symbol: str
    timestamp: datetime
    kind: SignalKind
    price: float
    reason: str
    refusal: str
    indicators: Indicators
    feed: str = ""
    adjustment: str = "raw"
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPlan:
    """Protective exits of one position. Percent of the entry price; 0 switches one off.

    `stop_distance` is an absolute price distance (ATR stops) and replaces `stop_loss` when > 0.
    """

    stop_loss: float = 0.0
    take_profit: float = 0.0
    trailing_stop: float = 0.0
    trailing_activation: float = 0.0
    stop_distance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What we ask of a broker. `exits` are kept from the moment the entry fills.

    `notional` (dollars) replaces a `quantity` of 0. `time_in_force` None leaves it to the broker.
    `take_profit_price` and `stop_loss_price` are the legs of BRACKET, OCO and OTO orders;
    `trail_percent` or `trail_price` belong to trailing stops.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    reason: Reason
    timestamp: datetime
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    exits: ExitPlan | None = None
    notional: Decimal | None = None
    time_in_force: TimeInForce | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    take_profit_price: Decimal | None = None
    stop_loss_price: Decimal | None = None
    stop_loss_limit_price: Decimal | None = None
    trail_percent: Decimal | None = None
    trail_price: Decimal | None = None
    extended_hours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as the broker knows it. `message` says why it was refused or cut."""

    id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    status: OrderStatus
    reason: Reason
    submitted_at: datetime
    updated_at: datetime
    filled_quantity: Decimal = ZERO
    average_price: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Part or all of an order, executed. `fee` in account currency."""

    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    price: float
    quantity: Decimal
    fee: Decimal
    timestamp: datetime
    reason: Reason


OrderUpdate = Order | Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Holdings of one symbol; a quantity of 0 says that it was closed.

    `unrealised_pnl` counts the fee paid at the entry, so that equity = start capital + realised +
    unrealised.
    `updated_at` is the time of the bar whose close is `price`; `stop` and `target` are the
    price levels now in force, None where there is none.
    """

    symbol: str
    quantity: Decimal
    entry_price: float
    entry_time: datetime
    updated_at: datetime
    price: float
    unrealised_pnl: Decimal
    stop: float | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Money of the bot: `equity` marks open positions at the last price."""

    timestamp: datetime
    cash: Decimal
    equity: Decimal
    realised_pnl: Decimal
    open_positions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """One position from entry to exit. `pnl` is after fees; `return_percent` is of its cost."""

    symbol: str
    entry_time: datetime
    entry_price: float
    exit_time: datetime
    exit_price: float
    quantity: Decimal
    pnl: Decimal
    return_percent: float
    fees: Decimal
    exit_reason: Reason
