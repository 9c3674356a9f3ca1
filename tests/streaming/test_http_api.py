"""The HTTP API: who may do what, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.streaming.fakes import START, FakeBot, evaluation, position, quote
from tests.streaming.serving import TRADE, TUNE, VIEW, Served, serving, stock
from toolkit.bot.events import BotState, Health

HEALTH = Health(
    timestamp=START,
    state=BotState.RUNNING,
    reason="",
    market="simulated",
    broker="simulated",
    symbols=("AAPL",),
    market_time=START,
    bars=7,
)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    bot = FakeBot()
    bot.events = [evaluation("AAPL", 0), quote("AAPL", 101.0, 1), HEALTH]
    async with serving(bot=bot) as served:
        yield served


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status(request: Any) -> int:
    async with request as answer:
        return int(answer.status)


GETS = [
    "/api/websocket/stats",
    "/api/websocket/performance",
    "/api/websocket/latency",
    "/api/websocket/clients",
    "/api/websocket/config",
    "/api/websocket/secure",
    "/api/performance/system",
    "/api/test/realtime/AAPL",
    "/metrics",
]


async def test_reading_needs_a_token(served: Served, http: aiohttp.ClientSession) -> None:
    for path in GETS:
        async with http.get(served.url + path) as refused:
            assert refused.status == 401, path
            assert (await refused.json())["error"]["code"] == "auth_error"
        async with http.get(served.url + path, headers=bearer(VIEW)) as answer:
            assert answer.status == 200, path
            assert answer.headers["Cache-Control"] == "no-store"
        async with http.get(f"{served.url}{path}?token={served.token}") as in_the_url:
            assert in_the_url.status == 401, path


@pytest.mark.parametrize(
    ("path", "enough", "too_little", "body"),
    [
        ("/api/websocket/start", TRADE, TUNE, None),
        ("/api/websocket/stop", TRADE, TUNE, None),
        ("/api/websocket/config", TUNE, VIEW, {"streaming_interval": 0.5}),
        ("/api/performance/clear-cache", None, TRADE, None),
    ],
)
async def test_changing_needs_a_role(
    served: Served,
    http: aiohttp.ClientSession,
    path: str,
    enough: str | None,
    too_little: str,
    body: object,
) -> None:
    async with http.post(served.url + path, json=body, headers=bearer(too_little)) as refused:
        assert refused.status == 403
        assert (await refused.json())["error"]["required"]
    async with http.post(
        served.url + path, json=body, headers=bearer(enough or served.token)
    ) as answer:
        assert answer.status == 200


async def test_healthz_is_open(served: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(served.url + "/healthz") as answer:
        assert await answer.json() == {"status": "ok"}


async def test_realtime_is_the_last_known_price_or_a_typed_404(
    served: Served, http: aiohttp.ClientSession
) -> None:
    url = served.url + "/api/test/realtime/"
    async with http.get(url + "AAPL", headers=bearer(VIEW)) as answer:
        assert (await answer.json())["price"] == pytest.approx(101.0)
    async with http.get(url + "BTC/USD", headers=bearer(VIEW)) as missing:
        assert missing.status == 404
        assert (await missing.json())["error"]["allowed"] == ["AAPL", "MSFT"]


async def test_stop_holds_messages_and_start_lets_them_go(
    served: Served, http: aiohttp.ClientSession
) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        await status(http.post(served.url + "/api/websocket/stop", headers=bearer(TRADE)))
        served.hub.publish(position())
        await client.call("ping", {})
        assert client.messages == []
        await status(http.post(served.url + "/api/websocket/start", headers=bearer(TRADE)))
        await client.until(lambda: client.messages)


@pytest.mark.parametrize("value", [-1, 61, "fast", None])
async def test_a_wrong_setting_names_the_field(
    served: Served, http: aiohttp.ClientSession, value: object
) -> None:
    url = served.url + "/api/websocket/config"
    body = {"streaming_interval": value}
    async with http.post(url, json=body, headers=bearer(TUNE)) as answer:
        assert answer.status == 422
        assert (await answer.json())["error"]["field"] == "streaming_interval"


async def test_commands_work_as_over_socket_io(served: Served, http: aiohttp.ClientSession) -> None:
    url = served.url + "/api/command"
    change = {"name": "set_parameters", "args": {"values": {"ema_period": 12}}}
    async with http.post(url, json=change, headers=bearer(VIEW)) as refused:
        assert refused.status == 401
    async with http.post(url, json=change, headers=bearer(TUNE)) as answer:
        assert (await answer.json())["result"]["new"] == {"ema.ema_period": 12}
    async with http.post(url, json={"name": "sing"}, headers=bearer(TUNE)) as unknown:
        assert unknown.status == 400
        assert "get_parameters" in (await unknown.json())["error"]["allowed"]
    assert len(served.bot.calls) == 1


async def test_metrics_are_prometheus_text(served: Served, http: aiohttp.ClientSession) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.hub.publish(position())
        await client.until(lambda: client.messages)
        async with http.get(served.url + "/metrics", headers=bearer(VIEW)) as answer:
            families = {f.name: f for f in text_string_to_metric_families(await answer.text())}
    assert families["toolkit_messages_published"].samples[0].value == 1
    assert families["toolkit_clients"].samples[0].value == 1
    states = {s.labels["state"]: s.value for s in families["toolkit_bot_state"].samples}
    assert states["running"] == 1
    assert states["failed"] == 0


async def test_the_link_is_exchanged_for_a_cookie_once(
    served: Served, http: aiohttp.ClientSession
) -> None:
    link = f"{served.url}/?token={served.token}&theme=dark"
    async with http.get(link, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == "/?theme=dark"
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert served.token not in cookie
    name_and_value = {"Cookie": cookie.split(";")[0]}
    secure = served.url + "/api/websocket/secure"
    async with http.get(secure, headers=name_and_value) as seen:
        assert (await seen.json())["role"] == "admin"


async def test_a_cookie_changes_nothing_from_a_foreign_page(
    served: Served, http: aiohttp.ClientSession
) -> None:
    link = f"{served.url}/?token={served.token}"
    async with http.get(link, allow_redirects=False) as answer:
        cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    url = served.url + "/api/websocket/stop"
    for origin, status in ((None, 401), ("https://evil.example.com", 401), (served.url, 200)):
        headers = {**cookie, **({"Origin": origin} if origin else {})}
        async with http.post(url, headers=headers) as changed:
            assert changed.status == status, origin


async def test_an_unexpected_error_is_a_500_without_details(
    served: Served, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> list[object]:
        raise ZeroDivisionError("secret detail")

    served.bot.snapshot = explode  # type: ignore[assignment,method-assign]
    url = served.url + "/api/test/realtime/AAPL"
    async with http.get(url, headers=bearer(VIEW)) as answer:
        assert answer.status == 500
        assert "secret" not in await answer.text()
    assert "secret detail" in caplog.text


async def test_docs_and_test_page_come_without_any_other_host(
    served: Served, http: aiohttp.ClientSession
) -> None:
    for path in (
        "/docs",
        "/websocket_test_client.html",
        "/websocket_client.js",
        "/_toolkit/page.css",
        "/_toolkit/test_client.js",
        "/_toolkit/docs.js",
    ):
        async with http.get(served.url + path) as answer:
            assert answer.status == 200
            text = await answer.text()
            assert "https://" not in text, path
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    async with http.get(served.url + "/openapi.json") as schema:
        assert "/api/command" in (await schema.json())["paths"]


async def test_no_secret_reaches_the_log(
    served: Served, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    await status(http.get(f"{served.url}/?token={served.token}"))
    await status(http.get(f"{served.url}/socket.io/?EIO=4&transport=polling&token={served.token}"))
    await status(http.get(served.url + "/metrics", headers=bearer(served.token)))
    server_side = [r.getMessage() for r in caplog.records if not r.name.startswith("aiohttp")]
    assert served.token not in "\n".join(server_side)
