"""Many clients join at once: upgrade, connect, subscribe, in groups that wait for each other."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator, Sequence

from toolkit.client import packets
from toolkit.errors import ConfigError, ToolkitError
from toolkit.loadtest.scenario import symbol_name
from toolkit.loadtest.websocket import Door, Joining

GROUP = 50
SPARE = 64


def allow_descriptors(wanted: int) -> None:
    """Raise this process's limit of open files as far as needed; raises ConfigError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{wanted} connections need {needed} open files, this machine allows {hard}; "
            f"raise it (ulimit -Hn, limits.conf) or take fewer clients",
            field="clients",
            allowed=hard - SPARE,
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def subscription(symbols: Sequence[int], *, known: int) -> dict[str, object]:
    """Return the body of `subscribe` for these of `known` symbols; all are asked for as all."""
    body: dict[str, object] = {"stream_types": ["market_data"]}
    if len(symbols) < known:
        body["symbols"] = [symbol_name(index) for index in symbols]
    return body


def join(
    door: Door, subscriptions: Sequence[Sequence[int]], *, symbols: int
) -> Iterator[tuple[socket.socket, bytes]]:
    """Yield for each client its connected socket and what it has received since it subscribed.

    Raises ToolkitError when the server refuses one.
    """
    auth = {"token": door.token, **({"batch": True} if door.batch else {})}
    for first in range(0, len(subscriptions), GROUP):
        group = subscriptions[first : first + GROUP]
        clients = [Joining(door) for _ in group]
        for client in clients:
            client.wait_for(packets.Kind.OPEN)
            client.send(packets.connect(auth))
        for client, wanted in zip(clients, group, strict=True):
            client.wait_for(packets.Kind.CONNECT)
            body = subscription(wanted, known=symbols)
            client.send(packets.event("subscribe", body, ack=1))
        for client in clients:
            answer = client.wait_for(packets.Kind.ACK).data[0]
            if not answer.get("ok"):
                raise ToolkitError(f"the server refuses a subscription: {answer.get('error')}")
            yield client.socket, client.incoming.rest
