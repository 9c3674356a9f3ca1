"""The one place that turns errors of requests, alpaca-py and Alpaca into ours.

Each error's `data` has `reason` (a word of Reason), and where known `status` (HTTP), `number`
(Alpaca's code), `retry_after` (seconds) and the facts that Alpaca gave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from toolkit.alpaca.sdk import APIError, requests, urllib3
from toolkit.errors import (
    BrokerError,
    DataError,
    FeedRefused,
    NotConnected,
    OrderRejected,
    ToolkitError,
    UnknownOrderState,
)


class Reason(StrEnum):
    """Why Alpaca did not do what was asked."""

    KEYS = "keys"
    NETWORK = "network"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER = "server"
    UNREADABLE = "unreadable"
    RESTING = "resting"  # our circuit breaker is open
    CLOSED = "closed"  # we are closed
    MARKET_CLOSED = "market_closed"
    BUYING_POWER = "buying_power"
    QUANTITY = "quantity"
    NOT_TRADABLE = "not_tradable"
    NOT_FRACTIONABLE = "not_fractionable"
    UNKNOWN_SYMBOL = "unknown_symbol"
    DAY_TRADE = "day_trade"
    WASH_TRADE = "wash_trade"
    DUPLICATE = "duplicate"
    SUBSCRIPTION = "subscription"
    RECENT_SIP = "recent_sip"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # the order is in no state for this
    REJECTED = "rejected"


TRANSIENT = frozenset(
    {Reason.NETWORK, Reason.TIMEOUT, Reason.RATE_LIMITED, Reason.SERVER, Reason.UNREADABLE}
)
IN_TROUBLE = TRANSIENT - {Reason.RATE_LIMITED}

ADVICE: Mapping[Reason, str] = {
    Reason.KEYS: "check APCA_API_KEY_ID and APCA_API_SECRET_KEY; paper and live have different "
    "keys, and new ones replace the old",
    Reason.MARKET_CLOSED: "wait for the next open, or send a limit order for extended hours",
    Reason.BUYING_POWER: "send a smaller order, or sell something first",
    Reason.QUANTITY: "open orders hold the rest: cancel them first, or sell less",
    Reason.NOT_TRADABLE: "choose another symbol; positions in it are closed at Alpaca's desk",
    Reason.NOT_FRACTIONABLE: "send a whole number of shares",
    Reason.UNKNOWN_SYMBOL: "check the spelling; crypto is written BTC/USD",
    Reason.DAY_TRADE: "pattern day trading is refused below 25,000 dollars of equity: wait for "
    "the next session, or trade less often",
    Reason.WASH_TRADE: "cancel the order on the other side first, or use a bracket",
    Reason.DUPLICATE: "this client_order_id was sent before: look the order up by it",
    Reason.SUBSCRIPTION: "this data plan does not have that feed: use feed iex, or upgrade",
    Reason.RECENT_SIP: "the basic plan shows SIP data only when it is 15 minutes old: use feed "
    "iex, end earlier, or upgrade the data plan",
    Reason.RATE_LIMITED: "it is tried again when Alpaca allows; ask less often",
    Reason.NOT_FOUND: "Alpaca does not know it",
}

# Words of Alpaca's messages, most particular first. Its numbers are shared by many reasons.
_WORDS: tuple[tuple[str, Reason], ...] = (
    ("client_order_id must be unique", Reason.DUPLICATE),
    ("pattern day trad", Reason.DAY_TRADE),
    ("insufficient buying power", Reason.BUYING_POWER),
    ("insufficient day trading buying power", Reason.BUYING_POWER),
    ("insufficient balance for usd ", Reason.BUYING_POWER),
    ("insufficient qty", Reason.QUANTITY),
    ("insufficient balance", Reason.QUANTITY),
    ("fractionable", Reason.NOT_FRACTIONABLE),
    ("not tradable", Reason.NOT_TRADABLE),
    ("is not active", Reason.NOT_TRADABLE),
    ("wash trade", Reason.WASH_TRADE),
    ("recent sip data", Reason.RECENT_SIP),
    ("subscription does not permit", Reason.SUBSCRIPTION),
    ("market is closed", Reason.MARKET_CLOSED),
    ("market hours", Reason.MARKET_CLOSED),
    ("cannot be submitted at this time", Reason.MARKET_CLOSED),
    ("could not find asset", Reason.UNKNOWN_SYMBOL),
    ("asset not found", Reason.UNKNOWN_SYMBOL),
    ("invalid symbol", Reason.UNKNOWN_SYMBOL),
)
_DAY_TRADE_NUMBER = 40310100
_MISSING = (" not found", "not found for")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong; `sent` is False where it is certain that Alpaca did not get the request."""

    reason: Reason
    message: str
    sent: bool = True
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What an error of ours carries."""
        return {**self.data, "reason": self.reason.value}


def broker_error(error: Exception, *, what: str, change: bool) -> BrokerError:
    """Return our error for a request to the trading API; `change`: it may have done something."""
    trouble = read_trouble(error)
    text = _sentence(what, trouble)
    if trouble.reason is Reason.RATE_LIMITED or not trouble.sent:
        return NotConnected(text, **trouble.facts)
    if trouble.reason in TRANSIENT:
        if change:
            return UnknownOrderState(f"{text}; whether it was done is not known", **trouble.facts)
        return NotConnected(text, **trouble.facts)
    if change:
        duplicate = {"duplicate": True} if trouble.reason is Reason.DUPLICATE else {}
        return OrderRejected(text, **trouble.facts, **duplicate)
    return BrokerError(text, **trouble.facts)


def data_error(error: Exception, *, what: str, change: bool = False) -> DataError:
    """Return our error for a request to the data API."""
    trouble = read_trouble(error)
    refused = trouble.reason in (Reason.KEYS, Reason.SUBSCRIPTION)
    kind = FeedRefused if refused else DataError
    return kind(_sentence(what, trouble), **trouble.facts)


def is_transient(error: BaseException) -> bool:
    """Whether the same question may be answered a little later."""
    return isinstance(error, ToolkitError) and error.data.get("reason") in TRANSIENT


def read_trouble(error: Exception) -> Trouble:
    """Say what an error of the SDK means."""
    if isinstance(error, APIError):
        return _answered(error)
    if isinstance(error, requests.JSONDecodeError):
        return Trouble(reason=Reason.UNREADABLE, message="the answer cannot be read")
    if isinstance(error, TimeoutError | requests.Timeout):
        sent = not isinstance(error, requests.ConnectTimeout)
        return Trouble(reason=Reason.TIMEOUT, message="no answer in time", sent=sent)
    if isinstance(error, requests.RequestException):
        sent = not _never_sent(error)
        cause = "no connection" if not sent else "the connection broke"
        return Trouble(
            reason=Reason.NETWORK,
            message=f"{cause} ({_cause(error)}); check the network and status.alpaca.markets",
            sent=sent,
        )
    return Trouble(reason=Reason.UNREADABLE, message=f"the answer cannot be read ({error!r:.200})")


def _answered(error: APIError) -> Trouble:
    """Read an answer of HTTP 400 and above; its body may be anything."""
    response = error.response
    status = 0 if response is None else int(response.status_code)
    body = _body(str(error))
    message = str(body.pop("message", "") or "")
    number = body.pop("code", None)
    facts: dict[str, Any] = {"status": status, **body}
    if isinstance(number, int):
        facts["number"] = number
    if status == 429:
        facts["retry_after"] = None if response is None else _retry_after(response.headers)
        return Trouble(reason=Reason.RATE_LIMITED, message="too many requests", data=facts)
    if status >= 500 or status in (0, 408):
        words = f"Alpaca is in trouble (HTTP {status})"
        reason = Reason.TIMEOUT if status in (408, 504) else Reason.SERVER
        return Trouble(reason=reason, message=words, data=facts)
    reason = _reason(status, number, message)
    if reason is Reason.KEYS:
        message = f"Alpaca refused the keys (HTTP {status})"
    return Trouble(reason=reason, message=message or f"HTTP {status}", data=facts)


def _reason(status: int, number: Any, message: str) -> Reason:
    words = message.lower()
    if number == _DAY_TRADE_NUMBER:
        return Reason.DAY_TRADE
    for part, reason in _WORDS:
        if part in words:
            return reason
    if words.startswith("asset ") and "not found" in words:
        return Reason.UNKNOWN_SYMBOL
    if status == 401 or (status == 403 and words in ("forbidden.", "forbidden", "")):
        return Reason.KEYS
    if status == 404:
        return Reason.NOT_FOUND
    if "order is" in words or "cannot replace order" in words:
        return Reason.CONFLICT
    return Reason.REJECTED


def _sentence(what: str, trouble: Trouble) -> str:
    numbers = ", ".join(
        f"{name} {trouble.data[name]}"
        for name in ("cost_basis", "buying_power", "available", "held_for_orders")
        if name in trouble.data
    )
    details = f" ({numbers})" if numbers else ""
    advice = ADVICE.get(trouble.reason, "")
    return f"{what}: {trouble.message.rstrip('.')}{details}" + (f"; {advice}" if advice else "")


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait: `Retry-After`, else until the quota changes by their clock."""
    try:
        if "Retry-After" in headers:
            return max(0.0, float(headers["Retry-After"]))
        theirs = parsedate_to_datetime(headers["Date"]).timestamp()
        return max(0.0, float(headers["X-RateLimit-Reset"]) - theirs)
    except (KeyError, ValueError):
        return None


def _never_sent(error: requests.RequestException) -> bool:
    """Whether it is certain that no connection was made (so nothing was sent over it)."""
    if isinstance(error, requests.exceptions.ProxyError | requests.exceptions.InvalidURL):
        return True
    if not isinstance(error, requests.ConnectionError) or not error.args:
        return False
    cause = getattr(error.args[0], "reason", error.args[0])
    refused = isinstance(
        cause,
        urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError,
    )
    return refused or "certificate verify failed" in str(cause).lower()


def _cause(error: requests.RequestException) -> str:
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", None) or inner
    return type(reason).__name__ if isinstance(reason, Exception) else type(error).__name__
