"""Which pages may speak to the server, and under which names it answers."""

from __future__ import annotations

import pytest

from toolkit.errors import ConfigError
from toolkit.streaming.access.origins import Origins, is_loopback

LOCAL = Origins(host="127.0.0.1", allowed=("https://desk.example/", "http://lab.example:8888"))
OPEN = Origins(host="0.0.0.0", allowed=())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("box", False),
        ("localhost.evil.example", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://127.0.0.1:9765", True),
        ("https://127.0.0.1:9765", True),  # TLS ends in front of us
        ("HTTP://127.0.0.1:9765", True),
        ("http://127.0.0.1:8888", False),
        ("http://127.0.0.1", False),
        ("http://localhost:9765", False),
        ("http://127.0.0.1.evil.example:9765", False),
        ("http://evil@127.0.0.1:9765", False),
        ("http://127.0.0.1:9765/path", False),
        ("http://127.0.0.1:99999", False),
        ("null", False),
        ("", False),
        ("file://127.0.0.1:9765", False),
        ("https://desk.example", True),
        ("https://DESK.example:443", True),
        ("http://desk.example", False),
        ("https://desk.example:8443", False),
        ("https://a.desk.example", False),
        ("http://lab.example:8888", True),
        ("https://lab.example:8888", False),
    ],
)
def test_origins(origin: str | None, allowed: bool) -> None:
    headers = {"host": "127.0.0.1:9765", **({} if origin is None else {"origin": origin})}
    assert LOCAL.allows(headers) is allowed


def test_a_listed_host_is_held_to_its_scheme_even_as_our_own() -> None:
    assert LOCAL.allows({"host": "desk.example:443", "origin": "https://desk.example"})
    assert not LOCAL.allows({"host": "lab.example:8888", "origin": "https://lab.example:8888"})
    assert OPEN.allows({"host": "Box:9765", "origin": "http://box:9765"})


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:9765", True),
        ("localhost:8000", True),  # a tunnel from another port
        ("LOCALHOST", True),
        ("[::1]:9765", True),
        ("desk.example", True),
        ("lab.example:1234", True),
        ("", True),
        ("evil.example:9765", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.5:9765", False),
        ("evil.example/127.0.0.1", False),
        ("localhost@evil.example", False),
        ("localhost:99999", False),
        ("[::1", False),
    ],
)
def test_a_server_of_this_machine_answers_to_its_own_names(host: str, answered: bool) -> None:
    problem = LOCAL.host_problem({"host": host} if host else {})
    assert (problem is None) is answered
    if problem:
        assert "TOOLKIT_ALLOWED_ORIGINS" in problem.message
        assert "evil" not in problem.message
    assert OPEN.host_problem({"host": host}) is None


@pytest.mark.parametrize(
    ("host", "secure"),
    [("desk.example", True), ("DESK.example:443", True), ("lab.example:8888", False), ("", False)],
)
def test_a_host_listed_with_https_gets_secure_cookies(host: str, secure: bool) -> None:
    assert LOCAL.is_https({"host": host}) is secure


@pytest.mark.parametrize("text", ["desk.example", "*", "https://", "https://a/b", "ftp://a"])
def test_an_allowed_origin_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write it as https://desk\.example\.com"):
        Origins(host="127.0.0.1", allowed=(text,))
