"""The HTTP API: who may do what, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.streaming.fakes import START, FakeBot, evaluation, health, position, quote
from tests.streaming.serving import TRADE, TUNE, VIEW, Served, serving, stock

HEALTH = health(START, 7)


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
        assert refused.status == 403
    async with http.post(url, json=change, headers=bearer(TUNE)) as answer:
        assert (await answer.json())["result"]["new"] == {"ema.ema_period": 12}
    async with http.post(url, json={"name": "sing"}, headers=bearer(TUNE)) as unknown:
        assert unknown.status == 400
        assert "get_parameters" in (await unknown.json())["error"]["allowed"]
    assert len(served.bot.calls) == 1


async def scraped(served: Served, http: aiohttp.ClientSession) -> dict[str, Metric]:
    async with http.get(served.url + "/metrics", headers=bearer(VIEW)) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = list(text_string_to_metric_families(await answer.text()))
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def values(family: Metric, label: str) -> dict[str, float]:
    return {s.labels[label]: s.value for s in family.samples if label in s.labels}


async def test_metrics_are_prometheus_text(served: Served, http: aiohttp.ClientSession) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions", "market_data"]})
        served.server.publish(position())
        served.server.publish(quote())
        await client.until(lambda: len(client.messages) >= 4)
        found = await scraped(served, http)
    published = values(found["toolkit_messages_published"], "stream")
    assert (published["positions"], published["market_data"], published["orders"]) == (1, 1, 0)
    assert values(found["toolkit_clients"], "role") == {
        "view": 0,
        "tune": 0,
        "trade": 0,
        "admin": 1,
    }
    states = values(found["toolkit_bot_state"], "state")
    assert (states["running"], states["failed"]) == (1, 0)
    assert found["toolkit_bot_bars"].samples[0].value == 7
    assert 0 <= values(found["toolkit_market_data_age_seconds"], "symbol")["AAPL"] < 60
    assert values(found["toolkit_delivery_mode"], "mode")[served.server.delivery_mode] == 1
    assert found["process_resident_memory_bytes"].samples[0].value > 10_000_000


async def test_every_metric_is_described_and_no_series_comes_twice(
    served: Served, http: aiohttp.ClientSession
) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.server.publish(position())
        await client.until(lambda: client.messages)
        found = await scraped(served, http)
    for family in found.values():
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram", "info"), family.name
        assert family.samples or family.name == "toolkit_market_data_age_seconds", family.name
    series = [(s.name, *sorted(s.labels.items())) for f in found.values() for s in f.samples]
    assert len(set(series)) == len(series)


async def test_the_latency_histogram_counts_each_delivery_in_seconds(
    served: Served, http: aiohttp.ClientSession
) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        for _ in range(5):
            served.server.publish(position())
        await client.until(lambda: len(client.messages) == 5)
        found = await scraped(served, http)
    samples = found["toolkit_delivery_latency_seconds"].samples
    mine = [s for s in samples if s.labels.get("stream") == "positions"]
    counts = [s.value for s in mine if s.name.endswith("_bucket")]
    assert counts == sorted(counts)
    assert counts[-1] == 5
    by_name = {s.name.removeprefix("toolkit_delivery_latency_seconds"): s.value for s in mine}
    assert by_name["_count"] == 5
    assert 0 < by_name["_sum"] < 60


async def test_latency_tells_all_streams_each_and_what_clients_measure(
    served: Served, http: aiohttp.ClientSession
) -> None:
    report = {"count": 10, "p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0}
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.server.publish(position())
        await client.until(lambda: client.messages)
        assert (await client.call("ping", {"latency": report}))["ok"] is True
        async with http.get(served.url + "/api/websocket/latency", headers=bearer(VIEW)) as answer:
            latency = await answer.json()
    assert latency["count"] == latency["streams"]["positions"]["count"] == 1
    assert latency["max"] >= latency["p50"] > 0
    (mine,) = latency["clients"]
    assert {name: mine[name] for name in report} == report
    assert latency["max_latency_ms"] == 50.0
    assert latency["alerts"] == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/websocket/stats", "GET, HEAD"),
        ("GET", "/api/websocket/start", "POST"),
        ("PUT", "/api/websocket/config", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_says_which_are_right(
    served: Served, http: aiohttp.ClientSession, method: str, path: str, allowed: str
) -> None:
    async with http.request(method, served.url + path, headers=bearer(served.token)) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == allowed
        error = (await answer.json())["error"]
    assert (error["code"], error["allowed"]) == ("method_not_allowed", allowed.split(", "))


async def test_head_is_get_without_the_body(served: Served, http: aiohttp.ClientSession) -> None:
    for path in (*GETS, "/healthz", "/docs", "/openapi.json"):
        async with http.get(served.url + path, headers=bearer(VIEW)) as whole:
            expected = whole.headers["Content-Type"]
        async with http.head(served.url + path, headers=bearer(VIEW)) as answer:
            assert answer.status == 200, path
            assert answer.headers["Content-Type"] == expected
            assert await answer.read() == b""


async def test_pages_are_asked_for_again_only_when_they_changed(
    served: Served, http: aiohttp.ClientSession
) -> None:
    for path in ("/docs", "/websocket_test_client.html", "/websocket_client.js"):
        async with http.get(served.url + path) as first:
            tag = first.headers["ETag"]
        async with http.get(served.url + path, headers={"If-None-Match": tag}) as same:
            assert same.status == 304
            assert await same.read() == b""
        async with http.get(served.url + path, headers={"If-None-Match": '"other"'}) as other:
            assert other.status == 200


async def test_an_unknown_path_of_the_api_is_a_typed_404(
    served: Served, http: aiohttp.ClientSession
) -> None:
    for path in ("/api/nothing", "/api/websocket/stats/", "/api/"):
        async with http.get(served.url + path, headers=bearer(VIEW)) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]
)
async def test_a_body_that_is_not_called_json_is_a_415(
    served: Served, http: aiohttp.ClientSession, kind: str
) -> None:
    url, headers = served.url + "/api/websocket/config", {**bearer(TUNE), "Content-Type": kind}
    async with http.post(url, data=b'{"streaming_interval": 5}', headers=headers) as answer:
        assert answer.status == 415
        assert (await answer.json())["error"]["code"] == "unsupported_media_type"
    assert served.server.controls.state.streaming_interval == 0.0


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_a_413(
    served: Served, http: aiohttp.ClientSession, chunked: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 1024

    url, body = served.url + "/api/command", b" " * 40 * 1024
    headers = {**bearer(TUNE), "Content-Type": "application/json"}
    async with http.post(url, data=pieces() if chunked else body, headers=headers) as answer:
        assert answer.status == 413
        error = (await answer.json())["error"]
    assert error["code"] == "too_large"
    assert "32768 bytes" in error["message"]


async def test_the_controls_are_changed_together_or_not_at_all(
    served: Served, http: aiohttp.ClientSession
) -> None:
    url = served.url + "/api/websocket/config"
    change = {"streaming_interval": 0.5, "notification_throttle": 0.1, "notifications": False}
    async with stock(served) as client:
        async with http.post(url, json=change, headers=bearer(TUNE)) as answer:
            config = await answer.json()
        assert {name: config[name] for name in change} == change
        told = await client.first("config_changed")
        assert {name: told[name] for name in change} == change
        assert told["who"] == "tune over http"
    wrong = {**change, "streaming_interval": 1.0, "notification_throttle": 61}
    async with http.post(url, json=wrong, headers=bearer(TUNE)) as refused:
        assert refused.status == 422
    assert served.server.controls.state.streaming_interval == 0.5


async def test_start_takes_an_interval_or_none(served: Served, http: aiohttp.ClientSession) -> None:
    url = served.url + "/api/websocket/start"
    async with http.post(url, json={"interval": 0.5}, headers=bearer(TRADE)) as answer:
        assert (await answer.json())["streaming_interval"] == 0.5
    async with http.post(url, headers=bearer(TRADE)) as answer:
        assert (await answer.json())["streaming_interval"] == 0.5
    async with http.post(url, json={"interval": "soon"}, headers=bearer(TRADE)) as answer:
        assert (await answer.json())["error"]["field"] == "interval"


async def test_openapi_describes_every_answer_and_who_may_ask(
    served: Served, http: aiohttp.ClientSession
) -> None:
    async with http.get(served.url + "/openapi.json") as answer:
        schema = await answer.json()
    schemes = schema["components"]["securitySchemes"]
    assert {(one["type"], one.get("scheme", one.get("in"))) for one in schemes.values()} == {
        ("http", "bearer"),
        ("apiKey", "cookie"),
    }
    assert set(GETS) - {"/api/test/realtime/AAPL"} <= set(schema["paths"])
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert operation["tags"], path
            (content,) = operation["responses"]["200"]["content"].values()
            assert "$ref" in content["schema"] or path == "/metrics", path
            errors = {status for status in operation["responses"] if status[0] in "45"}
            assert {"405", "500"} <= errors, path
            for status in errors:
                body = operation["responses"][status]["content"]["application/json"]["schema"]
                assert body["$ref"].endswith("/ErrorBody"), (path, status)
            if path != "/healthz":
                assert {"401", "403"} <= errors, path
                assert len(operation["security"]) == 2, path


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
