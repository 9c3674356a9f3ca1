from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


class FakeTime:
    """A clock that only sleeping moves; `slow_by` is what each sleep takes too long."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []
        self.slow_by = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds + self.slow_by
        await asyncio.sleep(0)


class EndlessSleep:
    """A sleep that never ends by itself, and says when somebody sleeps."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.entered.set()
        await asyncio.Event().wait()


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def endless_sleep() -> EndlessSleep:
    return EndlessSleep()


@pytest.fixture
def shared_file() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        if not (SHARED / name).is_file():
            pytest.skip(f"needs ../shared/data/{name} beside the checkout")
        return SHARED / name

    return find


@pytest.fixture
def bars_frame() -> pd.DataFrame:
    """Two symbols, six minutes; minutes 3 and 4 of A/USD are missing."""
    rows = [
        (f"2026-01-05T15:0{minute}:00Z", symbol, 10.0 + minute, 12.0 + minute, 9.0, 11.0, 5.0)
        for minute in range(6)
        for symbol in ("A/USD", "B/USD")
        if not (symbol == "A/USD" and minute in (3, 4))
    ]
    names = ["timestamp", "symbol", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=names)
