"""Starting and stopping: nothing stays behind, and a taken port says so."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.streaming.fakes import FakeBot, position, quote
from tests.streaming.gate.test_hostile import sleeping
from tests.streaming.serving import Served, serving, settings_of, stock
from toolkit.errors import ConfigError
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.server import StreamingServer, utc_now
from toolkit.streaming.settings import ServerSettings

FDS = Path("/proc/self/fd")


def left_behind() -> tuple[int, int, int]:
    gc.collect()
    fds = len(list(FDS.iterdir())) if FDS.is_dir() else 0
    return threading.active_count(), len(asyncio.all_tasks()), fds


async def use_once() -> None:
    async with (
        serving(heartbeat_interval=0.01) as served,
        stock(served) as client,
        stock(served, transports=("polling", "websocket")) as upgraded,
    ):
        await client.call("subscribe", {"stream_types": ["market_data"]})
        served.hub.publish(quote())
        await client.until(lambda: client.messages)
        await served.server.stop()
        await client.first("disconnect")
        await upgraded.first("disconnect")


async def test_ten_starts_and_stops_leave_nothing_behind() -> None:
    await use_once()
    before = left_behind()
    for _ in range(10):
        await use_once()
    assert left_behind() == before


async def test_stopping_takes_less_than_a_second_even_with_a_client_that_sleeps() -> None:
    async with serving(queue_size=100) as served, sleeping(served):
        async with asyncio.timeout(20):
            while not await stalled(served):
                for _ in range(100):
                    served.hub.publish(position())
        started = time.monotonic()
        await served.server.stop()
        assert time.monotonic() - started < 1.0


async def stalled(served: Served) -> bool:
    delivered = served.hub.counters.delivered
    for _ in range(20):
        await asyncio.sleep(0)
    return served.hub.counters.delivered == delivered


async def test_stop_may_be_called_twice_and_before_start() -> None:
    hub = Hub(epoch="e", clock=utc_now)
    server = StreamingServer(bot=FakeBot(), hub=hub, settings=ServerSettings(port=0))
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()


async def test_a_taken_port_is_named_with_the_way_out() -> None:
    async with serving() as served:
        port = served.server.port
        hub = Hub(epoch="e", clock=utc_now)
        other = StreamingServer(bot=FakeBot(), hub=hub, settings=ServerSettings(port=port))
        before = left_behind()
        with pytest.raises(ConfigError, match=rf"port {port} is taken.*--port.*toolkit doctor"):
            await other.start()
        assert left_behind() == before


async def test_the_port_is_free_again_after_stopping() -> None:
    async with serving() as served:
        port = served.server.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(os.name == "posix"))
        probe.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"heartbeat_interval": 0},
        {"streaming_interval": 61},
        {"max_http_buffer_size": 10},
        {"max_connections": 0},
    ],
)
def test_wrong_settings_name_the_field(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        settings_of(**wrong)
