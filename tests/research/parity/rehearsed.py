"""A bot at the exchange double in one loop with it, in step with its clock, recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.research.parity.sessions import EPOCH
from tests.soak.storm.compose import JOURNAL, _settings
from tests.soak.storm.loop import SteppedLoop
from tests.soak.storm.world import CASH, World
from toolkit.alpaca.data import AlpacaData
from toolkit.alpaca.streams import AlpacaDataStream, AlpacaOrderStream
from toolkit.alpaca.trading import AlpacaTrading
from toolkit.bot.bot import Bot
from toolkit.bot.watch import RealTime
from toolkit.broker.alpaca import AlpacaBroker
from toolkit.core.costs import Costs
from toolkit.core.engine import Engine
from toolkit.core.parameters import Parameters
from toolkit.core.types import Bar, RoundTrip, is_crypto
from toolkit.exchange.faults import Fault
from toolkit.exchange.values import moment_of
from toolkit.market.alpaca import AlpacaMarketData
from toolkit.market.recording import Recording, RecordingWriter
from toolkit.record.recorder import Recorder
from toolkit.record.recording import RecordingBroker, RecordingMarket, outcomes
from toolkit.research.parity.recorded import session_of_recording
from toolkit.research.parity.session import Session, Start

STOPS = (1.2, 2.0, 5.0, 20.0, 30.0, 45.0, 60.0)
SYMBOLS = ("AAPL", "BTC/USD")
Act = Callable[[Bot], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What is left of a day: the recording, the journal, and the exchange's own bars."""

    recordings: tuple[Path, ...]
    journal: Path
    history: tuple[Bar, ...]
    trips: tuple[RoundTrip, ...]
    parameters: Parameters

    def session(self, life: int = 0) -> Session:
        """The day, or one life of it, as its recording tells it."""
        start = Start(parameters=self.parameters, capital=float(CASH), costs=Costs())
        return session_of_recording(Recording(self.recordings[life]), start)


def rehearse(
    folder: Path,
    *,
    minutes: int,
    parameters: Mapping[str, Any],
    seed: int = 7,
    symbols: Sequence[str] = SYMBOLS,
    faults: Sequence[Fault] = (),
    acts: Mapping[int, Act] | None = None,
    down: tuple[int, int] | None = None,
) -> Rehearsal:
    """Play some minutes; `acts` are done at the middle of their minute, `down` is without a bot."""
    loop, submit = SteppedLoop(), ThreadPoolExecutor.submit
    loop.watch_threads()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(
            _play(loop, folder, minutes, parameters, seed, tuple(symbols), faults, acts or {}, down)
        )
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asyncio.set_event_loop(None)
        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]


async def _play(
    loop: SteppedLoop,
    folder: Path,
    minutes: int,
    parameters: Mapping[str, Any],
    seed: int,
    symbols: tuple[str, ...],
    faults: Sequence[Fault],
    acts: Mapping[int, Act],
    down: tuple[int, int] | None,
) -> Rehearsal:
    world = World(seed=seed, symbols=symbols, faults=list(faults))
    loop.micros = world.exchange.now
    trips: list[RoundTrip] = []
    lives: list[Life] = []
    async with world.server:
        for minute in range(minutes):
            away = down is not None and down[0] <= minute < down[1]
            if away and lives and not lives[-1].over:
                await lives[-1].end()
            elif not away and (not lives or lives[-1].over):
                place = folder / f"recording-{len(lives) + 1}"
                lives.append(
                    Life(*composed(world, folder, place, symbols, parameters, loop, trips))
                )
            passed = 0.0
            for at in STOPS:
                await world.advance(at - passed)
                passed, loop.micros = at, world.exchange.now
                await loop.idle()
                if at == 30.0 and minute in acts:
                    act = asyncio.create_task(acts[minute](lives[-1].bot))
                    await loop.idle()
                    await act
        await lives[-1].end()
        history = tuple(bar for s in symbols for bar in history_of(world, s))
    return Rehearsal(
        recordings=tuple(folder / f"recording-{n + 1}" for n in range(len(lives))),
        journal=folder / JOURNAL,
        history=history,
        trips=tuple(trips),
        parameters=Parameters().replace(parameters),
    )


class Life:
    """One run of the bot, from its composition to its clean end."""

    def __init__(self, bot: Bot, recorder: Recorder) -> None:
        self.bot, self._recorder = bot, recorder
        self.over = False
        self._run = asyncio.create_task(bot.run())

    async def end(self) -> None:
        """Stop it."""
        self.over = True
        await self.bot.stop()
        await self._recorder.stop()
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)


def composed(
    world: World,
    folder: Path,
    place: Path,
    symbols: tuple[str, ...],
    parameters: Mapping[str, Any],
    loop: SteppedLoop,
    trips: list[RoundTrip],
) -> tuple[Bot, Recorder]:
    """The bot as the session composes it for Alpaca, on the clock of the exchange."""
    alpaca = _settings(world.server.environment)
    trading = AlpacaTrading(alpaca, monotonic=loop.time, now=loop.now)
    data = AlpacaData(alpaca, monotonic=loop.time)
    kinds = {"crypto" if is_crypto(symbol) else "stocks" for symbol in symbols}
    feeds = {"stocks": alpaca.feed, "crypto": "crypto"}
    market = AlpacaMarketData(
        data=data,
        streams={k: AlpacaDataStream(alpaca, feed=feeds[k], now=loop.now) for k in sorted(kinds)},
        symbols=symbols,
        feed=alpaca.feed,
        clock=loop.now,
        monotonic=loop.time,
    )
    broker = AlpacaBroker(
        trading=trading,
        stream=AlpacaOrderStream(alpaca, now=loop.now),
        journal=folder / JOURNAL,
        symbols=symbols,
        clock=loop.now,
    )
    about = {
        "symbols": list(symbols),
        "timeframe": 60.0,
        "market": market.name,
        "broker": broker.name,
        "real_time": True,
    }
    problems: list[str] = []
    recorder = Recorder(
        RecordingWriter(place, about=about),
        report=problems.append,
        clock=lambda: (loop.now() - EPOCH) // timedelta(microseconds=1) * 1000,
    )

    async def offset() -> float:
        return (await trading.clock()).offset

    async def release() -> None:
        await trading.close()
        await data.close()

    def note(kind: str, who: str, facts: Mapping[str, Any]) -> None:
        recorder.on_note(kind, who, facts)
        broker.note(kind, who=who, data=facts)

    def publish(event: object) -> None:
        if isinstance(event, RoundTrip):
            trips.append(event)

    bot = Bot(
        market=RecordingMarket(market, recorder),
        broker=RecordingBroker(broker, recorder),
        engine=Engine(
            symbols=symbols,
            parameters=Parameters().replace(parameters),
            capital=float(CASH),
        ),
        publish=outcomes(recorder, publish),
        real_time=RealTime(clock_offset=offset),
        note=note,
        on_stop=[release],
        clock=loop.now,
        monotonic=loop.time,
    )
    return bot, recorder


def history_of(world: World, symbol: str) -> list[Bar]:
    """Return the exchange's minutes as a later request gives them."""
    feed = "crypto" if is_crypto(symbol) else "iex"
    return [
        Bar(
            symbol=symbol, timestamp=moment_of(b.at), open=b.open, high=b.high, low=b.low,
            close=b.close, volume=b.volume, feed=feed,
        )
        for b in world.exchange.tape.bars(symbol)
    ]  # fmt: skip
