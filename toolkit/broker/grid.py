"""Steps of price and quantity: what Alpaca takes, rounded down."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from toolkit.alpaca.port import Asset
from toolkit.core.types import ZERO

FINEST = Decimal("0.000000001")
ONE = Decimal(1)
CENT = Decimal("0.01")
HUNDREDTH = Decimal("0.0001")
SMALLEST_COST = Decimal(1)


def price_step(asset: Asset, price: Decimal) -> Decimal:
    """Return the grid of prices: cents from one dollar up, hundredths of cents below."""
    if asset.crypto:
        return asset.price_increment or FINEST
    return CENT if price >= 1 else HUNDREDTH


def quantity_step(asset: Asset) -> Decimal:
    """Return the grid of quantities."""
    if asset.crypto:
        return asset.quantity_increment or FINEST
    return FINEST if asset.fractionable else ONE


def price_down(asset: Asset, price: Decimal) -> Decimal:
    """Return the next price on the grid that is not above."""
    return _cut(price, price_step(asset, price), ROUND_DOWN)


def price_up(asset: Asset, price: Decimal) -> Decimal:
    """Return the next price on the grid that is not below."""
    return _cut(price, price_step(asset, price), ROUND_UP)


def quantity_down(asset: Asset, quantity: Decimal) -> Decimal:
    """Return the largest quantity on the grid that is not more."""
    return _cut(quantity, quantity_step(asset), ROUND_DOWN)


def is_whole(quantity: Decimal) -> bool:
    """Whether a quantity is in whole units."""
    return quantity == quantity.to_integral_value()


def sellable(asset: Asset, quantity: Decimal, *, price: float) -> Decimal:
    """Return how much of a holding can be sold; 0 where only dust is left."""
    amount = quantity_down(asset, max(quantity, ZERO))
    if asset.crypto:
        return amount if amount >= (asset.min_quantity or FINEST) else ZERO
    if not is_whole(amount) and amount < 1 and amount * Decimal(repr(price)) < SMALLEST_COST:
        return ZERO
    return amount


def _cut(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding) * step


Rounding = Callable[[Asset, Decimal], Decimal]
