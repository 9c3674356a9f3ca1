"""The dashboard's process ends with the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from toolkit.runtime import wait_until
from toolkit.views.dashboard.serving import end_with_parent


async def test_it_ends_once_its_parent_is_another():
    parents, ended = iter([7, 7, 7, 1]), []
    await end_with_parent(
        7, getppid=lambda: next(parents), end=lambda: ended.append(True), interval=0.0
    )
    assert ended == [True]
    assert next(parents, None) is None


SERVER = """
import asyncio, sys
from pathlib import Path
from toolkit.config import Settings
from toolkit.session.options import LaunchOptions
from toolkit.session.service import Service

async def main():
    settings = Settings(port=0, state_dir=Path(sys.argv[1]))
    service = Service(LaunchOptions(symbols=("AAPL",), speed="60x"), settings)
    await service.start()
    print(service._dashboard.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a parent's id stays")
@pytest.mark.timeout(60)
def test_the_dashboard_of_a_server_that_was_killed_ends_soon(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            dashboard = psutil.Process(int(server.stdout.readline()))
            logs = lambda: "".join(p.read_text() for p in tmp_path.rglob("dashboard-*"))  # noqa: E731
            assert wait_until(lambda: "http://" in logs(), timeout=30), logs()
        finally:
            server.send_signal(signal.SIGKILL)
    try:
        assert wait_until(lambda: not _runs(dashboard), timeout=10)
    finally:
        if _runs(dashboard):
            dashboard.kill()
    assert "Traceback" not in logs()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
