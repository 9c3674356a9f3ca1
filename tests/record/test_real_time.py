"""Sessions in real time: answers come while other bars do, and the play keeps that order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.bot.scripted import ScriptedMarket
from tests.core.markets import random_bars
from tests.record.recorded import compared, play, record
from toolkit.bot.bot import Bot
from toolkit.bot.events import Health
from toolkit.bot.watch import RealTime
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.gates import Gate
from toolkit.core.types import Bar, Fill, Order, OrderRequest, RoundTrip, Signal
from toolkit.errors import OrderRejected, UnknownOrderState

BARS = [replace(b, volume=1.0) for b in random_bars(1, symbols=["AAPL"], count=400)]


class FarBroker:
    """A simulated broker at a distance: answers, updates and refusals come later, by chance."""

    name = "far"

    def __init__(self, seed: int) -> None:
        self._inner = SimulatedBroker()
        self._random = random.Random(seed)
        self._gates: dict[Gate, str] = {}

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def on_bar(self, bar: Bar) -> None:
        self._inner.on_bar(bar)
        chance = self._random.random()
        if chance < 0.05:
            self._gates[Gate.ORDERS] = "the order stream is down"
        elif chance < 0.2:
            self._gates.clear()

    def health(self) -> dict[Gate, str]:
        return dict(self._gates)

    async def submit(self, request: OrderRequest) -> Order:
        await self._travel()
        chance = self._random.random()
        if chance < 0.1:
            raise OrderRejected("not enough money")
        order = await self._inner.submit(request)
        if chance < 0.2:
            raise UnknownOrderState("no answer")
        await self._travel()
        return order

    async def cancel(self, order_id: str) -> None:
        await self._travel()
        await self._inner.cancel(order_id)

    async def _travel(self) -> None:
        for _ in range(self._random.randrange(12)):
            await asyncio.sleep(0)


def script(bot_of: list[Bot], seed: int) -> Sequence[object]:
    """Bars with turns of the loop between them, and commands at random."""
    rng = random.Random(seed)
    items: list[object] = []

    async def breathe() -> None:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)

    def command(name: str, args: dict[str, object]) -> Callable[[], object]:
        async def send() -> None:
            work = bot_of[0].command(name, args, who="anna")
            sent.append(asyncio.create_task(work))
            await asyncio.sleep(0)

        return send

    sent: list[asyncio.Task[object]] = []
    commands = [
        ("set_parameters", {"ema_period": 12}),
        ("stop", {}),
        ("start", {}),
        ("flatten", {}),
        ("set_parameters", {"ema_period": 9}),
        ("start", {}),
    ]
    for place, bar in enumerate(BARS):
        items += [bar, breathe]
        if place % 60 == 59 and commands:
            items.append(command(*commands.pop(0)))

    async def last() -> None:
        await asyncio.gather(*sent)
        for _ in range(50):
            await asyncio.sleep(0)

    return [*items, last]


def decisions(events):
    """What must be the same: looks at the gates are by the clock, and may fall elsewhere."""
    return [e for e in compared(events) if not isinstance(e, Health)]


@pytest.mark.parametrize("seed", [0, 1, 5, 8])
async def test_answers_that_come_late_come_at_the_same_place_again(tmp_path: Path, seed: int):
    bot_of: list[Bot] = []

    def clock() -> datetime:
        return BARS[0].timestamp + timedelta(minutes=1)

    real_time = RealTime(is_open=lambda _symbol, _now: True)
    options = {"real_time": real_time, "clock": clock}
    run = await record(
        tmp_path / "r",
        ScriptedMarket(script(bot_of, seed)),
        FarBroker(seed),
        drive=bot_of.append,
        **options,
    )
    again = await play(tmp_path / "r", **options)
    assert decisions(again.events) == decisions(run.events)
    kinds = {type(e) for e in again.events}
    assert {Signal, Order, Fill, RoundTrip} <= kinds
    assert again.bot.engine.portfolio.holdings == run.bot.engine.portfolio.holdings
