"""`toolkit token`, as a user types it, against a server that runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from toolkit.cli.main import app
from toolkit.config import Settings
from toolkit.errors import AuthError, ConfigError
from toolkit.streaming.access.auth import Authenticator

NEW = ("new", "--role", "tune", "--name", "anna")


def token(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["token", *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def told(*arguments: str) -> dict[str, object]:
    answer: dict[str, object] = json.loads(token(*arguments, "--json"))
    return answer


def server() -> Authenticator:
    return Authenticator(Settings.load().server())


def test_a_new_token_is_printed_alone_and_the_server_takes_it() -> None:
    text = token(*NEW, "--expires", "2h")
    assert text.count("\n") == 1
    identity = server().check_token(text.strip())
    assert identity.who == "anna (tune)"


def test_the_list_shows_names_and_states_and_never_a_token() -> None:
    made = told(*NEW)
    link = told("link", "--role", "view", "--name", "bob")
    listed = token("list", "--json")
    (anna, bob) = json.loads(listed)["tokens"]
    assert (anna["jti"], anna["name"], anna["role"], anna["state"]) == (
        made["jti"],
        "anna",
        "tune",
        "valid",
    )
    assert (bob["use"], bob["state"]) == ("login", "valid")
    shown = listed + token("list")
    assert "anna" in token("list")
    for secret in (str(made["token"]), str(link["link"]).partition("=")[2]):
        assert secret not in shown
        assert secret.rpartition(".")[2] not in shown


def test_a_revoked_token_is_refused() -> None:
    made = told(*NEW)
    assert told("revoke", str(made["jti"])) == {
        "jti": made["jti"],
        "revoked": True,
        "known": True,
        "before": False,
    }
    assert told("revoke", str(made["jti"]))["before"] is True
    with pytest.raises(AuthError, match="revoked"):
        server().check_token(made["token"])
    assert json.loads(token("list", "--json"))["tokens"][0]["state"] == "revoked"


def test_a_token_signed_elsewhere_can_be_revoked_by_its_jti() -> None:
    assert told("revoke", "someone-elses")["known"] is False


def test_rotation_keeps_older_tokens_until_their_secret_is_dropped() -> None:
    made = told(*NEW)
    assert told("rotate") == {"secrets": 2}
    assert server().check_token(made["token"]).name == "anna"
    assert told("rotate", "--keep", "0") == {"secrets": 1}
    with pytest.raises(AuthError, match="not signed by a key"):
        server().check_token(made["token"])
    assert json.loads(token("list", "--json"))["tokens"][0]["state"] == "withdrawn"


def test_a_link_signs_in_once() -> None:
    link = str(told("link", "--role", "view", "--name", "bob", "--url", "http://desk:1/")["link"])
    address, _, secret = link.partition("/?token=")
    assert address == "http://desk:1"
    auth = server()
    assert auth.follow_link(secret).who == "bob (view)"
    with pytest.raises(AuthError, match="used before"):
        auth.follow_link(secret)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--role", "owner", "--name", "a"), "role"),
        (("--role", "view", "--name", "a\nb"), "name"),
        (("--role", "view", "--name", "admin"), "name"),
        (("--role", "view", "--name", "a", "--expires", "soon"), "expires"),
        (("--role", "view", "--name", "a", "--expires", "0d"), "expires"),
        (("--role", "view", "--name", "a", "--expires", "99999d"), "expires"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(arguments: tuple[str, ...], field: str) -> None:
    with pytest.raises(ConfigError, match="allowed") as refused:
        token("new", *arguments)
    assert refused.value.data["field"] == field


def test_the_files_lie_with_the_state_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token(*NEW)
    assert (Settings.load().state_dir / "secret").exists()
    elsewhere = tmp_path / "elsewhere" / "key"
    monkeypatch.setenv("TOOLKIT_SECRET_FILE", str(elsewhere))
    token(*NEW)
    assert {path.name for path in elsewhere.parent.iterdir()} >= {"key", "key.issued"}
    for path in elsewhere.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0
