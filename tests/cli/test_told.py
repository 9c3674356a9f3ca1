"""What `toolkit serve` tells its terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bot.scripted import scripted_bot
from tests.core.markets import minute
from toolkit.bot.events import BotState, Problem
from toolkit.cli.told import Told


def test_changes_and_problems_are_told_once(capsys: pytest.CaptureFixture[str]):
    bot, _ = scripted_bot([])
    health, told = bot.health(), Told()
    paused = replace(health, state=BotState.PAUSED, reason="mute [feed]")
    for event in (health, health, paused, paused, health):
        told(event)
    told(Problem(timestamp=minute(0), code="x", message="no [/bold] luck"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "starting",
        "paused: mute [feed]",
        "starting",
        "problem: no [/bold] luck",
    ]
