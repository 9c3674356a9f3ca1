"""The dashboard's process: started behind a server, ended with it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from toolkit.runtime import ChildProcess, free_port
from toolkit.session.registry import log_file

log = logging.getLogger(__name__)


class Dashboard:
    """One dashboard, on a loopback port of its own; the server's proxy leads there.

    `wanted` without the packages it needs is a warning, not an error.
    """

    def __init__(self, *, wanted: bool, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._port = free_port() if wanted and _possible() else None
        self._child: ChildProcess | None = None

    @property
    def planned_url(self) -> str | None:
        """Where it will be once it is started, None where there will be none."""
        return None if self._port is None else f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str | None:
        """Its address, None while it is not started."""
        return None if self._child is None else self.planned_url

    @property
    def pid(self) -> int | None:
        """Its process, None where none runs."""
        return None if self._child is None else self._child.pid

    def start(self, *, url: str, token: str) -> None:
        """Start the process as a client of the server at `url`."""
        if self._port is None:
            return
        self._child = ChildProcess.start(
            [sys.executable, "-m", "toolkit.views.dashboard"],
            log=log_file(self._state_dir, f"dashboard-{url.rpartition(':')[2]}"),
            environment={
                "TOOLKIT_URL": url,
                "TOOLKIT_TOKEN": token,
                "TOOLKIT_DASHBOARD_PORT": str(self._port),
                "TOOLKIT_PARENT": str(os.getpid()),
            },
        )

    async def stop(self) -> None:
        """End the process. Twice is harmless."""
        child, self._child = self._child, None
        if child is not None:
            await asyncio.to_thread(child.stop)


def _possible() -> bool:
    if find_spec("panel") is not None:
        return True
    log.warning("no dashboard: install stochrsi-toolkit[apps] to have it")
    return False
