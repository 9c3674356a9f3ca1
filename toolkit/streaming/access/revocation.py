"""Which tokens are refused before they expire, and which were given out.

Both lists lie beside the secret file, so that all servers and workers that share the secret share
them too. They name tokens by `jti`, never by their text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigError
from toolkit.streaming.access.private_file import Ledger
from toolkit.streaming.access.tokens import Claims, shown

log = logging.getLogger(__name__)

# A session outlives the link that opened it; both end when the link is revoked.
SESSION_SECONDS = 12 * 3600.0
REMEMBERED_SECONDS = 30 * 86_400.0


class Revocations:
    """`jti` to the moment (seconds since the epoch) at which the token would end by itself.

    `path` None keeps them in memory. Raises ConfigError when the file exists and is unreadable:
    a server that forgot whom to refuse must not start.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float]) -> None:
        self._ledger = Ledger(path)
        self._clock = clock
        self._stamp = self._ledger.stamp
        self._until = _moments(self._ledger.read())

    def __contains__(self, jti: str) -> bool:
        return jti in self._until

    def refresh(self) -> bool:
        """Read the file again if it changed; returns whether it had.

        What was known stays known until it expires, even when the file is gone or damaged.
        """
        try:
            stamp = self._ledger.stamp
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            found = _moments(self._ledger.read())
        except ConfigError as error:
            log.error("the revoked tokens stay as they were: %s", error.message)  # noqa: TRY400
            return False
        now = self._clock()
        self._until = {jti: t for jti, t in {**self._until, **found}.items() if t > now}
        return True

    def revoke(self, jti: str, until: float) -> bool:
        """Refuse this token from now on; False when it was refused already. Blocks: file I/O."""
        now, fresh = self._clock(), False

        def add(entries: dict[str, object]) -> None:
            nonlocal fresh
            known = {**self._until, **_moments(entries)}
            fresh = jti not in known
            entries.clear()
            entries.update({j: t for j, t in known.items() if t > now})
            entries[jti] = max(until, known.get(jti, 0.0))

        self._until = _moments(self._ledger.change(add))
        return fresh


class Issued:
    """What was given out: name, role, use and times of each token; never the token."""

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._ledger = Ledger(path)
        self._clock = clock

    def add(self, claims: Claims, *, key: str) -> None:
        """Write down a token that `key` just signed; those that expired long ago are dropped."""
        oldest = self._clock() - REMEMBERED_SECONDS

        def edit(entries: dict[str, object]) -> None:
            for jti in [j for j, entry in _entries(entries).items() if entry["expires"] < oldest]:
                del entries[jti]
            entries[claims.jti] = {
                "name": claims.name,
                "role": claims.role.name.lower(),
                "use": claims.use.name.lower(),
                "issued": claims.issued,
                "expires": claims.expires,
                "key": key,
            }

        self._ledger.change(edit)

    def entries(self) -> dict[str, dict[str, Any]]:
        """Return the tokens by `jti`, oldest first."""
        found = _entries(self._ledger.read())
        return dict(sorted(found.items(), key=lambda item: item[1]["issued"]))

    def table(self, revoked: Revocations, *, keys: Collection[str]) -> list[dict[str, Any]]:
        """Return one row a token: jti, name, role, use, issued, expires, state.

        `keys` names those that still verify. States: valid, expired, revoked, used (a link that
        was followed), withdrawn (its secret was dropped).
        """
        now = self._clock()
        rows = []
        for jti, entry in self.entries().items():
            state = "valid" if entry["key"] in keys else "withdrawn"
            state = "revoked" if jti in revoked else "used" if used(jti) in revoked else state
            rows.append(
                {
                    "jti": jti,
                    **{key: entry[key] for key in ("name", "role", "use")},
                    "issued": shown(entry["issued"]),
                    "expires": shown(entry["expires"]),
                    "state": "expired" if entry["expires"] <= now else state,
                }
            )
        return rows


def used(jti: str) -> str:
    """Return under which name a link that was followed is refused; its session goes on."""
    return f"used:{jti}"


def revoked_file(secret_file: Path) -> Path:
    """Where the revoked tokens of a secret lie."""
    return secret_file.with_name(f"{secret_file.name}.revoked")


def issued_file(secret_file: Path) -> Path:
    """Where the list of tokens lies that were given out under a secret."""
    return secret_file.with_name(f"{secret_file.name}.issued")


def _moments(entries: dict[str, object]) -> dict[str, float]:
    return {jti: float(t) for jti, t in entries.items() if isinstance(t, (int, float))}


def _entries(entries: dict[str, object]) -> dict[str, dict[str, Any]]:
    return {jti: entry for jti, entry in entries.items() if isinstance(entry, dict)}
