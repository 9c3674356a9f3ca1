"""`toolkit halt` and `toolkit resume`: over the running server, and without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import toolkit as tk
from tests.cli.test_commands import toolkit
from toolkit.config import Settings
from toolkit.errors import ToolkitError
from toolkit.runtime import wait_until
from toolkit.session import halting
from toolkit.session.registry import bot_folder, halt_file


def quiet(_text: str) -> None:
    """Swallow what launch announces."""


def launch(**options):
    return tk.launch(symbols=["BTC/USD"], port=0, announce=quiet, **options)


@pytest.fixture
def settings() -> Settings:
    return Settings.load()


def test_without_a_server_the_file_halts_the_next_bot_until_resume(settings: Settings):
    result = toolkit("halt", "--reason", "a bad day", "--flatten")
    assert (result.returncode, "no server answers" in result.stdout) == (0, True)
    path = halt_file(settings.state_dir, "stochrsi")
    assert json.loads(path.read_text())["flatten"] is True
    assert path.stat().st_mode & 0o777 == 0o600
    with launch() as live:
        status = live.status()
        assert (status["state"], "a bad day" in status["reason"]) == ("paused", True)
        assert live.resume()["state"] == "paused"
        assert live.lift_halt()["state"] == "running"
    assert not path.exists()


def test_the_running_server_is_halted_and_lifted(settings: Settings):
    with launch() as live:
        (halted,) = halting.halt(settings, flatten=True, reason="enough")
        assert (halted.url, "0 positions" in halted.story) == (live.url, True)
        assert "enough" in live.status()["reason"]
        assert halt_file(settings.state_dir, "stochrsi").exists()
        live.pause()
        (lifted,) = halting.resume(settings)
        assert "entries stopped by" in lifted.story
        assert [gate["gate"] for gate in live.status()["gates"]] == ["command"]


def test_a_file_made_by_hand_halts_within_a_second_and_its_removal_lifts(settings: Settings):
    path = halt_file(settings.state_dir, "desk")
    with launch(name="desk") as live:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("lunch")
        assert wait_until(lambda: "lunch" in live.status()["reason"], timeout=2)
        path.unlink()
        assert wait_until(lambda: live.status()["state"] == "running", timeout=2)


def test_only_bots_of_the_name_are_halted(settings: Settings):
    with launch(name="one") as one, launch(name="two") as two:
        halting.halt(settings, flatten=False, reason="", name="two")
        assert (one.status()["state"], two.status()["state"]) == ("running", "paused")


def test_a_halt_is_kept_over_a_restart(settings: Settings):
    with launch() as live:
        live.halt(reason="for ever")
    with launch() as live:
        assert "for ever" in live.status()["reason"]
        assert live.role == "admin"


def test_resume_of_nothing_says_so(settings: Settings):
    (done,) = halting.resume(settings)
    assert done.story == "nothing was halted"


def test_a_halt_that_cannot_be_written_is_an_error(settings: Settings):
    folder = bot_folder(settings.state_dir, "stochrsi")
    folder.parent.mkdir(parents=True)
    Path(folder).write_text("in the way")
    with pytest.raises(ToolkitError, match="NOT halted"):
        halting.halt(settings, flatten=False, reason="")
