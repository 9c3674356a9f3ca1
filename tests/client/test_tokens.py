"""A token that ends while its client is connected to a real server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.client.clients import Heard
from tests.streaming.fakes import position
from tests.streaming.serving import serving
from toolkit.client import StreamClient
from toolkit.errors import AuthError
from toolkit.streaming.access import keys
from toolkit.streaming.access.revocation import Revocations, revoked_file
from toolkit.streaming.access.tokens import Claims, Use, new_claims, sign
from toolkit.streaming.wire import Role


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return tmp_path / "state" / "secret"


def minted(secret: Path) -> tuple[Claims, str]:
    now = time.time()
    claims = new_claims(name="anna", role=Role.VIEW, now=now, seconds=3600.0, use=Use.ACCESS)
    return claims, sign(claims, keys.load_secrets(secret)[0])


def revoke(secret: Path, claims: Claims) -> None:
    Revocations(revoked_file(secret), clock=time.time).revoke(claims.jti, claims.expires)


async def test_a_revoked_token_ends_the_client_with_the_reason(secret: Path) -> None:
    async with serving(secret_file=secret) as served:
        claims, token = minted(secret)
        client = StreamClient(served.url, token=token)
        heard = Heard(client)
        await client.connect()
        revoke(secret, claims)
        await heard.until(lambda: client.state == "disconnected")
        assert "revoked" in client.reason
        assert isinstance(heard.all("error")[-1], AuthError)
        assert len(heard.all("connected")) == 1
        with pytest.raises(AuthError, match="revoked"):
            await client.connect()
        await client.close()


async def test_with_a_function_for_tokens_it_goes_on_and_loses_nothing(secret: Path) -> None:
    async with serving(secret_file=secret) as served:
        given: list[Claims] = []

        def fresh() -> str:
            claims, token = minted(secret)
            given.append(claims)
            return token

        client = StreamClient(served.url, token=fresh, reconnect_delay=0.01)
        heard = Heard(client)
        await client.connect()
        await client.subscribe(["positions"])
        served.hub.publish(position())
        revoke(secret, given[0])
        await heard.until(lambda: heard.all("disconnected"))
        served.hub.publish(position())
        await heard.until(lambda: heard.seqs == [1, 2])
        assert len(given) == 2
        assert heard.all("gap") == []
        await client.close()
