"""`--debug`: every step of the toolkit on stderr, and no secret in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

import toolkit as tk
from toolkit.cli import main

SERVE = ["serve", "--port", "0", "--symbol", "AAPL", "--no-dashboard", "--speed", "600x"]


@pytest.mark.parametrize("arguments", [["--debug", "serve"], ["serve", "--debug"]])
def test_the_switch_stands_before_the_command_or_after_it(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    switched: list[bool | None] = []

    def note(*, debug: bool | None = None) -> None:
        switched.append(debug)

    for module in ("toolkit.cli.main", "toolkit.cli.serve"):
        monkeypatch.setattr(sys.modules[module], "set_up_logging", note)
    monkeypatch.setattr(sys, "argv", ["toolkit", *arguments, "--symbol", "A$"])
    assert main() == 2
    assert True in switched


def test_debug_tells_the_steps_and_no_secret() -> None:
    out, err, token = served_once([*SERVE, "--debug"])
    assert f"token={token}" in out
    assert "toolkit.session.service: Health(" in err
    assert "command set_parameters {'values': {'ema_period': 12}}" in err
    assert token not in err


def test_without_debug_nothing_is_logged() -> None:
    _, err, _ = served_once(SERVE)
    assert "DEBUG" not in err
    assert "command set_parameters" not in err


def served_once(arguments: list[str]) -> tuple[str, str, str]:
    """Serve, change a parameter, end it by Ctrl-C; return stdout, stderr and the token."""
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        line = process.stdout.readline()
        link = urlsplit(line.removeprefix("Open ").strip())
        (token,) = parse_qs(link.query)["token"]
        with tk.connect(f"http://{link.netloc}", token=token) as live:
            live.set_parameters(ema_period=12)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return line + out, err, token
