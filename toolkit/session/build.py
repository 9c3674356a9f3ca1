"""Composition: from options to a market, a broker and a bot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event, Publish
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.engine import Engine
from toolkit.core.parameters import Parameters
from toolkit.core.types import RoundTrip
from toolkit.errors import ConfigError
from toolkit.market.pace import Pace
from toolkit.market.port import MarketData
from toolkit.session.options import LaunchOptions


def checked_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols, upper case; raises ConfigError that names the bad one."""
    if isinstance(symbols, str):
        symbols = [symbols]
    cleaned = tuple(str(symbol).strip().upper() for symbol in symbols)
    for symbol in cleaned:
        letters = symbol.replace("/", "").replace(".", "")
        if not (letters.isalnum() and letters.isascii() and len(symbol) <= 16):
            raise ConfigError(
                f"{symbol!r} is no symbol; allowed: letters, digits, '.' and one '/' (BTC/USD)",
                field="symbols",
                value=symbol,
                allowed="AAPL, BRK.B, BTC/USD",
            )
    if not cleaned or len(set(cleaned)) != len(cleaned):
        raise ConfigError("symbols must hold at least one symbol, and each once", field="symbols")
    return cleaned


def checked_capital(capital: float) -> float:
    """Return the start capital in dollars; raises ConfigError outside 1 to 1e9."""
    if not 1.0 <= capital <= 1e9:
        raise ConfigError(
            f"capital is {capital!r}; allowed: 1 to 1e9 dollars",
            field="capital",
            allowed="1 to 1e9",
        )
    return float(capital)


def parameters_from(values: Parameters | Mapping[str, Any] | None) -> Parameters:
    """Return parameters from whatever a user hands over; raises ConfigError."""
    if isinstance(values, Parameters):
        return values
    return Parameters.from_dict(values or {})


def build_market(options: LaunchOptions) -> MarketData:
    """Open the recording, or start the simulation; raises DataError."""
    pace = Pace.parse(options.speed)
    if options.recording is not None:
        from toolkit.market.replay import ReplayMarket
        from toolkit.market.tables import read_table

        return ReplayMarket(read_table(options.recording), pace=pace)
    from toolkit.market.simulated import SimulatedMarket

    return SimulatedMarket(
        options.symbols, seed=options.seed, pace=pace, timeframe=options.timeframe
    )


def build_bot(options: LaunchOptions, *, publish: Publish) -> Bot:
    """Compose the bot that these options describe."""
    market = build_market(options)
    engine = Engine(
        symbols=market.symbols,
        parameters=parameters_from(options.parameters),
        capital=options.capital,
    )
    broker = SimulatedBroker(cash=options.capital, costs=options.costs)
    return Bot(market=market, broker=broker, engine=engine, publish=publish)


class RoundTrips:
    """Collects every round trip of a run; a result, so it is not bounded."""

    def __init__(self) -> None:
        self.items: list[RoundTrip] = []

    def __call__(self, event: Event) -> None:
        """Take an event of the bot."""
        if isinstance(event, RoundTrip):
            self.items.append(event)
