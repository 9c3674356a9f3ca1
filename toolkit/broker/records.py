"""What the journal keeps: intents, bookings, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from toolkit.alpaca.port import BrokerFill, Ticket
from toolkit.broker.fees import Settlement
from toolkit.core.types import ExitPlan, Fill, OrderRequest, Reason


class Role(StrEnum):
    """What an order of ours is for."""

    ENTRY = "entry"
    EXIT = "exit"  # sells at the market what is held
    NET = "net"  # the protective stop that rests at the broker
    OTHER = "other"  # sent by a person, or a leg of such an order


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An order as it is meant, before it is sent; its client order id is the ticket's.

    `request` is the engine's, where it asked. `replaces` is the broker's id of the order whose
    place this one takes. `exits` are kept from the entry's first fill on.
    """

    ticket: Ticket
    reason: Reason
    role: Role
    made_at: datetime
    request: OrderRequest | None = None
    exits: ExitPlan | None = None
    replaces: str | None = None
    adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """An execution as booked: `fill.quantity` is what arrived, after fees in kind."""

    key: str
    fill: Fill
    execution: BrokerFill
    settlement: Settlement
    role: Role = Role.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Anything else that happened; `data` are plain JSON values."""

    kind: str
    who: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Counts of a journal; `cash` in dollars is what all executions moved."""

    intents: int
    fills: int
    fees: int
    cash: Decimal


def key_of(execution_id: str) -> str:
    """Return the part that the stream and the account's activities share."""
    return execution_id.rpartition("::")[2]
