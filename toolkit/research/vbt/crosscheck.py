"""The same run once more through vectorbt's simulator, compared trade by trade.

vectorbt keeps cash, positions and fees and fills the orders; the event loop here is written for
it alone. Common to both are the leaf functions of `core.execution` and the decisions. vectorbt
does not round money to micro-dollars, so quantities and profits agree within that rounding.
Importing this module imports vectorbt, which compiles its simulator in every process (10 s).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import Direction, TradeStatus
from vectorbt.portfolio.nb import order_nb, order_nothing_nb

from toolkit.core import execution
from toolkit.core.compiled import inlined
from toolkit.core.hours import CLOSED
from toolkit.core.layout import BOOKS, BUYING, FLAT, HELD, LOT, NEVER, SELLING, Rules
from toolkit.research.backtest import BacktestRun
from toolkit.research.vbt.agreement import CrossCheck, compare
from toolkit.research.vbt.portfolio import closes, rows

OPEN, INSIDE, CLOSE = 0, 1, 2

_buy_price = inlined(execution.buy_price)
_sell_price = inlined(execution.sell_price)
_affordable = inlined(execution.affordable)
_quantity_for = inlined(execution.quantity_for)
_slippage = inlined(execution.slippage)
_share_of_volume = inlined(execution.share_of_volume)
_set_aside = inlined(execution.set_aside)
_purchase_levy = inlined(execution.purchase_levy)
_sale_levy = inlined(execution.sale_levy)
_levels = inlined(execution.levels)
_exit_in_bar = inlined(execution.exit_in_bar)
_order = order_nb
_nothing = order_nothing_nb
LONG_ONLY = Direction.LongOnly


def crosscheck(run: BacktestRun) -> CrossCheck:
    """Run the signals of `run` through vectorbt and compare every round trip."""
    tape = run.tape
    return compare(run, _records(run), closes(tape).index, rows(tape))


def _records(run: BacktestRun) -> pd.DataFrame:
    tape, close = run.tape, closes(run.tape)
    events = np.full(close.shape, -1, np.int64)
    events[rows(tape), tape.market.symbol] = np.arange(len(tape.market.time))
    lots = np.zeros(len(tape.symbols), LOT)
    lots["last_exit"] = NEVER
    owed = np.zeros(1, BOOKS)
    owed["day"] = -1
    portfolio = vbt.Portfolio.from_order_func(
        close,
        _next_order,
        events,
        tape.market,
        run.decisions,
        Rules.of(run.parameters.risk),
        tape.charges(run.costs),
        owed,
        lots,
        np.zeros(2, np.int64),
        flexible=True,
        init_cash=run.capital,
        cash_sharing=True,
        group_by=True,
        max_orders=2 * len(tape.market.time) + 2,
    )
    trades = portfolio.exit_trades.records
    return cast(pd.DataFrame, trades[trades["status"] == TradeStatus.Closed])


@inlined
def _next_order(
    context: Any,
    events: Any,
    market: Any,
    decisions: Any,
    rules: Any,
    charges: Any,
    owed: Any,
    lots: Any,
    at: Any,
) -> Any:
    """Go on through the row, symbol by symbol, to the next order; `at` is (column, stage)."""
    if context.call_idx == 0:
        at[0], at[1] = context.from_col, OPEN
    cash = context.last_cash[context.group]
    while at[0] < context.to_col:
        column, stage = at[0], at[1]
        i, lot = events[context.i, column], lots[column]
        at[1] += 1
        if i < 0 or stage == CLOSE:
            if i >= 0:
                _decide(lots, lot, i, market, decisions, rules, cash)
            at[0], at[1] = column + 1, OPEN
            continue
        size, price, bps, levy = 0.0, 0.0, 0.0, 0.0
        if stage == OPEN:
            size, price, bps, levy = _at_open(lot, i, market, rules, charges[column], owed[0], cash)
        elif lot.phase == HELD and market.session[i] != CLOSED:
            size, price, bps, levy = _inside(lot, i, market, rules, charges[column], owed[0])
        if size != 0.0:
            return column, _order(
                size=size,
                price=price,
                fees=bps / 10000.0,
                fixed_fees=levy,
                direction=LONG_ONLY,
            )
    return -1, _nothing()


@inlined
def _at_open(
    lot: Any, i: int, market: Any, rules: Any, charges: Any, owed: Any, cash: float
) -> Any:
    """Return (size, price, fee in basis points, fee in dollars) of the order at the open."""
    open_, volume = market.open[i], market.volume[i]
    if lot.phase == SELLING and market.session[i] != CLOSED:
        return _sale(lot, i, market, open_, False, charges, owed)
    if lot.phase != BUYING:
        return 0.0, 0.0, 0.0, 0.0
    lot.phase = FLAT
    if market.session[i] != market.next_session[lot.entry]:
        return 0.0, 0.0, 0.0, 0.0
    wanted = _share_of_volume(charges, lot.quantity, volume)
    bps = _slippage(charges, open_, wanted, volume, market.spread[i])
    price = _buy_price(open_, bps)
    size = _affordable(wanted, price, charges.fee_bps, cash - _set_aside(charges, wanted))
    if size <= 0.0:
        return 0.0, 0.0, 0.0, 0.0
    levy = _purchase_levy(charges, owed, market.day[i], size) / 1e6
    lot.phase, lot.quantity, lot.peak = HELD, size, open_
    # Here: what the position ties up.
    lot.entry_price = size * price * (1.0 + charges.fee_bps / 10000.0) + levy
    lot.fixed_stop, lot.target, lot.arm = _levels(
        price, rules.stop_loss, lot.stop_distance, rules.take_profit, rules.trailing_activation
    )
    return size, price, charges.fee_bps, levy


@inlined
def _inside(lot: Any, i: int, market: Any, rules: Any, charges: Any, owed: Any) -> Any:
    reason, price, lot.peak = _exit_in_bar(
        market.open[i],
        market.high[i],
        market.low[i],
        market.close[i],
        lot.peak,
        lot.fixed_stop,
        lot.target,
        lot.arm,
        rules.trailing_stop,
    )
    if reason == execution.NONE:
        return 0.0, 0.0, 0.0, 0.0
    return _sale(lot, i, market, price, reason == execution.TAKE_PROFIT, charges, owed)


@inlined
def _sale(
    lot: Any, i: int, market: Any, price: float, target: bool, charges: Any, owed: Any
) -> Any:
    bps = charges.target_fee_bps if target else charges.fee_bps
    if not (target and charges.targets_rest):
        slip = _slippage(charges, price, lot.quantity, market.volume[i], market.spread[i])
        price = _sell_price(price, slip)
    levy = _sale_levy(charges, owed, market.day[i], price, lot.quantity) / 1e6
    lot.phase, lot.last_exit = FLAT, market.time[i]
    return -lot.quantity, price, bps, levy


@inlined
def _decide(
    lots: Any, lot: Any, i: int, market: Any, decisions: Any, rules: Any, cash: float
) -> None:
    if lot.phase == HELD and (decisions.exit[i] or market.leave[i]):
        lot.phase = SELLING
    if lot.phase != FLAT or not decisions.entry[i] or market.next_session[i] == CLOSED:
        return
    if lot.last_exit != NEVER and (market.time[i] - lot.last_exit) / 1e6 < rules.cooldown:
        return
    capital, slots = cash, 0
    for other in lots:
        if other.phase != FLAT:
            slots += 1
        if other.phase in (HELD, SELLING):
            capital += other.entry_price
    if slots >= rules.max_positions:
        return
    atr = decisions.atr[i]
    lot.quantity = _quantity_for(
        capital,
        market.close[i],
        atr,
        rules.trade_capital_percent,
        rules.atr_sizing,
        rules.risk_percent,
        rules.atr_multiplier,
    )
    lot.stop_distance = rules.atr_multiplier * atr if rules.atr_stop and atr > 0.0 else 0.0
    lot.phase, lot.entry = (BUYING if lot.quantity > 0.0 else FLAT), i
