"""Composition: from options to a market, a broker and a bot."""

from __future__ import annotations

from pathlib import Path

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event, Publish
from toolkit.bot.halt import HaltSwitch
from toolkit.broker.simulated import SimulatedBroker
from toolkit.config import Settings
from toolkit.core.engine import Engine
from toolkit.core.inputs import parameters_from
from toolkit.core.limits import RiskLimits
from toolkit.core.types import RoundTrip
from toolkit.errors import ConfigError
from toolkit.market.pace import Pace
from toolkit.market.port import MarketData
from toolkit.market.recording import is_recording
from toolkit.session.options import DEFAULT_SYMBOLS, LaunchOptions
from toolkit.session.recording import Parts, build_player, recorded
from toolkit.session.registry import halt_file


def trades_alpaca(options: LaunchOptions, settings: Settings | None) -> bool:
    """Tell whether these options mean Alpaca; raises ConfigError where they contradict themselves.

    Without settings nothing but a simulation or a replay is meant.
    """
    recorded, keys = options.recording is not None, bool(settings and settings.has_alpaca_keys)
    chosen = options.market == "alpaca" or (options.market == "auto" and keys and not recorded)
    if recorded and chosen:
        raise ConfigError("a recording is replayed, not traded at Alpaca; choose one of them")
    if options.live and not chosen:
        raise ConfigError(
            "live trades at Alpaca with keys, and this would be a simulation; set "
            "APCA_API_KEY_ID and APCA_API_SECRET_KEY, or leave out live",
            field="live",
        )
    if chosen and settings is None:
        raise ConfigError("Alpaca needs settings", field="market")
    return chosen


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


def build_bot(options: LaunchOptions, *, publish: Publish, settings: Settings | None = None) -> Bot:
    """Compose the bot that these options describe; raises ConfigError, DataError, BrokerError.

    Without settings it is a simulation or a replay that knows nothing of this machine.
    """
    if trades_alpaca(options, settings):
        from toolkit.session.alpaca import build_alpaca_bot

        assert settings is not None
        return build_alpaca_bot(
            options,
            settings,
            publish=publish,
            limits=limits_of(options, settings, usual=RiskLimits()),
        )
    if options.recording is not None and is_recording(Path(options.recording)):
        return build_player(options, publish=publish)
    market = build_market(options)
    engine = Engine(
        symbols=market.symbols,
        parameters=parameters_from(options.parameters),
        capital=options.capital,
        name=options.name,
        limits=limits_of(options, settings, usual=None),
    )
    hours = options.hours(market.timeframe)
    broker = SimulatedBroker(cash=options.capital, costs=options.costs, hours=hours)
    # A replay repeats what was; nobody halts it by a file that lies there from another day.
    halting = settings is not None and options.recording is None
    path = halt_file(settings.state_dir, options.name) if settings and halting else None
    parts = Parts(market=market, broker=broker, publish=publish)
    parts = recorded(parts, options, limits=engine.limits, real_time=False)
    return Bot(
        market=parts.market,
        broker=parts.broker,
        engine=engine,
        publish=parts.publish,
        hours=hours,
        switch=HaltSwitch(path),
        note=parts.note,
        on_stop=parts.on_stop,
    )


def limits_of(
    options: LaunchOptions, settings: Settings | None, *, usual: RiskLimits | None
) -> RiskLimits | None:
    """Return the limits in force: as launched, else as the environment says, else `usual`.

    A replay has those that it was launched with only, so that it equals a backtest.
    """
    if options.limits is not None:
        return options.limits
    named = settings.limits if settings is not None and options.recording is None else {}
    return RiskLimits(**named) if named else usual


class RoundTrips:
    """Collects every round trip of a run; a result, so it is not bounded."""

    def __init__(self) -> None:
        self.items: list[RoundTrip] = []

    def __call__(self, event: Event) -> None:
        """Take an event of the bot."""
        if isinstance(event, RoundTrip):
            self.items.append(event)
