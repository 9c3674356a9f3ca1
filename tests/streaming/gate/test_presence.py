"""One timer for all: who came too late, whose token ended, who wants nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.streaming.access.test_auth import Time
from toolkit.errors import AuthError, ToolkitError
from toolkit.streaming.access.auth import Authenticator, Identity
from toolkit.streaming.gate.presence import GOODBYE_SECONDS, Presence
from toolkit.streaming.settings import Limits, ServerSettings
from toolkit.streaming.wire import Role

ANNA = Identity(Role.VIEW, name="anna")


@dataclass
class Socket:
    """An Engine.IO session."""

    closed: bool = False


@dataclass
class Room:
    """A presence whose time is ours, and what it did."""

    clock: Time = field(default_factory=Time)
    sessions: dict[str, Socket] = field(default_factory=dict)
    wanting: set[str] = field(default_factory=set)
    told: list[tuple[str, ToolkitError]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    limits: Limits = field(default_factory=lambda: Limits(handshake_timeout=10, idle_timeout=60))

    def __post_init__(self) -> None:
        self.presence = Presence(
            auth=Authenticator(ServerSettings(), clock=self.clock, monotonic=self.clock),
            limits=self.limits,
            sessions=self.sessions,
            wants=self.wanting.__contains__,
            tell=self.tell,
            close=self.close,
            monotonic=self.clock,
        )

    async def tell(self, client: str, problem: ToolkitError) -> None:
        self.told.append((client, problem))

    async def close(self, session: str) -> None:
        self.closed.append(session)
        del self.sessions[session]

    def enter(self, client: str, identity: Identity = ANNA, address: str = "here") -> None:
        session = f"session of {client}"
        self.sessions[session] = Socket()
        self.presence.enter(client, identity=identity, address=address, session=session)

    async def after(self, seconds: float) -> None:
        """Let time pass, as the timer sees it: in small steps."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + 0.5)
            self.presence.sweep()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.fixture
def room() -> Room:
    return Room()


async def test_a_connection_that_shows_no_token_is_closed(room: Room) -> None:
    room.sessions["stranger"] = Socket()
    room.enter("a")
    await room.after(10)
    assert room.closed == []
    await room.after(1)
    assert room.closed == ["stranger"]
    assert room.told == []


async def test_a_session_that_engine_io_closed_is_cleared_away_at_once(room: Room) -> None:
    room.sessions["over"] = Socket(closed=True)
    await room.after(0.5)
    assert room.closed == ["over"]


async def test_a_client_that_left_has_a_moment_to_close(room: Room) -> None:
    room.enter("a")
    await room.after(30)
    room.presence.leave("a")
    room.presence.leave("a")
    await room.after(GOODBYE_SECONDS - 0.5)
    assert room.closed == []
    await room.after(0.5)
    assert room.closed == ["session of a"]


async def test_who_connects_again_over_the_same_session_stays(room: Room) -> None:
    room.enter("a")
    room.presence.leave("a")
    room.enter("b")
    room.presence.leave("b")
    room.sessions["session of b"] = Socket()
    room.presence.enter("c", identity=ANNA, address="here", session="session of b")
    await room.after(20)
    assert room.closed == ["session of a"]


async def test_who_expires_is_told_once_and_who_does_not_stays(room: Room) -> None:
    room.enter("a", Identity(Role.VIEW, name="anna", expires=room.clock.now + 5))
    room.enter("b")
    await room.after(4.5)
    assert room.told == []
    await room.after(3)
    ((client, problem),) = room.told
    assert (client, problem.data["reason"]) == ("a", "expired")
    assert isinstance(problem, AuthError)


async def test_who_asks_nothing_and_wants_nothing_is_told(room: Room) -> None:
    for client in ("asks", "wants", "sleeps"):
        room.enter(client)
    room.wanting.add("wants")
    for _ in range(7):
        await room.after(10)
        room.presence.touch("asks")
    ((client, problem),) = room.told
    assert client == "sleeps"
    assert "60 s" in problem.message


async def test_places_are_counted_by_address_and_given_back() -> None:
    room = Room(limits=Limits(max_connections=3, max_connections_per_address=2))
    room.enter("a")
    room.enter("b")
    with pytest.raises(AuthError, match="your address") as full:
        room.enter("c")
    assert full.value.data["retry_after"] == 5.0
    room.enter("d", address="there")
    with pytest.raises(AuthError, match="all 3 places"):
        room.enter("e", address="elsewhere")
    room.presence.leave("a")
    room.enter("f")


async def test_what_runs_in_a_session_ends_with_it(room: Room) -> None:
    ended: list[str] = []
    short = Identity(Role.VIEW, name="anna", expires=room.clock.now + 5)

    def note(name: str) -> Callable[[], None]:
        return lambda: ended.append(name)

    with room.presence.watch(short, note("short")), room.presence.watch(ANNA, note("long")):
        await room.after(4.5)
        assert ended == []
        await room.after(0.5)
        assert ended == ["short"]
    await room.after(1)
    assert ended == ["short"]


async def test_a_flood_is_told_and_a_stranger_closed_at_once(room: Room) -> None:
    room.enter("a")
    room.sessions["stranger"] = Socket()
    for _ in range(3):
        room.presence.expel("session of a", ToolkitError("too much"))
        room.presence.expel("stranger", ToolkitError("too much"))
    await room.after(0.5)
    assert [client for client, _ in room.told] == ["a"]
    assert room.closed == ["stranger"]


async def test_a_failure_to_close_is_logged_and_tried_again(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    real, tries = room.close, 0

    async def failing(session: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("the transport is strange")
        await real(session)

    room.presence._close = failing
    room.sessions["stranger"] = Socket()
    await room.after(30)
    assert "the transport is strange" in caplog.text
    assert room.closed == ["stranger"]
