"""What became of a session's orders: executions, shares filled, entries that bought nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from toolkit.broker.orders import LOST
from toolkit.core.types import Order, OrderRequest, OrderStatus, OrderUpdate, Reason, Side
from toolkit.research.parity.session import Cause, Execution, Failure
from toolkit.research.parity.trades import Key

_CLEARS_ENTRIES = frozenset({"flatten", "stop", "halt"})


@dataclass(slots=True)
class _Asked:
    request: OrderRequest
    cleared_by: str = ""
    last: Order | None = None
    ended_at: int = 0
    failure: Failure | None = None


@dataclass(slots=True)
class OrderFacts:
    """Takes requests and what was heard of them, in order; `position` as in `Execution`."""

    executions: list[Execution] = field(default_factory=list)
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _delays: dict[str, float] = field(default_factory=dict)
    _leaving: dict[str, tuple[Reason, float, bool]] = field(default_factory=dict)
    _seen: set[tuple[str, datetime, float, str]] = field(default_factory=set)

    def request(self, request: OrderRequest, *, delay: float | None, by_hand: bool = False) -> None:
        """An order was asked for, `delay` seconds after its bar had closed; or by a person."""
        self._asked[request.client_order_id] = _Asked(request)
        if request.side is Side.SELL:
            self._leaving[request.symbol] = (request.reason, delay or 0.0, by_hand)
        self._delays[request.client_order_id] = delay or 0.0

    def update(self, update: OrderUpdate, *, position: int) -> None:
        """The broker reported; a fill that was told before counts once."""
        asked = self._asked.get(update.client_order_id)
        if isinstance(update, Order):
            if asked is not None:
                asked.last, asked.ended_at = update, position
            return
        key = (update.order_id, update.timestamp, update.price, str(update.quantity))
        if key in self._seen:
            return
        self._seen.add(key)
        decided = asked.request.timestamp if asked is not None else None
        delay, manual = self._delays.get(update.client_order_id, 0.0), False
        if update.side is Side.SELL and update.symbol in self._leaving:
            # The broker's own order does it, under another name.
            reason, late, by_hand = self._leaving[update.symbol]
            if reason is update.reason:
                delay, manual = late, by_hand
        manual |= update.reason is Reason.MANUAL
        self.executions.append(
            Execution(fill=update, decided=decided, position=position, delay=delay, by_hand=manual)
        )

    def refused(self, name: str, *, code: str, reason: str, position: int) -> None:
        """The answer to a request was an error."""
        asked = self._asked.get(name)
        if asked is None or code == "unknown_order_state":
            return  # what became of it is told later
        cause = Cause.GATE_CLOSED if code == "order_rejected" else Cause.OUTAGE
        asked.failure = Failure(position=position, cause=cause, reason=reason)

    def command(self, name: str, who: str) -> None:
        """Somebody gave a command; some of them take entries back."""
        if name in _CLEARS_ENTRIES:
            for asked in self._asked.values():
                if asked.last is None or asked.last.status.is_open:
                    asked.cleared_by = f"{name} by {who}"

    def shares(self) -> Mapping[Key, float]:
        """What share of each entry was filled, where some of it was."""
        found = {}
        for key, asked in self._entries():
            wanted = asked.request.quantity
            if asked.last is not None and asked.last.filled_quantity and wanted:
                found[key] = min(float(asked.last.filled_quantity / wanted), 1.0)
        return found

    def failures(self, *, end: int) -> Mapping[Key, Failure]:
        """Entries that bought nothing; `end` is the number of bars of the session."""
        filled = {e.fill.client_order_id for e in self.executions}
        return {
            key: failure
            for key, asked in self._entries()
            if asked.request.client_order_id not in filled
            and (failure := _failure(asked, end=end)) is not None
        }

    def _entries(self) -> list[tuple[Key, _Asked]]:
        return [
            ((asked.request.symbol, asked.request.timestamp), asked)
            for asked in self._asked.values()
            if asked.request.side is Side.BUY
        ]


def _failure(asked: _Asked, *, end: int) -> Failure | None:
    last = asked.last
    if asked.failure is not None:
        return asked.failure
    if last is None or last.status in (OrderStatus.PENDING, OrderStatus.UNKNOWN):
        return Failure(position=end + 1, cause=Cause.OUTAGE, reason="its outcome was never known")
    if last.status.is_open:
        reason = "nothing of it was filled by the end"
        return Failure(position=end + 1, cause=Cause.PARTIAL_FILL, reason=reason)
    cause, reason = Cause.PARTIAL_FILL, f"nothing of it was filled: {last.status.value}"
    if asked.cleared_by:
        cause, reason = Cause.MANUAL_ORDER, f"taken back: {asked.cleared_by}"
    elif any(words in last.message for words in LOST):
        cause, reason = Cause.OUTAGE, last.message
    elif last.status is OrderStatus.REJECTED:
        cause, reason = Cause.GATE_CLOSED, f"refused: {last.message or 'no reason given'}"
    return Failure(position=asked.ended_at, cause=cause, reason=reason)
