"""What can be traded, and in which steps of price and quantity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from toolkit.core.types import is_crypto
from toolkit.exchange.refusals import invalid, missing
from toolkit.exchange.values import identifier_of, text

_ARCA = frozenset({"SPY", "QQQ", "IWM", "DIA"})
_CENT, _HUNDREDTH_OF_CENT = Decimal("0.01"), Decimal("0.0001")
_SMALLEST_COIN = Decimal("0.000000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A stock or a crypto pair (`BTC/USD`)."""

    symbol: str
    tradable: bool = True
    fractionable: bool = True
    shortable: bool = True

    @property
    def id(self) -> str:
        """UUID of the asset."""
        return identifier_of(self.symbol)

    @property
    def crypto(self) -> bool:
        """Whether it always trades."""
        return is_crypto(self.symbol)

    @property
    def position_symbol(self) -> str:
        """The name under which positions go: `BTCUSD` for `BTC/USD`."""
        return self.symbol.replace("/", "")

    @property
    def coin(self) -> str:
        """What is bought: `BTC` of `BTC/USD`, the symbol of a stock."""
        return self.symbol.partition("/")[0]

    @property
    def exchange(self) -> str:
        """Where it trades, in Alpaca's names."""
        if self.crypto:
            return "CRYPTO"
        return "ARCA" if self.symbol in _ARCA else "NASDAQ"

    @property
    def kind(self) -> str:
        """Alpaca's `asset_class`."""
        return "crypto" if self.crypto else "us_equity"

    def check_price(self, name: str, price: Decimal) -> None:
        """Refuse prices off the grid: cents from one dollar up, hundredths of cents below."""
        if price <= 0:
            raise invalid(f"{name} must be > 0")
        coarse = _CENT if price >= 1 else _HUNDREDTH_OF_CENT
        step = _SMALLEST_COIN if self.crypto else coarse
        if price % step:
            raise invalid(
                f"invalid {name} {text(price)}. sub-penny increment does not fulfill "
                "minimum pricing criteria"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return Alpaca's JSON."""
        facts: dict[str, Any] = {
            "id": self.id,
            "class": self.kind,
            "exchange": self.exchange,
            "symbol": self.symbol,
            "name": self.symbol,
            "status": "active",
            "tradable": self.tradable,
            "marginable": not self.crypto,
            "shortable": self.shortable and not self.crypto,
            "easy_to_borrow": self.shortable and not self.crypto,
            "fractionable": self.fractionable,
            "maintenance_margin_requirement": 100 if self.crypto else 30,
            "attributes": [],
        }
        if self.crypto:
            facts |= {
                "min_order_size": text(_SMALLEST_COIN),
                "min_trade_increment": text(_SMALLEST_COIN),
                "price_increment": text(_SMALLEST_COIN),
            }
        return facts


class Assets:
    """All assets by symbol, position symbol and id."""

    def __init__(self, assets: Iterable[Asset]) -> None:
        self._all = {asset.symbol: asset for asset in assets}
        self._by_name = {
            name: asset
            for asset in self._all.values()
            for name in (asset.symbol, asset.position_symbol, asset.id)
        }

    def __iter__(self) -> Iterator[Asset]:
        return iter(sorted(self._all.values(), key=lambda asset: asset.symbol))

    def find(self, name: str) -> Asset | None:
        """Return the asset of a symbol (`BTC/USD` or `BTCUSD`) or id."""
        return self._by_name.get(name)

    def get(self, name: str) -> Asset:
        """Return the asset of a symbol or id; refuses with 404."""
        asset = self.find(name)
        if asset is None:
            raise missing(f"asset not found for {name}")
        return asset
