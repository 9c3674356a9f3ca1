"""From the backtest to the session, one cause after the other: each rung swaps in its facts.

The trades of two rungs next to each other differ by one cause only, so what changes between them
is that cause's, and the differences of profit add up to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain

from toolkit.core.types import Bar
from toolkit.research.parity.market import Market
from toolkit.research.parity.session import Cause, Session
from toolkit.research.parity.trades import Key, Leg, Trade
from toolkit.research.parity.twin import Played, World, play

WHOLE = 0.999  # the broker's steps of quantity take less
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """The trades by decision, once the facts of `cause` are as they were; None: the backtest."""

    cause: Cause | None
    trades: Mapping[Key, Trade]


def climb(
    session: Session, market: Market, live: Mapping[Key, Trade], *, told: Told
) -> Iterator[Rung]:
    """Yield the backtest, a rung for each cause, and last the session itself, as unexplained.

    `told(done, total)` hears of each. A cause without facts has the trades of the rung before.
    """
    world = World(
        start=session.start,
        symbols=session.symbols,
        warm_up=market.warm_up,
        bars=market.bars,
    )
    trades = play(world, market.prices).trades
    yield Rung(cause=None, trades=trades)
    causes = [cause for cause in Cause if cause is not Cause.UNEXPLAINED]
    for done, cause in enumerate(causes, start=1):
        swapped = _swapped(cause, world, session, market, trades=trades, live=live)
        if swapped != world:
            world = swapped
            trades = _executed(play(world, market.prices), world, before=trades, live=live)
        yield Rung(cause=cause, trades=trades)
        told(done, len(causes))
    left = Cause.OTHER_FEED if session.other_feed else Cause.UNEXPLAINED
    yield Rung(cause=left, trades=live)


def _executed(
    played: Played, world: World, *, before: Mapping[Key, Trade], live: Mapping[Key, Trade]
) -> Mapping[Key, Trade]:
    """Take entries that came about as they did from the session, to the last micro-dollar.

    A position that the session left by a signal that is none here stays as it was.
    """
    trades = dict(played.trades)
    for key in world.entries.keys() & trades.keys():
        if key not in played.doubtful:
            trades[key] = live[key]
        elif key in before:
            trades[key] = before[key]
    return trades


def _swapped(
    cause: Cause,
    world: World,
    session: Session,
    market: Market,
    *,
    trades: Mapping[Key, Trade],
    live: Mapping[Key, Trade],
) -> World:
    world = _refusing(cause, world, session)
    match cause:
        case Cause.WARM_UP:
            lived = tuple(chain.from_iterable(session.start.warm_up.values()))
            return replace(world, warm_up=lived)
        case Cause.OTHER_FEED | Cause.MISSING_BAR | Cause.LATE_BAR:
            return replace(world, bars=_bars(cause, world, session, market))
        case Cause.REVISED_BAR:
            return replace(world, bars=tuple(seen.bar for seen in session.seen))
        case Cause.PARAMETER_CHANGE:
            return replace(world, changes=session.changes)
        case Cause.OUTAGE:
            exits = {**world.exits, **_left_late(session, trades, live)}
            return replace(world, exits=exits)
        case Cause.MANUAL_ORDER:
            return _by_hand(world, session, trades, live)
        case Cause.PARTIAL_FILL:
            shares = {key: share for key, share in session.filled.items() if share < WHOLE}
            return replace(world, shares=shares)
        case Cause.FILL_PRICE:
            return _as_executed(world, session, live)
    return world


def _refusing(cause: Cause, world: World, session: Session) -> World:
    """Make no entry where the session made none for this cause."""
    refused = {s.key: s.refusal for s in session.seen if s.refusal and s.cause is cause}
    failed = {key: f for key, f in session.failures.items() if f.cause is cause}
    away = {s.key for s in session.seen if s.unattended} if cause is Cause.OUTAGE else set()
    if not (refused or failed or away):
        return world
    return replace(
        world,
        refusals={**world.refusals, **refused},
        failures={**world.failures, **failed},
        unattended=world.unattended | away,
    )


def _bars(cause: Cause, world: World, session: Session, market: Market) -> tuple[Bar, ...]:
    versions = {(bar.symbol, bar.timestamp): bar for bar in world.bars}
    mine = [fact for fact in market.facts.values() if fact.cause is cause]
    if not mine:
        return tuple(world.bars)
    for fact in mine:
        if fact.seen is None:
            versions.pop(fact.key, None)
        else:
            versions[fact.key] = fact.seen
    ordered = sorted(versions.values(), key=lambda b: (b.timestamp, b.symbol))
    return _arrived(ordered, session) if cause is Cause.LATE_BAR else tuple(ordered)


def _arrived(ordered: Sequence[Bar], session: Session) -> tuple[Bar, ...]:
    """Return bars in the order of their arrival; those that never arrived come at their times."""
    place = {seen.key: number for number, seen in enumerate(session.seen)}
    last, keyed = -1, []
    for bar in ordered:
        last = place.get((bar.symbol, bar.timestamp), last)
        keyed.append((last, bar))
    return tuple(bar for _, bar in sorted(keyed, key=lambda pair: pair[0]))


def _left_late(
    session: Session, trades: Mapping[Key, Trade], live: Mapping[Key, Trade]
) -> dict[Key, Leg | None]:
    """Exits that came later than the rules say, because of an outage in between."""
    found: dict[Key, Leg | None] = {}
    for key, trade in live.items():
        mine, leg = trades.get(key), trade.exit
        if mine is None or mine.exit is None or (leg is not None and leg.by_hand):
            continue
        due = mine.exit.time
        if leg is not None and (leg.time - due).total_seconds() < session.timeframe:
            continue
        if any(
            end >= due and (leg is None or begin <= leg.time) for begin, end, _ in session.outages
        ):
            found[key] = leg
    return found


def _by_hand(
    world: World, session: Session, trades: Mapping[Key, Trade], live: Mapping[Key, Trade]
) -> World:
    """Take positions that a person opened, and exits by hand that came before the rules' own."""
    bought = sorted(_bought_by_hand(session, live), key=lambda key: (key[1], key[0]))
    exits: dict[Key, Leg | None] = {key: live[key].exit for key in bought}
    step = timedelta(seconds=session.timeframe)
    for key, trade in live.items():
        mine, leg = trades.get(key), trade.exit
        if mine is None or leg is None or not leg.by_hand:
            continue
        if mine.exit is None or mine.exit.time + step > leg.time:
            exits[key] = leg
    return replace(
        world,
        by_hand=tuple(live[key] for key in bought),
        exits={**world.exits, **exits},
    )


def _as_executed(world: World, session: Session, live: Mapping[Key, Trade]) -> World:
    by_hand = _bought_by_hand(session, live)
    return replace(
        world,
        shares={},
        entries={key: trade.entry for key, trade in live.items() if key not in by_hand},
        exits={key: trade.exit for key, trade in live.items()},
    )


def _bought_by_hand(session: Session, live: Mapping[Key, Trade]) -> set[Key]:
    before = {(update.symbol, update.timestamp) for update in session.start.fills}
    manual = {key for key, trade in live.items() if trade.entry.by_hand}
    return manual - before
