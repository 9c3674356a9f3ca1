"""Dockerfile and compose.yaml, as far as that goes without an engine."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests.streaming.serving import serving
from toolkit.cli.main import app
from toolkit.config import Settings
from toolkit.runtime import free_port

ROOT = Path(__file__).parents[1]
SETTINGS = {
    str(field.validation_alias or f"toolkit_{name}").upper()
    for name, field in Settings.model_fields.items()
}


def instructions() -> Iterator[tuple[str, str]]:
    """Keyword and rest of each instruction of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            keyword, _, rest = line.partition(" ")
            yield keyword, rest.strip()


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


def only(keyword: str) -> str:
    (rest,) = (rest for found, rest in instructions() if found == keyword)
    return rest


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [rest.split() for keyword, rest in instructions() if keyword == "COPY"]
    sources = [name for words in copied if "--from" not in words[0] for name in words[:-1]]
    assert len(sources) > 5
    for name in sources:
        assert (ROOT / name).exists(), name
        assert name.rstrip("/") not in ignored
    assert {".env", ".git", ".venv"} <= set(ignored)


def test_every_variable_is_one_that_we_read() -> None:
    image = re.findall(r"(\w+)=", only("ENV"))
    assert set(image) - SETTINGS == {"PYTHONUNBUFFERED"}
    assert set(services()["toolkit"]["environment"]) <= SETTINGS
    original = {"WEBSOCKET_PING_TIMEOUT", "WEBSOCKET_PING_INTERVAL", "WEBSOCKET_MAX_LATENCY"}
    original |= {"STREAMING_INTERVAL", "NOTIFICATION_THROTTLE", "MAX_CONNECTIONS"}
    assert original <= set(services()["toolkit"]["environment"])


def test_what_is_not_given_to_compose_is_as_if_it_were_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = Settings.load()
    for name, text in services()["toolkit"]["environment"].items():
        if found := re.fullmatch(r"\$\{\w+:-(.*)\}", text):
            monkeypatch.setenv(name, found[1])
    given = Settings.load()
    assert given.server() == usual.server(), "the values of compose.yaml are the usual ones"
    assert not (given.alpaca_key_id and given.alpaca_key_id.get_secret_value())


@pytest.mark.parametrize("where", ["Dockerfile", "compose.yaml"])
def test_the_command_is_one_of_ours(where: str) -> None:
    written = json.loads(only("CMD")) if where == "Dockerfile" else services()["toolkit"]["command"]
    assert json.loads(only("ENTRYPOINT")) == ["toolkit"]
    name, *arguments = written
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    with command.make_context(name, arguments) as context:
        assert context.params["symbols"] == ["AAPL", "MSFT"]


async def test_the_health_check_tells_a_living_server_from_none() -> None:
    check = only("HEALTHCHECK").partition("CMD")[2]
    _python, *arguments = json.loads(check)

    async def healthy(port: int) -> bool:
        words = [word.replace("9765", str(port)) for word in arguments]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait() == 0

    async with serving() as served:
        assert await healthy(served.server.port)
    assert not await healthy(free_port())


def test_nobody_but_this_machine_reaches_what_compose_starts() -> None:
    assert services()["toolkit"]["ports"] == ["127.0.0.1:9765:9765"]
    assert "ports" not in services()["redis"]
    assert services()["toolkit"]["environment"]["TOOLKIT_TOKEN"].startswith("${TOOLKIT_TOKEN:?")
