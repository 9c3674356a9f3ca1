"""What the exchange says no with: HTTP status, Alpaca's number, message and further fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.exchange.values import text

MALFORMED, INVALID, FORBIDDEN, MISSING = 40010001, 42210000, 40310000, 40410000
DAY_TRADE, UNAUTHORIZED, TOO_MANY = 40310100, 40110000, 42910000


class Refusal(ToolkitError):
    """A request that Alpaca would refuse; `status` is the HTTP status, `number` the code."""

    code = "refusal"

    def __init__(self, status: int, number: int | None, message: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.status = status
        self.number = number

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        number = {} if self.number is None else {"code": self.number}
        return {**self.data, **number, "message": self.message}


def malformed(message: str) -> Refusal:
    """The request cannot be read."""
    return Refusal(422, MALFORMED, message)


def invalid(message: str, **facts: Any) -> Refusal:
    """The request can be read, and breaks a rule of orders."""
    return Refusal(422, INVALID, message, **facts)


def forbidden(message: str, **facts: Any) -> Refusal:
    """The account may not do this now."""
    return Refusal(403, FORBIDDEN, message, **facts)


def missing(message: str) -> Refusal:
    """There is no such order, position or asset."""
    return Refusal(404, MISSING, message)


def day_trade() -> Refusal:
    """Pattern day trading protection."""
    return Refusal(403, DAY_TRADE, "trade denied due to pattern day trading protection")


def poor(*, buying_power: Decimal, cost: Decimal) -> Refusal:
    """The account cannot pay for it."""
    return forbidden(
        "insufficient buying power", buying_power=text(buying_power), cost_basis=text(cost)
    )


def wash(order_id: str, *, kind: str) -> Refusal:
    """The order could trade with one of the account's own."""
    return forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=order_id,
        reject_reason=f"opposite side {kind} order exists",
    )


def short_of(
    symbol: str, *, asked: Decimal, existing: Decimal, held: Decimal, orders: list[str]
) -> Refusal:
    """More is asked for than is held and not promised to open orders."""
    available = max(existing - held, Decimal(0))
    return forbidden(
        f"insufficient qty available for order "
        f"(requested: {text(asked)}, available: {text(available)})",
        available=text(available),
        existing_qty=text(existing),
        held_for_orders=text(held),
        related_orders=orders,
        symbol=symbol,
    )


def short_of_coins(coin: str, *, asked: Decimal, balance: Decimal, held: Decimal) -> Refusal:
    """More crypto or dollars are asked for than the account has to spare."""
    available = max(balance - held, Decimal(0))
    return forbidden(
        f"insufficient balance for {coin} (requested: {text(asked)}, available: {text(available)})",
        available=text(available),
        balance=text(balance),
        symbol=coin,
    )
