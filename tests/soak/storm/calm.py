"""Decisions of a storm against those of a calm run on the same market.

A fault touches what is decided at a bar when it changed the market itself: one of the symbol's
last `WINDOW` bars is not what it was on the calm day (a hole, a halt, a revision). All others
must not: a bar that came late, twice, out of order or only through REST, a kill, a lost
connection. So the conditions must be the same at every bar that is not touched.

An entry is made at such a bar exactly where the calm run makes one, unless a fault that may
rightly close a gate or keep the symbol busy was near (`trouble.py`), the bot was down, or the
symbol was held, pending or cooling down from another trade. A round trip is the same, to the
moment and to the prices of its executions, when no such fault, no late bar and no kill fell into
its life. Quantities differ: the capital is shared, so a fault at one symbol sizes all that follow.
Time passes for the bot in steps of up to 5 s. What it reads just before a step's clock or just
after it moves a sale by one step. And an entry of another size has parts of other weights, so its
average and with it its stop may differ by a millionth, and one price may meet one stop only. Such
trips are counted, and there may be few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.soak.storm.conductor import Outcome
from tests.soak.storm.diary import read
from tests.soak.storm.findings import Findings
from tests.soak.storm.trouble import Troubles, meets
from tests.soak.storm.world import moment
from toolkit.exchange.bars import MinuteBar
from toolkit.exchange.values import MINUTE, SECOND, Micros

WINDOW = 200  # bars; what was before weighs less than a millionth in any indicator
TOLERANCE = 1e-3  # of indicators that begin with a warm-up; bands are 0 to 100
COOLING = 2 * MINUTE
STEP = 6 * SECOND  # and the way to the exchange and back
SAME_AVERAGE = 1e-5
FEW = 0.01  # of all round trips
PENDING = 3 * MINUTE
Key = tuple[str, Micros]


@dataclass(slots=True)
class Days:
    """One run's diary, by symbol and bar."""

    evaluations: dict[Key, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    entries: dict[Key, dict[str, Any]] = field(default_factory=dict)
    trips: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    fills: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, folder: Path) -> Days:
        """Read a diary."""
        days = cls()
        life = 0
        for line in read(folder):
            facts = line["facts"]
            if line["what"] == "born":
                life += 1
            elif line["what"] == "evaluation":
                key = (facts["symbol"], moment(facts["bar"]))
                days.evaluations[key].append({**facts, "life": life})
            elif line["what"] == "signal" and facts["kind"] == "LONG":
                days.entries[facts["symbol"], moment(facts["bar"])] = facts
            elif line["what"] == "trip":
                days.trips[facts["symbol"], facts["entry_time"]] = facts
            elif line["what"] == "fill":
                days.fills[facts["symbol"]].append(facts)
        return days

    def prices(self, trip: Mapping[str, Any]) -> set[tuple[str, float]]:
        """Return side and price of the executions of a round trip."""
        first, last = moment(trip["entry_time"]), moment(trip["exit_time"])
        return {
            (fill["side"], fill["price"])
            for fill in self.fills[trip["symbol"]]
            if first <= moment(fill["timestamp"]) <= last
        }


@dataclass(frozen=True, slots=True)
class CalmDay:
    """What is compared with of a calm run."""

    folder: Path
    reported: Mapping[Key, list[MinuteBar]]
    seconds: float

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Keep what is needed of a run."""
        return cls(outcome.folder, outcome.reported, outcome.seconds)


def compare(storm: Outcome, calm: CalmDay) -> Findings:
    """Return where the storm's bot saw or decided what no fault explains."""
    found = Findings()
    there, here = Days.of(calm.folder), Days.of(storm.folder)
    touched = touched_bars(storm.reported, calm.reported)
    _seen(here, storm.reported, found)
    _conditions(here, there, touched, found)
    troubles = Troubles.of(storm)
    _entries(here, there, touched, troubles, found)
    _trips(here, there, troubles, found)
    return found


def touched_bars(
    storm: Mapping[Key, list[MinuteBar]], calm: Mapping[Key, list[MinuteBar]]
) -> dict[str, list[Micros]]:
    """Return, by symbol, the bars of which the storm made something else."""
    found: dict[str, list[Micros]] = defaultdict(list)
    for symbol, at in sorted(storm.keys() | calm.keys()):
        ours = {bar[1:5] for bar in storm.get((symbol, at), ())}
        theirs = {bar[1:5] for bar in calm.get((symbol, at), ())}
        if ours != theirs:
            found[symbol].append(at)
    return found


def _seen(here: Days, reported: Mapping[Key, list[MinuteBar]], found: Findings) -> None:
    """Every bar that was decided on is one that the exchange made; each life takes it once.

    A bot that was just started may decide on the bar that its earlier life decided on: what came
    of that is in the journal.
    """
    for (symbol, at), evaluations in here.evaluations.items():
        versions = [list(bar[1:6]) for bar in reported.get((symbol, at), ())]
        words = f"{symbol} {at // SECOND}: {evaluations[0]['values']} of {versions}"
        found.check("bars seen", all(e["values"] in versions for e in evaluations), words)
        once = len({e["life"] for e in evaluations}) == len(evaluations)
        found.check("bars once a life", once, f"{symbol} {evaluations[0]['bar']} came twice")


class _Touch:
    def __init__(self, touched: Mapping[str, list[Micros]], there: Days) -> None:
        self._clean: dict[Key, bool] = {}
        bars: dict[str, list[Micros]] = defaultdict(list)
        for symbol, at in sorted(there.evaluations):
            bars[symbol].append(at)
        for symbol, moments in bars.items():
            bad = sorted(touched.get(symbol, ()))
            last_bad, place = -1, 0
            for number, at in enumerate(moments):
                while place < len(bad) and bad[place] <= at:
                    last_bad, place = number, place + 1
                self._clean[symbol, at] = last_bad < 0 or number - last_bad >= WINDOW

    def clean(self, key: Key) -> bool:
        return self._clean.get(key, False)


def _conditions(
    here: Days, there: Days, touched: Mapping[str, list[Micros]], found: Findings
) -> None:
    touch = _Touch(touched, there)
    for key, evaluations in here.evaluations.items():
        if not touch.clean(key):
            found.compared["bars touched by a fault"] += 1
            continue
        ours, theirs = evaluations[0], there.evaluations[key][0]
        same = (ours["entry"], ours["exit"]) == (theirs["entry"], theirs["exit"])
        pairs = zip(ours["indicators"], theirs["indicators"], strict=True)
        same = same and all(
            a is None or b is None or abs(a - b) <= TOLERANCE * max(1.0, abs(b)) for a, b in pairs
        )
        words = f"{key[0]} {ours['bar']}: {_shown(ours)} in the storm, {_shown(theirs)} calm"
        found.check("conditions", same, words)


def _shown(evaluation: Mapping[str, Any]) -> str:
    return f"entry {evaluation['entry']}, exit {evaluation['exit']}, {evaluation['indicators']}"


def _entries(
    here: Days,
    there: Days,
    touched: Mapping[str, list[Micros]],
    troubles: Troubles,
    found: Findings,
) -> None:
    touch = _Touch(touched, there)
    for key, signal in here.entries.items():
        if signal["refusal"] or not touch.clean(key):
            continue
        calm = there.evaluations[key][0]
        words = f"{key[0]} {signal['bar']}: entered in the storm, no condition on a calm day"
        found.check("entries rightly made", calm["entry"], words)
    busy = _busy(here)
    for key, signal in there.entries.items():
        symbol, at = key
        if signal["refusal"] or not touch.clean(key):
            continue
        ours = here.entries.get(key, {"refusal": "no signal"})
        excused = troubles.meet(symbol, at, at + 2 * MINUTE) or meets(busy[symbol], at, at)
        if ours["refusal"] and excused:
            found.compared["entries excused"] += 1
            continue
        words = f"{symbol} {signal['bar']}: entered on a calm day, in the storm: {ours['refusal']}"
        found.check("entries not missed", not ours["refusal"], words)


def _busy(here: Days) -> dict[str, list[tuple[Micros, Micros]]]:
    """Return when each symbol was held, pending or cooling down in the storm."""
    busy: dict[str, list[tuple[Micros, Micros]]] = defaultdict(list)
    for (symbol, at), evaluations in here.evaluations.items():
        if any(float(e["held"]) for e in evaluations):
            busy[symbol].append((at - PENDING, at + MINUTE))
    for trip in here.trips.values():
        start, end = moment(trip["entry_time"]), moment(trip["exit_time"])
        busy[trip["symbol"]].append((start - PENDING, end + COOLING))
    for (symbol, at), signal in here.entries.items():
        if not signal["refusal"]:
            busy[symbol].append((at + 1, at + PENDING))
    return busy


def _trips(here: Days, there: Days, troubles: Troubles, found: Findings) -> None:
    for key, calm in there.trips.items():
        start, end = moment(calm["entry_time"]), moment(calm["exit_time"])
        ours = here.trips.get(key)
        if (
            ours
            and ours["exit_time"] == calm["exit_time"]
            and here.prices(ours) == there.prices(calm)
        ):
            found.check("round trips", True, "")
        elif troubles.meet(calm["symbol"], start - MINUTE, end + MINUTE, price=True):
            found.compared["round trips excused"] += 1
        elif ours is None:
            found.compared["round trips not made"] += 1  # what that means: `_entries`
        elif abs(moment(ours["exit_time"]) - end) <= STEP:
            found.compared["round trips a step apart"] += 1
        elif _another_average(ours, calm):
            found.compared["round trips of another average"] += 1
        else:
            words = f"{key}: {_trip(ours)} in the storm, {_trip(calm)} calm"
            found.check("round trips", False, words)
    kinds = ("round trips a step apart", "round trips of another average")
    apart = sum(found.compared[kind] for kind in kinds)
    few = apart <= FEW * max(len(there.trips), 1 / FEW)
    found.check("few round trips apart", few, f"{apart} of {len(there.trips)}")


def _another_average(ours: Mapping[str, Any], calm: Mapping[str, Any]) -> bool:
    a, b = ours["entry_price"], calm["entry_price"]
    return a != b and abs(a - b) <= SAME_AVERAGE * b


def _trip(trip: Mapping[str, Any]) -> str:
    return f"{trip['entry_price']} to {trip['exit_price']} at {trip['exit_time']}"
