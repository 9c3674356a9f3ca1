"""Tokens, sessions and exposure."""

from __future__ import annotations

import pytest

from toolkit.errors import AuthError, ConfigError
from toolkit.streaming.auth import MAX_SESSIONS, Authenticator, is_loopback
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.wire import Role

SECRET = "a-secret-of-enough-length"


def test_a_token_is_made_for_loopback_only() -> None:
    made = {Authenticator(ServerSettings()).token for _ in range(3)}
    assert len(made) == 3
    with pytest.raises(ConfigError, match="other machines"):
        Authenticator(ServerSettings(host="0.0.0.0"))
    assert Authenticator(ServerSettings(host="0.0.0.0", token=SECRET)).token == SECRET


@pytest.mark.parametrize("settings", [{"token": "short"}, {"tokens": {"short": Role.VIEW}}])
def test_a_short_secret_is_refused_without_being_shown(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as refused:
        Authenticator(ServerSettings(**settings))  # type: ignore[arg-type]
    assert "'short'" not in str(refused.value)


def test_settings_do_not_show_secrets() -> None:
    assert SECRET not in repr(ServerSettings(token=SECRET, tokens={SECRET + "2": Role.VIEW}))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("box", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_sessions_are_bounded_and_the_oldest_ends() -> None:
    auth = Authenticator(ServerSettings(token=SECRET))
    first = auth.open_session(auth.check_token(SECRET))
    for _ in range(MAX_SESSIONS):
        last = auth.open_session(auth.check_token(SECRET))
    with pytest.raises(AuthError):
        auth.identify({"cookie": f"{auth.cookie}={first}"})
    assert auth.identify({"cookie": f"other=1; {auth.cookie}={last}"}).by_cookie


def test_a_wrong_token_does_not_fall_back_to_the_cookie() -> None:
    auth = Authenticator(ServerSettings(token=SECRET))
    cookie = f"{auth.cookie}={auth.open_session(auth.check_token(SECRET))}"
    with pytest.raises(AuthError, match="wrong token"):
        auth.identify({"cookie": cookie, "authorization": "Bearer nonsense"})
    with pytest.raises(AuthError):
        auth.identify({"cookie": cookie, "authorization": f"Basic {SECRET}"})


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:9765", True),
        ("http://127.0.0.1:8888", False),
        ("http://127.0.0.1.evil.example", False),
        ("null", False),
        ("file://127.0.0.1:9765", False),
        ("https://desk.example", True),
    ],
)
def test_origins(origin: str, allowed: bool) -> None:
    auth = Authenticator(ServerSettings(allowed_origins=("https://desk.example/",)))
    assert auth.origin_allowed({"origin": origin, "host": "127.0.0.1:9765"}) is allowed
