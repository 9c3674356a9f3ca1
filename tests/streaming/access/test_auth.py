"""Who is let in: plain tokens, signed tokens, sessions, links, and exposure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toolkit.errors import AuthError, ConfigError
from toolkit.streaming.access import keys
from toolkit.streaming.access.auth import Authenticator, Identity
from toolkit.streaming.access.revocation import Revocations, revoked_file
from toolkit.streaming.access.tokens import Claims, Use, new_claims, sign
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.wire import Role

SECRET = "a-secret-of-enough-length"
HOUR, DAY = 3600.0, 86_400.0


@dataclass
class Time:
    """A clock that goes when it is told to; for the wall and for intervals."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    """An authenticator with a secret file, and what mints tokens under it."""

    file: Path
    clock: Time = field(default_factory=Time)

    def auth(self, **settings: object) -> Authenticator:
        chosen = ServerSettings(secret_file=self.file, **settings)  # type: ignore[arg-type]
        return Authenticator(chosen, clock=self.clock, monotonic=self.clock)

    def claims(self, role: Role = Role.TUNE, seconds: float = DAY, **more: object) -> Claims:
        made = {"name": "anna", "role": role, "now": self.clock.now, "seconds": seconds, **more}
        return new_claims(**made)  # type: ignore[arg-type]

    def sign(self, claims: Claims) -> str:
        return sign(claims, keys.load_secrets(self.file)[0])

    def revoke(self, jti: str) -> None:
        """As another process does it."""
        Revocations(revoked_file(self.file), clock=self.clock).revoke(jti, self.clock.now + DAY)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "state" / "secret")


def reason(attempt: Callable[[], object]) -> str:
    with pytest.raises(AuthError) as refused:
        attempt()
    return str(refused.value.data["reason"])


def cookie(auth: Authenticator, value: str) -> dict[str, str]:
    return {"cookie": f"other=1; {auth.cookie}={value}"}


def test_a_token_is_made_for_loopback_only() -> None:
    made = {Authenticator(ServerSettings()).token for _ in range(3)}
    assert len(made) == 3
    with pytest.raises(ConfigError, match="other machines"):
        Authenticator(ServerSettings(host="0.0.0.0"))
    assert Authenticator(ServerSettings(host="0.0.0.0", token=SECRET)).token == SECRET


def test_a_secret_file_alone_does_not_open_the_server_to_other_machines(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="other machines"):
        desk.auth(host="0.0.0.0")


@pytest.mark.parametrize("settings", [{"token": "short"}, {"tokens": {"short": Role.VIEW}}])
def test_a_short_secret_is_refused_without_being_shown(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as refused:
        Authenticator(ServerSettings(**settings))  # type: ignore[arg-type]
    assert "'short'" not in str(refused.value)


def test_settings_and_identities_do_not_show_secrets(desk: Desk) -> None:
    settings = ServerSettings(token=SECRET, tokens={SECRET + "2": Role.VIEW})
    assert SECRET not in repr(settings)
    auth = desk.auth(token=SECRET)
    secret = desk.file.read_text().strip()
    assert SECRET not in repr(auth.check_token(SECRET))
    assert secret not in repr(keys.load_secrets(desk.file))


def test_a_plain_token_has_its_role_and_no_end() -> None:
    auth = Authenticator(ServerSettings(token=SECRET, tokens={SECRET + "2": Role.VIEW}))
    assert auth.check_token(SECRET).role is Role.ADMIN
    viewer = auth.check_token(SECRET + "2")
    assert (viewer.role, viewer.name, viewer.expires, viewer.who) == (
        Role.VIEW,
        "view",
        None,
        "view",
    )
    auth.still_valid(viewer)


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, "missing"), ("", "missing"), (7, "missing"), ("nonsense", "wrong"), ("e.y.", "wrong")],
)
def test_a_refusal_says_the_reason(token: object, expected: str) -> None:
    auth = Authenticator(ServerSettings(token=SECRET))
    assert reason(lambda: auth.check_token(token)) == expected


def test_a_signed_token_speaks_for_its_holder(desk: Desk) -> None:
    auth = desk.auth()
    claims = desk.claims()
    identity = auth.identify({"authorization": f"Bearer {desk.sign(claims)}"})
    assert identity.who == "anna (tune)"
    assert (identity.jti, identity.expires) == (claims.jti, desk.clock.now + DAY)
    assert not identity.by_cookie


def test_it_ends_when_it_expires_and_says_since_when(desk: Desk) -> None:
    auth = desk.auth()
    token = desk.sign(desk.claims(seconds=60))
    identity = auth.check_token(token)
    desk.clock.now += 59.9
    auth.still_valid(identity)
    desk.clock.now += 0.2
    assert reason(lambda: auth.still_valid(identity)) == "expired"
    with pytest.raises(AuthError, match=r"expired at 2027-01-15T08:01:00"):
        auth.check_token(token)


def test_a_revocation_by_another_process_is_seen_within_a_second(desk: Desk) -> None:
    auth = desk.auth()
    claims = desk.claims()
    token = desk.sign(claims)
    identity = auth.check_token(token)
    desk.revoke(claims.jti)
    auth.still_valid(identity)
    desk.clock.now += 1.0
    assert reason(lambda: auth.still_valid(identity)) == "revoked"
    assert reason(lambda: auth.check_token(token)) == "revoked"
    auth.check_token(desk.sign(desk.claims()))


def test_after_a_rotation_the_old_key_verifies_until_it_is_dropped(desk: Desk) -> None:
    auth = desk.auth()
    old = desk.sign(desk.claims())
    identity = auth.check_token(old)
    assert keys.rotate(desk.file, keep=1) == 2
    desk.clock.now += 1.0
    new = desk.sign(desk.claims())
    assert auth.check_token(old).name == auth.check_token(new).name == "anna"
    assert keys.rotate(desk.file, keep=0) == 1
    desk.clock.now += 1.0
    assert reason(lambda: auth.check_token(old)) == "wrong_signature"
    assert reason(lambda: auth.still_valid(identity)) == "wrong_signature"


def test_an_unusable_secret_file_leaves_the_keys_as_they_were(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    auth = desk.auth()
    token = desk.sign(desk.claims())
    desk.file.write_text("short")
    desk.clock.now += 1.0
    assert auth.check_token(token).name == "anna"
    assert "stay as they were" in caplog.text
    assert "short" not in caplog.text


def test_a_session_lasts_twelve_hours_and_no_longer_than_its_token(desk: Desk) -> None:
    auth = desk.auth(token=SECRET)
    started = desk.clock.now
    long, short = auth.check_token(SECRET), auth.check_token(desk.sign(desk.claims(seconds=HOUR)))
    for identity, seconds in ((long, 12 * HOUR), (short, HOUR)):
        session = auth.identify(cookie(auth, auth.open_session(identity)))
        assert session.by_cookie
        assert session.expires == started + seconds
        assert session.name == identity.name


@pytest.mark.parametrize("token", [None, SECRET])
def test_a_session_outlives_a_restart_and_is_shared_by_workers(
    desk: Desk, token: str | None
) -> None:
    before = desk.auth(token=token)
    value = before.open_session(before.check_token(before.token))
    again = desk.auth(token=token)
    assert again.identify(cookie(again, value)).role is Role.ADMIN


def test_a_session_ends_with_the_token_that_opened_it(desk: Desk) -> None:
    auth = desk.auth(token=SECRET)
    claims = desk.claims()
    by_plain = auth.open_session(auth.check_token(SECRET))
    by_signed = auth.open_session(auth.check_token(desk.sign(claims)))
    desk.revoke(claims.jti)
    desk.clock.now += 1.0
    assert reason(lambda: auth.identify(cookie(auth, by_signed))) == "revoked"
    changed = desk.auth(token=SECRET + "-changed")
    assert reason(lambda: changed.identify(cookie(changed, by_plain))) == "revoked"


def test_signing_out_ends_the_session_everywhere(desk: Desk) -> None:
    here, there = desk.auth(token=SECRET), desk.auth(token=SECRET)
    value = here.open_session(here.check_token(SECRET))
    here.close_session(here.identify(cookie(here, value)))
    assert reason(lambda: here.identify(cookie(here, value))) == "revoked"
    desk.clock.now += 1.0
    assert reason(lambda: there.identify(cookie(there, value))) == "revoked"


def test_a_session_without_a_secret_file_ends_with_the_server() -> None:
    before, after = (Authenticator(ServerSettings(token=SECRET)) for _ in range(2))
    value = before.open_session(before.check_token(SECRET))
    assert before.identify(cookie(before, value)).by_cookie
    assert reason(lambda: after.identify(cookie(after, value))) == "wrong_signature"


def test_one_use_cannot_stand_in_for_another(desk: Desk) -> None:
    auth = desk.auth(token=SECRET)
    session = auth.open_session(auth.check_token(SECRET))
    link = desk.sign(desk.claims(use=Use.LOGIN))
    access = desk.sign(desk.claims())
    for token in (session, link):
        assert reason(lambda token=token: auth.check_token(token)) == "wrong_service"
    for token in (access, link):
        assert reason(lambda t=token: auth.identify(cookie(auth, t))) == "wrong_service"


def test_a_login_link_works_once_for_all_workers(desk: Desk) -> None:
    here, there = desk.auth(), desk.auth()
    claims = desk.claims(use=Use.LOGIN, seconds=300)
    link = desk.sign(claims)
    value = here.open_session(here.follow_link(link))
    assert reason(lambda: there.follow_link(link)) == "used"
    desk.clock.now += HOUR
    assert here.identify(cookie(here, value)).name == "anna"
    assert reason(lambda: here.follow_link(link)) == "expired"
    desk.revoke(claims.jti)
    desk.clock.now += 1.0
    assert reason(lambda: here.identify(cookie(here, value))) == "revoked"


def test_the_printed_link_may_be_followed_again_and_again(desk: Desk) -> None:
    auth = desk.auth()
    for _ in range(2):
        assert auth.follow_link(auth.token).role is Role.ADMIN
    assert auth.follow_link(desk.sign(desk.claims())).name == "anna"
    assert reason(lambda: auth.follow_link("nonsense")) == "wrong"


def test_a_wrong_token_does_not_fall_back_to_the_cookie() -> None:
    auth = Authenticator(ServerSettings(token=SECRET))
    headers = cookie(auth, auth.open_session(auth.check_token(SECRET)))
    with pytest.raises(AuthError, match="wrong token"):
        auth.identify({**headers, "authorization": "Bearer nonsense"})
    with pytest.raises(AuthError):
        auth.identify({**headers, "authorization": f"Basic {SECRET}"})


def test_each_role_includes_the_ones_before() -> None:
    for held in Role:
        for needed in Role:
            identity = Identity(held)
            if held >= needed:
                identity.require(needed)
            else:
                with pytest.raises(AuthError, match=f"needs the role {needed.name.lower()}"):
                    identity.require(needed)
