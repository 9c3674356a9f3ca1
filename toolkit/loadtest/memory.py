"""What a connection costs the server in memory: many idle clients that subscribed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from toolkit.loadtest.bench import Server
from toolkit.loadtest.joining import allow_descriptors, join
from toolkit.loadtest.scenario import Scenario
from toolkit.loadtest.websocket import Door

# The first clients make the server load what it needs once.
FIRST, IDLE = 50, 1_000


def bytes_per_connection(kind: str, scenario: Scenario, *, batch: bool, idle: int = IDLE) -> int:
    """Connect `idle` clients that ask for what the scenario's clients ask for and send nothing.

    Returns the growth of the server's resident memory for each, in bytes.
    """
    allow_descriptors(FIRST + idle)
    wanted = replace(scenario, clients=FIRST + idle).subscriptions()
    with (
        Server(kind, clients=len(wanted), symbols=scenario.symbols, batch=batch) as server,
        ExitStack() as connected,
    ):

        def enter(hands: Sequence[Sequence[int]], door: Door) -> int:
            for client, _ in join(door, hands, symbols=scenario.symbols):
                connected.enter_context(client)
            return server.settled_rss()

        before = enter(wanted[:FIRST], server.door)
        after = enter(wanted[FIRST:], server.door)
    return (after - before) // idle
