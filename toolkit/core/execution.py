"""The execution rules as leaf functions of floats: docs/execution.md in code, once.

Plain Python that numba compiles as it stands: the simulated exchange calls these functions, the
kernel compiles them. They call nothing but `math`, so that one definition serves both. `Charges`
and `Owed` are the objects of `core.costs` there, records with the same fields here.
"""

from __future__ import annotations

import math

from toolkit.core.costs import Charges, Owed

NONE, STOP_LOSS, TRAILING_STOP, TAKE_PROFIT = 0, 1, 2, 3
MICRO = 1e6


def micros(amount: float) -> float:
    """Return dollars as whole micro-dollars."""
    return math.floor(amount * 1e6 + 0.5)


def fee_micros(price: float, quantity: float, fee_bps: float) -> float:
    """Return the fee of a fill in whole micro-dollars."""
    return math.floor(price * quantity * fee_bps / 10000.0 * 1e6 + 0.5)


def slippage(
    charges: Charges, price: float, quantity: float, volume: float, spread: float
) -> float:
    """Return the slippage of a market or stop fill at `price` in basis points.

    `volume` and `spread` (in dollars) are those of the fill's bar; 0 and NaN where not known.
    """
    half = charges.spread_bps / 2.0
    if charges.quoted_spread and spread >= 0.0:
        half = spread / price * 5000.0
    impact = 0.0
    if charges.impact_bps > 0.0:
        impact = charges.max_impact_bps
        if volume > 0.0:
            impact = min(impact, charges.impact_bps * math.sqrt(quantity / volume))
    return min(charges.slippage_bps + half + impact, 5000.0)


def share_of_volume(charges: Charges, quantity: float, volume: float) -> float:
    """Return what an entry takes of `quantity` in a bar of `volume`; 0 is an unknown volume."""
    if charges.max_volume_percent > 0.0 and volume > 0.0:
        most = volume * charges.max_volume_percent / 100.0
        if most < quantity:
            return most * 1e9 // 1.0 / 1e9
    return quantity


def buy_price(price: float, slippage_bps: float) -> float:
    """Return what a market order to buy pays."""
    return price * (1.0 + slippage_bps / 10000.0)


def sell_price(price: float, slippage_bps: float) -> float:
    """Return what a market or stop order to sell receives."""
    return price * (1.0 - slippage_bps / 10000.0)


def set_aside(charges: Charges, quantity: float) -> float:
    """Return the dollars that an entry keeps for the regulators' fee on it."""
    if charges.cat_per_share > 0.0:
        return quantity * charges.cat_per_share + 0.01
    return 0.0


def purchase_levy(charges: Charges, owed: Owed, day: int, quantity: float) -> int:
    """Return what the regulators take of a purchase, in micro-dollars, and note it in `owed`.

    `day` is the date in New York as a number. A day owes whole cents, rounded up.
    """
    if owed.day != day:
        owed.day, owed.sec, owed.taf, owed.cat = day, 0, 0, 0
    before = -(-owed.cat // 10_000_000)
    owed.cat += math.floor(min(quantity * charges.cat_per_share, 1e8) * 1e9 + 0.5)
    return (-(-owed.cat // 10_000_000) - before) * 10_000


def sale_levy(charges: Charges, owed: Owed, day: int, price: float, quantity: float) -> int:
    """Return what the regulators take of a sale, in micro-dollars, and note it in `owed`."""
    if owed.day != day:
        owed.day, owed.sec, owed.taf, owed.cat = day, 0, 0, 0
    before = -(-owed.sec // 10_000_000) - (-owed.taf // 10_000_000) - (-owed.cat // 10_000_000)
    sec = price * quantity * charges.sec_fee_per_million / 1e6
    taf = min(quantity * charges.taf_per_share, charges.taf_cap)
    owed.sec += math.floor(min(sec, 1e8) * 1e9 + 0.5)
    owed.taf += math.floor(taf * 1e9 + 0.5)
    owed.cat += math.floor(min(quantity * charges.cat_per_share, 1e8) * 1e9 + 0.5)
    after = -(-owed.sec // 10_000_000) - (-owed.taf // 10_000_000) - (-owed.cat // 10_000_000)
    return (after - before) * 10_000


def affordable(quantity: float, price: float, fee_bps: float, cash: float) -> float:
    """Return `quantity`, or what `cash` dollars buy with the fee where that is less."""
    cost = math.floor(price * quantity * 1e6 + 0.5)
    fee = math.floor(price * quantity * fee_bps / 10000.0 * 1e6 + 0.5)
    if cost + fee <= math.floor(cash * 1e6 + 0.5):
        return quantity
    units = cash / (price * (1.0 + fee_bps / 10000.0)) * 1e9
    if units < 2.0**53:  # a float from here on is whole, and may be more than an int64
        return max(math.floor(units) / 1e9, 0.0)
    return units / 1e9


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
    units = quantity * 1e9
    if units < 2.0**53:  # as above
        return max(math.floor(units) / 1e9, 0.0)
    return units / 1e9


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
