"""What Alpaca refuses, and with which words: rules of assets, classes, funds and protections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from toolkit.core.types import ZERO, Side
from toolkit.exchange.assets import Asset
from toolkit.exchange.book import Book, promised
from toolkit.exchange.funds import (
    SHORT_MARGIN,
    buying_power,
    cost_of,
    day_trade_count,
    estimate,
    is_exit,
)
from toolkit.exchange.hours import is_regular
from toolkit.exchange.orders import Kind, Order, OrderClass, Ticket, TimeInForce
from toolkit.exchange.refusals import (
    day_trade,
    forbidden,
    invalid,
    poor,
    short_of,
    short_of_coins,
    wash,
)
from toolkit.exchange.values import FINEST, Micros, cents, is_whole, text

SMALLEST_COST = Decimal(1)
PATTERN_DAY_TRADER_EQUITY = Decimal(25_000)
FREE_DAY_TRADES = 3
_CENT = Decimal("0.01")
_CRYPTO_KINDS = frozenset({Kind.MARKET, Kind.LIMIT, Kind.STOP_LIMIT})
_CRYPTO_TIMES = frozenset({TimeInForce.GTC, TimeInForce.IOC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What /v2/account/configurations says; `pdt_check` is both, entry or exit."""

    no_shorting: bool = False
    fractional_trading: bool = True
    suspend_trade: bool = False
    pdt_check: str = "both"
    dtbp_check: str = "entry"
    trade_confirm_email: str = "all"
    max_margin_multiplier: str = "4"
    ptp_no_exception_entry: bool = False


def check(ticket: Ticket, asset: Asset, book: Book, rules: Configuration, at: Micros) -> None:
    """Refuse what Alpaca would refuse; what passes can be booked."""
    if rules.suspend_trade:
        raise forbidden("new orders are rejected by user request")
    if not asset.tradable:
        raise invalid(f'asset "{asset.symbol}" is not tradable')
    if asset.crypto:
        _check_crypto(ticket)
    _check_fraction(ticket, asset, rules)
    _check_grid(ticket, asset)
    _check_exits(ticket, book)
    _check_wash(ticket, asset, book)
    _check_cost(ticket, asset, book)
    if is_exit(ticket, book):
        _check_quantity(ticket, asset, book)
    else:
        _check_entry(ticket, asset, book, rules)
    _check_day_trades(ticket, asset, book, rules, at)


def check_larger(old: Order, total: Decimal, book: Book) -> None:
    """Refuse a replacement that asks for more than position or funds allow."""
    if old.sibling is not None or (old.parent is not None and not old.live):
        raise invalid(f"qty of an exit of {old.ticket.order_class} orders cannot be changed")
    more = replace(old.ticket, quantity=total - (old.quantity or ZERO))
    if old.parent is not None or is_exit(more, book):
        _check_quantity(more, old.asset, book)
        return
    cost = cost_of(more, old.limit_price or estimate(more, book))
    power = buying_power(book, marginable=not old.asset.crypto)
    if cost is not None and cost > power:
        raise poor(buying_power=power, cost=cost)


def _check_crypto(ticket: Ticket) -> None:
    if ticket.order_class is not OrderClass.SIMPLE:
        raise invalid("crypto orders not allowed for advanced order_class: otoco")
    if ticket.kind not in _CRYPTO_KINDS:
        raise invalid("invalid order type for crypto order")
    if ticket.time_in_force not in _CRYPTO_TIMES:
        raise invalid("invalid crypto time_in_force")
    if ticket.extended_hours:
        raise invalid("extended hours is not supported for crypto orders")


def _check_fraction(ticket: Ticket, asset: Asset, rules: Configuration) -> None:
    quantity, notional = ticket.quantity, ticket.notional
    if quantity is not None and quantity % FINEST:
        raise invalid("qty can have at most 9 decimals")
    if notional is not None and notional % _CENT:
        raise invalid("notional value must be limited to 2 decimal places")
    if asset.crypto or (quantity is not None and is_whole(quantity)):
        return
    if not asset.fractionable:
        raise forbidden(f'asset "{asset.symbol}" is not fractionable')
    if not rules.fractional_trading:
        raise forbidden("fractional trading is disabled for this account")
    if ticket.order_class is not OrderClass.SIMPLE:
        raise invalid("fractional orders must be simple orders")
    if ticket.time_in_force is not TimeInForce.DAY:
        raise invalid("fractional orders must be DAY orders")
    if ticket.kind is Kind.TRAILING_STOP:
        raise invalid("fractional orders cannot be trailing stop orders")


def _check_grid(ticket: Ticket, asset: Asset) -> None:
    for name, price in (
        ("limit_price", ticket.limit_price),
        ("stop_price", ticket.stop_price),
        ("take_profit.limit_price", ticket.take_profit),
        ("stop_loss.stop_price", ticket.stop_loss),
        ("stop_loss.limit_price", ticket.stop_loss_limit),
    ):
        if price is not None:
            asset.check_price(name, price)


def _check_exits(ticket: Ticket, book: Book) -> None:
    if ticket.order_class is OrderClass.SIMPLE:
        return
    leaving = is_exit(ticket, book)
    if ticket.order_class is OrderClass.OCO and not leaving:
        raise invalid("oco orders must be exit orders")
    if ticket.order_class is not OrderClass.OCO and leaving:
        raise invalid(f"{ticket.order_class} orders must be entry orders")
    long = (ticket.side is Side.BUY) != leaving
    profit, loss = ticket.take_profit, ticket.stop_loss
    if profit is not None and loss is not None and (profit > loss) != long:
        sign = ">" if long else "<"
        raise invalid(f"take_profit.limit_price must be {sign} stop_loss.stop_price")
    base = _base_price(ticket, book, leaving=leaving)
    if base is not None:
        _check_distance(base, profit, loss, long=long)


def _base_price(ticket: Ticket, book: Book, *, leaving: bool) -> Decimal | None:
    room = book.room(ticket.symbol)
    if not leaving and ticket.limit_price is not None:
        return ticket.limit_price
    return None if room is None else room.price


def _check_distance(
    base: Decimal, profit: Decimal | None, loss: Decimal | None, *, long: bool
) -> None:
    """Exits are at least a cent from the base price, each on its side of it."""
    for name, price, above in (
        ("take_profit.limit_price", profit, long),
        ("stop_loss.stop_price", loss, not long),
    ):
        if price is None or (price >= base + _CENT if above else price <= base - _CENT):
            continue
        bound = ">= base_price + 0.01" if above else "<= base_price - 0.01"
        raise invalid(f"{name} must be {bound}", base_price=text(base))


def _check_wash(ticket: Ticket, asset: Asset, book: Book) -> None:
    if ticket.order_class is not OrderClass.SIMPLE or ticket.kind is Kind.TRAILING_STOP:
        return
    for other in book.open_orders(asset.symbol):
        grouped = other.parent or other.ticket.order_class is not OrderClass.SIMPLE
        if other.side is ticket.side or grouped or other.kind is Kind.TRAILING_STOP:
            continue
        mine, theirs = ticket.limit_price, other.limit_price
        if mine is not None and theirs is not None:
            buy, sell = (mine, theirs) if ticket.side is Side.BUY else (theirs, mine)
            if buy < sell:
                continue
        raise wash(other.id, kind="limit" if other.kind is Kind.LIMIT else "market/stop")


def _check_cost(ticket: Ticket, asset: Asset, book: Book) -> None:
    cost = cost_of(ticket, estimate(ticket, book))
    fraction = ticket.notional is not None or not is_whole(ticket.quantity or ZERO)
    if cost is None and ticket.notional is None and ticket.kind is Kind.MARKET:
        return
    if (asset.crypto or fraction) and cost is not None and cost < SMALLEST_COST:
        if asset.crypto and is_exit(ticket, book):
            return
        raise forbidden(
            f"cost basis must be >= minimal amount of order {text(SMALLEST_COST)}",
            cost_basis=text(cost),
        )


def _check_quantity(ticket: Ticket, asset: Asset, book: Book) -> None:
    held = book.account.quantity(asset.symbol)
    same_way = [o for o in book.open_orders(asset.symbol) if o.side is ticket.side]
    taken, orders = promised(same_way)
    asked = ticket.quantity
    if asked is None:
        room = book.room(asset.symbol)
        assert ticket.notional is not None
        asked = ZERO if room is None else ticket.notional / room.price_for(ticket.side)
    if asked <= abs(held) - taken:
        return
    if asset.crypto:
        raise short_of_coins(asset.coin, asked=asked, balance=held, held=taken)
    raise short_of(asset.symbol, asked=asked, existing=abs(held), held=taken, orders=orders)


def _check_entry(ticket: Ticket, asset: Asset, book: Book, rules: Configuration) -> None:
    flat = not book.account.quantity(asset.symbol)
    for other in book.open_orders(asset.symbol):
        if flat and other.side is not ticket.side and other.parent is None:
            mine, theirs = ("short sell", "long buy")
            if ticket.side is Side.BUY:
                mine, theirs = theirs, mine
            raise forbidden(f"cannot open a {mine} while a {theirs} order is open")
    cost = cost_of(ticket, estimate(ticket, book))
    if ticket.side is Side.SELL:
        _check_short(ticket, asset, book, rules)
        cost = None if cost is None else cost * SHORT_MARGIN
    power = buying_power(book, marginable=not asset.crypto)
    if cost is None:
        raise forbidden(f'no market for asset "{asset.symbol}" yet')
    if cost <= power:
        return
    if asset.crypto:
        raise short_of_coins("USD", asked=cents(cost), balance=power, held=ZERO)
    raise poor(buying_power=power, cost=cost)


def _check_short(ticket: Ticket, asset: Asset, book: Book, rules: Configuration) -> None:
    asked = ticket.quantity or ZERO
    if asset.crypto:
        raise short_of_coins(asset.coin, asked=asked, balance=ZERO, held=ZERO)
    if ticket.notional is not None or not is_whole(asked):
        raise invalid("fractional orders cannot be sold short")
    if not asset.shortable:
        raise invalid(f'asset "{asset.symbol}" cannot be sold short')
    if rules.no_shorting or book.account.multiplier == 1:
        raise forbidden("account is not allowed to short")


def _check_day_trades(
    ticket: Ticket, asset: Asset, book: Book, rules: Configuration, at: Micros
) -> None:
    account = book.account
    free = asset.crypto or account.multiplier == 1 or not is_regular(at)
    if free or account.last_equity >= PATTERN_DAY_TRADER_EQUITY:
        return
    if day_trade_count(book, at) < FREE_DAY_TRADES:
        return
    if is_exit(ticket, book):
        wrong = rules.pdt_check in ("both", "exit") and account.closes_today(asset.symbol, at)
    else:
        complete = ticket.order_class is not OrderClass.SIMPLE
        wrong = rules.pdt_check in ("both", "entry") and complete
    if wrong:
        raise day_trade()
