from __future__ import annotations

import pytest

from toolkit.loadtest.publisher import TURN, Publisher


class World:
    """Time that passes only when somebody sleeps or works."""

    def __init__(self, *, cost: float = 0.0) -> None:
        self.now = 100.0
        self.sent: list[tuple[float, int]] = []
        self.cost = cost
        self.pauses = 0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses += 1
        self.now += seconds

    async def send(self, symbol: int) -> None:
        self.sent.append((self.now, symbol))
        self.now += self.cost

    def publisher(self, *, symbols: int = 3) -> Publisher:
        return Publisher(self.send, symbols=symbols, monotonic=self.monotonic, sleep=self.sleep)


async def test_messages_go_out_when_they_are_due_to_each_symbol_in_turn():
    world = World()
    published = await world.publisher().run(rate=10, seconds=2.0)
    assert published.counts == [7, 7, 6]
    assert [symbol for _, symbol in world.sent[:4]] == [0, 1, 2, 0]
    due = [100.0 + n / 10 for n in range(20)]
    assert [at for at, _ in world.sent] == pytest.approx(due, abs=0.0011)
    assert (published.late.percentile(99) or 0) <= 1.1


async def test_what_became_due_meanwhile_is_caught_up():
    world = World()

    async def oversleep(seconds: float) -> None:
        world.now += seconds + (0.5 if len(world.sent) == 10 else 0.0)

    publisher = Publisher(world.send, symbols=1, monotonic=world.monotonic, sleep=oversleep)
    published = await publisher.run(rate=100, seconds=1.0)
    assert published.counts == [100]
    assert 490 < published.late.maximum < 520


async def test_the_loop_gets_its_turn_while_the_publisher_is_behind():
    world = World(cost=0.002)
    await world.publisher().run(rate=1000, seconds=1.0)
    assert world.pauses >= len(world.sent) * 0.002 / (TURN + 0.002)


async def test_a_rate_that_cannot_be_held_ends_early_and_shows():
    world = World(cost=0.002)
    published = await world.publisher().run(rate=1000, seconds=10.0, most_overdue=0.01)
    assert 0 < sum(published.counts) < 300
    assert (published.late.percentile(99) or 0) >= 50


async def test_halting_ends_a_run():
    world = World()

    async def stop_at_ten(symbol: int) -> None:
        await world.send(symbol)
        if len(world.sent) == 10:
            publisher.halt()

    publisher = Publisher(stop_at_ten, symbols=1, monotonic=world.monotonic, sleep=world.sleep)
    assert sum((await publisher.run(rate=100, seconds=5.0)).counts) == 10
