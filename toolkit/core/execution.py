"""The execution rules as leaf functions of floats: docs/execution.md in code, once.

Plain Python that numba compiles as it stands: the simulated exchange calls these functions, the
kernel compiles them. They call nothing but `math`, so that one definition serves both.
"""

from __future__ import annotations

import math

NONE, STOP_LOSS, TRAILING_STOP, TAKE_PROFIT = 0, 1, 2, 3
MICRO = 1e6


def micros(amount: float) -> float:
    """Return dollars as whole micro-dollars."""
    return math.floor(amount * 1e6 + 0.5)


def fee_micros(price: float, quantity: float, fee_bps: float) -> float:
    """Return the fee of a fill in whole micro-dollars."""
    return math.floor(price * quantity * fee_bps / 10000.0 * 1e6 + 0.5)


def buy_price(price: float, slippage_bps: float) -> float:
    """Return what a market order to buy pays."""
    return price * (1.0 + slippage_bps / 10000.0)


def sell_price(price: float, slippage_bps: float) -> float:
    """Return what a market or stop order to sell receives."""
    return price * (1.0 - slippage_bps / 10000.0)


def affordable(quantity: float, price: float, fee_bps: float, cash: float) -> float:
    """Return `quantity`, or what `cash` dollars buy with the fee where that is less."""
    cost = math.floor(price * quantity * 1e6 + 0.5)
    fee = math.floor(price * quantity * fee_bps / 10000.0 * 1e6 + 0.5)
    if cost + fee <= math.floor(cash * 1e6 + 0.5):
        return quantity
    return max(cash / (price * (1.0 + fee_bps / 10000.0)) * 1e9 // 1.0 / 1e9, 0.0)


def quantity_for(
    capital: float,
    close: float,
    atr: float,
    trade_capital_percent: float,
    atr_sizing: bool,
    risk_percent: float,
    atr_multiplier: float,
) -> float:
    """Return the size of an entry decided at `close`, in units cut to nine decimals."""
    quantity = capital * trade_capital_percent / 100.0 / close
    if atr_sizing and atr > 0.0:
        quantity = min(quantity, capital * risk_percent / 100.0 / (atr_multiplier * atr))
    return max(quantity * 1e9 // 1.0 / 1e9, 0.0)


def levels(
    entry_price: float,
    stop_loss: float,
    stop_distance: float,
    take_profit: float,
    trailing_activation: float,
) -> tuple[float, float, float]:
    """Return the prices of (fixed stop, target, arming of the trail); -inf or inf for none."""
    fixed_stop = -math.inf
    if stop_distance > 0.0:
        fixed_stop = entry_price - stop_distance
    elif stop_loss > 0.0:
        fixed_stop = entry_price * (1.0 - stop_loss / 100.0)
    target = math.inf
    if take_profit > 0.0:
        target = entry_price * (1.0 + take_profit / 100.0)
    return fixed_stop, target, entry_price * (1.0 + trailing_activation / 100.0)


def exit_in_bar(
    open_: float,
    high: float,
    low: float,
    close: float,
    peak: float,
    fixed_stop: float,
    target: float,
    arm: float,
    trailing_stop: float,
) -> tuple[int, float, float]:
    """Walk one bar's path open, low, high, close; return (reason, price before slippage, peak).

    `trailing_stop` is in percent, 0 for none. Reason 0 with a price of NaN: still held.
    """
    peak = max(peak, open_)
    stop, reason = fixed_stop, 1
    if trailing_stop > 0.0 and peak >= arm:
        trail = peak * (1.0 - trailing_stop / 100.0)
        if trail > stop:
            stop, reason = trail, 2
    if open_ <= stop:
        return reason, open_, peak
    if open_ >= target:
        return 3, open_, peak
    if low <= stop:
        return reason, stop, peak
    if high >= target:
        return 3, target, max(peak, high)
    peak = max(peak, high)
    if trailing_stop > 0.0 and peak >= arm:
        trail = peak * (1.0 - trailing_stop / 100.0)
        if trail > stop:
            stop, reason = trail, 2
    if close <= stop:
        return reason, stop, peak
    return 0, math.nan, peak
