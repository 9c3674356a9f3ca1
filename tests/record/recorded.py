"""Sessions of a bot, recorded and played back, without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event
from toolkit.broker.port import Broker
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.engine import Engine
from toolkit.core.parameters import Parameters
from toolkit.market.pace import Pace
from toolkit.market.port import MarketData
from toolkit.market.recording import Recording, RecordingWriter
from toolkit.record.broker import RecordedBroker
from toolkit.record.playback import RecordedMarket
from toolkit.record.recorder import Recorder
from toolkit.record.recording import RecordingBroker, RecordingMarket, outcomes

MAX = Pace.parse("max")
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
PARAMETERS = Parameters().replace({"exit_on_signal": True, "stoch_rsi.upper_band": 70.0})


@dataclass
class Session:
    """A bot and all that it published."""

    bot: Bot
    events: list[Event]


def session(
    market: MarketData,
    broker: Broker,
    *,
    publish: Callable[[Callable[[Any], None]], Callable[[Any], None]] = lambda sink: sink,
    **options: Any,
) -> Session:
    """A bot whose clock stands still, so that everything it says can be compared."""
    events: list[Event] = []
    bot = Bot(
        market=market,
        broker=broker,
        engine=Engine(symbols=market.symbols, parameters=PARAMETERS),
        publish=publish(events.append),
        **{"clock": lambda: NOW, "monotonic": lambda: 0.0, **options},
    )
    return Session(bot=bot, events=events)


async def record(
    folder: Path,
    market: MarketData,
    broker: Broker | None = None,
    *,
    drive: Callable[[Bot], Any] | None = None,
    **options: Any,
) -> Session:
    """Run a bot to the end of its market with a recorder; `drive` gets the bot before the run."""
    about = {
        "symbols": list(market.symbols),
        "timeframe": market.timeframe,
        "market": market.name,
        "broker": "simulated",
        "real_time": "real_time" in options,
    }
    problems: list[str] = []
    recorder = Recorder(RecordingWriter(folder, about=about), report=problems.append)
    run = session(
        RecordingMarket(market, recorder),
        RecordingBroker(broker or SimulatedBroker(), recorder),
        publish=lambda sink: outcomes(recorder, sink),
        note=recorder.on_note,
        **options,
    )
    if drive is not None:
        drive(run.bot)
    await run.bot.run()
    await recorder.stop()
    assert problems == []
    return run


async def play(folder: Path, *, broker: Broker | None = None, **options: Any) -> Session:
    """Play a recording; `broker` trades anew, None answers as recorded."""
    market = RecordedMarket(Recording(folder), pace=MAX)
    if broker is None:
        name = market.recording.about["broker"]
        market.broker = RecordedBroker(market.script, name=name, real_time=market.real_time)
    run = session(market, broker or market.broker, sleep=market.sleep, **options)
    market.on_command = lambda name, args, who: run.bot.command(name, args, who=who)
    await run.bot.run()
    assert market.script.differences == []
    return run


def compared(events: Sequence[Event]) -> list[Event]:
    """All events; the names of market and broker differ in a play, and may."""
    from dataclasses import replace

    from toolkit.bot.events import Health

    return [replace(e, market="", broker="") if isinstance(e, Health) else e for e in events]
