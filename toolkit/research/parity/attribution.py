"""What changed from rung to rung, as rows: one for each leg of a trade and each cause."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from toolkit.core import execution
from toolkit.core.portfolio import dollars
from toolkit.core.types import ZERO, Side
from toolkit.research.parity.ladder import Rung
from toolkit.research.parity.market import LATE_SECONDS
from toolkit.research.parity.session import Cause
from toolkit.research.parity.trades import Key, Leg, Trade

NEAR = 5  # bars
SMALL = 0.002  # a fee in kind takes more of a quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One leg that differs for one cause; `cost` in dollars is above 0 where live earned less.

    `live` and `backtest` are the legs as they were, None where there is none. `follows` says that
    only the size changed, with the capital that earlier differences left.
    """

    key: Key
    side: Side
    cause: Cause
    cost: Decimal
    live: Leg | None
    backtest: Leg | None
    follows: bool = False
    detail: str = ""


def differences(rungs: Sequence[Rung], *, step: timedelta) -> Iterator[Difference]:
    """Yield what differs, by the time of the decision; the costs add up to the whole.

    Times count as the same within one bar, which lasts `step`. A trade of the session that stands
    for one of the backtest (`moved_entries`) is told with it, under its key.
    """
    backtest, live = rungs[0].trades, rungs[-1].trades
    partners = moved_entries(backtest, live, step=step)
    groups: dict[tuple[Key, Side, Cause], list[Difference]] = {}
    for found in _by_key(rungs, step=step):
        key = partners.get(found.key, found.key)
        groups.setdefault((key, found.side, found.cause), []).append(found)
    others = {mine: theirs for theirs, mine in partners.items()}
    for (key, side, _), rows in sorted(groups.items(), key=lambda g: (g[0][0][1], g[0][0][0])):
        yield replace(
            rows[0],
            key=key,
            cost=sum((row.cost for row in rows), ZERO),
            live=_leg(live.get(others.get(key, key)), side),
            backtest=_leg(backtest.get(key), side),
            follows=all(row.follows for row in rows),
        )


def moved_entries(
    backtest: Mapping[Key, Trade], live: Mapping[Key, Trade], *, step: timedelta
) -> dict[Key, Key]:
    """Return which trades of the session stand for one of the backtest, entered a few bars off.

    Both are of one symbol, their decisions are `NEAR` bars apart at most, they were held at the
    same time, and neither has the other's decision.
    """
    free = [trade for key, trade in backtest.items() if key not in live]
    found: dict[Key, Key] = {}
    for key, trade in sorted(live.items(), key=lambda item: (item[0][1], item[0][0])):
        near = [
            mine
            for mine in free
            if key not in backtest
            and mine.symbol == trade.symbol
            and abs(mine.decided - trade.decided) <= NEAR * step
            and _overlap(mine, trade)
        ]
        if near:
            best = min(near, key=lambda mine: abs(mine.decided - trade.decided))
            free.remove(best)
            found[key] = best.key
    return found


def _overlap(one: Trade, other: Trade) -> bool:
    begin = max(one.entry.time, other.entry.time)
    return all(t.exit is None or t.exit.time >= begin for t in (one, other))


def _by_key(rungs: Sequence[Rung], *, step: timedelta) -> Iterator[Difference]:
    backtest, live = rungs[0].trades, rungs[-1].trades
    keys = sorted({key for rung in rungs for key in rung.trades}, key=lambda k: (k[1], k[0]))
    for key in keys:
        mine, theirs = backtest.get(key), live.get(key)
        if _same(mine, theirs, step):
            continue
        for before, after in itertools.pairwise(rungs):
            assert after.cause is not None
            one, other = before.trades.get(key), after.trades.get(key)
            if _same(one, other, step):
                continue
            for part in _parts(one, other, after.cause, step):
                yield Difference(
                    key=key,
                    side=part.side,
                    cause=_blamed(after.cause, part.side, theirs),
                    cost=part.cost,
                    live=_leg(theirs, part.side),
                    backtest=_leg(mine, part.side),
                    follows=part.follows,
                )


def profit(trades: Mapping[Key, Trade]) -> Decimal:
    """Return what trades earned in dollars, open ones at the last prices."""
    return sum((trade.profit for trade in trades.values()), ZERO)


@dataclass(frozen=True, slots=True)
class _Part:
    side: Side
    cost: Decimal
    follows: bool = False


def _parts(one: Trade | None, other: Trade | None, cause: Cause, step: timedelta) -> list[_Part]:
    """Split what it cost that one trade became another between the way in and the way out."""
    if one is None or other is None:
        return [_Part(Side.BUY, _profit(one) - _profit(other))]
    total = one.profit - other.profit
    way_in, way_out = _moved(one.entry, other.entry, step), _moved(one.exit, other.exit, step)
    size = one.entry.quantity != other.entry.quantity
    follows = size and not way_in and _follows(one, other, cause)
    if not way_out:
        return [_Part(Side.BUY if size or way_in else Side.SELL, total, follows)]
    if not (way_in or size):
        return [_Part(Side.SELL, total)]
    left = ZERO
    if one.exit is not None and other.exit is not None:
        gained = (one.exit.price - other.exit.price) * float(other.entry.quantity)
        left = dollars(int(execution.micros(gained)))
    return [_Part(Side.BUY, total - left, follows), _Part(Side.SELL, left)]


def _follows(one: Trade, other: Trade, cause: Cause) -> bool:
    """Whether another size is but what an earlier difference left of the capital."""
    if cause not in (Cause.PARTIAL_FILL, Cause.FILL_PRICE):
        return True
    sizes = float(one.entry.quantity), float(other.entry.quantity)
    return abs(sizes[0] - sizes[1]) < SMALL * max(sizes)


def _same(one: Trade | None, other: Trade | None, step: timedelta) -> bool:
    if one is None or other is None:
        return one is other
    return (
        one.profit == other.profit
        and one.entry.quantity == other.entry.quantity
        and not _moved(one.entry, other.entry, step)
        and not _moved(one.exit, other.exit, step)
    )


def _moved(one: Leg | None, other: Leg | None, step: timedelta) -> bool:
    if one is None or other is None:
        return one is not other
    return one.price != other.price or abs(one.time - other.time) >= step


def _blamed(cause: Cause, side: Side, live: Trade | None) -> Cause:
    """A fill that was late because its bar was is the bar's."""
    leg = _leg(live, side)
    late = cause is Cause.FILL_PRICE and leg is not None and leg.delay > LATE_SECONDS
    return Cause.LATE_BAR if late else cause


def _leg(trade: Trade | None, side: Side) -> Leg | None:
    if trade is None:
        return None
    return trade.entry if side is Side.BUY else trade.exit


def _profit(trade: Trade | None) -> Decimal:
    return trade.profit if trade is not None else ZERO
