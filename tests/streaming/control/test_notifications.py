"""States before they are numbered: throttled per symbol, the latest comes, events never wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streaming.fakes import account, bar, health, position, quote
from toolkit.bot.events import BotState, Event
from toolkit.streaming.control.notifications import Notifications

HEALTH = health()


@dataclass
class Alarm:
    at: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Desk:
    """Notifications under a clock that tests move; `out` holds (time, event)."""

    def __init__(self, *, throttle: float = 0.0, enabled: bool = True) -> None:
        self.now = 0.0
        self.out: list[tuple[float, Event]] = []
        self.alarms: list[Alarm] = []
        self.notifications = Notifications(
            lambda event: self.out.append((self.now, event)),
            monotonic=lambda: self.now,
            later=self._later,
            throttle=throttle,
            enabled=enabled,
        )

    def _later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        self.alarms.append(Alarm(self.now + seconds, callback))
        return self.alarms[-1]

    @property
    def pending(self) -> list[Alarm]:
        return [alarm for alarm in self.alarms if not alarm.cancelled]

    def publish(self, *events: Event) -> None:
        for event in events:
            self.notifications.publish(event)

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [alarm for alarm in self.pending if alarm.at <= until]:
            first = min(due, key=lambda alarm: alarm.at)
            self.alarms.remove(first)
            self.now = max(self.now, first.at)
            first.callback()
        self.now = until

    @property
    def published(self) -> list[Event]:
        return [event for _, event in self.out]


def test_without_a_throttle_everything_passes_at_once():
    desk = Desk()
    events = [position(), position(), account(), quote(), HEALTH]
    desk.publish(*events)
    assert desk.published == events
    assert desk.pending == []


def test_of_states_within_the_interval_the_latest_comes_at_its_end():
    desk = Desk(throttle=0.5)
    first, second, third = (position(price=price) for price in (1.0, 2.0, 3.0))
    desk.publish(first)
    desk.advance(0.2)
    desk.publish(second, third)
    assert desk.published == [first]
    desk.advance(0.25)
    assert desk.published == [first]
    desk.advance(0.1)
    assert desk.out == [(0.0, first), (0.5, third)]


def test_symbols_and_kinds_wait_for_themselves_only():
    desk = Desk(throttle=1.0)
    states = [position("AAPL"), position("MSFT"), account()]
    desk.publish(*states)
    assert desk.published == states


def test_events_and_market_data_never_wait():
    desk = Desk(throttle=60.0, enabled=False)
    events = [quote(), quote(), bar(), bar()]
    desk.publish(*events)
    assert desk.published == events


def test_switched_off_the_states_wait_and_come_when_switched_on():
    desk = Desk()
    desk.notifications.configure(enabled=False, throttle=0.0)
    latest = position(price=2.0)
    desk.publish(position(price=1.0), latest, account(), HEALTH)
    assert desk.published == [HEALTH]
    desk.advance(3600)
    assert desk.published == [HEALTH]
    desk.notifications.configure(enabled=True, throttle=0.0)
    assert desk.published == [HEALTH, latest, account()]


def test_a_change_of_the_bots_state_never_waits():
    desk = Desk(throttle=60.0)
    failed = replace(HEALTH, state=BotState.FAILED, reason="no feed")
    desk.publish(HEALTH, replace(HEALTH, bars=1), failed)
    assert desk.published == [HEALTH, failed]
    desk.advance(120)
    assert desk.published == [HEALTH, failed]


def test_a_shorter_throttle_lets_go_at_once():
    desk = Desk(throttle=60.0)
    later = position(price=2.0)
    desk.publish(position(), later)
    desk.advance(1.0)
    desk.notifications.configure(enabled=True, throttle=0.5)
    assert desk.published[-1] == later
    assert desk.pending == []


def test_closed_it_publishes_nothing_more():
    desk = Desk(throttle=1.0)
    desk.publish(position(), position(price=2.0))
    desk.notifications.close()
    desk.advance(10.0)
    assert len(desk.published) == 1


STATES = {"position": position, "account": lambda _s, price: account(int(price))}
SYMBOLS = ("AAPL", "MSFT")
moves = st.lists(
    st.one_of(
        st.tuples(st.just("state"), st.sampled_from(SYMBOLS), st.sampled_from(list(STATES))),
        st.tuples(st.just("event"), st.sampled_from(SYMBOLS), st.none()),
        st.tuples(st.just("wait"), st.floats(0.0, 2.0), st.none()),
        st.tuples(st.just("enable"), st.booleans(), st.none()),
    ),
    max_size=60,
)


@given(moves=moves, throttle=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_whatever_happens_the_latest_comes_and_none_too_early(moves, throttle):
    desk = Desk(throttle=throttle)
    offered: list[Event] = []
    enabled = True
    for number, (move, what, kind) in enumerate(moves, start=1):
        if move == "wait":
            desk.advance(what)
            continue
        if move == "enable":
            enabled = what
            desk.notifications.configure(enabled=what, throttle=throttle)
            continue
        event = STATES[kind](what, float(number)) if move == "state" else bar(what, number)
        offered.append(event)
        before = len(desk.out)
        desk.publish(event)
        assert move == "state" or desk.published[before:] == [event]
        assert enabled or move != "state" or len(desk.out) == before
        assert len(desk.pending) <= 1
    desk.notifications.configure(enabled=True, throttle=throttle)
    desk.advance(throttle)
    for key in {_key(event) for event in offered}:
        mine = [event for event in offered if _key(event) == key]
        out = [(at, event) for at, event in desk.out if _key(event) == key]
        assert out[-1][1] is mine[-1]
        places = [next(i for i, one in enumerate(mine) if one is event) for _, event in out]
        assert places == sorted(set(places))
        if key[0] != "Bar":
            assert all(b[0] - a[0] >= throttle - 1e-9 for a, b in pairwise(out))
    assert desk.pending == []


def _key(event: Event) -> tuple[str, str | None]:
    return type(event).__name__, getattr(event, "symbol", None)


@pytest.mark.parametrize("enabled", [True, False])
def test_one_timer_is_enough_for_many_symbols(enabled):
    desk = Desk(throttle=1.0, enabled=enabled)
    for symbol in map(str, range(100)):
        desk.publish(position(symbol), position(symbol, 2.0))
    assert len(desk.pending) == int(enabled)
