"""Holds many connections and lets the kernel read whichever has something."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from toolkit.loadtest.joining import join
from toolkit.loadtest.kernel import drain, scan, tally_of
from toolkit.loadtest.latency import pairs
from toolkit.loadtest.websocket import PONG, Door
from toolkit.loadtest.wires import CLOSED, DOUBTFUL, FAULTS, FINE, Wires, forget, make_wires


class Poller:
    """Tells which descriptors can be read: epoll where there is one, else poll."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._poll = None if self._epoll else select.poll()

    def add(self, descriptor: int) -> None:
        """Watch a descriptor."""
        (self._epoll or self._poll).register(descriptor, select.POLLIN)  # type: ignore[union-attr]

    def remove(self, descriptor: int) -> None:
        """Watch it no longer."""
        (self._epoll or self._poll).unregister(descriptor)  # type: ignore[union-attr]

    def ready(self, timeout: float) -> list[int]:
        """Return what can be read, after `timeout` seconds at the latest."""
        if self._epoll is not None:
            return [found for found, _ in self._epoll.poll(timeout)]
        assert self._poll is not None
        return [found for found, _ in self._poll.poll(timeout * 1000)]

    def close(self) -> None:
        """Let go of the system's side."""
        if self._epoll is not None:
            self._epoll.close()


class Receiver:
    """The clients of one process. `subscriptions` are indices of symbols, one list a client."""

    def __init__(self, subscriptions: Sequence[Sequence[int]], *, symbols: int) -> None:
        self._subscriptions = subscriptions
        self._symbol_of = np.concatenate([np.array(wanted, np.int64) for wanted in subscriptions])
        self._symbols = symbols
        self._wires = make_wires(subscriptions, symbols=symbols)
        self._sockets: list[socket.socket] = []
        self._poller = Poller()

    def join(self, door: Door) -> None:
        """Connect and subscribe all clients; raises ToolkitError when one is refused."""
        joined = join(door, self._subscriptions, symbols=self._symbols)
        for number, (client, rest) in enumerate(joined):
            client.setblocking(False)
            self._sockets.append(client)
            self._wires.rests[number, : len(rest)] = np.frombuffer(rest, np.uint8)
            self._wires.filled[number] = len(rest)
        highest = max(client.fileno() for client in self._sockets)
        connection_of = np.full(highest + 1, -1, np.int32)
        for number, client in enumerate(self._sockets):
            connection_of[client.fileno()] = number
            self._poller.add(client.fileno())
        self._wires = self._wires._replace(connection_of=connection_of)
        for number in range(len(self._sockets)):
            self._wires.fault[number] = scan(self._wires, number, time.time_ns() // 1000)

    def watch(self, descriptor: int) -> None:
        """Let `turn` return when this descriptor, which is no client's, can be read."""
        self._poller.add(descriptor)

    def turn(self, timeout: float) -> list[int]:
        """Receive what is there, or wait up to `timeout` seconds; returns all that was ready."""
        ready = self._poller.ready(timeout)
        if ready and drain(self._wires, np.array(ready, np.int32)):
            self._attend()
        return ready

    def forget(self) -> None:
        """Begin a new window."""
        forget(self._wires)

    @property
    def bytes(self) -> int:
        """Bytes received since the window began."""
        return tally_of(self._wires)["bytes"]

    def progress(self) -> dict[str, Any]:
        """Return counts and latencies since the window began, and the faults of connections."""
        faults = [int(fault) for fault in self._wires.fault if fault != FINE]
        return {
            **tally_of(self._wires),
            "latencies": pairs(self._wires.counts),
            "faults": {FAULTS[fault]: faults.count(fault) for fault in sorted(set(faults))},
        }

    def missing(self, published: Sequence[int]) -> int:
        """Return how many messages have not come, of `published` of each symbol."""
        short = np.array(published, np.int64)[self._symbol_of] - self._wires.received
        return int(short[short > 0].sum())

    def result(self, published: Sequence[int]) -> dict[str, Any]:
        """Return the progress with what is lost of `published` messages of each symbol."""
        return {**self.progress(), "lost": self.missing(published)}

    def close(self) -> None:
        """Leave without a word."""
        for client in self._sockets:
            client.close()
        self._poller.close()

    def _attend(self) -> None:
        for number in np.flatnonzero(self._wires.pings):
            self._wires.pings[number] = 0
            with suppress(OSError):  # the next reading finds out what is wrong
                self._sockets[number].send(PONG)
        for number in np.flatnonzero(self._wires.fault):
            self._examine(int(number))

    def _examine(self, number: int) -> None:
        wires, client = self._wires, self._sockets[number]
        if wires.fault[number] == DOUBTFUL:
            try:
                client.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                wires.fault[number] = FINE
                return
            except OSError:
                wires.fault[number] = CLOSED
            else:
                wires.fault[number] = FINE
                return
        if wires.connection_of[client.fileno()] == number:
            wires.connection_of[client.fileno()] = -1
            self._poller.remove(client.fileno())


def compile_all(wires: Wires | None = None) -> None:
    """Compile the kernel, or load what was compiled before."""
    wires = wires or make_wires([[0]], symbols=1)
    scan(wires, 0, 0)
    drain(wires, np.empty(0, np.int32))
