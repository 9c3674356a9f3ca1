"""Bookings without an order of ours: dust, other fees, sales by hand, claimed holdings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from toolkit.alpaca.port import BrokerFill, BrokerPosition, Ticket
from toolkit.broker.books import Books
from toolkit.broker.fees import Settlement, settle
from toolkit.broker.lots import Lot
from toolkit.broker.records import Booking, Intent, Role, key_of
from toolkit.core import execution
from toolkit.core.portfolio import dollars
from toolkit.core.types import (
    ZERO,
    ExitPlan,
    Fill,
    OrderType,
    Reason,
    Side,
    TimeInForce,
    exact,
)


def write_off(books: Books, lot: Lot) -> None:
    """Close a position of which only dust is left: its worth leaves as a fee, no cash moves.

    At the broker the dust stays; from now on it is not ours.
    """
    quantity, price = lot.quantity, lot.price or lot.entry_price
    booking = _moved(books, lot, Side.SELL, quantity, price=price, fee=_worth(price, quantity))
    books.take([booking])
    data = {"symbol": lot.symbol, "quantity": quantity, "why": "less than can be sold"}
    books.journal.note("dust", who="broker", data=data)
    not_ours(books, lot.symbol, quantity, why="dust")


def correct_fee(books: Books, lot: Lot, difference: Decimal) -> None:
    """Book coins that the broker has more (or fewer) than we reckoned: its fee was another."""
    price = lot.entry_price
    fee = _worth(price, abs(difference))
    booking = _moved(
        books, lot, Side.BUY, difference, price=price, fee=-fee if difference > 0 else fee
    )
    books.take([booking])
    data = {"symbol": lot.symbol, "difference": difference}
    books.journal.note("fee_corrected", who="broker", data=data)


def sold_by_hand(books: Books, lot: Lot, fill: BrokerFill, quantity: Decimal) -> None:
    """Book a sale that somebody else made of what is ours."""
    deal = replace(fill, quantity=quantity)
    settlement = settle(fill.symbol, Side.SELL, quantity=quantity, price=fill.price)
    told = Fill(
        order_id=fill.order_id,
        client_order_id=fill.order_id,
        symbol=lot.symbol,
        side=Side.SELL,
        price=float(fill.price),
        quantity=quantity,
        fee=settlement.fee,
        timestamp=fill.timestamp,
        reason=Reason.MANUAL,
    )
    key = key_of(fill.id)
    books.take([Booking(key=key, fill=told, execution=deal, settlement=settlement)])


def claim(
    books: Books, position: BrokerPosition, quantity: Decimal, *, exits: ExitPlan, at: datetime
) -> None:
    """Take holdings over as if we had bought them at their average price, without a fee."""
    symbol = position.symbol
    stem = f"{books.prefix}claim-{symbol.replace('/', '')}-"
    name = f"{stem}{books.orders.next_number(stem)}"
    ticket = Ticket(
        client_order_id=name,
        symbol=symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        quantity=quantity,
    )
    intent = Intent(
        ticket=ticket,
        reason=Reason.MANUAL,
        role=Role.ENTRY,
        made_at=at,
        exits=exits,
        adopted=True,
    )
    books.intend(intent, kept=True)
    price = position.average_price
    fill = _fill(symbol, Side.BUY, quantity, name=name, price=float(price), fee=ZERO, at=at)
    booking = Booking(
        key=name,
        fill=fill,
        execution=BrokerFill(
            id=name,
            order_id=name,
            symbol=symbol,
            side=Side.BUY,
            price=price,
            quantity=quantity,
            timestamp=at,
        ),
        settlement=Settlement(received=quantity, fee_quantity=ZERO, fee=ZERO, cash=ZERO),
        role=Role.ENTRY,
    )
    books.take(books.orders.claimed(booking))
    data = {"symbol": symbol, "quantity": quantity, "price": price}
    books.journal.note("claimed", who="broker", data=data)


def not_ours(books: Books, symbol: str, change: Decimal, *, why: str, key: str = "") -> None:
    """Write down that what others hold in a symbol has changed."""
    books.foreign[symbol] = books.foreign.get(symbol, ZERO) + change
    if key:
        books.foreign_seen.add(key)
    data = {"symbol": symbol, "quantity": books.foreign[symbol], "why": why, "key": key}
    books.journal.note("foreign", who="broker", data=data)


def _moved(
    books: Books, lot: Lot, side: Side, quantity: Decimal, *, price: float, fee: Decimal
) -> Booking:
    """Return a booking of units that moves no cash and is no trade."""
    name = f"{lot.entry_id}-c{books.next_correction(lot.entry_id)}"
    at = lot.updated_at or lot.opened_at
    fill = _fill(lot.symbol, side, quantity, name=name, price=price, fee=fee, at=at)
    fill = replace(fill, reason=lot.wish or fill.reason)
    return Booking(
        key=name,
        fill=fill,
        execution=BrokerFill(
            id=name,
            order_id="",
            symbol=lot.symbol,
            side=side,
            price=exact(price),
            quantity=ZERO,
            timestamp=at,
        ),
        settlement=Settlement(received=quantity, fee_quantity=ZERO, fee=fee, cash=ZERO),
    )


def _fill(
    symbol: str, side: Side, quantity: Decimal, *, name: str, price: float, fee: Decimal,
    at: datetime,
) -> Fill:  # fmt: skip
    return Fill(
        order_id=name,
        client_order_id=name,
        symbol=symbol,
        side=side,
        price=price,
        quantity=quantity,
        fee=fee,
        timestamp=at,
        reason=Reason.MANUAL,
    )


def _worth(price: float, quantity: Decimal) -> Decimal:
    return dollars(int(execution.micros(price * float(quantity))))
