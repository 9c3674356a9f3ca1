"""Market data as Alpaca names it, on streams and in REST answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.core.types import is_crypto
from toolkit.exchange.bars import MinuteBar
from toolkit.exchange.ticks import Tick
from toolkit.exchange.values import Micros, stamp

CHANNELS = {
    "trades": "t",
    "quotes": "q",
    "bars": "b",
    "updatedBars": "u",
    "dailyBars": "d",
    "statuses": "s",
}
SIP_VOLUMES = 25  # the consolidated tape shows so many times the volume of IEX alone
_SIZES = frozenset({"s", "as", "bs", "v", "n"})


@dataclass(frozen=True, slots=True)
class MarketMessage:
    """One message of a stream: `fields` without type, symbol and time."""

    channel: str
    symbol: str
    at: Micros
    fields: dict[str, Any]

    def volumes(self, factor: int) -> MarketMessage:
        """Return the message as another feed shows it."""
        if factor == 1 or self.channel == "statuses":
            return self
        return MarketMessage(self.channel, self.symbol, self.at, scaled(self.fields, factor))


def scaled(fields: dict[str, Any], factor: int) -> dict[str, Any]:
    """Return fields with sizes, volume and count of another feed."""
    return {k: v * factor if k in _SIZES else v for k, v in fields.items()}


def trade_fields(tick: Tick, number: int) -> dict[str, Any]:
    """Return a trade in Alpaca's names."""
    if is_crypto(tick.symbol):
        taker = "B" if tick.price >= tick.ask else "S"
        return {"p": tick.price, "s": tick.size, "i": number, "tks": taker}
    return {"p": tick.price, "s": tick.size, "i": number, "x": "V", "c": ["@"], "z": "C"}


def quote_fields(tick: Tick) -> dict[str, Any]:
    """Return a quote in Alpaca's names."""
    prices = {"bp": tick.bid, "bs": tick.bid_size, "ap": tick.ask, "as": tick.ask_size}
    if is_crypto(tick.symbol):
        return prices
    return {**prices, "bx": "V", "ax": "V", "c": ["R"], "z": "C"}


def halt_fields(*, halted: bool) -> dict[str, Any]:
    """Return a trading status in Alpaca's names."""
    code, words = ("H", "Trading Halt") if halted else ("T", "Trading Resumption")
    return {"sc": code, "sm": words, "rc": "LUDP", "rm": "Volatility Trading Pause", "z": "C"}


def row(at: Micros, fields: dict[str, Any]) -> dict[str, Any]:
    """Return an item of a REST answer."""
    return {"t": stamp(at), **fields}


def bar_row(bar: MinuteBar, *, volumes: int) -> dict[str, Any]:
    """Return a bar of a REST answer."""
    return row(bar.at, bar.fields(volumes=volumes))
