"""What an execution moves: coins or shares received, the fee, and cash to the cent.

Alpaca takes the fee of crypto from what is received: coins of a buy, dollars of a sale. The
message of a fill does not say how much that was, so it is reckoned here, and reconciliation
corrects it by the position where Alpaca took another rate. What the regulators take of stocks
comes once a day, as an activity of the account: it is in the journal's fees, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal

from toolkit.core.costs import CRYPTO_TIERS
from toolkit.core.types import ZERO, Side, exact, is_crypto

CRYPTO_FEE = exact(CRYPTO_TIERS[0].taker_bps) / 10_000
FINEST = Decimal("0.000000001")
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """`received` in units after fees in kind; `fee` in dollars; `cash` is what moved, signed."""

    received: Decimal
    fee_quantity: Decimal
    fee: Decimal
    cash: Decimal


def settle(symbol: str, side: Side, *, quantity: Decimal, price: Decimal) -> Settlement:
    """Return what one execution moves."""
    gross = (quantity * price).quantize(CENT, ROUND_HALF_UP)
    if not is_crypto(symbol):
        cash = -gross if side is Side.BUY else gross
        return Settlement(received=quantity, fee_quantity=ZERO, fee=ZERO, cash=cash)
    if side is Side.BUY:
        coins = min((quantity * CRYPTO_FEE).quantize(FINEST, ROUND_UP), quantity)
        worth = coins * price
        return Settlement(received=quantity - coins, fee_quantity=coins, fee=worth, cash=-gross)
    fee = (gross * CRYPTO_FEE).quantize(CENT, ROUND_HALF_UP)
    return Settlement(received=quantity, fee_quantity=ZERO, fee=fee, cash=gross - fee)
