"""From which pages and under which names this server may be spoken to.

A browser sends cookies along with requests that a foreign page made; `Origin` tells which page.
And a foreign name may be made to point at this machine (DNS rebinding); `Host` tells which name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from toolkit.errors import AuthError, ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]


class Origins:
    """The rules of one server that listens on `host`; `allowed` are other origins it trusts.

    Raises ConfigError for an allowed origin that is none.
    """

    def __init__(self, *, host: str, allowed: tuple[str, ...]) -> None:
        self._local = is_loopback(host)
        self._allowed = frozenset(_checked(origin) for origin in allowed)
        self._hosts = frozenset((name, port) for _, name, port in self._allowed)

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the page that sent this is ours or allowed; true without an Origin.

        Where TLS ends in front of this server, our own pages come from https: the scheme of the
        server's own origin is not compared, unless that host is listed with one.
        """
        text = headers.get("origin")
        if text is None:
            return True
        origin = parse_origin(text)
        if origin is None:
            return False
        scheme, name, port = origin
        if origin in self._allowed or (name, port) in self._hosts:
            return origin in self._allowed
        return parse_origin(f"{scheme}://{headers.get('host', '')}") == origin

    def is_https(self, headers: Mapping[str, str]) -> bool:
        """Whether this host is listed with https: TLS ends in front of us."""
        return parse_origin(f"https://{headers.get('host', '')}") in self._allowed

    def host_problem(self, headers: Mapping[str, str]) -> AuthError | None:
        """Return why this name is refused: a server of this machine answers to its own names only.

        Without a Host, or on an address that others reach, nothing is refused.
        """
        host = headers.get("host", "")
        if not self._local or not host:
            return None
        parsed = parse_origin(f"http://{host}")
        name = parsed[1] if parsed else ""
        if is_loopback(name) or name in {known for known, _ in self._hosts}:
            return None
        return AuthError(
            "this server answers to localhost only; open it as http://localhost, or add the origin "
            "under which you see it to TOOLKIT_ALLOWED_ORIGINS (https://desk.example.com)",
            reason="wrong_host",
        )


def parse_origin(text: str) -> Origin | None:
    """Return scheme, host and port of a web origin, None when it is none (such as `null`)."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not bare:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _checked(text: str) -> Origin:
    origin = parse_origin(text.rstrip("/"))
    if origin is None:
        raise ConfigError(
            f"allowed origin {text!r} is none; write it as https://desk.example.com",
            field="allowed_origins",
            allowed="scheme://host or scheme://host:port",
        )
    return origin
