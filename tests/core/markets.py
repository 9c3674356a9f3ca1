"""Small markets for tests: bars by hand, bars at random, and an engine driven through them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from toolkit.core.costs import Costs
from toolkit.core.engine import Engine
from toolkit.core.matching import MatchingBook
from toolkit.core.parameters import Parameters
from toolkit.core.report import trade_dict
from toolkit.core.types import Bar
from toolkit.market.hours import Hours

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def bar(
    number: int, open_: float, high: float, low: float, close: float, *, symbol: str = "AAPL"
) -> Bar:
    return Bar(symbol=symbol, timestamp=minute(number), open=open_, high=high, low=low, close=close)


def random_bars(
    seed: int,
    *,
    symbols: Sequence[str] = ("AAPL", "BTC/USD"),
    count: int = 300,
    start: datetime = START,
    step: int = 1,
) -> list[Bar]:
    """A random walk with missing minutes, flat stretches and jumps, in the order of a feed.

    Some bars have no volume, or no spread. `step` is in minutes.
    """
    rng = random.Random(seed)
    prices = {symbol: 100.0 * (i + 1) for i, symbol in enumerate(symbols)}
    bars = []
    for number in range(count):
        for symbol in sorted(symbols):
            if rng.random() < 0.1:
                continue
            bars.append(_step(rng, number, symbol, prices))
    moved = [replace(item, timestamp=start + step * (item.timestamp - START)) for item in bars]
    return [_traded(item, random.Random(f"{seed} {n}")) for n, item in enumerate(moved)]


def _traded(item: Bar, rng: random.Random) -> Bar:
    volume = rng.choice([0.0, rng.lognormvariate(4.0, 2.0), rng.lognormvariate(6.0, 1.0)])
    spread = rng.choice([None, 0.0, round(rng.uniform(0.01, 0.1), 3)])
    return replace(item, volume=volume, spread=spread)


def _step(rng: random.Random, number: int, symbol: str, prices: dict[str, float]) -> Bar:
    start = prices[symbol] * (1 + (rng.gauss(0, 0.01) if rng.random() < 0.03 else 0))
    if rng.random() < 0.15:
        return bar(number, start, start, start, start, symbol=symbol)
    points = [start * (1 + rng.gauss(0, 0.0015)) for _ in range(4)]
    path = [round(p, 2) for p in (start, *points)]
    prices[symbol] = path[-1]
    return bar(number, path[0], max(path), min(path), path[-1], symbol=symbol)


def random_costs(seed: int) -> Costs:
    """Any mixture of fees and slippage."""
    pick = random.Random(f"costs {seed}")

    def some(*values: Any) -> Any:
        return pick.choice(values)

    return Costs(
        stock_fee_bps=some(0.0, 3.3),
        crypto_fee_bps=some(0.0, 25.0),
        crypto_maker_fee_bps=some(0.0, 15.0),
        sec_fee_per_million=some(0.0, 20.6, 900.0),
        taf_per_share=some(0.0, 0.000195, 0.3),
        taf_cap=some(9.79, 1.5),
        cat_per_share=some(0.0, 0.000003, 0.01),
        slippage_bps=some(0.0, 1.7),
        spread_bps=some(0.0, 0.9),
        symbol_spread_bps=some({}, {"AAPL": 2.5, "BTC/USD": 0.0}),
        impact_bps=some(0.0, 8.0),
        max_impact_bps=some(0.0, 12.0),
        max_volume_percent=some(0.0, 2.0, 50.0),
        quoted_spread=some(True, False),
        targets_rest=some(True, False),
    )


def drive(
    bars: Iterable[Bar],
    parameters: Parameters,
    *,
    symbols: Sequence[str],
    capital: float = 10_000.0,
    costs: Costs | None = None,
    hours: Hours | None = None,
) -> list[dict[str, Any]]:
    """Run engine and matching book over bars, without any shell; returns the trades."""
    engine = Engine(symbols=symbols, parameters=parameters, capital=capital)
    book = MatchingBook(cash=capital, costs=costs or Costs(), hours=hours)
    trades = []
    for item in bars:
        for update in book.on_bar(item):
            trip = engine.on_update(update)
            if trip:
                trades.append(trade_dict(trip))
        request = engine.on_bar(
            item,
            refusal=hours.refusal(item.symbol, item.timestamp) if hours else "",
            leave=bool(hours and hours.leaves(item.symbol, item.timestamp)),
        ).request
        if request:
            engine.on_update(book.submit(request))
    return trades


def rows(bars: Iterable[Bar]) -> list[dict[str, Any]]:
    """Bars as the oracle takes them."""
    names = ("symbol", "timestamp", "open", "high", "low", "close", "volume", "spread")
    return [{name: getattr(item, name) for name in names} for item in bars]
