"""alpaca-py's streams against the exchange: what arrives, in what order, and what is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
import websockets
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from tests.exchange.serving import Served, served
from toolkit.exchange.faults import Kind

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
BAR_MINUTE = 60 + 1.5  # a bar comes a second after its minute


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served() as exchange:
        yield exchange


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the test's timeout ends it when that never comes true."""
    while not condition():  # noqa: ASYNC110 - a condition of another thread
        await asyncio.sleep(0.005)


@asynccontextmanager
async def running(stream: Any) -> AsyncIterator[Any]:
    """Run a stream in the test's loop and stop it at once."""
    task = asyncio.create_task(stream._run_forever())
    try:
        yield task
    finally:
        await stream.stop_ws()
        await stream.close()
        await task


class Seen(list):
    """Messages as they come."""

    async def take(self, message: Any) -> None:
        self.append(message)


async def ready(exchange: Served, *channels: str, feed: str = "iex") -> None:
    """Wait until the exchange knows who wants what."""

    def subscribed() -> bool:
        return any(
            all(stream.subscribed[channel] for channel in channels)
            for stream in exchange.server.market.streams
            if stream.feed == feed
        )

    await until(subscribed)


async def listening(exchange: Served) -> None:
    await until(lambda: any(client.listens for client in exchange.server.trading.clients))


def buy(symbol: str = "AAPL", **fields: Any) -> MarketOrderRequest:
    usual = {"qty": 10, "side": "buy", "time_in_force": "day"}
    return MarketOrderRequest(symbol=symbol, **{**usual, **fields})


async def test_bars_come_after_their_minute_and_equal_those_of_the_history(exchange):
    seen, stream = Seen(), exchange.stream("iex")
    stream.subscribe_bars(seen.take, "AAPL", "MSFT")
    async with running(stream):
        await ready(exchange, "bars")
        await exchange.pass_time(59)
        assert seen == []
        await exchange.pass_time(10 * 60)
        await until(lambda: len(seen) == 20)
    minutes = [bar.timestamp.minute for bar in seen]
    assert minutes == sorted(minutes)
    assert {(bar.symbol, bar.timestamp.minute) for bar in seen} == {
        (symbol, minute) for minute in range(10) for symbol in ("AAPL", "MSFT")
    }
    kept = exchange.ask(lambda: list(exchange.exchange.tape.bars("AAPL").between(0, 2**60))[-10:])
    aapl = [bar for bar in seen if bar.symbol == "AAPL"]
    assert [(b.open, b.close, b.volume) for b in aapl] == [
        (b.open, b.close, b.volume) for b in kept
    ]


async def test_trades_and_quotes_arrive_in_order_of_time(exchange):
    trades, quotes, stream = Seen(), Seen(), exchange.stream("iex")
    stream.subscribe_trades(trades.take, "AAPL")
    stream.subscribe_quotes(quotes.take, "*")
    async with running(stream):
        await ready(exchange, "trades", "quotes")
        await exchange.pass_time(60)
        wanted = exchange.ask(lambda: [t for _, t in exchange.exchange.tape.ticks("AAPL")])
        await until(lambda: len(trades) == len(wanted))
        await until(lambda: {quote.symbol for quote in quotes} == {"AAPL", "MSFT"})
    assert [trade.price for trade in trades] == [tick.price for tick in wanted]
    times = [trade.timestamp for trade in trades]
    assert times == sorted(times)
    assert times[0] - START == timedelta(microseconds=wanted[0].at % 60_000_000)


async def test_crypto_has_a_stream_of_its_own(exchange):
    seen, stream = Seen(), exchange.stream("crypto")
    stream.subscribe_bars(seen.take, "BTC/USD")
    async with running(stream):
        await ready(exchange, "bars", feed="crypto")
        await exchange.pass_time(BAR_MINUTE)
        await until(lambda: len(seen) == 1)
    assert seen[0].symbol == "BTC/USD"


async def test_a_revised_bar_follows_half_a_minute_later_and_history_has_it():
    with served(revision_rate=1.0) as exchange:
        first, second, stream = Seen(), Seen(), exchange.stream("iex")
        stream.subscribe_bars(first.take, "AAPL")
        stream.subscribe_updated_bars(second.take, "AAPL")
        async with running(stream):
            await ready(exchange, "bars", "updatedBars")
            await exchange.pass_time(BAR_MINUTE)
            await until(lambda: len(first) == 1)
            await exchange.pass_time(30)
            await until(lambda: len(second) == 1)
        (kept,) = exchange.ask(
            lambda: exchange.exchange.tape.bars("AAPL").between(int(START.timestamp() * 1e6), 2**60)
        )
        assert first[0].timestamp == second[0].timestamp
        assert first[0].volume < second[0].volume == kept.volume
        assert first[0].trade_count < second[0].trade_count


async def test_day_bars_grow_with_each_minute(exchange):
    seen, stream = Seen(), exchange.stream("iex")
    stream.subscribe_daily_bars(seen.take, "AAPL")
    async with running(stream):
        await ready(exchange, "dailyBars")
        await exchange.pass_time(3 * 60 + 2)
        await until(lambda: len(seen) == 3)
    assert seen[0].volume < seen[1].volume < seen[2].volume
    assert {bar.timestamp for bar in seen} == {datetime(2026, 1, 5, 5, tzinfo=UTC)}


async def test_a_halt_is_announced_and_nothing_trades_in_it(exchange):
    statuses, trades, stream = Seen(), Seen(), exchange.stream("iex")
    stream.subscribe_trading_statuses(statuses.take, "AAPL")
    stream.subscribe_trades(trades.take, "AAPL")
    async with running(stream):
        await ready(exchange, "trades", "statuses")
        exchange.inject(Kind.HALT, length=120.0, target="AAPL")
        await exchange.pass_time(119)
        order = exchange.trading().submit_order(buy())
        await exchange.pass_time(60)
        await until(lambda: len(statuses) == 2 and trades)
    assert [status.status_code for status in statuses] == ["H", "T"]
    resumed = START + timedelta(seconds=120)
    assert trades[0].timestamp > resumed
    filled = exchange.trading().get_order_by_id(order.id)
    assert filled.filled_at > resumed


async def test_every_step_of_an_order_is_told(exchange):
    await exchange.pass_time(60)
    client, seen, stream = exchange.trading(), Seen(), exchange.updates()
    stream.subscribe_trade_updates(seen.take)
    async with running(stream):
        await listening(exchange)
        filled = client.submit_order(buy(client_order_id="filled"))
        rested = client.submit_order(
            LimitOrderRequest(symbol="MSFT", qty=1, side="buy", time_in_force="day", limit_price=1)
        )
        new = client.replace_order_by_id(rested.id, _price(2))
        client.cancel_order_by_id(new.id)
        await until(lambda: seen and seen[-1].event == "canceled")
    steps = {}
    for update in seen:
        steps.setdefault(str(update.order.id), []).append(update.event)
    assert steps[str(filled.id)] == ["pending_new", "new", "fill"]
    assert steps[str(rested.id)] == ["pending_new", "new", "pending_replace", "replaced"]
    assert steps[str(new.id)] == ["new", "pending_cancel", "canceled"]
    fill = next(update for update in seen if update.event == "fill")
    (truth,) = exchange.state()["fills"]
    assert (str(fill.execution_id), fill.price, fill.qty) == (
        truth["id"],
        float(truth["price"]),
        10,
    )
    assert fill.position_qty == 10


def _price(limit: float) -> Any:
    from alpaca.trading.requests import ReplaceOrderRequest

    return ReplaceOrderRequest(limit_price=limit)


async def test_an_order_that_is_not_filled_by_the_close_expires(exchange):
    seen, stream = Seen(), exchange.updates()
    stream.subscribe_trade_updates(seen.take)
    await exchange.pass_time(60)
    async with running(stream):
        await listening(exchange)
        exchange.trading().submit_order(
            LimitOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day", limit_price=1)
        )
        await exchange.pass_time(6 * 3600)
        await until(lambda: bool(seen) and seen[-1].event == "expired")
    assert seen[-1].timestamp == datetime(2026, 1, 5, 21, 0, tzinfo=UTC)


class Raw:
    """A client that says exactly what the test wants."""

    def __init__(self, exchange: Served, path: str) -> None:
        self._exchange = exchange
        self._path = exchange.url.replace("http", "ws", 1) + path

    async def __aenter__(self) -> Raw:
        headers = {"Content-Type": "application/msgpack"}
        self._socket = await websockets.connect(self._path, additional_headers=headers)
        assert await self.hear() == [{"T": "success", "msg": "connected"}]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()

    async def say(self, **message: Any) -> Any:
        await self._socket.send(msgpack.packb(message))
        return await self.hear()

    async def hear(self) -> Any:
        return msgpack.unpackb(await self._socket.recv())

    async def login(self) -> Any:
        settings = self._exchange.exchange.settings
        return await self.say(action="auth", key=settings.key, secret=settings.secret)

    async def send_raw(self, data: bytes) -> Any:
        await self._socket.send(data)
        return await self.hear()

    def abort(self) -> None:
        self._socket.transport.abort()

    async def is_closed(self) -> bool:
        with pytest.raises(websockets.ConnectionClosed):
            await self._socket.recv()
        return True


def error(code: int, message: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": message}]


async def test_who_does_not_log_in_properly_is_told_so(exchange):
    async with Raw(exchange, "/v2/iex") as raw:
        assert await raw.say(action="subscribe", bars=["AAPL"]) == error(401, "not authenticated")
        assert await raw.send_raw(b"\xc1") == error(400, "invalid syntax")
        assert await raw.say(action="auth", key="no", secret="no") == error(402, "auth failed")
        assert await raw.is_closed()


async def test_there_is_one_connection_for_each_feed(exchange):
    async with Raw(exchange, "/v2/iex") as first, Raw(exchange, "/v2/iex") as second:
        assert await first.login() == [{"T": "success", "msg": "authenticated"}]
        assert await first.login() == error(403, "already authenticated")
        assert await second.login() == error(406, "connection limit exceeded")
        assert await second.is_closed()
        async with Raw(exchange, "/v1beta3/crypto/us") as crypto:
            assert await crypto.login() == [{"T": "success", "msg": "authenticated"}]
    async with Raw(exchange, "/v2/iex") as third:
        assert await third.login() == [{"T": "success", "msg": "authenticated"}]


async def test_a_connection_that_broke_is_held_for_a_while():
    with served(session_hold=3600.0) as exchange:
        async with Raw(exchange, "/v2/iex") as first:
            await first.login()
        async with Raw(exchange, "/v2/iex") as second:  # the first was closed properly
            await second.login()
            second.abort()
            await until(lambda: not exchange.server.market.streams)
        async with Raw(exchange, "/v2/iex") as third:
            assert await third.login() == error(406, "connection limit exceeded")


async def test_plans_limit_feeds_and_symbols():
    with served(stream_symbols=2) as exchange:
        async with Raw(exchange, "/v2/sip") as sip:
            assert await sip.login() == error(409, "insufficient subscription")
        async with Raw(exchange, "/v2/iex") as iex:
            await iex.login()
            answer = await iex.say(action="subscribe", trades=["A"], quotes=["B"], bars=["C", "D"])
            assert answer[0]["bars"] == ["C", "D"]
            answer = await iex.say(action="subscribe", trades=["B"])
            assert answer == error(405, "symbol limit exceeded")
            answer = await iex.say(action="unsubscribe", quotes=["B"])
            assert (answer[0]["trades"], answer[0]["quotes"]) == (["A"], [])
            assert (await iex.say(action="subscribe", gossip=["A"]))[0]["code"] == 410


async def test_sip_shows_more_volume_than_iex():
    with served(plan="algo_trader_plus") as exchange:
        iex, sip = exchange.stream("iex"), exchange.stream("sip")
        little, much = Seen(), Seen()
        iex.subscribe_bars(little.take, "AAPL")
        sip.subscribe_bars(much.take, "AAPL")
        async with running(iex), running(sip):
            await ready(exchange, "bars")
            await ready(exchange, "bars", feed="sip")
            await exchange.pass_time(BAR_MINUTE)
            await until(lambda: bool(little and much))
    assert (much[0].close, much[0].volume) == (little[0].close, 25 * little[0].volume)


async def test_insufficient_subscription_ends_the_sdks_stream_without_a_word(exchange):
    stream = exchange.stream("sip")
    stream.subscribe_bars(Seen().take, "AAPL")
    await asyncio.wait_for(stream._run_forever(), 10)


async def test_wrong_keys_are_retried_for_ever_with_log_lines_only(exchange, caplog):
    stream = exchange.stream("iex", api_key="wrong")
    stream.subscribe_bars(Seen().take, "AAPL")
    stream._reconnect_max_backoff = 0.01
    with caplog.at_level(logging.ERROR):
        async with running(stream) as task:
            await until(lambda: sum("auth failed" in r.message for r in caplog.records) >= 3)
            assert not task.done()


async def test_a_client_that_reads_too_slowly_is_dropped_with_407():
    with served(queue_size=3) as exchange:
        async with Raw(exchange, "/v2/iex") as raw:
            await raw.login()
            await raw.say(action="subscribe", bars=["AAPL"])

            def flood() -> None:
                (stream,) = exchange.server.market.streams
                for _ in range(10):
                    stream.say({"T": "success", "msg": "flood"})

            exchange.ask(flood)
            while (message := (await raw.hear())[0])["T"] != "error":
                assert message["msg"] == "flood"
            assert message == error(407, "slow client")[0]
            assert await raw.is_closed()


async def test_whoever_speaks_json_is_answered_in_json(exchange):
    import json

    url = exchange.url.replace("http", "ws", 1) + "/v2/iex"
    settings = exchange.exchange.settings
    async with websockets.connect(url) as socket:
        assert json.loads(await socket.recv()) == [{"T": "success", "msg": "connected"}]
        login = {"action": "auth", "key": settings.key, "secret": settings.secret}
        for message in (login, {"action": "subscribe", "bars": ["AAPL"]}):
            await socket.send(json.dumps(message))
            answer = json.loads(await socket.recv())
        assert answer[0]["bars"] == ["AAPL"]
        await exchange.pass_time(BAR_MINUTE)
        (bar,) = json.loads(await socket.recv())
    assert (bar["T"], bar["S"], bar["t"]) == ("b", "AAPL", "2026-01-05T15:00:00Z")
