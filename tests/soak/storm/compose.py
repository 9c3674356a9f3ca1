"""The bot as session/alpaca.py composes it, but on the clock of the exchange."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.soak.storm.loop import SteppedLoop
from tests.soak.storm.world import CASH
from toolkit.alpaca.data import AlpacaData
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.streams import AlpacaDataStream, AlpacaOrderStream
from toolkit.alpaca.trading import AlpacaTrading
from toolkit.bot.bot import Bot
from toolkit.bot.events import Publish
from toolkit.bot.watch import RealTime
from toolkit.broker.alpaca import AlpacaBroker
from toolkit.core.engine import Engine
from toolkit.core.limits import RiskLimits
from toolkit.core.parameters import Parameters
from toolkit.core.types import is_crypto
from toolkit.market.alpaca import AlpacaMarketData

JOURNAL = "journal.sqlite"
PARAMETERS = {"risk.trade_capital_percent": 2.0, "risk.max_positions": 8}
WARM_UP_BARS = 400


def compose(settings: Mapping[str, Any], *, loop: SteppedLoop, publish: Publish) -> Bot:
    """Return a bot that trades at the exchange of `settings` and keeps its journal there."""
    alpaca = _settings(settings["environment"])
    folder, symbols = Path(settings["folder"]), settings["symbols"]
    trading = AlpacaTrading(alpaca, monotonic=loop.time, now=loop.now)
    data = AlpacaData(alpaca, monotonic=loop.time)
    kinds = {"crypto" if is_crypto(symbol) else "stocks" for symbol in symbols}
    feeds = {"stocks": alpaca.feed, "crypto": "crypto"}
    market = AlpacaMarketData(
        data=data,
        streams={k: AlpacaDataStream(alpaca, feed=feeds[k], now=loop.now) for k in kinds},
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

    async def offset() -> float:
        return (await trading.clock()).offset

    async def release() -> None:
        await trading.close()
        await data.close()

    def note(kind: str, who: str, facts: Mapping[str, Any]) -> None:
        broker.note(kind, who=who, data=facts)

    return Bot(
        market=market,
        broker=broker,
        engine=Engine(
            symbols=symbols,
            parameters=Parameters().replace(PARAMETERS),
            capital=float(CASH),
            limits=RiskLimits(),
        ),
        publish=publish,
        warm_up_bars=WARM_UP_BARS,
        real_time=RealTime(clock_offset=offset),
        note=note,
        on_stop=[release],
        clock=loop.now,
        monotonic=loop.time,
    )


def _settings(environment: Mapping[str, str]) -> AlpacaSettings:
    return AlpacaSettings(
        key_id=environment["APCA_API_KEY_ID"],
        secret_key=environment["APCA_API_SECRET_KEY"],
        trading_url=environment["ALPACA_TRADING_URL"],
        data_url=environment["ALPACA_DATA_URL"],
        trading_stream_url=environment["ALPACA_TRADING_STREAM_URL"],
        stock_stream_url=environment["ALPACA_STOCK_STREAM_URL"],
        crypto_stream_url=environment["ALPACA_CRYPTO_STREAM_URL"],
    )
