"""A session from a bot's journal: what was intended and done, and the notes beside it.

A journal holds no bars: those of a later request are taken, changed to what the notes say that
the bot saw. Where nothing was noted the bot decided nothing, so a process that was killed counts
as away from its last entry on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from toolkit.broker.journal import iter_fills, iter_intents, iter_notes, iter_orders
from toolkit.broker.records import Intent, Note, Role
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.core.types import Bar, Fill, Order, Reason, Side
from toolkit.errors import DataError
from toolkit.research.parity.gates import GateLog
from toolkit.research.parity.orders import OrderFacts
from toolkit.research.parity.runs import Run
from toolkit.research.parity.session import Cause, Change, Execution, Lot, Seen, Session, Start
from toolkit.research.parity.trades import Key

USUAL_DELAY = 0.5  # seconds from a bar's close to its decision, where none is known
COMMANDED = timedelta(minutes=10)  # so long a sale may take after its command
_SELLS = frozenset({"flatten", "halt"})


def session_of_journal(
    path: Path, runs: Sequence[Run], bars: Iterable[Bar], *, costs: Costs
) -> Session:
    """Read a session from the first of `runs` that `bars` reach; raises DataError, BrokerError.

    `bars` are those of a later request; the session ends with them, or with the last run.
    """
    known = sorted(bars, key=lambda bar: (bar.timestamp, bar.symbol))
    step = timedelta(seconds=runs[0].timeframe)
    chosen = [run for run in runs if known and run.until > known[0].timestamp]
    if not chosen:
        raise DataError(
            f"the bars hold nothing of the bot's runs, {runs[0].at.isoformat()} to "
            f"{runs[-1].until.isoformat()}; bring bars of that span, and some before it",
            field="bars",
        )
    begin = max(chosen[0].at, known[0].timestamp + step)
    end = chosen[-1].until
    warm = chosen[0].warm_up if begin == chosen[0].at else {}
    lived = [bar for bar in known if _is_after(bar, begin - step, warm) and bar.timestamp <= end]
    if not lived:
        raise DataError("the bars hold none that the bot decided on", field="bars")
    return _Reading(path, chosen, known, lived, begin=begin).session(costs)


class _Reading:
    def __init__(
        self,
        path: Path,
        runs: Sequence[Run],
        known: Sequence[Bar],
        lived: Sequence[Bar],
        *,
        begin: datetime,
    ) -> None:
        self._path, self._runs, self._known, self._begin = path, runs, known, begin
        self._step = timedelta(seconds=runs[0].timeframe)
        self._notes = list(iter_notes(path))
        self._intents = {i.ticket.client_order_id: i for i in iter_intents(path)}
        self._fills, self._orders = list(iter_fills(path)), list(iter_orders(path))
        self._seen_values, self._late = self._corrections()
        bars = list(self._as_seen(lived))
        self._refused = {
            (str(n.data["symbol"]), _moment(n.data["bar"])): n for n in self._noted("refused")
        }
        moments = self._moments(bars)
        ordered = sorted(
            bars, key=lambda b: (moments[b.symbol, b.timestamp], b.timestamp, b.symbol)
        )
        self._bars = ordered
        self._decided_at = [moments[b.symbol, b.timestamp] for b in ordered]

    def session(self, costs: Costs) -> Session:
        """Return what was read."""
        gates, facts = GateLog(), self._order_facts()
        seen = tuple(self._decided(gates))
        late = {key: self._final(key) for key in self._late}
        first = self._runs[0]
        return Session(
            source=str(self._path),
            symbols=tuple(dict.fromkeys(s for run in self._runs for s in run.symbols)),
            timeframe=first.timeframe,
            real_time=True,
            start=Start(
                parameters=self._in_force(self._begin),
                capital=first.capital,
                costs=costs,
                name=first.name,
                hours=first.hours,
                recovered=tuple(f for f in self._fills if f.timestamp < self._begin),
                pending=tuple(
                    i.request
                    for i in self._intents.values()
                    if i.request is not None and self._is_pending(i)
                ),
                lots=self._lots(),
                warm_up=self._warm_up(),
            ),
            seen=seen,
            corrections={key: bar for key, bar in late.items() if bar is not None},
            changes=tuple(self._changes()),
            outages=(*gates.outages(until=self._runs[-1].until), *self._away()),
            executions=tuple(facts.executions),
            filled=facts.shares(),
            failures=facts.failures(end=len(self._bars)),
            notes=self._remarks(),
            other_feed=self._other_feed(),
        )

    def _position(self, at: datetime) -> int:
        """How many bars had been decided on at a time."""
        return bisect_right(self._decided_at, at)

    def _moments(self, bars: Sequence[Bar]) -> dict[Key, datetime]:
        """When each bar was decided on: as its intent or refusal says, else as is usual."""
        known = {
            (i.request.symbol, i.request.timestamp): i.made_at
            for i in self._intents.values()
            if i.request is not None and i.request.side is Side.BUY
        }
        known |= {key: note.at for key, note in self._refused.items()}
        delays = [(at - key[1] - self._step).total_seconds() for key, at in known.items()]
        seconds = median(delays) if delays else USUAL_DELAY
        usual = min(max(timedelta(seconds=seconds), timedelta(0)), self._step / 2)
        found: dict[Key, datetime] = {}
        last: dict[str, datetime] = {}
        for bar in bars:  # none is decided on before its predecessor
            at = known.get((bar.symbol, bar.timestamp), bar.timestamp + self._step + usual)
            last[bar.symbol] = found[bar.symbol, bar.timestamp] = max(at, last.get(bar.symbol, at))
        return found

    def _corrections(self) -> tuple[dict[Key, Mapping[str, float]], set[Key]]:
        seen: dict[Key, Mapping[str, float]] = {}
        late: set[Key] = set()
        for note in self._noted("revised_bar"):
            key = (str(note.data["symbol"]), _moment(note.data["bar"]))
            if note.data.get("seen"):
                seen.setdefault(key, note.data["seen"])
            elif "seen" in note.data:
                late.add(key)
        return seen, late

    def _as_seen(self, lived: Iterable[Bar]) -> Iterable[Bar]:
        gaps = [
            (str(n.data["symbol"]), _moment(n.data["after"]), _moment(n.data["before"]))
            for n in self._noted("gap")
        ]
        for bar in lived:
            key = (bar.symbol, bar.timestamp)
            inside = any(s == bar.symbol and a < bar.timestamp < b for s, a, b in gaps)
            if key in self._late or (inside and key not in self._seen_values):
                continue
            values = self._seen_values.get(key)
            yield bar if values is None else _with_prices(bar, values)

    def _decided(self, gates: GateLog) -> Iterable[Seen]:
        told = [n for n in self._notes if n.kind == "gate"]
        bought = {
            (i.request.symbol, i.request.timestamp)
            for i in self._intents.values()
            if i.request is not None
        }
        for bar, moment in zip(self._bars, self._decided_at, strict=True):
            while told and told[0].at <= moment:
                gates.take(told[0].data, at=told.pop(0).at)
            key = (bar.symbol, bar.timestamp)
            cause, reason = (None, "") if key in bought else gates.reason(bar.symbol)
            if key in self._refused:
                reason = str(self._refused[key].data["reason"])
                cause = cause or self._refusal_cause(reason, gates, bar, moment)
            unattended = not self._is_attended(bar)
            yield Seen(bar=bar, refusal=reason, cause=cause, unattended=unattended)
        for note in told:
            gates.take(note.data, at=note.at)

    def _refusal_cause(self, reason: str, gates: GateLog, bar: Bar, moment: datetime) -> Cause:
        if not reason.startswith("stale"):
            return Cause.GATE_CLOSED
        away = gates.was_away(bar.timestamp + self._step, moment)
        return Cause.OUTAGE if away else Cause.LATE_BAR

    def _is_attended(self, bar: Bar) -> bool:
        """Whether a bot ran that could decide on it."""
        return any(
            bar.symbol in run.symbols
            and _is_after(bar, run.at - self._step, run.warm_up)
            and bar.timestamp <= run.until
            for run in self._runs
        )

    def _order_facts(self) -> OrderFacts:
        facts = OrderFacts()
        commands = self._noted("command")
        events: list[tuple[datetime, int, Any]] = []
        events += [(i.made_at, 0, i) for i in self._intents.values() if i.request is not None]
        events += [(n.at, 1, n) for n in commands]
        events += [(o.updated_at, 2, o) for o in self._orders]
        events += [(f.timestamp, 3, f) for f in self._fills if f.timestamp >= self._begin]
        for at, _, event in sorted(events, key=lambda e: e[:2]):
            if isinstance(event, Intent):
                self._ask(facts, event)
            elif isinstance(event, Note):
                facts.command(str(event.data["name"]), event.who)
            elif isinstance(event, (Order, Fill)):
                facts.update(event, position=self._position(at))
        executions = [replace(e, by_hand=self._is_by_hand(e, commands)) for e in facts.executions]
        return replace(facts, executions=executions)

    def _is_by_hand(self, execution: Execution, commands: Sequence[Note]) -> bool:
        """Whether a person sold: the session's end sells as well where there are hours."""
        fill = execution.fill
        if fill.reason is not Reason.FLATTEN:
            return execution.by_hand
        hours = self._runs[0].hours
        return hours is None or any(
            n.data["name"] in _SELLS and n.at <= fill.timestamp <= n.at + COMMANDED
            for n in commands
        )

    def _ask(self, facts: OrderFacts, intent: Intent) -> None:
        request = intent.request
        assert request is not None
        delay = (intent.made_at - request.timestamp - self._step).total_seconds()
        facts.request(request, delay=max(delay, 0.0))

    def _changes(self) -> Iterable[Change]:
        known = self._in_force(self._begin)
        moments: list[tuple[datetime, str, Mapping[str, Any]]] = [
            (n.at, n.who, n.data["new"]) for n in self._noted("parameters")
        ]
        moments += [(r.at, "the start", r.parameters.to_dict()) for r in self._runs[1:]]
        for at, who, values in sorted(moments, key=lambda m: m[0]):
            new = known.replace(values)
            changed = {name: pair[1] for name, pair in known.difference(new).items()}
            known = new
            if changed:
                yield Change(position=self._position(at), values=changed, who=who, at=at)

    def _in_force(self, at: datetime) -> Parameters:
        parameters = self._runs[0].parameters
        for note in self._notes:
            if note.kind == "parameters" and self._runs[0].at <= note.at < at:
                parameters = parameters.replace(note.data["new"])
        return parameters

    def _warm_up(self) -> dict[str, tuple[Bar, ...]]:
        run, begin = self._runs[0], self._begin
        found: dict[str, tuple[Bar, ...]] = {}
        for symbol in run.symbols:
            mine = [b for b in self._known if b.symbol == symbol]
            before = [b for b in mine if b.timestamp + self._step <= begin]
            span = run.warm_up.get(symbol)
            if begin == run.at:
                first, last = span or (begin, begin)
                before = [b for b in mine if span and first <= b.timestamp <= last]
            found[symbol] = tuple(before)
        return found

    def _lots(self) -> dict[str, Lot]:
        lots: dict[str, Lot] = {}
        for intent in self._intents.values():
            if intent.role is Role.ENTRY and intent.exits and intent.made_at < self._begin:
                lots[intent.ticket.symbol] = Lot(plan=intent.exits, peak=0.0)
        for note in self._notes:
            symbol = str(note.data.get("symbol"))
            if note.kind == "lot" and note.at < self._begin and symbol in lots:
                lots[symbol] = replace(lots[symbol], peak=float(note.data["peak"]))
        return lots

    def _is_pending(self, intent: Intent) -> bool:
        """Whether it was sent before, and filled after, the session's beginning."""
        name = intent.ticket.client_order_id
        times = [f.timestamp for f in self._fills if f.client_order_id == name]
        return intent.made_at < self._begin and bool(times) and min(times) >= self._begin

    def _away(self) -> Iterable[tuple[datetime, datetime, str]]:
        for one, other in zip(self._runs, self._runs[1:], strict=False):
            yield one.until, other.at, "the bot was not running"

    def _other_feed(self) -> bool:
        feeds = {bar.feed for bar in self._known if "/" not in bar.symbol}
        mine = self._runs[0].feed
        return bool(mine) and bool(feeds - {""}) and feeds != {mine}

    def _remarks(self) -> tuple[str, ...]:
        if not self._other_feed():
            return ()
        return (
            f"the session traded on {self._runs[0].feed}, and a journal holds no bars: what the "
            "other feed changed is not proven; bring a recording, or bars of that feed",
        )

    def _final(self, key: Key) -> Bar | None:
        return next((b for b in self._known if (b.symbol, b.timestamp) == key), None)

    def _noted(self, kind: str) -> list[Note]:
        return [n for n in self._notes if n.kind == kind and n.at >= self._begin]


def _is_after(bar: Bar, begin: datetime, warm_up: Mapping[str, tuple[datetime, datetime]]) -> bool:
    """Whether a bar is none of the warm-up; without one, whether it opened after `begin`."""
    span = warm_up.get(bar.symbol)
    return bar.timestamp > (span[1] if span else begin)


def _with_prices(bar: Bar, prices: Mapping[str, float]) -> Bar:
    return replace(
        bar,
        open=float(prices["open"]),
        high=float(prices["high"]),
        low=float(prices["low"]),
        close=float(prices["close"]),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
