"""Alerts of a launched bot: on by one setting, and whatever goes wrong with them is said."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.alerts.receivers import PASSWORD, webhook
from toolkit.alerts.courier import Patience
from toolkit.bot.events import BotState, Event, Health, Problem
from toolkit.config import Settings
from toolkit.errors import ConfigError
from toolkit.session.options import LaunchOptions
from toolkit.session.service import Service
from toolkit.streaming.measures.alerts import HIGH, LatencyAlert
from toolkit.streaming.wire import Stream

OPTIONS = LaunchOptions(symbols=("AAPL",), dashboard=False, name="desk")


async def test_a_service_tells_that_it_stops_and_what_the_server_complains_of(
    monkeypatch: pytest.MonkeyPatch,
):
    async with webhook() as hook:
        monkeypatch.setenv("TOOLKIT_ALERTS", hook.url)
        settings = Settings.load(port=0)
        assert PASSWORD not in f"{settings!r} {settings}"
        service = Service(OPTIONS, settings)
        await service.start()
        alert = LatencyAlert(
            code=HIGH,
            stream=Stream.ORDERS,
            p99_ms=80.0,
            max_latency_ms=50.0,
            timestamp=datetime.now(UTC),
        )
        service.server._on_alert(alert)
        await service.stop()
        text = "\n".join(call["message"] for call in hook.calls)
    assert hook.calls[0]["title"].startswith("desk: ")
    assert "the p99 latency of orders is 80.0 ms" in text
    assert "the bot has stopped" in text


async def test_a_halt_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    async with webhook() as hook:
        monkeypatch.setenv("TOOLKIT_ALERTS", hook.url)
        monkeypatch.setenv("TOOLKIT_ALERT_EVENTS", "gates")
        running = asyncio.Event()

        def listen(event: Event) -> None:
            if isinstance(event, Health) and event.state is BotState.RUNNING:
                running.set()

        service = Service(OPTIONS, Settings.load(port=0), listener=listen)
        await service.start()
        async with asyncio.timeout(10):
            await running.wait()
        await service.bot.command("halt", {"reason": "enough"}, who="ada")
        await hook.called(1)
        assert "no entries (halt): halted by ada: enough" in hook.calls[0]["message"]
        await service.stop()


async def test_a_target_that_is_not_there_is_a_problem_of_the_bot(
    monkeypatch: pytest.MonkeyPatch,
):
    async with webhook() as hook:
        url = hook.url
    monkeypatch.setenv("TOOLKIT_ALERTS", url)
    patience = Patience(waits=())
    monkeypatch.setattr("toolkit.alerts.alerts.Patience", lambda: patience)
    heard: list[Event] = []
    told = asyncio.Event()

    def listen(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Problem) and event.code == "alert_failed":
            told.set()

    service = Service(OPTIONS, Settings.load(port=0), listener=listen)
    await service.start()
    service._publish(Problem(timestamp=datetime.now(UTC), code="x", message="told at once"))
    async with asyncio.timeout(20):
        await told.wait()
    await service.stop()
    (problem,) = [e for e in heard if type(e) is Problem and e.code == "alert_failed"]
    assert "json (target 1)" in problem.message
    assert PASSWORD not in problem.message


def test_a_wrong_target_or_kind_stops_the_launch_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("TOOLKIT_ALERTS", f"nonsense://{PASSWORD}")
    with pytest.raises(ConfigError, match="target 1") as caught:
        Service(OPTIONS, Settings.load(port=0))
    assert PASSWORD not in str(caught.value.to_dict())
    monkeypatch.setenv("TOOLKIT_ALERT_EVENTS", "fills, nothing")
    with pytest.raises(ConfigError, match="'nothing' is no kind of alert"):
        Service(OPTIONS, Settings.load(port=0))


def test_several_targets_and_kinds_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("TOOLKIT_ALERTS", "json://a/b,mailto://c:d@e.f?to=x@y.z,v@w.u\nxml://g/h")
    monkeypatch.setenv("TOOLKIT_ALERT_EVENTS", "fills, errors")
    settings = Settings.load()
    assert settings.alert_urls == ["json://a/b", "mailto://c:d@e.f?to=x@y.z,v@w.u", "xml://g/h"]
    assert settings.alert_events == ("fills", "errors")
