"""Where alerts go: Apprise URLs. They hold passwords, so no message of ours ever shows one."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import unquote

from toolkit.errors import ConfigError, ToolkitError

_SEPARATOR = re.compile(r"[\r\n]+|[\s,]+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_SHORTEST_SECRET = 4
CLOSEST_SECONDS = 0.5


class SendFailed(ToolkitError):
    """A target did not take a message; the text says why and holds no secret."""

    code = "alert_failed"


class Target(Protocol):
    """One place that takes messages. `send` blocks and raises SendFailed."""

    @property
    def name(self) -> str:
        """What people are shown: the scheme and the place in the list."""
        ...

    def send(self, *, title: str, body: str) -> None:
        """Hand a message over, within the time-outs of the target."""
        ...


def split_urls(text: str) -> list[str]:
    """Split at line ends, and at commas that are followed by a scheme."""
    return [part.strip(" \t,") for part in _SEPARATOR.split(text) if part.strip(" \t,")]


def open_targets(urls: Sequence[str]) -> list[Target]:
    """Return a target for each Apprise URL; raises ConfigError that names none of them."""
    try:
        import apprise
    except ImportError:
        raise ConfigError(
            "alerts need apprise; pip install 'stochrsi-toolkit[alerts]'", field="alerts"
        ) from None
    # Its debug logs quote what is sent and where: they stay out of ours.
    logging.getLogger(apprise.__name__).propagate = False
    return [_open(apprise, url, number) for number, url in enumerate(urls, start=1)]


def _open(apprise: Any, url: str, number: int) -> Target:
    name = f"{_scheme(url)} (target {number})"
    with warnings.catch_warnings(), _overheard(apprise):
        warnings.simplefilter("ignore", DeprecationWarning)  # of modules that it loads
        service = apprise.Apprise.instantiate(url)
    if service is None:
        raise ConfigError(
            f"alert target {number} ({_scheme(url)}://...) is no URL that Apprise understands; "
            "see its list of services for how yours is written",
            field="alerts",
            allowed="Apprise URLs such as mailto://, slack://, tgram://, discord://, json://",
        )
    return AppriseTarget(apprise, service, name=name, secrets=secrets_of(url))


class AppriseTarget:
    """One service of Apprise's."""

    def __init__(self, apprise: Any, service: Any, *, name: str, secrets: Sequence[str]) -> None:
        # Messages come grouped; Apprise's usual 5.5 s between two would hold up the urgent ones.
        service.request_rate_per_sec = min(service.request_rate_per_sec, CLOSEST_SECONDS)
        self._apprise, self._service = apprise, service
        self._name, self._secrets = name, secrets

    @property
    def name(self) -> str:
        """The scheme and the place in the list."""
        return self._name

    def __repr__(self) -> str:
        return f"<AppriseTarget {self._name}>"

    def send(self, *, title: str, body: str) -> None:
        """Send and wait for the answer; raises SendFailed."""
        with _overheard(self._apprise) as heard:
            try:
                taken = self._service.notify(title=title, body=body)
            except Exception as error:  # noqa: BLE001 - any service may raise anything: translated
                heard.append(f"{type(error).__name__}: {error}")
                taken = False
        if not taken:
            why = masked(" ".join(heard[-2:]) or "it did not take the message", self._secrets)
            raise SendFailed(f"{self._name}: {why}")


def secrets_of(url: str) -> list[str]:
    """Return the parts of a URL that must not be shown, longest first."""
    _, _, rest = url.partition("://")
    parts = {rest, *re.split(r"[/?&=:@#,]", rest)}
    parts |= {unquote(part) for part in parts}
    return sorted((p for p in parts if len(p) >= _SHORTEST_SECRET), key=len, reverse=True)


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return the text with every secret replaced by stars."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _scheme(url: str) -> str:
    scheme, found, _ = url.partition("://")
    return scheme.lower() if found and re.fullmatch(r"[A-Za-z0-9+.-]{1,20}", scheme) else "?"


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []
        self._thread_id = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what this thread's call says."""
        if record.thread == self._thread_id:
            self.heard.append(record.getMessage())


@contextmanager
def _overheard(apprise: Any) -> Iterator[list[str]]:
    # Apprise says why something failed in its log only.
    logger, ear = logging.getLogger(apprise.__name__), _Ear()
    logger.addHandler(ear)
    try:
        yield ear.heard
    finally:
        logger.removeHandler(ear)
