"""Signed tokens: what stands in them, and everything that is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import PublicFormat as Public
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import AuthError, ConfigError
from toolkit.streaming.access.keys import Key, KeyRing, load_secrets, new_secret, rotate
from toolkit.streaming.access.tokens import ISSUER, LEEWAY, Use, new_claims, sign, verify
from toolkit.streaming.wire import Role

NOW = 1_800_000_000.0
KEY = Key.of_secret("k" * 40)
CLAIMS = new_claims(name="anna", role=Role.TRADE, now=NOW, seconds=60)
BODY = {
    "sub": "anna",
    "role": "trade",
    "iat": NOW,
    "exp": NOW + 60,
    "jti": "j",
    "iss": ISSUER,
    "aud": Use.ACCESS.value,
}


def reason(token: str, *keys: Key, now: float = NOW, use: Use = Use.ACCESS) -> str:
    with pytest.raises(AuthError) as refused:
        verify(token, keys or (KEY,), use=use, now=now)
    assert len(token) < 20 or token not in str(refused.value.to_dict())
    return str(refused.value.data["reason"])


def signed(**changes: Any) -> str:
    body = {k: v for k, v in {**BODY, **changes}.items() if v is not ...}
    return jwt.encode(body, KEY.material, algorithm="HS256")


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, Public.SubjectPublicKeyInfo).decode())


def test_what_is_signed_is_read_again() -> None:
    for use in Use:
        claims = new_claims(name="Anna B.", role=Role.VIEW, now=NOW, seconds=60, use=use)
        assert verify(sign(claims, KEY), [KEY], use=use, now=NOW) == (claims, KEY)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": NOW - 1}, "expired"),
        ({"exp": NOW}, "expired"),
        ({"exp": ...}, "malformed"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": 1e300}, "malformed"),
        ({"exp": 10**400}, "malformed"),
        ({"exp": -1}, "malformed"),
        ({"iat": ...}, "malformed"),
        ({"iat": NOW + LEEWAY + 1}, "not_yet_valid"),
        ({"nbf": NOW + LEEWAY + 1}, "not_yet_valid"),
        ({"nbf": None}, "malformed"),
        ({"role": "owner"}, "unknown_role"),
        ({"role": "TRADE"}, "unknown_role"),
        ({"role": ["admin"]}, "unknown_role"),
        ({"role": ...}, "unknown_role"),
        ({"iss": "https://elsewhere.example"}, "wrong_service"),
        ({"iss": ...}, "wrong_service"),
        ({"aud": "another"}, "wrong_service"),
        ({"aud": ["another", Use.ACCESS.value]}, "wrong_service"),
        ({"aud": Use.SESSION.value}, "wrong_service"),
        ({"sub": ...}, "malformed"),
        ({"sub": ""}, "malformed"),
        ({"sub": "a\nb"}, "malformed"),
        ({"sub": "x" * 41}, "malformed"),
        ({"jti": ...}, "malformed"),
        ({"jti": 7}, "malformed"),
        ({"parent": 7}, "malformed"),
    ],
)
def test_a_claim_that_is_wrong_is_refused_with_the_reason(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason(signed(**changes)) == expected


def test_clocks_may_differ_a_little() -> None:
    token = signed(iat=NOW + LEEWAY, nbf=NOW + LEEWAY)
    assert verify(token, [KEY], use=Use.ACCESS, now=NOW)[0].name == "anna"


def test_a_token_of_another_key_is_refused() -> None:
    assert reason(sign(CLAIMS, Key.of_secret("x" * 40))) == "wrong_signature"


def test_an_older_key_still_verifies() -> None:
    token = sign(CLAIMS, KEY)
    assert verify(token, [Key.of_secret("x" * 40), KEY], use=Use.ACCESS, now=NOW)[1] == KEY


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "HS512", "", None, 5])
def test_the_header_does_not_choose_the_algorithm(algorithm: object) -> None:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    unsigned = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(BODY)}."
    assert reason(unsigned) in {"wrong_signature", "malformed"}
    if algorithm in ("HS384", "HS512"):
        token = jwt.encode(BODY, "k" * 64, algorithm=str(algorithm))
        assert reason(token, Key.of_secret("k" * 64)) == "wrong_signature"


def test_a_public_key_is_never_taken_for_a_secret(tmp_path: Path) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = tmp_path / "public.pem"
    file.write_text(pem(private))
    ring = KeyRing(None, file)
    forged = jwt.api_jws.encode(
        json.dumps(BODY).encode(), b"x" * 40, algorithm="HS256", headers={"alg": "HS256"}
    )
    head, body, _ = forged.split(".")
    mac = hmac.new(file.read_bytes(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    confused = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert reason(confused, *ring.keys) == "wrong_signature"


@pytest.mark.parametrize("kind", ["RS256", "EdDSA"])
def test_tokens_signed_elsewhere_are_verified_with_the_public_key(
    tmp_path: Path, kind: str
) -> None:
    private: Any = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if kind == "RS256"
        else ed25519.Ed25519PrivateKey.generate()
    )
    file = tmp_path / "public.pem"
    file.write_text(pem(private))
    ring = KeyRing(tmp_path / "secret", file)
    token = jwt.encode(BODY, private, algorithm=kind)
    claims, key = verify(token, ring.keys, use=Use.ACCESS, now=NOW)
    assert (claims.role, key.algorithm) == (Role.TRADE, kind)
    assert reason(token, *ring.own) == "wrong_signature"


def test_the_public_key_file_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "public.pem"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for text in (
        "",
        "garbage",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"public key file .* allowed: PEM public keys"):
            KeyRing(None, file)
    with pytest.raises(ConfigError, match="cannot be read"):
        KeyRing(None, tmp_path / "missing.pem")


def nested(depth: int) -> str:
    text = "[" * depth + "]" * depth
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "ey.ey.ey",
        "eyJ9.e30.",
        "\ud800.\ud800.x",
        f"{nested(1400)}.e30.x",
        "eyJhbGciOiJIUzI1NiJ9." + "x" * 5000 + ".x",
    ],
)
def test_garbage_is_refused(token: str) -> None:
    assert reason(token) in {"malformed", "wrong_signature"}


@given(st.data())
def test_no_change_of_one_character_survives(data: st.DataObject) -> None:
    token = sign(CLAIMS, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != token[place]))
    changed = token[:place] + other + token[place + 1 :]
    try:
        claims, _ = verify(changed, [KEY], use=Use.ACCESS, now=NOW)
    except AuthError as error:
        assert error.data["reason"] in {"malformed", "wrong_signature"}
    else:  # the last character of a part holds bits that base64 does not use
        assert claims == CLAIMS


@given(st.text(max_size=300))
def test_any_text_is_answered(text: str) -> None:
    assert reason(text) in {"malformed", "wrong_signature"}


def test_a_secret_file_is_made_private(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "state" / "secret"
    first = KeyRing(file).signing
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert KeyRing(file).signing == first
    assert len(file.read_text().strip()) >= 48


def test_a_secret_that_others_may_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(new_secret())
    for mode in (0o640, 0o604, 0o666):
        file.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            KeyRing(file)
    file.chmod(0o400)
    assert KeyRing(file).keys


@pytest.mark.parametrize("text", ["", "\n\n", "short\n", "x" * 31, "x" * 40 + "\nshort\n"])
def test_a_secret_that_is_too_short_is_refused_without_being_shown(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="at least 32 characters") as refused:
        KeyRing(file)
    assert "x" * 31 not in str(refused.value)


def test_rotating_keeps_the_newest(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    seen = [KeyRing(file).signing]
    for count in (2, 3, 3):
        assert rotate(file, keep=2) == count
        seen.insert(0, load_secrets(file)[0])
        assert list(load_secrets(file)) == seen[:count]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
