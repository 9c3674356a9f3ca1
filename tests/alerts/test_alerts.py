"""Alerts as a whole: from a bot's events to a mailbox and a webhook, whatever the targets do."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.alerts.happenings import fill, gate, gated, health, problem
from tests.alerts.receivers import mail_server, webhook
from toolkit.alerts.alerts import Alerts
from toolkit.alerts.courier import Courier, Patience
from toolkit.alerts.digest import Message, Throttle
from toolkit.alerts.rules import Rules
from toolkit.alerts.targets import SendFailed, open_targets
from toolkit.core.gates import Gate

FAST = Throttle(gather=0.05, repeat=60.0)


class Scripted:
    """A target in this process; `answers` says what each attempt does."""

    def __init__(self, *answers: str, name: str = "scripted") -> None:
        self.name = name
        self.sent: list[str] = []
        self.attempts = 0
        self.release = threading.Event()
        self._answers = list(answers)

    def send(self, *, title: str, body: str) -> None:
        self.attempts += 1
        answer = self._answers.pop(0) if self._answers else "ok"
        if answer == "hang":
            self.release.wait(10)
        if answer == "fail":
            raise SendFailed(f"{self.name}: no")
        if answer == "break":
            raise RuntimeError("a bug")
        self.sent.append(body)


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the target is in another thread
            await asyncio.sleep(0.005)


def alerts_to(*targets, patience: Patience | None = None) -> tuple[Alerts, list[str]]:
    reports: list[str] = []
    alerts = Alerts(
        targets,
        rules=Rules(),
        report=reports.append,
        name="stochrsi",
        throttle=FAST,
        patience=patience or Patience(waits=(0.01, 0.01)),
        pause=no_pause,
    )
    return alerts, reports


async def test_a_halt_reaches_mailbox_and_webhook_and_fills_come_grouped():
    async with mail_server() as mailbox, webhook() as hook:
        alerts, reports = alerts_to(*open_targets([mailbox.url, hook.url]))
        alerts.start()
        alerts.publish(health())
        alerts.publish(gated(gate(Gate.HALT, "anna pulled the plug")))
        await hook.called(1)
        for number in range(50):
            alerts.publish(fill(quantity=str(number + 1)))
        await hook.called(2)
        await until(lambda: mailbox.letters)
        await alerts.stop()
    assert "anna pulled the plug" in hook.calls[0]["message"]
    assert hook.calls[1]["title"] == "stochrsi: 50 fills"
    assert "anna pulled the plug" in mailbox.letters[0].as_string()
    assert reports == []


async def test_what_waits_is_sent_when_the_bot_stops():
    target = Scripted()
    alerts, _ = alerts_to(target)
    alerts.start()
    alerts.publish(fill())
    await alerts.stop()
    await alerts.stop()
    assert target.sent == ["bought 12.5 AAPL at 187.32 (entry)"]


async def test_a_failure_is_tried_again():
    target = Scripted("fail", "fail")
    alerts, reports = alerts_to(target)
    alerts.start()
    alerts.publish(problem())
    await until(lambda: target.sent)
    await alerts.stop()
    assert (target.attempts, reports) == (3, [])


async def test_a_dead_target_is_reported_once_and_says_later_what_it_missed():
    target = Scripted(*["fail"] * 6, name="dead")
    other = Scripted(name="alive")
    alerts, reports = alerts_to(target, other)
    alerts.start()
    for number in range(3):
        alerts.publish(problem(f"problem {number}"))
        await until(lambda number=number: len(other.sent) == number + 1)
        await until(lambda number=number: target.attempts >= min(3 * (number + 1), 7))
    await until(lambda: target.sent)
    await alerts.stop()
    assert [report.count("dead: no") for report in reports] == [1]
    assert target.sent == ["AAPL: problem 2\n(2 earlier messages could not be delivered)"]


async def test_a_hanging_target_holds_up_neither_the_bot_nor_the_other_targets():
    target, other = Scripted("hang"), Scripted()
    alerts, reports = alerts_to(target, other, patience=Patience(timeout=0.02, waits=()))
    alerts.start()
    alerts.publish(problem("one"))
    await until(lambda: reports)
    alerts.publish(problem("two"))
    await until(lambda: len(other.sent) == 2)
    assert target.attempts == 1  # never two attempts at once
    target.release.set()
    alerts.publish(problem("three"))
    await until(lambda: any("three" in body for body in target.sent))
    await alerts.stop()
    assert "no answer in 0.02 s" in reports[0]


async def test_a_full_queue_drops_the_oldest_and_says_how_many():
    target = Scripted()
    patience = Patience(queue=2)
    courier = Courier(target, report=pytest.fail, patience=patience, pause=no_pause)
    for number in range(5):
        courier.put(Message(title="", body=f"message {number}", notices=1))
    task = asyncio.create_task(courier.run())
    await courier.idle()
    task.cancel()
    assert target.sent == [
        "message 3\n(3 earlier messages could not be delivered)",
        "message 4",
    ]


async def test_a_bug_in_a_target_is_reported_and_not_swallowed(
    caplog: pytest.LogCaptureFixture,
):
    alerts, reports = alerts_to(Scripted(*["break"] * 3))
    alerts.start()
    alerts.publish(problem())
    await until(lambda: reports)
    await alerts.stop()
    assert "RuntimeError" in reports[0]
    assert "a bug" in caplog.text


async def test_a_latency_alert_of_the_server_is_told():
    target = Scripted()
    alerts, _ = alerts_to(target)
    alerts.start()
    alerts.latency("the p99 latency of orders is 80.0 ms, above 50 ms", stream="orders")
    await until(lambda: target.sent)
    await alerts.stop()
    assert "80.0 ms" in target.sent[0]
