"""Bars over REST through the real SDK, against the exchange double."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.alpaca.reaching import exchange_of, settings_of
from tests.exchange.serving import Served
from toolkit.alpaca.data import AlpacaData
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.errors import DataError, FeedRefused
from toolkit.exchange.faults import Kind

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=30)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Served]:
    with exchange_of(symbols=("AAPL", "BTC/USD", "MSFT")) as exchange:
        exchange.advance(29 * 60)
        yield exchange


async def bars_at(exchange: Served, symbols=("AAPL",), *, keys=None, **fields):
    usual = {"timeframe": 60.0, "start": START, "end": START + timedelta(minutes=10)}
    data = AlpacaData(settings_of(exchange, **(keys or {})))
    data._stocks._sleep = data._crypto._sleep = _no_sleep
    try:
        return await data.bars(symbols, **{**usual, **fields})
    finally:
        await data.close()


async def _no_sleep(_: float) -> None:
    return None


async def test_bars_of_stocks_and_crypto_come_in_one_answer_with_their_feed(exchange):
    found = await bars_at(exchange, ["MSFT", "AAPL", "BTC/USD"])
    assert list(found) == ["MSFT", "AAPL", "BTC/USD"]
    for symbol, bars in found.items():
        assert [bar.timestamp for bar in bars] == [
            START + timedelta(minutes=minute) for minute in range(10)
        ]
        assert {(bar.symbol, bar.final, bar.adjustment) for bar in bars} == {(symbol, True, "raw")}
    feeds = {symbol: {bar.feed for bar in bars} for symbol, bars in found.items()}
    assert feeds == {"MSFT": {"iex"}, "AAPL": {"iex"}, "BTC/USD": {"crypto"}}


async def test_the_end_is_not_part_of_it(exchange):
    found = await bars_at(exchange, end=START + timedelta(minutes=3, microseconds=1))
    assert len(found["AAPL"]) == 4
    assert len((await bars_at(exchange, end=START + timedelta(minutes=3)))["AAPL"]) == 3


async def test_the_feed_is_always_named_and_kept_with_the_bars(exchange):
    """The default historical feed is SIP; volumes differ by more than 20 times."""
    old = {"start": START - timedelta(minutes=60), "end": START}
    iex = (await bars_at(exchange, **old))["AAPL"]
    sip = (await bars_at(exchange, feed="sip", adjustment="all", **old))["AAPL"]
    assert {bar.feed for bar in iex} == {"iex"}
    assert {(bar.feed, bar.adjustment) for bar in sip} == {("sip", "all")}
    assert [s.volume / i.volume for s, i in zip(sip, iex, strict=True)] == [25.0] * len(iex)


async def test_sip_of_the_last_minutes_is_refused_with_what_to_do(exchange):
    """Basic plan: an `end` within the last 15 minutes gives 403."""
    with pytest.raises(DataError, match="15 minutes old: use feed iex") as caught:
        await bars_at(exchange, feed="sip", end=NOW)
    assert (caught.value.data["reason"], caught.value.data["status"]) == ("recent_sip", 403)


async def test_unknown_symbols_have_no_bars(exchange):
    found = await bars_at(exchange, ["NOSUCH", "AAPL"])
    assert found["NOSUCH"] == []
    assert len(found["AAPL"]) == 10


async def test_pages_are_followed_for_all_symbols(exchange, monkeypatch):
    """`limit` counts over all symbols in alphabetical order, so later ones may be missing."""
    monkeypatch.setattr("toolkit.alpaca.data.PAGE", 7)
    monkeypatch.setattr("toolkit.alpaca.data.BATCH", 2)
    found = await bars_at(exchange, ["MSFT", "NOSUCH", "AAPL", "BTC/USD"])
    assert {symbol: len(bars) for symbol, bars in found.items()} == {
        "MSFT": 10,
        "NOSUCH": 0,
        "AAPL": 10,
        "BTC/USD": 10,
    }
    times = [bar.timestamp for bar in found["MSFT"]]
    assert times == sorted(set(times))


async def test_the_last_bar_of_a_longer_timeframe_is_not_final_before_it_is_over(exchange):
    """Timeframes above one minute end with a partial bar."""
    found = await bars_at(exchange, timeframe=3600.0, start=START - timedelta(hours=1), end=NOW)
    assert [(bar.timestamp.hour, bar.final) for bar in found["AAPL"]] == [(14, True), (15, False)]


async def test_crypto_needs_no_keys_and_stocks_say_that_they_do(exchange):
    none = {"key_id": "", "secret_key": ""}
    assert len((await bars_at(exchange, ["BTC/USD"], keys=none))["BTC/USD"]) == 10
    with pytest.raises(FeedRefused, match="need keys"):
        await bars_at(exchange, keys=none)


async def test_wrong_keys_are_said(exchange):
    with pytest.raises(FeedRefused, match="check APCA_API_KEY_ID"):
        await bars_at(exchange, keys={"secret_key": "wrong"})


@pytest.mark.parametrize(
    "kind", [Kind.SERVER_ERROR, Kind.TIMEOUT_BEFORE, Kind.RESET_BEFORE, Kind.RATE_LIMITED]
)
async def test_a_page_that_failed_is_asked_for_again(exchange, kind, monkeypatch):
    monkeypatch.setattr("toolkit.alpaca.calling.QUIET", 0.01)
    exchange.inject(kind, target="GET /v2/stocks", count=2)
    assert len((await bars_at(exchange))["AAPL"]) == 10


async def test_what_stays_out_of_reach_is_a_data_error(exchange):
    exchange.inject(Kind.SERVER_ERROR, target="GET /v2/stocks", count=4)
    with pytest.raises(DataError, match="HTTP 500"):
        await bars_at(exchange)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"feed": "otc"}, "feed is 'otc'"),
        ({"adjustment": "none"}, "adjustment is 'none'"),
        ({"timeframe": 90.0}, "timeframe is 90 s"),
        ({"timeframe": 3600.0 * 24 * 2}, "a day, a week"),
        ({"start": START.replace(tzinfo=None)}, "time zone"),
    ],
)
async def test_what_alpaca_does_not_have_is_refused_before_asking(exchange, fields, words):
    """Naive datetimes mean UTC to the SDK: to us they mean a mistake."""
    with pytest.raises(DataError, match=words):
        await bars_at(exchange, **fields)


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(60, "1Min"), (900, "15Min"), (3600, "1Hour"), (14400, "4Hour"), (86400, "1Day")],
)
async def test_timeframes_are_sent_in_alpacas_words_with_the_feed(seconds, name):
    """`TimeFrame` has no equality: what is compared is the word that is sent."""
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((parse_qs(urlsplit(self.path).query), self.headers["APCA-API-KEY-ID"]))
            body = json.dumps({"bars": None, "next_page_token": None}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        data = AlpacaData(AlpacaSettings(key_id="k", secret_key="s", data_url=url))
        window = {"start": START, "end": NOW, "timeframe": float(seconds)}
        assert await data.bars(["A", "B"], feed="sip", **window) == {"A": [], "B": []}
        await data.close()
        server.shutdown()
        thread.join()
    (query, key) = asked[0]
    assert (query["timeframe"], query["feed"], query["symbols"], key) == (
        [name],
        ["sip"],
        ["A,B"],
        "k",
    )
