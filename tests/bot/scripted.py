"""A market that plays a script, for tests of the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.engine import Engine
from toolkit.core.parameters import Parameters
from toolkit.core.types import Bar, MarketEvent
from toolkit.market.port import FeedHealth


class ScriptedMarket:
    """Yields what it was given; a callable in the script is called and awaited in its place."""

    name = "scripted"
    timeframe = 60.0

    def __init__(self, script: Sequence[object], *, history: Sequence[Bar] = ()) -> None:
        self.symbols = ("AAPL",)
        self._script, self._history = script, history
        self.stopped = False
        self.feed = FeedHealth()

    def health(self) -> FeedHealth:
        return self.feed

    async def history(self, symbol: str, *, limit: int) -> Sequence[Bar]:
        return [bar for bar in self._history if bar.symbol == symbol][-limit:]

    async def events(self) -> AsyncIterator[MarketEvent]:
        for item in self._script:
            if callable(item):
                await item()
            else:
                yield item

    async def stop(self) -> None:
        self.stopped = True


def scripted_bot(
    script, *, history=(), parameters=None, broker=None, limits=None, **options
) -> tuple[Bot, list[Event]]:
    events: list[Event] = []
    bot = Bot(
        market=ScriptedMarket(script, history=history),
        broker=broker or SimulatedBroker(),
        engine=Engine(symbols=["AAPL"], parameters=parameters or Parameters(), limits=limits),
        publish=events.append,
        **options,
    )
    return bot, events
