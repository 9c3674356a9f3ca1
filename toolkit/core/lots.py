"""What happens to one symbol in one bar, compiled: docs/execution.md in its order.

The rules themselves are the functions of `core.execution`. A lot is a record of LOT, the books one
of BOOKS, a trip one of TRIP, `charges` one of CHARGES, `rules` one of RULES.
"""

from __future__ import annotations

import math
from typing import Any

from toolkit.core import execution, tally
from toolkit.core.compiled import inlined
from toolkit.core.hours import CLOSED
from toolkit.core.layout import BUYING, FLAT, HELD, NEVER, Course

Record = Any  # numba sees a record of a dtype

_micros = inlined(execution.micros)
_fee_micros = inlined(execution.fee_micros)
_slippage = inlined(execution.slippage)
_share_of_volume = inlined(execution.share_of_volume)
_set_aside = inlined(execution.set_aside)
_purchase_levy = inlined(execution.purchase_levy)
_sale_levy = inlined(execution.sale_levy)
_buy_price = inlined(execution.buy_price)
_sell_price = inlined(execution.sell_price)
_affordable = inlined(execution.affordable)
_quantity_for = inlined(execution.quantity_for)
_levels = inlined(execution.levels)
_exit_in_bar = inlined(execution.exit_in_bar)


@inlined
def _depth(event: int, course: Course, charges: Record) -> tuple[float, float]:
    """Return volume and spread of a bar where they are asked for; 0 and NaN where not."""
    volume, spread = 0.0, math.nan
    if charges.impact_bps > 0.0 or charges.max_volume_percent > 0.0:
        volume = course.volume[event]
    if charges.quoted_spread:
        spread = course.spread[event]
    return volume, spread


@inlined
def enter(
    lot: Record,
    books: Record,
    event: int,
    bar: Record,
    course: Course,
    rules: Record,
    charges: Record,
) -> None:
    """Fill the pending entry at the open, unless its session is over."""
    quantity, price = 0.0, bar.open
    if bar.session == lot.session:
        volume, spread = _depth(event, course, charges)
        wanted = _share_of_volume(charges, lot.quantity, volume)
        price = _buy_price(price, _slippage(charges, price, wanted, volume, spread))
        cash = books.cash / 1e6 - _set_aside(charges, wanted)
        quantity = _affordable(wanted, price, charges.fee_bps, cash)
    if quantity <= 0.0:
        lot.phase = FLAT
        books.slots -= 1
        return
    lot.phase = HELD
    lot.quantity = quantity
    lot.entry = event
    lot.entry_price = price
    lot.cost = _micros(price * quantity)
    lot.entry_fee = _fee_micros(price, quantity, charges.fee_bps)
    lot.entry_fee += _purchase_levy(charges, books, bar.day, quantity)
    books.cash -= lot.cost + lot.entry_fee
    lot.peak = bar.open
    lot.fixed_stop, lot.target, lot.arm = _levels(
        price, rules.stop_loss, lot.stop_distance, rules.take_profit, rules.trailing_activation
    )


@inlined
def leave(
    lot: Record,
    books: Record,
    trip: Record,
    event: int,
    bar: Record,
    course: Course,
    price: float,
    reason: int,
    charges: Record,
) -> None:
    """Sell the position at `price`, from which slippage goes off where it is no resting target."""
    fee_bps = charges.fee_bps
    if reason == execution.TAKE_PROFIT:
        fee_bps = charges.target_fee_bps
    if reason != execution.TAKE_PROFIT or not charges.targets_rest:
        volume, spread = _depth(event, course, charges)
        price = _sell_price(price, _slippage(charges, price, lot.quantity, volume, spread))
    proceeds = _micros(price * lot.quantity)
    trip.entry_fee = lot.entry_fee
    trip.exit_fee = _fee_micros(price, lot.quantity, fee_bps)
    trip.exit_fee += _sale_levy(charges, books, bar.day, price, lot.quantity)
    trip.symbol = bar.symbol
    trip.entry, trip.exit = lot.entry, event
    trip.entry_price, trip.exit_price = lot.entry_price, price
    trip.quantity = lot.quantity
    trip.cost = lot.cost
    trip.profit = proceeds - lot.cost - trip.entry_fee - trip.exit_fee
    trip.reason = reason
    books.realised += trip.profit
    books.cash += proceeds - trip.exit_fee
    books.value -= lot.value
    books.slots -= 1
    books.trips += 1
    lot.phase = FLAT
    lot.value = 0
    lot.last_exit = bar.time


@inlined
def decide(
    lot: Record, books: Record, bar: Record, close: float, atr: float, rules: Record
) -> None:
    """Order an entry at this close, unless the session, the limits or the size forbid it."""
    if bar.next_session == CLOSED:
        return
    if lot.last_exit != NEVER and (bar.time - lot.last_exit) / 1e6 < rules.cooldown:
        return
    if books.slots >= rules.max_positions:
        return
    lot.quantity = _quantity_for(
        (books.start + books.realised) / 1e6,
        close,
        atr,
        rules.trade_capital_percent,
        rules.atr_sizing,
        rules.risk_percent,
        rules.atr_multiplier,
    )
    if lot.quantity > 0.0:
        lot.stop_distance = rules.atr_multiplier * atr if rules.atr_stop and atr > 0.0 else 0.0
        lot.phase = BUYING
        lot.session = bar.next_session
        books.slots += 1


@inlined
def trade_bar(
    lot: Record,
    books: Record,
    sums: Record,
    trips: Record,
    event: int,
    bar: Record,
    course: Course,
    rules: Record,
    charges: Record,
) -> None:
    """Fill what is pending at the open, then watch the exits; `sums` is a record of TALLY."""
    if lot.phase == BUYING:
        enter(lot, books, event, bar, course, rules, charges)
    if lot.phase == FLAT:
        return
    sums.held = 1
    if bar.session == CLOSED:
        return
    price, reason = bar.open, lot.reason
    if lot.phase == HELD:
        reason, price, lot.peak = _exit_in_bar(
            price,
            course.high[event],
            course.low[event],
            course.close[event],
            lot.peak,
            lot.fixed_stop,
            lot.target,
            lot.arm,
            rules.trailing_stop,
        )
    if reason != execution.NONE:
        trip = trips[min(books.trips, len(trips) - 1)]
        leave(lot, books, trip, event, bar, course, price, reason, charges)
        tally.count(sums, trip)
