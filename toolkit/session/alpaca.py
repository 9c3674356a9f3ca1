"""Composition of a bot that trades at Alpaca, paper or live."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toolkit.alpaca.data import AlpacaData
from toolkit.alpaca.port import Trading
from toolkit.alpaca.settings import CRYPTO, AlpacaSettings
from toolkit.alpaca.streams import AlpacaDataStream, AlpacaOrderStream
from toolkit.alpaca.trading import AlpacaTrading
from toolkit.bot.bot import Bot, utc_now
from toolkit.bot.events import Publish
from toolkit.bot.halt import HaltSwitch, write_durably
from toolkit.bot.losses import Losses
from toolkit.bot.watch import RealTime
from toolkit.broker.alpaca import AlpacaBroker
from toolkit.config import Settings
from toolkit.core.engine import Engine
from toolkit.core.inputs import parameters_from
from toolkit.core.limits import RiskLimits
from toolkit.core.risk import exit_plan
from toolkit.core.types import is_crypto
from toolkit.errors import ConfigError
from toolkit.market.alpaca import AlpacaMarketData
from toolkit.market.port import MarketData
from toolkit.market.store import BarStore
from toolkit.session.exchange_clock import ExchangeClock, on_this_machine
from toolkit.session.history import keeps_bars
from toolkit.session.options import DEFAULT_SYMBOLS, LaunchOptions
from toolkit.session.recording import Parts, recorded
from toolkit.session.registry import bot_folder, halt_file

Clock = Callable[[], datetime]


def build_alpaca_bot(
    options: LaunchOptions,
    settings: Settings,
    *,
    publish: Publish,
    limits: RiskLimits | None,
    wall: Clock = utc_now,
) -> Bot:
    """Compose the bot that these options describe; raises ConfigError, BrokerError.

    What outlives it lies in the folder of its name: the journal, the halt, the losses. At an
    exchange on this machine it lives by the exchange's clock, else by `wall`.
    """
    alpaca = settings.alpaca(live=options.live, feed=options.feed)
    rehearsal = (
        ExchangeClock(alpaca.trading, wall=wall) if on_this_machine(alpaca.trading) else None
    )
    clock: Clock = rehearsal or wall
    folder, label = bot_folder(settings.state_dir, options.name), _label(alpaca)
    trading, data = AlpacaTrading(alpaca, now=clock), AlpacaData(alpaca)
    market = _market(options, settings, alpaca, data, clock)
    broker = AlpacaBroker(
        trading=trading,
        stream=AlpacaOrderStream(alpaca, now=clock),
        journal=folder / f"journal-{label}.sqlite",
        symbols=market.symbols,
        prefix=f"{options.name}-",
        claim=options.claim,
        claimed_exits=exit_plan(parameters_from(options.parameters).risk, atr=math.nan),
        clock=clock,
    )

    async def release() -> None:
        await trading.close()
        await data.close()
        if rehearsal is not None:
            await rehearsal.stop()

    async def offset() -> float:
        if rehearsal is not None and rehearsal.followed:
            return 0.0
        return (await trading.clock()).offset

    def note(kind: str, who: str, facts: Mapping[str, Any]) -> None:
        broker.note(kind, who=who, data=facts)

    parts = Parts(market=market, broker=broker, publish=publish, note=note, on_stop=(release,))
    parts = recorded(parts, options, limits=limits, real_time=True, clock=clock)
    return Bot(
        market=parts.market,
        broker=parts.broker,
        engine=Engine(
            symbols=market.symbols,
            parameters=parameters_from(options.parameters),
            capital=options.capital,
            name=options.name,
            limits=limits,
        ),
        publish=parts.publish,
        real_time=RealTime(clock_offset=offset),
        hours=options.hours(market.timeframe),
        switch=HaltSwitch(halt_file(settings.state_dir, options.name)),
        losses=Losses(
            limits or RiskLimits.none(),
            path=folder / f"losses-{label}.json",
            capital=options.capital,
        ),
        note=parts.note,
        on_start=[
            *([rehearsal.start] if rehearsal is not None else []),
            same_account(trading, folder / f"account-{label}"),
        ],
        on_stop=parts.on_stop,
        clock=clock,
    )


async def open_alpaca_market(
    options: LaunchOptions, settings: Settings, *, wall: Clock = utc_now
) -> tuple[MarketData, Clock, Callable[[], Awaitable[None]]]:
    """Open Alpaca's market data alone; returns it, its clock, and what releases it.

    Raises ConfigError, and NotConnected where an exchange on this machine does not answer.
    """
    alpaca = settings.alpaca(live=options.live, feed=options.feed)
    data = AlpacaData(alpaca)
    if not on_this_machine(alpaca.trading):
        return _market(options, settings, alpaca, data, wall), wall, data.close
    rehearsal = ExchangeClock(alpaca.trading, wall=wall)

    async def release() -> None:
        await data.close()
        await rehearsal.stop()

    try:
        await rehearsal.start()
    except BaseException:
        await release()
        raise
    return _market(options, settings, alpaca, data, rehearsal), rehearsal, release


def same_account(trading: Trading, path: Path) -> Callable[[], Awaitable[None]]:
    """Return a check that the journal in this folder is of the account that the keys open.

    It raises ConfigError where it is another one's, BrokerError where the keys open none.
    """

    async def check() -> None:
        account = await trading.account()
        known = _first_line(path)
        if known and known != account.id:
            raise ConfigError(
                f"the journal in {path.parent} is of another account than these keys open; give "
                "the bot another name, or move that folder away",
                field="name",
            )
        if not known:
            write_durably(path, account.id)

    return check


def _first_line(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _market(
    options: LaunchOptions,
    settings: Settings,
    alpaca: AlpacaSettings,
    data: AlpacaData,
    clock: Clock,
) -> AlpacaMarketData:
    symbols = options.symbols or DEFAULT_SYMBOLS
    kinds = {"crypto" if is_crypto(symbol) else "stocks" for symbol in symbols}
    feeds = {"stocks": alpaca.feed, "crypto": CRYPTO}
    return AlpacaMarketData(
        data=data,
        streams={k: AlpacaDataStream(alpaca, feed=feeds[k], now=clock) for k in sorted(kinds)},
        symbols=symbols,
        timeframe=options.timeframe,
        feed=alpaca.feed,
        store=BarStore(settings.bars_folder, clock=clock) if keeps_bars(settings, alpaca) else None,
        clock=clock,
    )


def _label(alpaca: AlpacaSettings) -> str:
    kind = "paper" if alpaca.paper else "live"
    if alpaca.trading_url is None:
        return kind
    place = urlsplit(alpaca.trading_url)
    host = (place.hostname or "").removesuffix(".alpaca.markets")
    return kind if host in ("api", "paper-api") else f"{kind}-{host}-{place.port or 443}"
