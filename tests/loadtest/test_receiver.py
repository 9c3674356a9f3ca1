"""Real sockets, and a server's side that does what the test says."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from tests.loadtest.wire import NOW, frame, message, single
from toolkit.errors import ToolkitError
from toolkit.loadtest import receiver as module
from toolkit.loadtest.receiver import Receiver
from toolkit.loadtest.websocket import PONG, Door, Incoming, upgrade

DOOR = Door(port=1, token="")


class Room:
    """A receiver whose clients are connected to `servers`, one socket for each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wanted: Sequence[Sequence[int]]) -> None:
        pairs = [socket.socketpair() for _ in wanted]
        self.servers = [server for server, _ in pairs]
        rests = [b""] * len(pairs)
        rests[0] = single(message(1, 0, published=NOW))[:20]
        self.servers[0].sendall(single(message(1, 0, published=NOW))[20:])
        joined = [(client, rest) for (_, client), rest in zip(pairs, rests, strict=True)]
        monkeypatch.setattr(module, "join", lambda *_, **__: iter(joined))
        self.receiver = Receiver(wanted, symbols=3)
        self.receiver.join(DOOR)

    def close(self) -> None:
        self.receiver.close()
        for server in self.servers:
            server.close()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    made = Room(monkeypatch, [[0, 1], [0]])
    yield made
    made.close()


def test_what_came_while_joining_is_the_beginning(room: Room):
    room.receiver.turn(1.0)
    assert room.receiver.progress()["received"] == 1


def test_what_was_published_and_did_not_come_is_lost(room: Room):
    room.servers[1].sendall(single(message(1, 0)) + single(message(3, 2)))
    while room.receiver.progress()["received"] < 3:
        room.receiver.turn(1.0)
    result = room.receiver.result([3, 2, 9])
    assert result["lost"] == (2 + 2) + 1
    assert result["broken"] == 1
    assert room.receiver.missing([1, 0, 0]) == 0


def test_pings_are_answered(room: Room):
    room.servers[1].sendall(frame(b"2"))
    room.servers[1].settimeout(5)
    while not room.receiver.progress()["received"]:
        room.receiver.turn(1.0)
    room.receiver.turn(0.1)
    assert room.servers[1].recv(100) == PONG


def test_a_connection_that_ends_is_a_fault_and_the_others_go_on(room: Room):
    room.servers[1].close()
    while not room.receiver.progress()["faults"]:
        room.receiver.turn(1.0)
    assert room.receiver.progress()["faults"] == {"closed by the server": 1}
    assert room.receiver.turn(0.0) == []
    room.servers[0].sendall(single(message(2, 1)))
    assert room.receiver.turn(1.0)
    assert room.receiver.progress()["received"] == 2


def test_another_descriptor_wakes_the_receiver(room: Room):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        room.receiver.watch(ours.fileno())
        theirs.sendall(b"x")
        while ours.fileno() not in room.receiver.turn(1.0):
            pass


def test_texts_are_cut_out_of_any_pieces():
    sent = b"HTTP/1.1 101 Switching\r\n\r\n" + frame(b'0{"sid":"x"}') + frame(b"y" * 70_000)
    incoming, texts = Incoming(), []
    for i in range(0, len(sent), 7):
        incoming.feed(sent[i : i + 7])
        if text := incoming.text():
            texts.append(text)
    assert texts == ['0{"sid":"x"}', "y" * 70_000]
    assert incoming.rest == b""


def test_a_refusal_is_told_in_the_servers_words():
    with pytest.raises(ToolkitError, match=r"403 Forbidden.*no token"):
        Incoming().feed(b"HTTP/1.1 403 Forbidden\r\n\r\nno token")
    incoming = Incoming()
    incoming.feed(b"HTTP/1.1 101 OK\r\n\r\n" + frame(b"\x03\xe8bye", first=0x88))
    with pytest.raises(ToolkitError, match="bye"):
        incoming.text()


def test_the_upgrade_asks_for_no_compression():
    assert b"Extensions" not in upgrade(80)
