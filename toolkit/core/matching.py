"""The simulated exchange's book: orders in, fills at the next bar, protective exits within it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from toolkit.core import execution
from toolkit.core.costs import Charges, Costs, Owed
from toolkit.core.hours import CLOSED, AlwaysOpen, Hours, day_of
from toolkit.core.portfolio import dollars
from toolkit.core.types import (
    Bar,
    ExitPlan,
    Fill,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Position,
    Reason,
    Side,
    exact,
)
from toolkit.errors import BrokerError, OrderRejected

_REASONS = {
    execution.STOP_LOSS: Reason.STOP_LOSS,
    execution.TRAILING_STOP: Reason.TRAILING_STOP,
    execution.TAKE_PROFIT: Reason.TAKE_PROFIT,
}


@dataclass(slots=True)
class _Lot:
    """An open position at the exchange with the levels that protect it."""

    entry: Fill
    quantity: Decimal
    plan: ExitPlan
    fixed_stop: float
    target: float
    arm: float
    peak: float
    price: float
    updated_at: datetime


class MatchingBook:
    """Executes docs/execution.md for any number of symbols with one shared cash balance."""

    def __init__(self, *, cash: float, costs: Costs, hours: Hours | None = None) -> None:
        self._cash = int(execution.micros(cash))
        self._costs = costs
        self._charges: dict[str, Charges] = {}
        self._hours = hours or AlwaysOpen()
        self._owed = Owed()
        self._orders: dict[str, tuple[Order, ExitPlan | None]] = {}
        self._lots: dict[str, _Lot] = {}
        self._seen: set[str] = set()
        self._number = 0

    def submit(self, request: OrderRequest) -> Order:
        """Accept a market order for the next bar; raises OrderRejected."""
        self._check(request)
        self._seen.add(request.client_order_id)
        self._number += 1
        order = Order(
            id=f"sim-{self._number}",
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            order_type=request.order_type,
            status=OrderStatus.ACCEPTED,
            reason=request.reason,
            submitted_at=request.timestamp,
            updated_at=request.timestamp,
        )
        self._orders[order.id] = (order, request.exits)
        return order

    def _check(self, request: OrderRequest) -> None:
        held = self._lots[request.symbol].quantity if request.symbol in self._lots else Decimal(0)
        problem = ""
        if request.client_order_id in self._seen:
            problem = f"client_order_id {request.client_order_id} was used before"
        elif request.order_type is not OrderType.MARKET:
            problem = f"{request.order_type} orders are not simulated; send market orders"
        elif request.quantity <= 0:
            problem = f"quantity is {request.quantity}; it must be above 0"
        elif request.side is Side.SELL and request.quantity > held:
            problem = f"{request.quantity} to sell, but {held} held; shorts are not taken"
        elif request.side is Side.BUY and held:
            problem = f"{held} held already; a position is entered once"
        if problem:
            raise OrderRejected(
                f"{request.symbol}: {problem}", symbol=request.symbol, reason=problem
            )

    def cancel(self, order_id: str) -> Order:
        """Take back an order that has not filled; raises BrokerError where there is none."""
        if order_id not in self._orders:
            raise BrokerError(f"no open order {order_id}", order_id=order_id)
        order, _ = self._orders.pop(order_id)
        return replace(order, status=OrderStatus.CANCELED)

    def open_orders(self) -> Sequence[Order]:
        """Orders that wait for their next bar."""
        return [order for order, _ in self._orders.values()]

    def positions(self) -> Sequence[Position]:
        """Open positions, marked at their last close, with their levels."""
        return [self._position(lot) for lot in self._lots.values()]

    def on_bar(self, bar: Bar) -> list[OrderUpdate]:
        """Execute one final bar of one symbol; returns what happened, in order."""
        session = self._hours.session(bar.symbol, bar.timestamp)
        updates: list[OrderUpdate] = []
        for order, plan in [o for o in self._orders.values() if o[0].symbol == bar.symbol]:
            updates += self._open(order, plan or ExitPlan(), bar, session)
        if bar.symbol in self._lots and session != CLOSED:
            updates += self._protect(self._lots[bar.symbol], bar)
        if bar.symbol in self._lots:
            lot = self._lots[bar.symbol]
            lot.price, lot.updated_at = bar.close, bar.timestamp
        return updates

    def _open(self, order: Order, plan: ExitPlan, bar: Bar, session: int) -> list[OrderUpdate]:
        """Fill an order at the open; without a session exits wait and entries end."""
        if order.side is Side.SELL and session == CLOSED:
            return []
        del self._orders[order.id]
        if order.side is Side.BUY:
            due = self._hours.next_session(bar.symbol, order.submitted_at)
            if session == CLOSED or session != due:
                return [_ended(order, OrderStatus.EXPIRED, bar, "its session is over")]
            return self._enter(order, plan, bar)
        if bar.symbol in self._lots:
            return self._leave(order, bar, bar.open)
        message = "the position was closed before"
        return [_ended(order, OrderStatus.CANCELED, bar, message)]

    def _enter(self, order: Order, plan: ExitPlan, bar: Bar) -> list[OrderUpdate]:
        charges, wanted = self._of(bar.symbol), float(order.quantity)
        most = execution.share_of_volume(charges, wanted, bar.volume)
        price = execution.buy_price(bar.open, _slippage(charges, bar.open, most, bar))
        cash = self._cash / execution.MICRO - execution.set_aside(charges, most)
        size = execution.affordable(most, price, charges.fee_bps, cash)
        if size <= 0.0:
            poor = "not enough cash" if most > 0.0 else "not enough volume"
            return [_ended(order, OrderStatus.REJECTED, bar, poor)]
        day = day_of(bar.timestamp)
        levy = execution.purchase_levy(charges, self._owed, day, size)
        fee = int(execution.fee_micros(price, size, charges.fee_bps)) + int(levy)
        cut = "the bar's volume" if size == most else "the cash"
        filled, fill = _fill(order, bar, price, size, fee, cut)
        self._cash -= int(execution.micros(price * size)) + fee
        fixed_stop, target, arm = execution.levels(
            price,
            plan.stop_loss,
            plan.stop_distance,
            plan.take_profit,
            plan.trailing_activation,
        )
        self._lots[bar.symbol] = _Lot(
            entry=fill,
            quantity=fill.quantity,
            plan=plan,
            fixed_stop=fixed_stop,
            target=target,
            arm=arm,
            peak=bar.open,
            price=price,
            updated_at=bar.timestamp,
        )
        return [filled, fill]

    def _protect(self, lot: _Lot, bar: Bar) -> list[OrderUpdate]:
        reason, price, lot.peak = execution.exit_in_bar(
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            lot.peak,
            lot.fixed_stop,
            lot.target,
            lot.arm,
            lot.plan.trailing_stop,
        )
        if reason == execution.NONE:
            return []
        self._number += 1
        order = Order(
            id=f"sim-{self._number}",
            client_order_id=f"{lot.entry.client_order_id}-exit",
            symbol=bar.symbol,
            side=Side.SELL,
            quantity=lot.quantity,
            order_type=OrderType.LIMIT if reason == execution.TAKE_PROFIT else OrderType.STOP,
            status=OrderStatus.ACCEPTED,
            reason=_REASONS[reason],
            submitted_at=lot.entry.timestamp,
            updated_at=bar.timestamp,
        )
        return self._leave(order, bar, price)

    def _leave(self, order: Order, bar: Bar, market_price: float) -> list[OrderUpdate]:
        lot, charges, price = self._lots[bar.symbol], self._of(bar.symbol), market_price
        size = float(min(order.quantity, lot.quantity))
        target = order.order_type is OrderType.LIMIT
        if not (target and charges.targets_rest):
            price = execution.sell_price(price, _slippage(charges, price, size, bar))
        fee_bps = charges.target_fee_bps if target else charges.fee_bps
        day = day_of(bar.timestamp)
        levy = execution.sale_levy(charges, self._owed, day, price, size)
        fee = int(execution.fee_micros(price, size, fee_bps)) + int(levy)
        filled, fill = _fill(order, bar, price, size, fee, "what is held")
        self._cash += int(execution.micros(price * size)) - fee
        lot.quantity -= fill.quantity
        if not lot.quantity:
            del self._lots[bar.symbol]
        return [filled, fill]

    def _of(self, symbol: str) -> Charges:
        if symbol not in self._charges:
            self._charges[symbol] = self._costs.of(symbol)
        return self._charges[symbol]

    def _position(self, lot: _Lot) -> Position:
        stop = lot.fixed_stop
        if lot.plan.trailing_stop > 0.0 and lot.peak >= lot.arm:
            stop = max(stop, lot.peak * (1.0 - lot.plan.trailing_stop / 100.0))
        size = float(lot.quantity)
        gain = execution.micros(lot.price * size) - execution.micros(lot.entry.price * size)
        gain -= float(lot.entry.fee.scaleb(6))
        return Position(
            symbol=lot.entry.symbol,
            quantity=lot.quantity,
            entry_price=lot.entry.price,
            entry_time=lot.entry.timestamp,
            updated_at=lot.updated_at,
            price=lot.price,
            unrealised_pnl=dollars(int(gain)),
            stop=stop if math.isfinite(stop) else None,
            target=lot.target if math.isfinite(lot.target) else None,
        )


def _ended(order: Order, status: OrderStatus, bar: Bar, message: str) -> Order:
    return replace(order, status=status, updated_at=bar.timestamp, message=message)


def _slippage(charges: Charges, price: float, size: float, bar: Bar) -> float:
    spread = math.nan if bar.spread is None else bar.spread
    return execution.slippage(charges, price, size, bar.volume, spread)


def _fill(
    order: Order, bar: Bar, price: float, size: float, fee: int, cut: str
) -> tuple[Order, Fill]:
    quantity = exact(size)
    message = "" if quantity == order.quantity else f"cut to what {cut} allowed"
    filled = replace(
        _ended(order, OrderStatus.FILLED, bar, message),
        filled_quantity=quantity,
        average_price=price,
    )
    fill = Fill(
        order_id=order.id,
        client_order_id=order.client_order_id,
        symbol=bar.symbol,
        side=order.side,
        price=price,
        quantity=quantity,
        fee=dollars(fee),
        timestamp=bar.timestamp,
        reason=order.reason,
    )
    return filled, fill
