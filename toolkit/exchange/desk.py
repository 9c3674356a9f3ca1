"""What a client may ask of the book: submit, cancel, replace, close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from toolkit.core.types import Side
from toolkit.exchange import hours
from toolkit.exchange.assets import Asset
from toolkit.exchange.book import Book
from toolkit.exchange.groups import expire, resting_status
from toolkit.exchange.orders import Kind, Order, OrderClass, Status, Ticket, TimeInForce
from toolkit.exchange.refusals import Refusal, invalid, malformed, missing
from toolkit.exchange.rules import Configuration, check, check_larger
from toolkit.exchange.tickets import parse_ticket
from toolkit.exchange.values import HOUR, MINUTE, Micros, decimal_of, floor_quantity

_CLOSING_AUCTION = 10 * MINUTE
_NIGHT_ORDERS = 3 * HOUR  # after the close, orders for the next day's auctions are taken
_REPLACEABLE = frozenset({Status.NEW, Status.PARTIALLY_FILLED, Status.HELD})
_IN_FLIGHT = frozenset({Status.PENDING_CANCEL, Status.PENDING_REPLACE})


class Desk:
    """Takes requests for one account; `latency` in microseconds passes before each works.

    All methods raise Refusal for what Alpaca would refuse.
    """

    def __init__(self, book: Book, *, rules: Configuration, latency: Micros) -> None:
        self.book = book
        self.rules = rules
        self._latency = latency

    def submit(self, body: Mapping[str, Any], at: Micros) -> Order:
        """Take an order; it is pending, or accepted for the next session, when this returns."""
        book = self.book
        ticket = parse_ticket(body, new_id=book.new_id)
        if ticket.client_order_id in book.by_client:
            raise malformed("client_order_id must be unique")
        asset = book.assets.find(ticket.symbol)
        if asset is None:
            raise invalid(f'asset "{ticket.symbol}" not found')
        ticket = replace(ticket, symbol=asset.symbol)
        if ticket.order_class is OrderClass.OCO:
            ticket = replace(ticket, limit_price=ticket.take_profit)
        start, end = _life(ticket, asset, at)
        check(ticket, asset, book, self.rules, at)
        order = self._order(ticket, asset, at)
        self._add_exits(order, at)
        book.add(order)
        book.tell("pending_new", order, at)
        for leg in order.legs:
            book.add(leg)
            leg.move(Status.HELD, at)
            book.tell("held", leg, at)
        if start > at:
            order.move(Status.ACCEPTED, at)
            book.tell("accepted", order, at)
        book.timers.at(max(start, at + self._latency), lambda due: self._arrive(order, due))
        book.timers.at(end, lambda due: expire(book, order, due))
        return order

    def cancel(self, order_id: str, at: Micros) -> Order:
        """Ask for an order to be cancelled; until it is, it may still fill."""
        return self._cancel(self.book.get(order_id), at, done_at=at + self._latency)

    def cancel_all(self, at: Micros, *, at_once: bool = False) -> list[Order]:
        """Ask for all open orders to be cancelled, each group once; returns those asked for."""
        done_at = at if at_once else at + self._latency
        asked = []
        for order in self.book.open_orders():
            waits = order.parent is not None and not order.live
            if not waits and order.sibling not in asked and order.status not in _IN_FLIGHT:
                asked.append(self._cancel(order, at, done_at=done_at))
        if at_once:
            self.book.timers.run(at)
        return asked

    def replace(self, order_id: str, body: Mapping[str, Any], at: Micros) -> Order:
        """Ask for an order to be replaced; returns the new one, pending."""
        old = self.book.get(order_id)
        if old.status not in _REPLACEABLE:
            raise invalid(f"cannot replace order in {old.status} status")
        if old.ticket.notional is not None:
            raise invalid("notional orders cannot be replaced")
        ticket, total = self._changed(old, body)
        new = self._order(ticket, old.asset, at)
        new.quantity, new.replaces = total, old
        new.high_water, new.triggered = old.high_water, old.triggered
        old.move(Status.PENDING_REPLACE, at)
        self.book.know(new)
        self.book.tell("pending_replace", old, at)
        self.book.timers.at(at + self._latency, lambda due: self._swap(old, new, due))
        return new

    def close(
        self,
        name: str,
        at: Micros,
        *,
        quantity: Decimal | None = None,
        percentage: Decimal | None = None,
    ) -> Order:
        """Sell (or cover) a position at the market, all of it or a part."""
        asset = self.book.assets.find(name)
        held = self.book.account.quantity(asset.symbol) if asset else Decimal(0)
        if asset is None or not held:
            raise missing("position does not exist")
        wanted = abs(held) if quantity is None else quantity
        if percentage is not None:
            wanted = floor_quantity(abs(held) * percentage / 100)
        body = {
            "symbol": asset.symbol,
            "qty": str(wanted),
            "side": Side.SELL.value if held > 0 else Side.BUY.value,
            "type": Kind.MARKET.value,
            "time_in_force": (TimeInForce.GTC if asset.crypto else TimeInForce.DAY).value,
        }
        return self.submit(body, at)

    def _cancel(self, order: Order, at: Micros, *, done_at: Micros) -> Order:
        if not order.status.is_open or order.status is Status.PENDING_CANCEL:
            raise invalid(f'order is already in "{order.status}" state')
        if order.status is Status.PENDING_REPLACE:
            raise invalid(f'order is in "{order.status}" state and cannot be cancelled')
        order.move(Status.PENDING_CANCEL, at)
        self.book.tell("pending_cancel", order, at)

        def done(due: Micros) -> None:
            if order.status is Status.PENDING_CANCEL:
                self.book.end(order, Status.CANCELED, due)

        self.book.timers.at(done_at, done)
        return order

    def _order(self, ticket: Ticket, asset: Asset, at: Micros) -> Order:
        return Order(
            id=self.book.new_id(),
            asset=asset,
            ticket=ticket,
            created_at=at,
            updated_at=at,
            quantity=ticket.quantity,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
        )

    def _add_exits(self, order: Order, at: Micros) -> None:
        ticket = order.ticket
        if ticket.order_class is OrderClass.SIMPLE:
            return
        oco = ticket.order_class is OrderClass.OCO
        side = ticket.side if oco else (Side.SELL if ticket.side is Side.BUY else Side.BUY)
        common: dict[str, Any] = {
            "symbol": ticket.symbol,
            "side": side,
            "time_in_force": ticket.time_in_force,
            "order_class": ticket.order_class,
            "quantity": ticket.quantity,
        }
        if ticket.take_profit is not None and not oco:
            profit = Ticket(
                client_order_id=self.book.new_id(),
                kind=Kind.LIMIT,
                limit_price=ticket.take_profit,
                **common,
            )
            order.legs.append(self._order(profit, order.asset, at))
        if ticket.stop_loss is not None:
            loss = Ticket(
                client_order_id=self.book.new_id(),
                kind=Kind.STOP if ticket.stop_loss_limit is None else Kind.STOP_LIMIT,
                stop_price=ticket.stop_loss,
                limit_price=ticket.stop_loss_limit,
                **common,
            )
            order.legs.append(self._order(loss, order.asset, at))
        for leg in order.legs:
            leg.parent = order
        pair = [order, *order.legs] if oco else order.legs
        if len(pair) == 2:
            pair[0].sibling, pair[1].sibling = pair[1], pair[0]

    def _arrive(self, order: Order, at: Micros) -> None:
        if order.status not in (Status.PENDING_NEW, Status.ACCEPTED):
            return
        if order.ticket.order_class is OrderClass.OCO:
            for leg in order.legs:
                leg.live = leg.status.is_open
        self.book.work(order, at)

    def _changed(self, old: Order, body: Mapping[str, Any]) -> tuple[Ticket, Decimal]:
        """Return the changed ticket and the total quantity; refuses what cannot be changed."""
        changes: dict[str, Any] = {}
        try:
            for name in ("limit_price", "stop_price"):
                if body.get(name) is not None:
                    changes[name] = decimal_of(body[name])
                    old.asset.check_price(name, changes[name])
            trail = None if body.get("trail") is None else decimal_of(body["trail"])
            total = old.quantity if body.get("qty") is None else decimal_of(body["qty"])
            if body.get("time_in_force") is not None:
                changes["time_in_force"] = TimeInForce(body["time_in_force"])
        except ValueError as error:
            raise malformed(str(error)) from None
        assert total is not None
        for name in ("limit_price", "stop_price"):
            if name in changes and getattr(old, name) is None:
                raise invalid(f"{old.kind} orders must not have {name}")
        if trail is not None:
            by_price = old.ticket.trail_price is not None
            changes["trail_price" if by_price else "trail_percent"] = trail
        same = total == old.quantity and all(
            getattr(old, name, getattr(old.ticket, name, None)) == value
            for name, value in changes.items()
        )
        if same or not (changes or body.get("qty")):
            raise invalid("order parameters are not changed")
        if total <= old.filled:
            raise invalid("qty must be > filled_qty")
        if old.asset.crypto is False and total != old.quantity and total % 1:
            raise invalid("qty must be integer")
        if total != old.quantity:
            check_larger(old, total, self.book)
        changes["client_order_id"] = self._free_id(body)
        prices = {"limit_price": old.limit_price, "stop_price": old.stop_price}
        return replace(old.ticket, **{**prices, **changes}, quantity=total), total

    def _free_id(self, body: Mapping[str, Any]) -> str:
        name = str(body.get("client_order_id") or self.book.new_id())
        if name in self.book.by_client:
            raise malformed("client_order_id must be unique")
        return name

    def _swap(self, old: Order, new: Order, at: Micros) -> None:
        """Put the new order in the old one's place, unless that filled or ended meanwhile."""
        assert new.quantity is not None
        rest = new.quantity - old.filled
        if old.status is not Status.PENDING_REPLACE or rest <= 0:
            new.move(Status.REJECTED, at)
            self.book.tell("order_replace_rejected", new, at)
            self.book.tell("rejected", new, at)
            if old.status is Status.PENDING_REPLACE:
                back = Status.PARTIALLY_FILLED if old.filled else resting_status(old)
                old.move(back, at)
            return
        new.quantity = rest
        new.live, new.parent, new.sibling, new.legs = old.live, old.parent, old.sibling, old.legs
        _relink(old, new)
        old.live, old.replaced_by = False, new
        old.move(Status.REPLACED, at)
        self.book.forget(old)
        self.book.add(new)
        self.book.tell("replaced", old, at)
        if resting_status(new) is Status.HELD:
            new.move(Status.HELD, at)
            self.book.tell("held", new, at)
        else:
            self.book.work(new, at)
        _, end = _life(new.ticket, new.asset, at)
        self.book.timers.at(end, lambda due: expire(self.book, new, due))


def _relink(old: Order, new: Order) -> None:
    if new.sibling is not None:
        new.sibling.sibling = new
    if new.parent is not None:
        new.parent.legs = [new if leg is old else leg for leg in new.parent.legs]
    for leg in new.legs:
        leg.parent = new


def _life(ticket: Ticket, asset: Asset, at: Micros) -> tuple[Micros, Micros]:
    """Return from when an order works and when it expires; refuses what no auction takes."""
    good, time_in_force = at + hours.GOOD_TILL_CANCELED, ticket.time_in_force
    if asset.crypto:
        return at, good
    if time_in_force in (TimeInForce.OPG, TimeInForce.CLS):
        return _auction(time_in_force, at)
    day = hours.next_hours(at, extended=ticket.extended_hours)
    opens, closes = (day.early, day.late) if ticket.extended_hours else (day.open, day.close)
    return max(at, opens), good if time_in_force is TimeInForce.GTC else closes


def _auction(time_in_force: TimeInForce, at: Micros) -> tuple[Micros, Micros]:
    day = hours.next_hours(at, extended=True)
    opening = time_in_force is TimeInForce.OPG
    deadline = day.open - hours.OPENING_AUCTION if opening else day.close - _CLOSING_AUCTION
    if at >= deadline:
        if at < day.close + _NIGHT_ORDERS:
            raise Refusal(403, 40310000, f"{time_in_force} orders cannot be submitted at this time")
        day = hours.next_hours(day.late)
    if opening:
        return day.open, day.open + MINUTE
    return day.close - 1, day.close
