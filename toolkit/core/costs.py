"""What trading costs: Alpaca's fees, and slippage. The one table of rates; docs/research/costs.md.

The rates were looked up on 28 November 2026; each says since when it holds and who says so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from toolkit.core.types import is_crypto
from toolkit.errors import ConfigError

MAX_BPS = 1000.0
BPS = "basis points"


def _rate(default: float, high: float, unit: str, about: str, source: str = "") -> Any:
    meta = {"maximum": high, "unit": unit, "about": about, "source": source}
    return field(default=default, metadata=meta)


def _bps(default: float, about: str, source: str = "") -> Any:
    return _rate(default, MAX_BPS, BPS, about, source)


class Tier(NamedTuple):
    """Crypto fees in basis points from so many dollars of crypto volume in 30 days."""

    volume: float
    maker_bps: float
    taker_bps: float


CRYPTO_TIERS = (
    Tier(0.0, 15.0, 25.0),
    Tier(100e3, 12.0, 22.0),
    Tier(500e3, 10.0, 20.0),
    Tier(1e6, 8.0, 18.0),
    Tier(10e6, 5.0, 15.0),
    Tier(25e6, 2.0, 13.0),
    Tier(50e6, 2.0, 12.0),
    Tier(100e6, 0.0, 10.0),
)
"""Since 13 March 2023, alpaca.markets/support/crypto-maker-taker-gmt-faq."""
_TIERS_SOURCE = "2023-03-13, alpaca.markets/support/crypto-maker-taker-gmt-faq"


class Charges(NamedTuple):
    """The costs of one symbol, as `core.execution` takes them; units as in Costs.

    `target_fee_bps` is the fee of a target's fill. The rates of the regulators are 0 for crypto.
    """

    fee_bps: float
    target_fee_bps: float
    sec_fee_per_million: float
    taf_per_share: float
    taf_cap: float
    cat_per_share: float
    slippage_bps: float
    spread_bps: float
    impact_bps: float
    max_impact_bps: float
    max_volume_percent: float
    quoted_spread: bool
    targets_rest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Fees and slippage of every fill; raises ConfigError for values out of bounds.

    `_bps` are basis points (0.01 %), 0 to 1000. The defaults are what a real account pays Alpaca:
    stocks free of commission with the regulators' fees, crypto at the taker's first tier. What a
    day owes each regulator is rounded up to the cent. Slippage moves market and stop fills
    against us, and targets too unless `targets_rest`: the live bot sells at the market when the
    target is reached. `symbol_spread_bps` ({"AAPL": 0.5}) goes before `spread_bps`, and the
    spread that a bar carries before both where `quoted_spread` is on.
    """

    stock_fee_bps: float = _bps(0.0, "commission of stocks")
    crypto_fee_bps: float = _bps(25.0, "taker's fee of crypto", _TIERS_SOURCE)
    crypto_maker_fee_bps: float = _bps(15.0, "fee of resting crypto targets", _TIERS_SOURCE)
    sec_fee_per_million: float = _rate(
        20.60, 1000.0, "$", "SEC, section 31: per million dollars sold",
        "2026-04-04, SEC release 34-104909",
    )  # fmt: skip
    taf_per_share: float = _rate(
        0.000195, 1.0, "$", "FINRA, trading activity: per share sold",
        "2026-01-01, SR-FINRA-2024-019",
    )  # fmt: skip
    taf_cap: float = _rate(
        9.79, 1000.0, "$", "most of it for one fill", "2026-01-01, SR-FINRA-2024-019"
    )
    cat_per_share: float = _rate(
        0.000003, 1.0, "$", "consolidated audit trail: per share bought or sold",
        "2026-05-01, CAT Fee 2026-1 and Historical CAT Assessment 1A",
    )  # fmt: skip
    slippage_bps: float = _bps(0.0, "fixed slippage")
    spread_bps: float = _bps(0.0, "quoted spread, half of which is paid")
    symbol_spread_bps: Mapping[str, float] | tuple[tuple[str, float], ...] = ()
    impact_bps: float = _bps(0.0, "slippage of a fill as large as its bar's volume")
    max_impact_bps: float = _bps(100.0, "most of it, and all of it where no volume is known")
    max_volume_percent: float = _rate(
        0.0, 100.0, "%", "most that an entry takes of its bar's volume; 0 = all it wants"
    )
    quoted_spread: bool = False
    targets_rest: bool = False

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if f.metadata:
                value = _checked(f.name, getattr(self, f.name), f.metadata)
                object.__setattr__(self, f.name, value)
        for name in ("quoted_spread", "targets_rest"):
            if not isinstance(getattr(self, name), bool):
                raise _error(name, getattr(self, name), "True or False")
        object.__setattr__(self, "symbol_spread_bps", _spreads(self.symbol_spread_bps))

    @classmethod
    def crypto(cls, *, volume: float, **others: Any) -> Self:
        """Return costs with the crypto fees of `volume` dollars of crypto in 30 days."""
        if not (isinstance(volume, (int, float)) and math.isfinite(volume) and volume >= 0.0):
            raise _error("volume", volume, "dollars from 0")
        tier = max(t for t in CRYPTO_TIERS if t.volume <= volume)
        rates = {"crypto_fee_bps": tier.taker_bps, "crypto_maker_fee_bps": tier.maker_bps}
        return cls(**{**rates, **others})

    @classmethod
    def paper(cls, **others: Any) -> Self:
        """Return the costs of a paper account, which pays the regulators nothing."""
        return cls(**{"sec_fee_per_million": 0.0, "taf_per_share": 0.0, "cat_per_share": 0.0}
                   | others)  # fmt: skip

    def without_regulators(self) -> Self:
        """Return the same without what regulators take, which no fill at Alpaca carries."""
        nothing = {"sec_fee_per_million": 0.0, "taf_per_share": 0.0, "cat_per_share": 0.0}
        return dataclasses.replace(self, **nothing)  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises ConfigError for unknown names."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise _error("costs", name, ", ".join(known))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values by name."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**values, "symbol_spread_bps": dict(self.symbol_spread_bps)}

    def fee_bps(self, symbol: str) -> float:
        """Return the fee of a market fill of `symbol` in basis points, without regulators'."""
        return self.crypto_fee_bps if is_crypto(symbol) else self.stock_fee_bps

    def of(self, symbol: str) -> Charges:
        """Return the costs of one symbol."""
        crypto, fee = is_crypto(symbol), self.fee_bps(symbol)
        return Charges(
            fee_bps=fee,
            target_fee_bps=self.crypto_maker_fee_bps if crypto and self.targets_rest else fee,
            sec_fee_per_million=0.0 if crypto else self.sec_fee_per_million,
            taf_per_share=0.0 if crypto else self.taf_per_share,
            taf_cap=self.taf_cap,
            cat_per_share=0.0 if crypto else self.cat_per_share,
            slippage_bps=self.slippage_bps,
            spread_bps=dict(self.symbol_spread_bps).get(symbol, self.spread_bps),
            impact_bps=self.impact_bps,
            max_impact_bps=self.max_impact_bps,
            max_volume_percent=self.max_volume_percent,
            quoted_spread=self.quoted_spread,
            targets_rest=self.targets_rest,
        )


def _checked(name: str, value: Any, meta: Mapping[str, Any]) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0.0 <= value <= meta["maximum"]):
        raise _error(name, value, f"0 to {meta['maximum']:g} {meta['unit']}".strip())
    return float(value)


def _spreads(given: Any) -> tuple[tuple[str, float], ...]:
    """Return spreads by symbol as sorted pairs, which can be hashed."""
    try:
        pairs = sorted((str(symbol), value) for symbol, value in dict(given).items())
    except (TypeError, ValueError):
        raise _error("symbol_spread_bps", given, 'symbols with bps, as in {"AAPL": 0.5}') from None
    meta = {"maximum": MAX_BPS, "unit": BPS}
    return tuple((symbol, _checked("symbol_spread_bps", v, meta)) for symbol, v in pairs)


def _error(name: str, value: Any, allowed: str) -> ConfigError:
    message = f"{name} is {value!r}; allowed: {allowed}"
    return ConfigError(message, field=name, value=repr(value), allowed=allowed)


@dataclass(slots=True)
class Owed:
    """What one day's fills owe the regulators so far, in billionths of a dollar, never rounded."""

    day: int = -1
    sec: int = 0
    taf: int = 0
    cat: int = 0
