"""How an exchange double is set up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from toolkit.errors import ConfigError
from toolkit.exchange.assets import Asset
from toolkit.exchange.rules import Configuration

SPEEDS = "60 or 60x (times real time), max (as fast as the reader), step (moved by requests)"


class Pace(StrEnum):
    REAL = "x"
    READER = "max"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Speed:
    """How exchange time passes; `rate` is exchange seconds in a real one."""

    pace: Pace
    rate: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Speed:
        """Read `60`, `60x`, `max` or `step`; raises ConfigError."""
        plain = text.strip().lower()
        if plain in (Pace.READER, Pace.STEP):
            return cls(Pace(plain))
        try:
            rate = float(plain.removesuffix(Pace.REAL))
        except ValueError:
            rate = math.nan
        if not (math.isfinite(rate) and rate > 0):
            raise ConfigError(
                f"speed is {text!r}; allowed: {SPEEDS}", field="speed", value=text, allowed=SPEEDS
            )
        return cls(Pace.REAL, rate)

    def __str__(self) -> str:
        return f"{self.rate:g}x" if self.pace is Pace.REAL else self.pace.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """`cash` in dollars, `latency` in seconds of exchange time, `session_hold` in real seconds.

    `multiplier` 1 is a cash account, 2 or 4 a margin account. `plan` basic refuses SIP data of
    the last 15 minutes and the SIP stream; algo_trader_plus allows both. `rate_limit` is requests
    a minute, 0 for none. `stream_symbols` limits trades and quotes on the basic plan.
    `revision_rate` is the fraction of minutes that are revised. `untradable` and `whole_shares`
    are listed besides the symbols of the market, for those who want to be refused.
    """

    seed: int = 7
    key: str = "TOOLKITEXCHANGEDEMO"
    secret: str = "not-a-secret-exchange-double"
    cash: str = "100000"
    multiplier: int = 2
    latency: float = 0.1
    speed: Speed = field(default_factory=lambda: Speed(Pace.REAL, 1.0))
    plan: str = "basic"
    rate_limit: int = 200
    stream_symbols: int = 30
    session_hold: float = 10.0
    queue_size: int = 10_000
    revision_rate: float = 0.02
    skip_closed: bool = True
    rules: Configuration = field(default_factory=Configuration)
    untradable: tuple[str, ...] = ("NOTRADE",)
    whole_shares: tuple[str, ...] = ("WHOLE",)

    def assets(self, symbols: list[str]) -> list[Asset]:
        """Return the assets of a market with these symbols."""
        names = dict.fromkeys([*symbols, *self.untradable, *self.whole_shares])
        return [
            Asset(
                symbol=name,
                tradable=name not in self.untradable,
                fractionable=name not in self.whole_shares,
            )
            for name in names
        ]
