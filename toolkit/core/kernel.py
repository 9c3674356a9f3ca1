"""The execution rules over the bars of many symbols with shared cash, compiled.

The rules themselves are the functions of `core.execution`; here is the order in which they are
asked. One call visits every bar once. Importing this module imports numba.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.core import execution
from toolkit.core.compiled import compiled, inlined
from toolkit.core.hours import CLOSED
from toolkit.core.layout import (
    BOOKS,
    BUYING,
    FLAT,
    FLATTEN,
    HELD,
    LOT,
    NEVER,
    SELLING,
    SIGNAL,
    TRIP,
    Decisions,
    Floats,
    Market,
    Rules,
)

Record = Any  # numba sees a record of a dtype in `core.layout`

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
def _enter(
    lot: Record, books: Record, event: int, market: Market, rules: Rules, charges: Record
) -> None:
    """Fill the pending entry at the open, unless its session is over."""
    decided, open_, volume = lot.entry, market.open[event], market.volume[event]
    quantity = 0.0
    if market.session[event] == market.next_session[decided]:
        wanted = _share_of_volume(charges, lot.quantity, volume)
        bps = _slippage(charges, open_, wanted, volume, market.spread[event])
        price = _buy_price(open_, bps)
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
    lot.entry_fee += _purchase_levy(charges, books, market.day[event], quantity)
    books.cash -= lot.cost + lot.entry_fee
    lot.peak = open_
    lot.fixed_stop, lot.target, lot.arm = _levels(
        price, rules.stop_loss, lot.stop_distance, rules.take_profit, rules.trailing_activation
    )


@inlined
def _leave(
    lot: Record,
    books: Record,
    trip: Record,
    event: int,
    market: Market,
    price: float,
    reason: int,
    charges: Record,
) -> None:
    """Sell the position at `price`, from which slippage goes off where it is no resting target."""
    fee_bps = charges.fee_bps
    if reason == execution.TAKE_PROFIT:
        fee_bps = charges.target_fee_bps
    if reason != execution.TAKE_PROFIT or not charges.targets_rest:
        bps = _slippage(charges, price, lot.quantity, market.volume[event], market.spread[event])
        price = _sell_price(price, bps)
    proceeds = _micros(price * lot.quantity)
    trip.entry_fee = lot.entry_fee
    trip.exit_fee = _fee_micros(price, lot.quantity, fee_bps)
    trip.exit_fee += _sale_levy(charges, books, market.day[event], price, lot.quantity)
    trip.symbol = market.symbol[event]
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
    lot.last_exit = market.time[event]


@inlined
def _decide(
    lot: Record, books: Record, event: int, market: Market, atr: float, rules: Rules
) -> None:
    """Order an entry at this close, unless the session, the limits or the size forbid it."""
    if market.next_session[event] == CLOSED:
        return
    if lot.last_exit != NEVER and (market.time[event] - lot.last_exit) / 1e6 < rules.cooldown:
        return
    if books.slots >= rules.max_positions:
        return
    lot.quantity = _quantity_for(
        (books.start + books.realised) / 1e6,
        market.close[event],
        atr,
        rules.trade_capital_percent,
        rules.atr_sizing,
        rules.risk_percent,
        rules.atr_multiplier,
    )
    if lot.quantity > 0.0:
        lot.stop_distance = rules.atr_multiplier * atr if rules.atr_stop and atr > 0.0 else 0.0
        lot.phase = BUYING
        lot.entry = event
        books.slots += 1


@inlined
def _trade_bar(
    lot: Record,
    books: Record,
    trip: Record,
    event: int,
    market: Market,
    rules: Rules,
    charges: Record,
) -> bool:
    """Fill what is pending at the open, then watch the exits; return whether anything was held."""
    i, open_ = event, market.open[event]
    if lot.phase == BUYING:
        _enter(lot, books, i, market, rules, charges)
    if lot.phase == FLAT:
        return False
    if market.session[i] == CLOSED:
        return True
    if lot.phase == SELLING:
        _leave(lot, books, trip, i, market, open_, lot.reason, charges)
        return True
    reason, price, lot.peak = _exit_in_bar(
        open_,
        market.high[i],
        market.low[i],
        market.close[i],
        lot.peak,
        lot.fixed_stop,
        lot.target,
        lot.arm,
        rules.trailing_stop,
    )
    if reason != execution.NONE:
        _leave(lot, books, trip, i, market, price, reason, charges)
    return True


@inlined
def _run(
    market: Market,
    decisions: Decisions,
    rules: Rules,
    charges: Record,
    lots: Record,
    books: Record,
    trips: Record,
    equity: Floats,
) -> None:
    last = len(market.time) - 1
    step, exposed = 0, False
    for i in range(last + 1):
        symbol, close = market.symbol[i], market.close[i]
        lot = lots[symbol]
        if lot.phase != FLAT:
            trip = trips[books.trips]
            exposed |= _trade_bar(lot, books, trip, i, market, rules, charges[symbol])
        if lot.phase == FLAT:
            if decisions.entry[i]:
                _decide(lot, books, i, market, decisions.atr[i], rules)
        else:
            value = _micros(close * lot.quantity)
            books.value += value - lot.value
            lot.value = value
            if lot.phase == HELD and (market.leave[i] or decisions.exit[i]):
                lot.phase = SELLING
                lot.reason = FLATTEN if market.leave[i] else SIGNAL
        if i == last or market.time[i + 1] != market.time[i]:
            if len(equity):
                equity[step] = (books.cash + books.value) / 1e6
            books.exposed += exposed
            step, exposed = step + 1, False


def _fingerprint() -> int:
    """Tell one version of the execution rules from another."""
    codes = [
        getattr(execution, name).__code__
        for name in sorted(vars(execution))
        if hasattr(getattr(execution, name), "__code__")
    ]
    return zlib.crc32(repr([(c.co_name, c.co_code, c.co_consts) for c in codes]).encode())


def _compile(rules_version: int) -> Callable[..., None]:
    # numba's cache sees no change in another file, but it does see the value of a closure.
    @compiled
    def run(
        market: Market,
        decisions: Decisions,
        rules: Rules,
        charges: Record,
        lots: Record,
        books: Record,
        trips: Record,
        equity: Floats,
    ) -> None:
        if rules_version >= 0:
            _run(market, decisions, rules, charges, lots, books[0], trips, equity)

    return run


_compiled_run = _compile(_fingerprint())


class Outcome(NamedTuple):
    """The end of a run: closed trips in order, lots by symbol code (see LOT), books (see BOOKS).

    `equity` in dollars per distinct timestamp, empty unless asked for.
    """

    trips: NDArray[np.void]
    lots: NDArray[np.void]
    books: np.void
    equity: Floats


class Kernel:
    """Runs one market again and again under different decisions and rules.

    Its buffers are used again: an Outcome is valid until the next `run`. One per thread.
    """

    def __init__(
        self, market: Market, *, charges: NDArray[np.void], with_equity: bool = True
    ) -> None:
        self._market = market
        self._charges = charges
        self._trips = np.empty(len(market.time) + 1, TRIP)
        steps = 1 + int(np.count_nonzero(np.diff(market.time))) if len(market.time) else 0
        self._equity = np.empty(steps if with_equity else 0)

    def run(self, decisions: Decisions, rules: Rules, *, capital: float) -> Outcome:
        """Trade the market once with `capital` dollars."""
        lots = np.zeros(len(self._charges), LOT)
        lots["last_exit"] = NEVER
        books = np.zeros(1, BOOKS)
        books["start"] = books["cash"] = int(execution.micros(capital))
        books["day"] = -1
        _compiled_run(
            self._market, decisions, rules, self._charges, lots, books, self._trips, self._equity
        )
        return Outcome(self._trips[: books["trips"][0]], lots, books[0], self._equity)
