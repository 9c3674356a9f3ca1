"""Composition: from options to a market, a broker and a bot."""

from __future__ import annotations

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event, Publish
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.engine import Engine
from toolkit.core.inputs import parameters_from
from toolkit.core.types import RoundTrip
from toolkit.market.pace import Pace
from toolkit.market.port import MarketData
from toolkit.session.options import DEFAULT_SYMBOLS, LaunchOptions


def build_market(options: LaunchOptions) -> MarketData:
    """Open the recording, or start the simulation; raises DataError."""
    pace = Pace.parse(options.speed)
    if options.recording is not None:
        from toolkit.market.replay import ReplayMarket
        from toolkit.market.tables import read_table

        return ReplayMarket(read_table(options.recording), pace=pace, symbols=options.symbols)
    from toolkit.market.simulated import SimulatedMarket

    symbols = options.symbols or DEFAULT_SYMBOLS
    return SimulatedMarket(symbols, seed=options.seed, pace=pace, timeframe=options.timeframe)


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
