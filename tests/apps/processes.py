"""Servers in processes of their own."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading


class Server:
    """A child process whose lines can be waited for."""

    def __init__(self, command: list[str], *, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def wait_for(self, pattern: str, *, within: float = 60.0) -> str:
        """Return the part of the next line that `pattern` matches."""
        while True:
            line = self._lines.get(timeout=within)
            assert line is not None, f"ended without {pattern!r}:\n" + "\n".join(self.said)
            self.said.append(line)
            if found := re.search(pattern, line):
                return found.group()

    def stop(self) -> int:
        """Ask it to end as Ctrl-C does; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended by itself; returns the exit code."""
        code = self._process.wait(60)
        self._reader.join(5)
        while not self._lines.empty():
            self.said += [line] if (line := self._lines.get()) else []
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code
