"""The keys that sign and verify tokens, from files that may change while the server runs.

A secret file holds one secret a line, the newest first: that one signs, all of them verify. The
kind of a key fixes its algorithm; what a token's header says never chooses one.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from toolkit.errors import ConfigError
from toolkit.streaming.access import private_file

log = logging.getLogger(__name__)

MIN_SECRET = 32
MIN_RSA_BITS = 2048
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """One key with its only algorithm; `id` tells keys apart and does not tell the secret."""

    algorithm: str
    material: Any = field(repr=False)
    id: str

    @classmethod
    def of_secret(cls, secret: str) -> Key:
        """Return the key that signs and verifies with a secret (HS256)."""
        name = hashlib.sha256(b"toolkit key " + secret.encode()).hexdigest()[:12]
        return cls("HS256", secret.encode(), name)


class KeyRing:
    """The keys of a server: secrets of ours, and public keys of those who sign elsewhere.

    Without a secret file the secret is one of this start. The file is made when missing. Raises
    ConfigError for a file that others may read, a secret that is too short, or a key of a kind
    that is not understood.
    """

    def __init__(self, secret_file: Path | None, public_key_file: Path | None = None) -> None:
        self._secret_file, self._public_key_file = secret_file, public_key_file
        self._passing = None if secret_file else Key.of_secret(new_secret())
        if secret_file is not None:
            _make(secret_file)
        self._stamps = self._look()
        self._secrets, self._public = self._load()
        self._ids = frozenset(key.id for key in self.keys)

    @property
    def signing(self) -> Key:
        """The key that signs new tokens."""
        return self._secrets[0]

    @property
    def own(self) -> tuple[Key, ...]:
        """The keys of this server: only they sign sessions and login links."""
        return self._secrets

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys that verify."""
        return (*self._secrets, *self._public)

    @property
    def ids(self) -> frozenset[str]:
        """The names of all keys that verify."""
        return self._ids

    def refresh(self) -> bool:
        """Load the files again if they changed; a file that is unusable now leaves all as it was.

        Returns whether the keys were loaded again.
        """
        try:
            stamps = self._look()
            if stamps == self._stamps:
                return False
            self._stamps = stamps
            self._secrets, self._public = self._load()
            self._ids = frozenset(key.id for key in self.keys)
        except ConfigError as error:
            log.error("the keys stay as they were: %s", error.message)  # noqa: TRY400
            return False
        return True

    def _look(self) -> tuple[object, ...]:
        files = (self._secret_file, self._public_key_file)
        return tuple(private_file.stamp(path) if path else None for path in files)

    def _load(self) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
        own = self._secret_file
        secret_keys = (self._passing,) if self._passing else load_secrets(own) if own else ()
        public = _load_public(self._public_key_file) if self._public_key_file else ()
        return secret_keys, public


def new_secret() -> str:
    """Return a fresh secret of 384 random bits."""
    return secrets.token_urlsafe(48)


def load_secrets(path: Path) -> tuple[Key, ...]:
    """Return the keys of a secret file, the newest first; raises ConfigError."""
    text = private_file.read(path)
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if not lines or min(len(line.encode()) for line in lines) < MIN_SECRET:
        raise ConfigError(
            f"{path} needs a secret of at least {MIN_SECRET} characters on every line; remove it "
            "to have one made, or write one with "
            'python -c "import secrets; print(secrets.token_urlsafe(48))"',
            field="secret_file",
            allowed=f"at least {MIN_SECRET} characters a line",
        )
    return tuple(Key.of_secret(line) for line in lines)


def rotate(path: Path, *, keep: int) -> int:
    """Put a new secret on top and keep the `keep` newest of the others.

    Returns how many secrets verify now. Tokens signed by those that were dropped are refused.
    """
    _make(path)
    with private_file.locked(path):
        load_secrets(path)
        lines = [line.strip() for line in (private_file.read(path) or "").splitlines()]
        kept = [new_secret(), *[line for line in lines if line][:keep]]
        private_file.write(path, "".join(f"{line}\n" for line in kept))
    return len(kept)


def _make(path: Path) -> None:
    if private_file.stamp(path) is not None:
        return
    with private_file.locked(path):
        if private_file.stamp(path) is None:
            private_file.write(path, new_secret() + "\n")


def _load_public(path: Path) -> tuple[Key, ...]:
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"public key file {path} cannot be read; give a PEM file with TOOLKIT_PUBLIC_KEY_FILE",
            field="public_key_file",
        ) from error
    keys = [_public_key(match.group(), match.group(1), path) for match in _PEM.finditer(text)]
    if not keys:
        raise _no_key(path, "it holds no PEM block")
    return tuple(keys)


def _public_key(pem: str, label: str, path: Path) -> Key:
    if label != "PUBLIC KEY":
        raise _no_key(path, f"it holds a {label.lower()}; the private key stays with who signs")
    try:
        key = load_pem_public_key(pem.encode())
    except Exception as error:
        raise _no_key(path, "its PEM block cannot be read") from error
    name = hashlib.sha256(pem.encode()).hexdigest()[:12]
    if isinstance(key, Ed25519PublicKey):
        return Key("EdDSA", key, name)
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return Key("RS256", key, name)
    raise _no_key(path, "its key is of another kind, or too short")


def _no_key(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"public key file {path}: {reason}; allowed: PEM public keys, Ed25519 or RSA from "
        f"{MIN_RSA_BITS} bits (openssl pkey -in private.pem -pubout)",
        field="public_key_file",
        allowed=f"Ed25519, or RSA from {MIN_RSA_BITS} bits",
    )
