"""Proof that what comes out of the relay was put in by this cluster.

Whoever can write to the relay could otherwise trade with the bot, whatever role they have here.
"""

from __future__ import annotations

import hashlib
import hmac

DIGEST = hashlib.sha256
SIZE = DIGEST().digest_size


class Seal:
    """Signs bodies with the cluster's key, together with the place they belong to."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def close(self, body: bytes, place: str) -> bytes:
        """Return the sealed body."""
        return self._digest(body, place) + body

    def open(self, sealed: bytes, place: str) -> bytes | None:
        """Return the body, None when it was not sealed with our key for this place."""
        digest, body = sealed[:SIZE], sealed[SIZE:]
        return body if hmac.compare_digest(digest, self._digest(body, place)) else None

    def _digest(self, body: bytes, place: str) -> bytes:
        return hmac.digest(self._key, place.encode() + b"\n" + body, DIGEST)
