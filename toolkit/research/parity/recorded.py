"""A session from its recording: every fact with its place among the bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from toolkit.bot.watch import STALE_TIMEFRAMES
from toolkit.core.gates import Gate
from toolkit.core.risk import exit_plan
from toolkit.core.types import Bar, Fill, OrderRequest, OrderUpdate, Position, Reason
from toolkit.errors import DataError
from toolkit.market.recording import Recording
from toolkit.market.recording_codec import Entry
from toolkit.research.parity.gates import GateLog
from toolkit.research.parity.orders import OrderFacts
from toolkit.research.parity.session import Cause, Change, Execution, Lot, Seen, Session, Start
from toolkit.research.parity.trades import Key


def session_of_recording(recording: Recording, start: Start) -> Session:
    """Read a session; `start` says with which parameters, capital and costs it began.

    Raises DataError for the recording of a market without a bot, or of one that saw no bar.
    """
    about = recording.about
    if not about.get("broker"):
        raise DataError(
            f"{recording.path.name} is of a market without a bot: there is nothing to compare; "
            "record a bot with tk.launch(record=DIR) or toolkit serve --record DIR",
            field="source",
            value=str(recording.path),
        )
    reader = _Reader(float(about["timeframe"]), real_time=bool(about.get("real_time")))
    for entry in recording.entries():
        reader.take(entry)
    return reader.session(recording, start)


class _Reader:
    """Goes through the entries once; see `record.script` for their order."""

    def __init__(self, timeframe: float, *, real_time: bool) -> None:
        self._step, self._real_time = timedelta(seconds=timeframe), real_time
        self._timeframe = timeframe
        self._gates, self._orders = GateLog(), OrderFacts()
        self._history: dict[Key, Bar] = {}
        self._recovered: list[OrderUpdate] = []
        self._pending: list[OrderRequest] = []
        self._first_positions: tuple[Position, ...] | None = None
        self._seen: list[Seen] = []
        self._corrections: dict[Key, Bar] = {}
        self._changes: list[Change] = []
        self._bar: tuple[Bar, float | None, datetime] | None = None  # being decided on
        self._noted: list[Mapping[str, Any]] = []  # gates, while it is
        self._updates: list[OrderUpdate] = []  # since the bar came
        self._now = datetime.fromtimestamp(0, UTC)

    def take(self, entry: Entry) -> None:
        """Take the next entry."""
        if self._real_time:
            self._now = entry.time
        match entry.what:
            case "history":
                self._history.setdefault(_key(entry.value), entry.value)
            case "recovered":
                self._recovered.append(entry.value)
            case "pending":
                self._pending.append(entry.value)
                self._orders.request(entry.value, delay=None)
            case "positions" if self._first_positions is None and not self._seen:
                self._first_positions = tuple(entry.value)
            case "market":
                self._finish(taken=False)
                self._market(entry)
            case "update":
                self._updates.append(entry.value)
            case "seen":
                self._report(len(self._seen))
            case "taken":
                self._finish(taken=True)
            case "submit":
                self._report(self._position)
                self._submit(entry.value)
            case "refused":
                error = entry.value["error"]
                self._orders.refused(
                    entry.value["about"],
                    code=str(error["code"]),
                    reason=str(error["message"]),
                    position=self._position,
                )
            case "note":
                self._note(entry.value)

    @property
    def _position(self) -> int:
        """How many bars have been decided on, the present one included."""
        return len(self._seen) + (self._bar is not None)

    def _market(self, entry: Entry) -> None:
        bar = entry.value
        if not isinstance(bar, Bar) or not bar.final:
            return
        if bar.revision:
            self._corrections[_key(bar)] = bar
            return
        close = bar.timestamp + self._step
        delay = (entry.time - close).total_seconds() if self._real_time else None
        if not self._real_time:
            self._now = close
        self._bar = (bar, delay, self._now)

    def _finish(self, *, taken: bool) -> None:
        """The bar has been decided on: what was noted before `taken` was while it was."""
        self._report(self._position)
        noted, self._noted = self._noted, []
        bar, self._bar = self._bar, None
        if bar is not None:
            after = [] if taken else noted
            for data in noted if taken else ():
                if data.get("gate") == Gate.LOSS:
                    after.append(data)  # it is marked once the bar is decided on
                else:
                    self._gates.take(data, at=self._now)
            self._seen.append(self._decided(*bar))
            noted = after
        for data in noted:
            self._gates.take(data, at=self._now)

    def _decided(self, bar: Bar, delay: float | None, received: datetime) -> Seen:
        cause, reason = self._gates.reason(bar.symbol)
        if cause is None and delay is not None and delay >= STALE_TIMEFRAMES * self._timeframe:
            away = self._gates.was_away(bar.timestamp + self._step, received)
            cause = Cause.OUTAGE if away else Cause.LATE_BAR
            reason = f"stale bar: it came {delay:.0f} s after its close"
        return Seen(bar=bar, delay=delay, refusal=reason, cause=cause)

    def _submit(self, request: OrderRequest) -> None:
        bar, delay = self._bar, None
        by_hand = request.reason is Reason.FLATTEN
        if bar is not None and _key(bar[0]) == (request.symbol, request.timestamp):
            delay, by_hand = bar[1], False
            self._finish(taken=True)  # what closes now bears on the next bar
        self._orders.request(request, delay=delay, by_hand=by_hand)

    def _report(self, position: int) -> None:
        updates, self._updates = self._updates, []
        for update in updates:
            self._orders.update(update, position=position)

    def _note(self, note: Mapping[str, Any]) -> None:
        kind, who, data = str(note["kind"]), str(note["who"]), note["data"]
        if kind == "gate":
            if self._bar is not None:
                self._noted.append(data)
            else:
                self._gates.take(data, at=self._now)
        elif kind == "parameters":
            values = dict(data["new"])
            change = Change(position=self._position, values=values, who=who, at=self._now)
            self._changes.append(change)
        elif kind == "command":
            self._finish(taken=False)
            self._orders.command(str(data["name"]), who)

    def session(self, recording: Recording, start: Start) -> Session:
        """Return what was read."""
        self._finish(taken=False)
        if not self._seen:
            raise DataError(
                f"{recording.path.name} holds no final bar: the session ended before the first",
                field="source",
                value=str(recording.path),
            )
        before, during = self._executions()
        warm_up: dict[str, tuple[Bar, ...]] = {}
        for bar in sorted(self._history.values(), key=lambda b: b.timestamp):
            warm_up[bar.symbol] = (*warm_up.get(bar.symbol, ()), bar)
        return Session(
            source=str(recording.path),
            symbols=tuple(recording.about["symbols"]),
            timeframe=self._timeframe,
            real_time=self._real_time,
            start=replace(
                start,
                recovered=(*self._recovered, *before),
                pending=tuple(self._pending),
                lots=self._lots(start),
                warm_up=warm_up,
            ),
            seen=tuple(self._seen),
            corrections=self._corrections,
            changes=tuple(self._changes),
            outages=self._gates.outages(until=self._now),
            executions=tuple(during),
            filled=self._orders.shares(),
            failures=self._orders.failures(end=len(self._seen)),
            notes=tuple(recording.notes),
        )

    def _executions(self) -> tuple[list[Fill], list[Execution]]:
        """Tell executions of a time before the session, of which it only heard, from its own."""
        first = min(seen.bar.timestamp for seen in self._seen)
        found = self._orders.executions
        early = [e for e in found if self._real_time and e.fill.timestamp < first]
        return [e.fill for e in early], [e for e in found if e not in early]

    def _lots(self, start: Start) -> dict[str, Lot]:
        """Guess how positions of an earlier run were protected: by what was in force here."""
        plan = exit_plan(start.parameters.risk, atr=float("nan"))
        trail = 1.0 - plan.trailing_stop / 100.0
        lots = {}
        for position in self._first_positions or ():
            peak = position.stop / trail if position.stop and plan.trailing_stop else 0.0
            fixed = position.entry_price * (1.0 - plan.stop_loss / 100.0)
            raised = position.stop is not None and position.stop > fixed * (1.0 + 1e-9)
            lots[position.symbol] = Lot(plan=plan, peak=peak if raised else 0.0)
        return {symbol: lot for symbol, lot in lots.items() if self._is_held(symbol)}

    def _is_held(self, symbol: str) -> bool:
        return any(u.symbol == symbol for u in self._recovered if isinstance(u, Fill))


def _key(bar: Bar) -> Key:
    return bar.symbol, bar.timestamp
