"""Sessions with planted facts: a real bot, recorded by the real recorder, with a clock to set."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bot.scripted import ScriptedMarket
from tests.core.markets import random_bars
from toolkit.bot.bot import Bot
from toolkit.bot.watch import RealTime
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.costs import Costs
from toolkit.core.engine import Engine
from toolkit.core.gates import Gate
from toolkit.core.parameters import Parameters
from toolkit.core.types import Bar, Fill, Order, OrderRequest, OrderUpdate, Side
from toolkit.market.recording import Recording, RecordingWriter
from toolkit.record.recorder import Recorder
from toolkit.record.recording import RecordingBroker, RecordingMarket, outcomes
from toolkit.research.parity.parity import compare
from toolkit.research.parity.recorded import session_of_recording
from toolkit.research.parity.report import ParityReport
from toolkit.research.parity.session import Session, Start

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PARAMETERS = Parameters().replace(
    {
        "exit_on_signal": True,
        "stoch_rsi.lower_band": 60.0,
        "stoch_rsi.upper_band": 70.0,
        "stop_loss": 0.6,
        "take_profit": 0.8,
        "trailing_stop": 0.5,
        "trailing_activation": 0.4,
    }
)
BARS = [replace(b, volume=1.0, feed="iex") for b in random_bars(1, symbols=["AAPL"], count=400)]
HISTORY, LIVE = BARS[:100], BARS[100:]
USUAL_DELAY = 0.2
TIMEFRAME = 60.0


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = HISTORY[-1].timestamp + timedelta(seconds=61)

    def __call__(self) -> datetime:
        return self.now

    def after(self, bar: Bar, delay: float = USUAL_DELAY) -> Callable[[], Any]:
        """Return a step of a script: the bar closed so many seconds ago."""

        async def step() -> None:
            self.now = bar.timestamp + timedelta(seconds=TIMEFRAME + delay)

        return step


class OtherFills(SimulatedBroker):
    """A broker whose executions differ: `change(fill)` returns what comes instead of a fill."""

    def __init__(self, change: Callable[[Fill], Fill], **options: Any) -> None:
        super().__init__(**options)
        self._change = change
        self.gates: dict[Gate, str] = {}

    def health(self) -> Mapping[Gate, str]:
        return dict(self.gates)

    def _report(self, update: OrderUpdate) -> None:
        if isinstance(update, Fill):
            update = self._change(update)
        super()._report(update)


class Halved(SimulatedBroker):
    """Fills the half of every entry."""

    async def submit(self, request: OrderRequest) -> Order:
        if request.side is Side.BUY:
            request = replace(request, quantity=request.quantity / 2)
        return await super().submit(request)


class Refusing(SimulatedBroker):
    """Answers entries with an error while one is set."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.gates: dict[Gate, str] = {}

    def health(self) -> Mapping[Gate, str]:
        return dict(self.gates)

    async def submit(self, request: OrderRequest) -> Order:
        if self.error is not None and request.side is Side.BUY:
            raise self.error
        return await super().submit(request)


class Troubled(Refusing):
    """Refuses, fills at other prices and in parts, by chance."""

    def __init__(self, rng: random.Random, *, prices: bool, shares: bool) -> None:
        super().__init__()
        self._random, self._prices, self._shares = rng, prices, shares

    async def submit(self, request: OrderRequest) -> Order:
        if self._shares and request.side is Side.BUY and self._random.random() < 0.5:
            share = Decimal(self._random.randrange(1, 100)) / 100
            request = replace(request, quantity=request.quantity * share)
        return await super().submit(request)

    def _report(self, update: OrderUpdate) -> None:
        if isinstance(update, Fill) and self._prices and self._random.random() < 0.5:
            update = replace(update, price=update.price * self._random.gauss(1.0, 0.001))
        super()._report(update)


async def lived(
    folder: Path,
    script: Sequence[Any],
    *,
    clock: Clock | None = None,
    broker: Any = None,
    history: Sequence[Bar] = HISTORY,
    parameters: Parameters = PARAMETERS,
    drive: Callable[[Bot], None] | None = None,
    real_time: bool = True,
    note: Any = None,
    **options: Any,
) -> Session:
    """Let a bot live through a script and return what its recording says.

    Bars come when they are due; `(bar, delay)` comes so many seconds after its close.
    """
    clock = clock or Clock()
    items: list[Any] = []
    for item in script:
        bar, delay = item if isinstance(item, tuple) else (item, USUAL_DELAY)
        items += [clock.after(bar, delay), bar] if isinstance(bar, Bar) else [item]
    market = ScriptedMarket(items, history=history)
    about = {
        "symbols": list(market.symbols),
        "timeframe": TIMEFRAME,
        "market": market.name,
        "broker": "simulated",
        "real_time": real_time,
    }
    problems: list[str] = []
    recorder = Recorder(
        RecordingWriter(folder, about=about),
        report=problems.append,
        clock=lambda: (clock() - EPOCH) // timedelta(microseconds=1) * 1000,
    )

    def both(kind: str, who: str, data: Mapping[str, Any]) -> None:
        recorder.on_note(kind, who, data)
        if note is not None:
            note(kind, who, data)

    bot = Bot(
        market=RecordingMarket(market, recorder),
        broker=RecordingBroker(broker or SimulatedBroker(), recorder),
        engine=Engine(
            symbols=market.symbols, parameters=parameters, limits=options.pop("limits", None)
        ),
        publish=outcomes(recorder, lambda _event: None),
        note=both,
        real_time=RealTime(is_open=lambda _symbol, _now: True) if real_time else None,
        clock=clock,
        **options,
    )
    if drive is not None:
        drive(bot)
    await bot.run()
    await recorder.stop()
    assert problems == []
    start = Start(parameters=parameters, capital=10_000.0, costs=Costs())
    return session_of_recording(Recording(folder), start)


def costs_add_up(report: ParityReport) -> None:
    """Check that the costs of all rows, and of all causes, are the whole difference."""
    whole = report.backtest_profit - report.live_profit
    assert sum(d.cost for d in report.differences) == whole
    assert sum(cost for _, cost in report.totals.values()) == whole
    assert round(report.frame["cost"].sum(), 6) == float(whole)
    assert round(report.causes["cost"].sum(), 6) == float(whole)


def report_of(session: Session, bars: Any = None) -> ParityReport:
    report = compare(session, bars)
    costs_add_up(report)
    return report


def entries(report: ParityReport) -> list[Any]:
    """Trades of the backtest with an exit, in the middle of the session."""
    closed = [t for t in report.backtest if t.exit is not None]
    return closed[2:-2]
