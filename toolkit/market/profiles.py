"""What each simulated symbol is like: price level, volatility, correlation, spread, volume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from toolkit.core.types import is_crypto


@dataclass(frozen=True, slots=True)
class Profile:
    """Character of one symbol.

    `price` in dollars at the beginning; `volatility` in basis points of one normal minute;
    `common` is the correlation with the factor of its kind; `spread` in basis points; `volume`
    in shares or coins a normal minute.
    """

    symbol: str
    price: float
    volatility: float
    common: float
    spread: float
    volume: float

    @property
    def crypto(self) -> bool:
        """Whether it is always open."""
        return is_crypto(self.symbol)

    @property
    def key(self) -> int:
        """A number of this symbol alone, so that its path does not depend on the others."""
        return crc32(self.symbol.encode())

    @property
    def ticks_per_dollar(self) -> int:
        """Steps of the price grid in a dollar: cents, and hundredths of cents below one dollar."""
        return 100 if self.price >= 1.0 else 10_000

    @property
    def lots_per_unit(self) -> int:
        """Steps of the size grid in one share or coin."""
        return 10_000 if self.crypto else 1


_KNOWN = (
    Profile("AAPL", 250.0, 7.0, 0.65, 0.6, 3200.0),
    Profile("AMD", 180.0, 13.0, 0.60, 0.8, 2600.0),
    Profile("AMZN", 220.0, 8.0, 0.68, 0.6, 2400.0),
    Profile("GOOGL", 190.0, 8.0, 0.65, 0.7, 1900.0),
    Profile("META", 620.0, 9.0, 0.65, 0.8, 900.0),
    Profile("MSFT", 430.0, 6.5, 0.70, 0.6, 1500.0),
    Profile("NVDA", 140.0, 12.0, 0.65, 0.8, 9000.0),
    Profile("QQQ", 520.0, 5.5, 0.95, 0.3, 2600.0),
    Profile("SPY", 590.0, 4.2, 0.97, 0.2, 3600.0),
    Profile("TSLA", 350.0, 15.0, 0.55, 0.8, 4200.0),
    Profile("BTC/USD", 65_000.0, 7.0, 0.92, 1.0, 4.0),
    Profile("DOGE/USD", 0.16, 11.0, 0.75, 8.0, 90_000.0),
    Profile("ETH/USD", 2_600.0, 9.0, 0.90, 1.4, 55.0),
    Profile("LTC/USD", 85.0, 10.0, 0.80, 2.5, 160.0),
    Profile("SOL/USD", 150.0, 11.0, 0.80, 2.0, 420.0),
)


def profile_of(symbol: str, *, seed: int) -> Profile:
    """Return the profile of a symbol; one that is not known gets its own from the seed."""
    for profile in _KNOWN:
        if profile.symbol == symbol:
            return profile
    rng = np.random.default_rng([seed, crc32(symbol.encode())])
    price = round(math.exp(rng.uniform(math.log(20.0), math.log(400.0))), 2)
    crypto = is_crypto(symbol)
    turnover = math.exp(rng.uniform(math.log(5e4), math.log(5e5)))  # dollars a minute
    return Profile(
        symbol,
        price=price,
        volatility=rng.uniform(8.0, 13.0) if crypto else rng.uniform(6.0, 14.0),
        common=rng.uniform(0.7, 0.9) if crypto else rng.uniform(0.4, 0.7),
        spread=rng.uniform(2.0, 5.0) if crypto else rng.uniform(0.8, 3.0),
        volume=turnover / price,
    )
