"""The same run once more through vectorbt's simulator, compared trade by trade.

vectorbt keeps cash, positions and fees and fills the orders; the event loop here is written for
it alone. Common to both are the leaf functions of `core.execution` and the decisions. vectorbt
does not round money to micro-dollars, so quantities and profits agree within that rounding.
Importing this module imports vectorbt, which compiles its simulator in every process (10 s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import Direction, TradeStatus
from vectorbt.portfolio.nb import order_nb, order_nothing_nb

from toolkit.core import execution
from toolkit.core.compiled import inlined
from toolkit.core.layout import BUYING, FLAT, HELD, LOT, NEVER, SELLING, Rules
from toolkit.research.backtest import BacktestRun
from toolkit.research.vbt.portfolio import closes, rows

PRICE_TOLERANCE = 1e-9  # relative
QUANTITY_TOLERANCE = 1e-6  # relative; the rounding of money in the capital that sizes it
MONEY_TOLERANCE = 1e-4  # dollars
OPEN, INSIDE, CLOSE = 0, 1, 2

_buy_price = inlined(execution.buy_price)
_sell_price = inlined(execution.sell_price)
_affordable = inlined(execution.affordable)
_quantity_for = inlined(execution.quantity_for)
_levels = inlined(execution.levels)
_exit_in_bar = inlined(execution.exit_in_bar)
_order = order_nb
_nothing = order_nothing_nb
LONG_ONLY = Direction.LongOnly


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """Result of the comparison; `differences` are plain sentences, at most 20 of them."""

    trades: int
    differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether vectorbt made the same trades."""
        return not self.differences


def crosscheck(run: BacktestRun) -> CrossCheck:
    """Run the parameters of `run` through vectorbt and compare every round trip."""
    theirs = _records(run)
    ours = _trips(run)
    return CrossCheck(trades=len(ours), differences=tuple(_differences(ours, theirs)[:20]))


def _records(run: BacktestRun) -> pd.DataFrame:
    tape, close = run.tape, closes(run.tape)
    events = np.full(close.shape, -1, np.int64)
    events[rows(tape), tape.market.symbol] = np.arange(len(tape.market.time))
    lots = np.zeros(len(tape.symbols), LOT)
    lots["last_exit"] = NEVER
    portfolio = vbt.Portfolio.from_order_func(
        close,
        _next_order,
        events,
        tape.market,
        run.decisions,
        Rules.of(run.parameters.risk, slippage_bps=run.costs.slippage_bps),
        tape.fee_bps(run.costs),
        lots,
        np.zeros(2, np.int64),
        flexible=True,
        init_cash=run.capital,
        cash_sharing=True,
        group_by=True,
        max_orders=2 * len(tape.market.time) + 2,
    )
    trades = portfolio.exit_trades.records
    closed: pd.DataFrame = trades[trades["status"] == TradeStatus.Closed]
    return closed.sort_values(["col", "entry_idx"]).reset_index(drop=True)


def _trips(run: BacktestRun) -> pd.DataFrame:
    trips, row = run.outcome.trips, rows(run.tape)
    frame = pd.DataFrame(
        {
            "col": trips["symbol"],
            "entry_idx": row[trips["entry"]],
            "exit_idx": row[trips["exit"]],
            "entry_price": trips["entry_price"],
            "exit_price": trips["exit_price"],
            "size": trips["quantity"],
            "pnl": trips["profit"] / 1e6,
        }
    )
    return frame.sort_values(["col", "entry_idx"]).reset_index(drop=True)


def _differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    if len(ours) != len(theirs):
        return [f"{len(ours)} round trips here, {len(theirs)} in vectorbt"]
    found: list[str] = []
    for name, relative, absolute in (
        ("col", 0.0, 0.0),
        ("entry_idx", 0.0, 0.0),
        ("exit_idx", 0.0, 0.0),
        ("entry_price", PRICE_TOLERANCE, 0.0),
        ("exit_price", PRICE_TOLERANCE, 0.0),
        ("size", QUANTITY_TOLERANCE, 2e-9),
        ("pnl", 0.0, MONEY_TOLERANCE),
    ):
        a, b = ours[name].to_numpy(), theirs[name].to_numpy()
        wrong = np.flatnonzero(~np.isclose(a, b, rtol=relative, atol=absolute))
        found += [f"round trip {at}: {name} is {a[at]} here, {b[at]} in vectorbt" for at in wrong]
    return found


@inlined
def _next_order(
    context: Any,
    events: Any,
    market: Any,
    decisions: Any,
    rules: Any,
    fee_bps: Any,
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
        size, price = 0.0, 0.0
        if stage == OPEN:
            size, price = _at_open(lot, i, market, rules, fee_bps[column], cash)
        elif lot.phase == HELD:
            size, price = _inside(lot, i, market, rules)
        if size != 0.0:
            return column, _order(
                size=size,
                price=price,
                fees=fee_bps[column] / 10000.0,
                direction=LONG_ONLY,
            )
    return -1, _nothing()


@inlined
def _at_open(lot: Any, i: int, market: Any, rules: Any, fee: float, cash: float) -> Any:
    open_ = market.open[i]
    if lot.phase == SELLING:
        lot.phase, lot.last_exit = FLAT, market.time[i]
        return -lot.quantity, _sell_price(open_, rules.slippage_bps)
    if lot.phase != BUYING:
        return 0.0, 0.0
    price = _buy_price(open_, rules.slippage_bps)
    size = _affordable(lot.quantity, price, fee, cash)
    lot.phase = HELD if size > 0.0 else FLAT
    lot.quantity, lot.peak = size, open_
    lot.entry_price = size * price * (1.0 + fee / 10000.0)  # here: what the position ties up
    lot.fixed_stop, lot.target, lot.arm = _levels(
        price, rules.stop_loss, lot.stop_distance, rules.take_profit, rules.trailing_activation
    )
    return size, price


@inlined
def _inside(lot: Any, i: int, market: Any, rules: Any) -> Any:
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
        return 0.0, 0.0
    if reason != execution.TAKE_PROFIT:
        price = _sell_price(price, rules.slippage_bps)
    lot.phase, lot.last_exit = FLAT, market.time[i]
    return -lot.quantity, price


@inlined
def _decide(
    lots: Any, lot: Any, i: int, market: Any, decisions: Any, rules: Any, cash: float
) -> None:
    if lot.phase == HELD and decisions.exit[i]:
        lot.phase = SELLING
    if lot.phase != FLAT or not decisions.entry[i]:
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
    lot.phase = BUYING if lot.quantity > 0.0 else FLAT
