from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from toolkit.errors import ConfigError
from toolkit.market.pace import Pace, PaceKind, Pacer

START = datetime(2026, 1, 5, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Time(Protocol):
    now: float
    naps: list[float]
    slow_by: float

    def clock(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


def pacer(speed: str, time: Time) -> Pacer:
    return Pacer(Pace.parse(speed), timeframe=60.0, sleep=time.sleep, clock=time.clock)


@pytest.mark.parametrize(
    ("text", "pace", "shown"),
    [
        ("max", Pace(PaceKind.MAX), "max"),
        (" MAX ", Pace(PaceKind.MAX), "max"),
        ("60", Pace(PaceKind.MULTIPLE, 60.0), "60x"),
        ("0.5x", Pace(PaceKind.MULTIPLE, 0.5), "0.5x"),
        (1, Pace(PaceKind.MULTIPLE, 1.0), "1x"),
        ("60/s", Pace(PaceKind.BARS, 60.0), "60/s"),
    ],
)
def test_paces_are_read_and_shown(text: str | float, pace: Pace, shown: str) -> None:
    assert Pace.parse(text) == pace
    assert str(pace) == shown
    assert Pace.parse(str(pace)) == pace


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "nan", "inf", "60/m", "x", "/s", "0/s"])
def test_what_is_no_pace_is_refused_with_the_allowed_forms(text: str) -> None:
    with pytest.raises(ConfigError, match="allowed: max") as caught:
        Pace.parse(text)
    assert caught.value.data["field"] == "speed"


async def test_a_multiple_of_real_time_divides_the_waits(fake_time: Time) -> None:
    p = pacer("60x", fake_time)
    for minute in range(4):
        await p.wait(START + minute * MINUTE)
    assert fake_time.now == pytest.approx(3.0)


async def test_late_sleeps_do_not_add_up(fake_time: Time) -> None:
    fake_time.slow_by = 0.25
    p = pacer("60x", fake_time)
    for minute in range(101):
        await p.wait(START + minute * MINUTE)
    assert fake_time.now == pytest.approx(100.25)


async def test_gaps_and_nights_cost_two_timeframes(fake_time: Time) -> None:
    p = pacer("1x", fake_time)
    await p.wait(START)
    await p.wait(START + timedelta(hours=7))
    assert fake_time.now == pytest.approx(120.0)


async def test_bars_a_second_count_over_all_symbols(fake_time: Time) -> None:
    p = pacer("60/s", fake_time)
    for i in range(121):
        await p.wait(START + (i // 3) * MINUTE)
    assert fake_time.now == pytest.approx(2.0)


def test_ticks_turn_bars_a_second_into_an_even_flow() -> None:
    even = Pace.parse("60/s").for_ticks(timeframe=60.0, symbols=3)
    assert even == Pace(PaceKind.MULTIPLE, 1200.0)
    assert Pace.parse("max").for_ticks(timeframe=60.0, symbols=3) == Pace.parse("max")


async def test_at_max_nothing_sleeps(fake_time: Time) -> None:
    p = pacer("max", fake_time)
    for minute in range(100):
        await p.wait(START + minute * MINUTE)
    assert fake_time.naps == []


async def test_other_tasks_run_at_least_every_64_events(fake_time: Time) -> None:
    p = pacer("max", fake_time)
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            ran += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(640):
        await p.breathe()
    task.cancel()
    assert ran >= 9


async def test_stop_ends_a_wait_at_once(endless_sleep: object) -> None:
    p = Pacer(Pace.parse("1"), timeframe=60.0, sleep=endless_sleep)  # type: ignore[arg-type]
    await p.wait(START)
    waiting = asyncio.create_task(p.wait(START + MINUTE))
    await endless_sleep.entered.wait()  # type: ignore[attr-defined]
    p.stop()
    await waiting
    await p.wait(START + 2 * MINUTE)
    assert p.stopped
    assert not waiting.cancelled()


async def test_cancelling_the_waiter_is_not_swallowed(endless_sleep: object) -> None:
    p = Pacer(Pace.parse("1"), timeframe=60.0, sleep=endless_sleep)  # type: ignore[arg-type]
    await p.wait(START)
    waiting = asyncio.create_task(p.wait(START + MINUTE))
    await endless_sleep.entered.wait()  # type: ignore[attr-defined]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_sleep_that_fails_is_not_swallowed() -> None:
    async def broken(seconds: float) -> None:
        raise OSError("no clock")

    p = Pacer(Pace.parse("1"), timeframe=60.0, sleep=broken)
    await p.wait(START)
    with pytest.raises(OSError, match="no clock"):
        await p.wait(START + MINUTE)
