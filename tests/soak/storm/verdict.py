"""Judges a storm: books, intents, cover, decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.soak.storm import books, calm
from tests.soak.storm.conductor import Outcome
from tests.soak.storm.cover import Bare, bare_times, overlap
from tests.soak.storm.diary import read
from tests.soak.storm.findings import Findings
from tests.soak.storm.trouble import Troubles, symbol_of
from toolkit.exchange.faults import ANY, Kind
from toolkit.exchange.values import SECOND, stamp

JOURNAL = "journal.sqlite"
# Seconds that docs/guarantees.md allows a position without its net while the bot runs, and what
# each trouble that fell into that time adds: faults that meet add up.
BARE = 20.0
STARTING = 10.0
BARE_MORE = {
    Kind.RATE_LIMITED: 60.0,
    Kind.TIMEOUT_BEFORE: 15.0,
    Kind.TIMEOUT_AFTER: 15.0,
    Kind.RESET_BEFORE: 15.0,
    Kind.RESET_AFTER: 15.0,
    Kind.SERVER_ERROR: 15.0,
    Kind.PARTIAL_FILLS: 10.0,
    Kind.LATE_FILLS: 10.0,
    Kind.UNORDERED_FILLS: 10.0,
    Kind.DROP: 10.0,
    Kind.MALFORMED: 10.0,
    Kind.SLOW: 5.0,
}


def judge(storm: Outcome, calm_day: calm.CalmDay | None) -> Findings:
    """Return everything that was compared, and what differs."""
    found = books.compare(storm.state, storm.folder / JOURNAL)
    found.merge(books.sent_once(storm.happened.posted))
    _cover(storm, found)
    _faults(storm, found)
    asked, done = len(storm.plan.kills), sum(storm.lives.kills.values())
    found.check("kills", done >= asked, f"{done} of {asked} kills came about")
    _problems(storm, found)
    if calm_day is not None:
        found.merge(calm.compare(storm, calm_day))
    return found


def report(storm: Outcome, calm_day: calm.CalmDay | None, found: Findings) -> dict[str, Any]:
    """Return everything as one JSON-ready object."""
    happened, lives = storm.happened, storm.lives
    bare, troubles = _bare(storm), Troubles.of(storm)
    return {
        "seed": storm.plan.seed,
        "minutes": storm.plan.minutes,
        "kills": dict(lives.kills),
        "births": lives.births,
        "ended_by_itself": [words for _, words in lives.ended_by_itself],
        "faults": len(storm.plan.faults),
        "fault_hits": dict(sorted(Counter(kind for _, kind, _ in happened.strikes).items())),
        "refused_requests": dict(sorted(happened.refusals.items())),
        "orders": len(storm.state["orders"]),
        "fills": len(storm.state["fills"]),
        "positions_at_the_end": storm.state["positions"],
        "cash": storm.state["cash"],
        "bare_stretches": len(bare),
        "bare_longest_seconds": [_shown(b, storm, troubles) for b in bare[:10]],
        "seconds": round(storm.seconds, 1),
        "calm_seconds": round(calm_day.seconds, 1) if calm_day else None,
        "minutes_per_second": round(storm.plan.minutes / storm.seconds, 1),
        "behind": len(lives.behind),
        "compared": dict(sorted(found.compared.items())),
        "differences": dict(found.differences),
        "examples": found.examples,
    }


def _bare(storm: Outcome) -> list[Bare]:
    found = bare_times(storm.happened.orders, end=storm.end)
    return sorted(found, key=lambda bare: -bare.open_seconds)


def _shown(bare: Bare, storm: Outcome, troubles: Troubles) -> Mapping[str, Any]:
    return {
        "symbol": bare.symbol,
        "start": stamp(bare.start),
        "seconds": round(bare.open_seconds, 1),
        "bot_down": round(overlap(bare.start, bare.end, storm.lives.down), 1),
        "in_trouble": round(overlap(bare.start, bare.end, troubles.spans(bare.symbol)), 1),
    }


def _cover(storm: Outcome, found: Findings) -> None:
    for bare in _bare(storm):
        down = overlap(bare.start, bare.end, storm.lives.down)
        late = sum(bare.start <= at <= bare.end for at in storm.lives.behind)
        allowed = BARE + down + (STARTING if down else 0.0) + STARTING * late
        allowed += sum(
            BARE_MORE.get(Kind(kind), 0.0)
            for at, kind, subject in storm.happened.strikes
            if bare.start - SECOND <= at <= bare.end and symbol_of(subject) in (ANY, bare.symbol)
        )
        words = f"{bare.quantity} {bare.symbol} from {stamp(bare.start)} for "
        words += f"{bare.open_seconds:.1f} s, allowed {allowed:.1f} s"
        found.check("cover", bare.open_seconds <= allowed, words)


def _faults(storm: Outcome, found: Findings) -> None:
    """A storm of some length must have had every kind of fault."""
    begun = {entry["kind"] for entry in storm.happened.faults}
    if len(storm.plan.faults) >= len(Kind):
        for kind in Kind:
            found.check("kinds of faults", kind.value in begun, f"{kind} never began")


def _problems(storm: Outcome, found: Findings) -> None:
    for line in read(storm.folder):
        if line["what"] == "problem" and line["facts"]["code"] == "internal_error":
            found.blame("unexpected errors", f"{line['at']} {line['facts']['message']}")
    for at, words in storm.lives.ended_by_itself:
        found.blame("ended by itself", f"{stamp(at)} {words}")
