"""What is worth telling: the bot's events in, notices out. Pure; it remembers what it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from toolkit.bot.events import BotState, Event, Health, Performance, Problem
from toolkit.core.gates import Gate, GateReason
from toolkit.core.types import Bar, Evaluation, Fill, MarketGap, Quote, RoundTrip, Side, Trade
from toolkit.errors import ConfigError


class Kind(StrEnum):
    """What can be told, by the names that TOOLKIT_ALERT_EVENTS takes."""

    FILLS = "fills"  # every execution, and every round trip with its profit
    GATES = "gates"  # entries stop or go on; the bot starts, ends or fails
    CONNECTION = "connection"  # feed, order stream, broker or clock
    DRAWDOWN = "drawdown"  # a threshold is passed
    LATENCY = "latency"  # clients get their messages late
    ERRORS = "errors"  # refused orders, and what went wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell. Of a `subject` only the latest counts; an empty one has no successor.

    Urgent ones do not wait for company.
    """

    kind: Kind
    text: str
    subject: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which kinds are told, and from which drawdowns on (percent of the equity's peak)."""

    kinds: frozenset[Kind] = frozenset(Kind)
    drawdowns: tuple[float, ...] = (5.0, 10.0, 20.0)

    @classmethod
    def named(cls, names: Sequence[str]) -> Rules:
        """Tell the kinds of these names, all for none; raises ConfigError."""
        known = [kind.value for kind in Kind]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(
                f"{unknown[0]!r} is no kind of alert; known are: {', '.join(known)}",
                field="alert_events",
                value=unknown[0],
                allowed=known,
            )
        return cls(kinds=frozenset(Kind(name) for name in names) or frozenset(Kind))


_FREQUENT = (Bar, Quote, Trade, Evaluation, MarketGap)
# A market that closes every evening, and limits that do what they are for, are no news.
_ROUTINE = frozenset({Gate.MARKET, Gate.RATE, Gate.EXPOSURE})
_CONNECTION = frozenset({Gate.ORDERS, Gate.BROKER, Gate.FEED, Gate.CLOCK})
_URGENT = frozenset({Gate.HALT, Gate.ERROR, Gate.LOSS, Gate.RECONCILIATION})
_STATES = {
    BotState.RUNNING: "runs",
    BotState.PAUSED: "takes no entries",
    BotState.FINISHED: "has finished",
    BotState.FAILED: "has failed",
    BotState.STOPPED: "has stopped",
}
_EXPECTED_PROBLEMS = frozenset({"order_rejected", "data_error"})


class Judge:
    """Turns events into notices, each change once."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._state: tuple[BotState, str] = (BotState.STARTING, "")
        self._gates: dict[tuple[Gate, str | None], str] = {}
        self._passed = 0.0

    def on_event(self, event: Event) -> list[Notice]:
        """Return what is to be told of an event; mostly nothing."""
        if isinstance(event, _FREQUENT):
            return []
        return [n for n in self._notices(event) if n.kind in self._rules.kinds]

    def on_latency(self, message: str, *, stream: str) -> list[Notice]:
        """Return what is to be told of a latency alert of the server."""
        notice = Notice(kind=Kind.LATENCY, text=message, subject=f"latency:{stream}")
        return [notice] if Kind.LATENCY in self._rules.kinds else []

    def _notices(self, event: Event) -> list[Notice]:
        match event:
            case Fill():
                return [Notice(kind=Kind.FILLS, text=_fill(event))]
            case RoundTrip():
                return [Notice(kind=Kind.FILLS, text=_round_trip(event))]
            case Health():
                return self._on_health(event)
            case Performance():
                return self._on_performance(event)
            case Problem():
                return [_problem(event)]
        return []

    def _on_health(self, health: Health) -> list[Notice]:
        if health.state is BotState.STARTING:
            return []  # gates are closed then, and mostly open by themselves
        gates = self._on_gates(health.gates)
        told_by_gate = health.state is BotState.PAUSED and bool(health.gates)
        return gates if told_by_gate else [*self._on_state(health), *gates]

    def _on_state(self, health: Health) -> list[Notice]:
        state = (health.state, health.reason)
        before, self._state = self._state, state
        if state == before or health.state not in _STATES:
            return []
        reason = f": {health.reason}" if health.reason else ""
        where = "" if before[0] is not BotState.STARTING else f" on {health.market}"
        return [
            Notice(
                kind=Kind.GATES,
                text=f"the bot {_STATES[health.state]}{where}{reason}",
                subject="state",
                urgent=health.state in (BotState.FAILED, BotState.PAUSED),
            )
        ]

    def _on_gates(self, gates: Sequence[GateReason]) -> list[Notice]:
        now = {(g.gate, g.symbol): g.reason for g in gates if g.gate not in _ROUTINE}
        closed = [_closed(key, why) for key, why in now.items() if self._gates.get(key) != why]
        opened = [_opened(key) for key in self._gates if key not in now]
        self._gates = now
        return [*closed, *opened]

    def _on_performance(self, event: Performance) -> list[Notice]:
        drawdown = event.max_drawdown_percent
        passed = max((d for d in self._rules.drawdowns if drawdown >= d), default=0.0)
        if passed <= self._passed:
            return []
        self._passed = passed
        text = f"drawdown {drawdown:.1f} % of the equity's peak, above {passed:g} %"
        return [Notice(kind=Kind.DRAWDOWN, text=text, subject="drawdown", urgent=True)]


def _gate_kind(gate: Gate) -> Kind:
    if gate is Gate.ERROR:
        return Kind.ERRORS
    return Kind.CONNECTION if gate in _CONNECTION else Kind.GATES


def _subject(key: tuple[Gate, str | None]) -> str:
    return f"gate:{key[0].value}:{key[1] or ''}"


def _closed(key: tuple[Gate, str | None], reason: str) -> Notice:
    gate, symbol = key
    what = f"no entries in {symbol}" if symbol else "no entries"
    return Notice(
        kind=_gate_kind(gate),
        text=f"{what} ({gate.value}): {reason}",
        subject=_subject(key),
        urgent=gate in _URGENT,
    )


def _opened(key: tuple[Gate, str | None]) -> Notice:
    gate, symbol = key
    where = f" in {symbol}" if symbol else ""
    text = f"{gate.value} no longer stops entries{where}"
    return Notice(kind=_gate_kind(gate), text=text, subject=_subject(key))


def _fill(fill: Fill) -> str:
    verb = "bought" if fill.side is Side.BUY else "sold"
    why = fill.reason.value.replace("_", " ")
    return f"{verb} {fill.quantity.normalize():f} {fill.symbol} at {fill.price:,g} ({why})"


def _round_trip(trip: RoundTrip) -> str:
    why = trip.exit_reason.value.replace("_", " ")
    return f"{trip.symbol} closed, {trip.pnl:+,.2f} $ ({trip.return_percent:+.2f} %), {why}"


def _problem(problem: Problem) -> Notice:
    where = f"{problem.symbol}: " if problem.symbol else ""
    return Notice(
        kind=Kind.ERRORS,
        text=f"{where}{problem.message}",
        subject=f"problem:{problem.code}:{problem.symbol or ''}:{problem.message}",
        urgent=problem.code not in _EXPECTED_PROBLEMS,
    )
