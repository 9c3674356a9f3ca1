"""The exchange as a whole: its clock, its sources, its control requests, its command."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pandas as pd
import pytest
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient

from tests.exchange.serving import served
from tests.exchange.test_streams import Raw, Seen, ready, running, until
from toolkit.errors import ConfigError
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.gate import RateLimit
from toolkit.exchange.server import ExchangeServer
from toolkit.exchange.settings import ExchangeSettings, Pace, Speed
from toolkit.exchange.source import RecordedSource, SimulatedSource
from toolkit.exchange.values import MINUTE, micros_of, moment_of
from toolkit.market.simulated import simulate_bars
from toolkit.market.tables import normalise

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


class Wall:
    """Real time that the test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def exchange(speed: str, **fields) -> Exchange:
    settings = ExchangeSettings(speed=Speed.parse(speed), **fields)
    return Exchange(SimulatedSource(["AAPL"]), settings)


async def test_sixty_times_real_time_is_a_minute_a_second():
    wall, made = Wall(), exchange("60x")
    async with ExchangeServer(made, monotonic=wall):
        wall.now += 10
        await until(lambda: made.now == made.source.start + 10 * MINUTE)


async def test_hours_in_which_nothing_trades_are_skipped():
    wall, made = Wall(), exchange("60x")
    async with ExchangeServer(made, monotonic=wall):
        wall.now += 6 * 60 + 1  # the session ends six hours after the start
        await until(lambda: made.now > made.source.start + 16 * 60 * MINUTE)
        (entry,) = made.log.entries("clock.skips")
    assert moment_of(made.now).day == 6
    assert entry["until"].startswith("2026-01-06T14:28")


async def test_as_fast_as_the_reader_means_that_none_is_left_behind():
    frame = simulate_bars(["AAPL"], 200)
    settings = ExchangeSettings(speed=Speed(Pace.READER), revision_rate=0.0)
    made = Exchange(RecordedSource(normalise(frame)), settings)
    async with ExchangeServer(made) as server:
        from alpaca.data.live import StockDataStream

        stream, seen = (
            StockDataStream(
                settings.key,
                settings.secret,
                url_override=server.environment["ALPACA_STOCK_STREAM_URL"],
            ),
            Seen(),
        )
        stream.subscribe_bars(seen.take, "AAPL")
        async with running(stream):
            await until(lambda: len(seen) == 200)
    assert [(b.open, b.high, b.low, b.close, b.volume) for b in seen] == [
        tuple(row) for row in frame[["open", "high", "low", "close", "volume"]].to_numpy()
    ]


def test_a_port_in_use_is_said_so():
    async def try_twice() -> None:
        async with ExchangeServer(exchange("step")) as first:
            await ExchangeServer(exchange("step"), port=first.port).start()

    with pytest.raises(ConfigError, match="choose another --port"):
        asyncio.run(try_twice())


@pytest.mark.parametrize("text", ["", "0x", "-1", "warp", "infx"])
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(ConfigError, match="as fast as the reader"):
        Speed.parse(text)


async def test_state_faults_events_and_the_clock_over_http():
    with served() as made:
        async with aiohttp.ClientSession(made.url) as http:
            async with http.post("/_exchange/advance", params={"seconds": "90"}) as answer:
                assert (await answer.json())["now"] == "2026-01-05T15:01:30Z"
            fault = {"kind": "mute", "length": 60, "target": "market"}
            async with http.post("/_exchange/faults", json=fault) as answer:
                assert answer.status == 200
            async with http.post("/_exchange/faults", json={"kind": "boredom"}) as answer:
                assert answer.status == 422
            async with http.get("/_exchange/advance") as answer:
                assert answer.status == 200
            async with http.get("/_exchange/faults") as answer:
                faults = await answer.json()
            async with http.get("/_exchange/events", params={"since": "1"}) as answer:
                (ends,) = await answer.json()
            async with http.get("/_exchange/state") as answer:
                state = await answer.json()
    assert [entry["what"] for entry in faults["happened"]] == ["fault.begins", "fault.ends"]
    assert ends == faults["happened"][1]
    assert (state["cash"], state["orders"], state["fills"]) == ("100000", [], [])


def test_the_rate_limit_begins_anew_every_minute():
    wall = Wall()
    limit = RateLimit(2, monotonic=wall)
    assert [limit.take() for _ in range(3)] == [True, True, False]
    wall.now += 60
    assert limit.take()
    assert limit.headers(1000)["X-RateLimit-Reset"] == "1060"
    assert all(RateLimit(0, monotonic=wall).take() for _ in range(1000))


def recorded(frame: pd.DataFrame, **fields) -> RecordedSource:
    return RecordedSource(normalise(frame), **fields)


def bars_of(source: RecordedSource | SimulatedSource, symbol: str) -> list:
    made = Exchange(source, ExchangeSettings(revision_rate=0.0))
    made.advance(source.start + 300 * MINUTE)
    return [
        (moment_of(b.at), b.open, b.high, b.low, b.close, b.volume) for b in made.tape.bars(symbol)
    ]


def test_recorded_bars_are_made_again_exactly_and_early_ones_are_history():
    frame = simulate_bars(["AAPL", "BTC/USD"], 50)
    source = recorded(frame, start=START + timedelta(minutes=20))
    assert len(source.history("AAPL")) == 20
    for symbol in ("AAPL", "BTC/USD"):
        rows = frame[frame["symbol"] == symbol].drop(columns="symbol").itertuples(index=False)
        assert bars_of(source, symbol) == [tuple(row) for row in rows]


def test_recorded_quotes_and_trades_make_the_bars_that_our_replay_makes():
    from toolkit.market.tables import bars_of as replayed

    times = pd.date_range(START, periods=120, freq="7s")
    quotes = pd.DataFrame(
        {"timestamp": times, "symbol": "AAPL", "bid": [100 + i % 9 for i in range(120)]}
    )
    quotes = quotes.assign(ask=quotes["bid"] + 0.5, bid_size=1.0, ask_size=2.0)
    trades = quotes[["timestamp", "symbol"]].assign(price=quotes["bid"] + 0.25, size=3.0)
    for frame in (quotes, trades):
        wanted = replayed(normalise(frame))
        got = bars_of(recorded(frame), "AAPL")
        assert [row[:5] for row in got] == [
            tuple(row)
            for row in wanted[["timestamp", "open", "high", "low", "close"]].itertuples(index=False)
        ]


def test_our_own_market_ticks_as_it_does_without_an_exchange():
    from toolkit.core.types import Quote, Trade
    from toolkit.market.simulation import Simulation

    events = Simulation(["AAPL", "MSFT"]).ticks()
    for tick, _ in zip(SimulatedSource(["AAPL", "MSFT"]).ticks(), range(500), strict=False):
        quote, trade = next(events), next(events)
        assert isinstance(quote, Quote) and isinstance(trade, Trade)
        assert (tick.symbol, tick.bid, tick.ask, tick.price, tick.size) == (
            quote.symbol,
            quote.bid,
            quote.ask,
            trade.price,
            trade.size,
        )
        assert tick.at == micros_of(trade.timestamp)


async def test_a_stream_outlives_nothing_and_a_stopped_server_leaves_nothing():
    with served() as made:
        async with Raw(made, "/v2/iex") as raw:
            await raw.login()
            made.ask(made.server.market.drop)
            assert await raw.is_closed()
        await until(lambda: not made.server.market.streams)


async def test_a_bot_that_comes_back_finds_everything_as_it_was():
    with served() as made:
        await made.pass_time(60)
        for _ in range(2):
            stream = made.stream("iex")
            stream.subscribe_bars(Seen().take, "AAPL")
            async with running(stream):
                await ready(made, "bars")
            await until(lambda: not made.server.market.streams)
        client = made.trading()
        ask = StockBarsRequest(
            symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, feed="iex", start=START
        )
        assert client.get_account().cash == "100000"
        assert made.stocks().get_stock_bars(ask).data == {}
        await made.pass_time(2)
        assert len(made.stocks().get_stock_bars(ask)["AAPL"]) == 1


async def test_the_live_view_shows_time_money_and_what_happened():
    from rich.console import Console

    from toolkit.cli.exchange import picture

    made = exchange("step")
    async with ExchangeServer(made) as server:
        await server.advance(made.source.start + MINUTE)
        made.desk.submit(
            {"symbol": "AAPL", "qty": 3, "side": "buy", "type": "market", "time_in_force": "day"},
            made.now,
        )
        await server.advance(made.now + MINUTE)
        screen = Console(record=True, width=160, file=io.StringIO())
        screen.print(picture(server, made.log.entries()))

    shown = screen.export_text()
    assert "2026-01-05T15:02:00 at step" in shown
    assert f"1 fills   cash {made.account.cash:,.2f} $" in shown
    assert "order.fill" in shown


def test_the_command_prints_what_to_paste_and_ends_at_ctrl_c(tmp_path):
    log = tmp_path / "events.jsonl"
    command = [sys.executable, "-m", "toolkit", "exchange", "--json", "--speed", "step"]
    command += ["--symbol", "AAPL", "--log", str(log), "--seed", "3"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "dumb"},
    ) as process:
        assert process.stdout is not None
        environment = json.loads(process.stdout.readline())
        assert environment.pop("what") == "environment"
        client = TradingClient(
            environment["APCA_API_KEY_ID"],
            environment["APCA_API_SECRET_KEY"],
            url_override=environment["ALPACA_TRADING_URL"],
        )
        assert client.get_clock().timestamp == START
        client._session.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert set(environment) == {
        "ALPACA_TRADING_URL",
        "ALPACA_DATA_URL",
        "ALPACA_TRADING_STREAM_URL",
        "ALPACA_STOCK_STREAM_URL",
        "ALPACA_CRYPTO_STREAM_URL",
        "APCA_API_KEY_ID",
        "APCA_API_SECRET_KEY",
    }
    assert log.exists()
