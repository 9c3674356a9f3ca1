"""What trading costs: fees by kind of asset, and slippage."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from toolkit.core.types import is_crypto
from toolkit.errors import ConfigError

MAX_BPS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Fees and slippage in basis points (0.01 %) of each fill, 0 to 1000; raises ConfigError.

    Slippage moves market and stop fills against us, never targets. The defaults are Alpaca's:
    stocks free of commission, crypto at the taker's first tier.
    """

    stock_fee_bps: float = 0.0
    crypto_fee_bps: float = 25.0
    slippage_bps: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and 0.0 <= value <= MAX_BPS):
                allowed = f"0 to {MAX_BPS:g} basis points"
                raise ConfigError(
                    f"{field.name} is {value!r}; allowed: {allowed}",
                    field=field.name,
                    value=repr(value),
                    allowed=allowed,
                )
            object.__setattr__(self, field.name, float(value))

    def fee_bps(self, symbol: str) -> float:
        """Return the fee of one fill of `symbol` in basis points."""
        return self.crypto_fee_bps if is_crypto(symbol) else self.stock_fee_bps
