"""One plain sentence for each difference: which fact it was, as far as it can be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from toolkit.core.types import Side
from toolkit.research.parity.attribution import Difference
from toolkit.research.parity.market import LATE_SECONDS, BarFact, Market
from toolkit.research.parity.session import Cause, Session

SAME_PRICE = 1e-9
FOLLOWS = "sized by another capital, after earlier differences"


def detailed(
    found: Iterable[Difference], session: Session, market: Market
) -> tuple[Difference, ...]:
    """Return the differences with their sentences."""
    return tuple(replace(d, detail=_detail(d, session, market)) for d in found)


def _detail(difference: Difference, session: Session, market: Market) -> str:
    if difference.follows:
        return FOLLOWS
    match difference.cause:
        case Cause.OTHER_FEED | Cause.MISSING_BAR | Cause.REVISED_BAR:
            return _of_bar(difference, session, market)
        case Cause.LATE_BAR:
            return _late(difference, session, market)
        case Cause.WARM_UP:
            return _warm_up(difference, session, market)
        case Cause.PARAMETER_CHANGE:
            return _change(difference, session)
        case Cause.OUTAGE | Cause.GATE_CLOSED:
            return _refusal(difference, session)
        case Cause.MANUAL_ORDER:
            return _manual(difference, session)
        case Cause.PARTIAL_FILL:
            return _partial(difference, session)
        case Cause.FILL_PRICE:
            return _price(difference)
    return _unexplained(difference)


def _of_bar(difference: Difference, session: Session, market: Market) -> str:
    """Name the last bar of that cause before the trade took another course."""
    moment = _moment(difference)
    mine = [fact for fact in market.facts.values() if fact.cause is difference.cause]
    before = [f for f in mine if f.key[0] == difference.key[0] and f.key[1] <= moment]
    if not before:
        return _elsewhere(mine, moment)
    fact = max(before, key=lambda f: f.key[1])
    return f"{_at(fact.key[1], session)}: {fact.text}"


def _elsewhere(facts: list[BarFact], moment: datetime) -> str:
    before = [fact for fact in facts if fact.key[1] <= moment]
    if not before:
        return ""
    fact = max(before, key=lambda f: f.key[1])
    symbol, time = fact.key
    return f"through capital or slots, after {symbol} at {time:%H:%M}: {fact.text}"


def _late(difference: Difference, session: Session, market: Market) -> str:
    refused = _refused(difference, session)
    leg = difference.live
    if not refused and leg is not None and leg.delay > LATE_SECONDS:
        return f"its bar came {leg.delay:.1f} s after its close, so it was filled late"
    return refused or _of_bar(difference, session, market) or _before(difference, session)


def _warm_up(difference: Difference, session: Session, market: Market) -> str:
    symbol = difference.key[0]
    ours = len(session.start.warm_up.get(symbol, ()))
    theirs = sum(bar.symbol == symbol for bar in market.warm_up)
    if ours != theirs:
        return f"the session warmed up with {ours} bars, the backtest with {theirs}"
    return "the session warmed up with other bars than a later request gives"


def _change(difference: Difference, session: Session) -> str:
    before = [c for c in session.changes if c.at <= _moment(difference) + _step(session)]
    if not before:
        return ""
    change = before[-1]
    values = ", ".join(f"{name} = {value}" for name, value in change.values.items())
    return f"{change.who} set {values} at {change.at:%H:%M:%S}"


def _refusal(difference: Difference, session: Session) -> str:
    refused = _refused(difference, session)
    if refused:
        return refused
    if difference.side is Side.SELL:
        return "its exit came late, after an outage"
    return _before(difference, session)


def _refused(difference: Difference, session: Session) -> str:
    """Say why the session made no entry at the bar of the decision, where that is known."""
    failure = session.failures.get(difference.key)
    if failure is not None:
        return failure.reason
    seen = next((s for s in session.seen if s.key == difference.key), None)
    if seen is None:
        return ""
    return "the bot was not running" if seen.unattended else seen.refusal


def _before(difference: Difference, session: Session) -> str:
    """Name the last refusal of that cause before the decision, of the same symbol if any."""
    symbol, moment = difference.key
    known = [
        (s.bar.timestamp, s.bar.symbol, s.refusal)
        for s in session.seen
        if s.cause is difference.cause
    ]
    known += [
        (k[1], k[0], f.reason) for k, f in session.failures.items() if f.cause is difference.cause
    ]
    if difference.cause is Cause.OUTAGE:
        known += [(begin, "", why) for begin, _, why in session.outages]
    earlier = [one for one in known if one[0] <= moment]
    if not earlier:
        return ""
    time, name, why = max(earlier, key=lambda one: (one[0], one[1] == symbol))
    what = f"{name} at {time:%H:%M} was refused" if name else f"an outage at {time:%H:%M:%S}"
    return f"after {what}: {why}"


def _manual(difference: Difference, session: Session) -> str:
    failure = session.failures.get(difference.key)
    if failure is not None:
        return failure.reason
    leg = difference.live
    if leg is None or not leg.by_hand:
        return "a person's order before it left another state"
    what = "bought" if difference.side is Side.BUY else "sold"
    return f"{what} by hand at {leg.time:%H:%M:%S} ({leg.reason.value})"


def _partial(difference: Difference, session: Session) -> str:
    failure = session.failures.get(difference.key)
    if failure is not None:
        return failure.reason
    share = session.filled.get(difference.key)
    return f"{100.0 * share:.4g} % of it was filled" if share is not None else ""


def _price(difference: Difference) -> str:
    live, mine = difference.live, difference.backtest
    if live is None or mine is None:
        there = live or mine
        if there is None or difference.side is Side.BUY:
            return "through capital, slots or cooldown, after an earlier fill"
        who = "the session" if live is not None else "the backtest"
        return f"only {who} left it, at {there.time:%H:%M:%S} ({there.reason.value})"
    parts = []
    if abs(live.price - mine.price) > SAME_PRICE * mine.price:
        bps = 1e4 * (live.price / mine.price - 1.0)
        parts.append(f"{live.price:g} instead of {mine.price:g} ({bps:+.2f} bp)")
    if live.fee != mine.fee:
        parts.append(f"fee {_money(live.fee)} instead of {_money(mine.fee)}")
    if live.reason is not mine.reason:
        parts.append(f"{live.reason.value} instead of {mine.reason.value}")
    return "; ".join(parts) or f"at {live.time:%H:%M:%S} instead of {mine.time:%H:%M:%S}"


def _unexplained(difference: Difference) -> str:
    if difference.backtest is None:
        return "the session traded, and nothing known here says why"
    if difference.live is None:
        return "the session did not trade, and nothing known here says why"
    return "it ended otherwise, and nothing known here says why"


def _moment(difference: Difference) -> datetime:
    """Return the last moment at which a fact can have made this difference."""
    legs = [leg for leg in (difference.live, difference.backtest) if leg is not None]
    return max([difference.key[1], *(leg.time for leg in legs)])


def _at(time: datetime, session: Session) -> str:
    return f"{time:%H:%M}" if session.timeframe < 86_400 else f"{time:%Y-%m-%d}"


def _step(session: Session) -> timedelta:
    return timedelta(seconds=session.timeframe)


def _money(amount: Decimal) -> str:
    return f"{amount:.4f} $"
