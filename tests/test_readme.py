"""The README's code runs as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import CliRunner

from toolkit.cli.main import app

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_notebook_code_runs_from_launch_to_stop(monkeypatch: pytest.MonkeyPatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    asked: list[str] = []
    monkeypatch.setenv("TOOLKIT_PORT", "0")
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(names["run"].trades) > 0  # type: ignore[attr-defined]
    assert "does not support this set" in asked[0]
    assert names["live"].state == "closed"  # type: ignore[attr-defined]


def test_every_command_of_the_table_exists_and_none_is_missing():
    named = set(re.findall(r"^\| `toolkit (\w+)", README, re.MULTILINE))
    known = {command.callback.__name__ for command in app.registered_commands}
    assert named == known


def test_links_lead_somewhere():
    root = Path(__file__).parents[1]
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert not [target for target in targets if not (root / target).exists()]


def test_help_is_there_for_every_command():
    commands = typer.main.get_command(app).commands
    assert len(commands) > 10
    for command in commands.values():
        result = CliRunner().invoke(command, ["--help"])
        assert result.exit_code == 0
        assert "Usage" in result.output
    typed = [sys.executable, "-m", "toolkit", "serve", "--help"]
    assert "Usage" in subprocess.run(typed, capture_output=True, text=True, check=True).stdout
