"""What orders cost and what the account can spend."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from toolkit.core.types import ZERO, Side
from toolkit.exchange.account import SESSIONS_OF_DAY_TRADES
from toolkit.exchange.book import Book
from toolkit.exchange.hours import day_of, days_between
from toolkit.exchange.orders import Order, Ticket
from toolkit.exchange.values import Micros, cents

SHORT_MARGIN = Decimal("1.03")  # a short sale is charged at 3 % above its price


def is_exit(ticket: Ticket, book: Book) -> bool:
    """Whether the order reduces a position."""
    held = book.account.quantity(ticket.symbol)
    return held != 0 and (held > 0) == (ticket.side is Side.SELL)


def estimate(ticket: Ticket, book: Book) -> Decimal | None:
    """Return the price that an order is charged at before it fills; None without a market."""
    room = book.room(ticket.symbol)
    if ticket.limit_price is not None:
        return ticket.limit_price
    if ticket.stop_price is not None:
        return ticket.stop_price
    return None if room is None else room.ask


def buying_power(book: Book, *, marginable: bool = True) -> Decimal:
    """Return what can be spent: margin for stocks, cash for crypto, less open entries."""
    account = book.account
    power = account.spare(book.prices()) if marginable else account.cash
    reserved = sum((_reserved(order, book) for order in book.open_orders()), ZERO)
    return max(cents(power - reserved), ZERO)


def day_trade_count(book: Book, at: Micros) -> int:
    """Count the day trades of the last five sessions, today included."""
    today = day_of(at)
    days = days_between(today - timedelta(days=SESSIONS_OF_DAY_TRADES * 3), today)
    return book.account.day_trades_since([hours.day for hours in days[-SESSIONS_OF_DAY_TRADES:]])


def cost_of(ticket: Ticket, price: Decimal | None) -> Decimal | None:
    """Return the dollars that an order is about; None without a price."""
    if ticket.notional is not None:
        return ticket.notional
    return None if price is None or ticket.quantity is None else ticket.quantity * price


def _reserved(order: Order, book: Book) -> Decimal:
    """Return what an open entry may still cost."""
    if order.parent is not None or is_exit(order.ticket, book):
        return ZERO
    if order.quantity is None:
        return order.ticket.notional or ZERO
    price = order.limit_price or order.stop_price
    if price is None:
        room = book.room(order.symbol)
        price = ZERO if room is None else room.ask
    margin = SHORT_MARGIN if order.side is Side.SELL else Decimal(1)
    return order.remaining * price * margin
