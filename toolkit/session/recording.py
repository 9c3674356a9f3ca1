"""Composition of a recorded bot, and of one that plays a recording."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from toolkit.bot.bot import Bot, utc_now
from toolkit.bot.events import Event, Problem, Publish
from toolkit.bot.halt import HaltOrder, HaltSwitch
from toolkit.bot.losses import Losses
from toolkit.bot.notes import Note
from toolkit.bot.watch import RealTime
from toolkit.broker.port import Broker
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.engine import Engine
from toolkit.core.gates import Gate
from toolkit.core.inputs import parameters_from
from toolkit.core.limits import RiskLimits
from toolkit.errors import ConfigError
from toolkit.market.pace import Pace
from toolkit.market.port import MarketData
from toolkit.market.recording import Recording, RecordingWriter, new_folder
from toolkit.record.broker import RecordedBroker
from toolkit.record.comparison import Comparison, PlayReport
from toolkit.record.playback import RecordedMarket
from toolkit.record.recorder import Recorder
from toolkit.record.recording import RecordingBroker, RecordingMarket, outcomes
from toolkit.record.script import Script
from toolkit.session.options import LaunchOptions

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
Release = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a bot is made of, as far as a recorder sits between."""

    market: MarketData
    broker: Broker
    publish: Publish
    note: Note | None = None
    on_stop: Sequence[Release] = ()


def recorded(
    parts: Parts,
    options: LaunchOptions,
    *,
    limits: RiskLimits | None,
    real_time: bool,
    clock: Callable[[], datetime] = utc_now,
) -> Parts:
    """Return the parts with a recorder between them, where `options.record` asks for one.

    A new folder below that path is written; when that fails a Problem says so. `limits` are those
    in force, `real_time` says that orders are on their way while the next bar is looked at,
    `clock` is the bot's.
    """
    if options.record is None:
        return parts
    folder = new_folder(Path(options.record), now=utc_now())
    known = replace(options, limits=limits)
    about = _about(parts.market, known, broker=parts.broker.name, real_time=real_time)
    writer = RecordingWriter(folder, about=about)

    def report(text: str) -> None:
        parts.publish(Problem(timestamp=utc_now(), code="recording_stopped", message=text))

    recorder = Recorder(writer, report=report, clock=lambda: _nanoseconds(clock()))
    return Parts(
        market=RecordingMarket(parts.market, recorder),
        broker=RecordingBroker(parts.broker, recorder),
        publish=outcomes(recorder, parts.publish),
        note=_both(recorder.on_note, parts.note),
        on_stop=(*parts.on_stop, recorder.stop),
    )


def market_recorder(
    market: MarketData,
    options: LaunchOptions,
    *,
    report: Callable[[str], None],
    clock: Callable[[], datetime],
) -> tuple[Recorder, Path]:
    """Return a recorder of a market without a bot, and the folder that it will write."""
    folder = new_folder(Path(options.record or "."), now=utc_now())
    about = _about(market, options, broker="", real_time=False)
    writer = RecordingWriter(folder, about=about)
    return Recorder(writer, report=report, clock=lambda: _nanoseconds(clock())), folder


def build_player(options: LaunchOptions, *, publish: Publish) -> Bot:
    """Compose the bot that plays `options.recording`, a folder; raises DataError and ConfigError.

    As it was recorded, unless the options ask for other parameters, capital or costs than usual,
    or only the market was recorded: then the simulated broker trades anew.
    """
    market = PlayedMarket(Recording(options.recording or "."), pace=Pace.parse(options.speed))
    about, script = market.recording.about, market.script
    if options.symbols is not None and set(options.symbols) != set(market.symbols):
        raise ConfigError(
            f"a recording is played with all its symbols: {', '.join(market.symbols)}; "
            "leave symbols out",
            field="symbols",
            allowed=list(market.symbols),
        )
    anew = not about.get("broker") or _asks_for_more(options)
    chosen = options if anew else LaunchOptions.from_dict(about["options"])
    broker: Broker
    hours = chosen.hours(market.timeframe)
    if anew:
        broker = SimulatedBroker(cash=chosen.capital, costs=chosen.costs, hours=hours)
    else:
        name = str(about["broker"])
        broker = RecordedBroker(script, name=name, real_time=market.real_time)
        market.broker, market.comparison = broker, Comparison(script)
        publish = _each(market.comparison.publish, publish)
    bot = Bot(
        market=market,
        broker=broker,
        engine=Engine(
            symbols=market.symbols,
            parameters=parameters_from(chosen.parameters),
            capital=chosen.capital,
            name=chosen.name,
            limits=chosen.limits,
        ),
        publish=publish,
        real_time=_real_time(script) if market.real_time and not anew else None,
        hours=hours,
        switch=PlayedSwitch(script),
        losses=Losses(
            chosen.limits or RiskLimits.none(),
            path=None,
            capital=chosen.capital if market.real_time else 0.0,
        ),
        clock=lambda: script.now,
        sleep=market.sleep,
    )
    if not anew:
        market.on_command = lambda name, args, who: bot.command(name, args, who=who)
    return bot


class PlayedMarket(RecordedMarket):
    """A recorded market that can say, when it is over, how the play went."""

    comparison: Comparison | None = None

    def report(self) -> PlayReport:
        """Return what the play came to; of a play that was cut short only the differences."""
        if self.comparison is not None and self.script.peek() is None:
            self.comparison.finish()
        differences = tuple(self.script.differences)
        return PlayReport(
            same=None if self.comparison is None else not differences,
            differences=differences,
            notes=tuple(self.recording.notes),
        )


class PlayedSwitch(HaltSwitch):
    """The halt as it was recorded; commands of the play change nothing of it."""

    def __init__(self, script: Script) -> None:
        super().__init__(None)
        self._script = script

    def order(self) -> HaltOrder | None:
        """Return the halt that was in force."""
        reason = self._script.gates.get((Gate.HALT, None))
        return super().order() if reason is None else _PlayedHalt(who="recorded", reason=reason)


class _PlayedHalt(HaltOrder):
    @property
    def text(self) -> str:
        """The reason as it was recorded."""
        return self.reason


def _nanoseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND * 1000


def _real_time(script: Script) -> RealTime:
    def is_open(symbol: str, _now: datetime) -> bool:
        return (Gate.MARKET, symbol) not in script.gates

    return RealTime(is_open=is_open)


def _about(
    market: MarketData, options: LaunchOptions, *, broker: str, real_time: bool
) -> dict[str, Any]:
    return {
        "symbols": list(market.symbols),
        "timeframe": market.timeframe,
        "market": market.name,
        "broker": broker,
        "real_time": real_time,
        "started": datetime.now(UTC).isoformat(),
        "options": options.to_dict(),
    }


def _asks_for_more(options: LaunchOptions) -> bool:
    usual = LaunchOptions()
    return any(
        getattr(options, name) != getattr(usual, name)
        for name in (
            "parameters",
            "capital",
            "costs",
            "limits",
            "sessions",
            "flat_before_close",
        )
    )


def _both(first: Note, second: Note | None) -> Note:
    def note(kind: str, who: str, data: Any) -> None:
        first(kind, who, data)
        if second is not None:
            second(kind, who, data)

    return note


def _each(*sinks: Publish) -> Publish:
    def publish(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return publish
