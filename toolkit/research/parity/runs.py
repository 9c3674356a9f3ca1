"""The starts of a bot, as its journal tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from toolkit.broker.journal import iter_fills, iter_intents, iter_notes
from toolkit.broker.records import Note
from toolkit.core.parameters import Parameters
from toolkit.errors import DataError
from toolkit.market.hours import Hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One start of the bot, as the note `session` says; `until` is when it was last heard of."""

    at: datetime
    until: datetime
    symbols: tuple[str, ...]
    timeframe: float
    parameters: Parameters
    capital: float
    feed: str = ""
    name: str = "stochrsi"
    hours: Hours | None = None
    warm_up: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)


def runs_of(path: Path) -> tuple[Run, ...]:
    """Return the starts that a journal tells of; raises DataError where it tells of none."""
    notes = list(iter_notes(path))
    starts = [note for note in notes if note.kind == "session"]
    if not starts:
        raise DataError(
            f"{path.name} does not say how its bot was started: it is older than this report; "
            "bring a recording, or a journal that begins with this version",
            field="source",
            value=str(path),
        )
    heard = sorted(
        [n.at for n in notes]
        + [i.made_at for i in iter_intents(path)]
        + [f.timestamp for f in iter_fills(path)]
    )
    ends = [note.at for note in notes if note.kind == "session_end"]
    return tuple(
        _run(note, until=_until(note.at, following, ends, heard))
        for note, following in zip(starts, [*[n.at for n in starts[1:]], None], strict=True)
    )


def _until(
    start: datetime, following: datetime | None, ends: Sequence[datetime], heard: Sequence[datetime]
) -> datetime:
    ended = [end for end in ends if end >= start and (following is None or end <= following)]
    if ended:
        return ended[0]
    before = [at for at in heard if following is None or at < following]
    return max([start, *before])


def _run(note: Note, *, until: datetime) -> Run:
    data = note.data
    spans = {
        s: (datetime.fromisoformat(w["first"]), datetime.fromisoformat(w["last"]))
        for s, w in data["warm_up"].items()
    }
    timeframe = float(data["timeframe"])
    hours = None
    if data.get("sessions", "all") != "all":
        hours = Hours(
            timeframe=timeframe,
            sessions=data["sessions"],
            flat_before_close=float(data.get("flat_before_close", 0.0)),
        )
    return Run(
        at=note.at,
        until=until,
        symbols=tuple(data["symbols"]),
        timeframe=timeframe,
        parameters=Parameters.from_dict(data["parameters"]),
        capital=float(data["capital"]),
        feed=str(data.get("feed", "")),
        name=str(data.get("name", "stochrsi")),
        hours=hours,
        warm_up=spans,
    )
