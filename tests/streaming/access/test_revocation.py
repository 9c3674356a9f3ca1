"""The list of revoked tokens: shared by processes, bounded by time, never forgotten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ConfigError
from toolkit.streaming.access import private_file
from toolkit.streaming.access.revocation import Issued, Revocations, used
from toolkit.streaming.access.tokens import new_claims
from toolkit.streaming.wire import Role

NOW = 1_800_000_000.0
WRITER = """
import sys
from pathlib import Path
from toolkit.streaming.access.revocation import Revocations
revoked = Revocations(Path(sys.argv[1]), clock=lambda: 1_800_000_000.0)
for number in range(40):
    revoked.revoke(f"{sys.argv[2]}-{number}", 1_800_000_060.0)
"""


def list_at(path: Path | None, now: float = NOW) -> Revocations:
    return Revocations(path, clock=lambda: now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret.revoked"


def test_a_token_is_revoked_once(path: Path) -> None:
    for revoked in (list_at(path), list_at(None)):
        assert "a" not in revoked
        assert revoked.revoke("a", NOW + 60)
        assert not revoked.revoke("a", NOW + 60)
        assert "a" in revoked
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_process_sees_it_after_looking_again(path: Path) -> None:
    here, there = list_at(path), list_at(path)
    here.revoke("a", NOW + 60)
    assert "a" not in there
    assert there.refresh()
    assert "a" in there
    assert not there.refresh()


def test_expired_entries_are_dropped(path: Path) -> None:
    list_at(path).revoke("a", NOW + 60)
    later = list_at(path, NOW + 61)
    later.revoke("b", NOW + 120)
    assert "a" not in later
    assert "b" in list_at(path)
    assert "a" not in list_at(path)


def test_what_is_revoked_stays_so_when_the_file_is_gone_or_damaged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    revoked = list_at(path)
    revoked.revoke("a", NOW + 60)
    path.write_text("{")
    revoked.refresh()
    assert "stay as they were" in caplog.text
    path.unlink()
    revoked.refresh()
    assert "a" in revoked
    revoked.revoke("b", NOW + 60)
    assert "a" in list_at(path)


@pytest.mark.parametrize("text", ["{", "[]", "7", "\x00"])
def test_a_damaged_list_stops_the_start(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged"):
        list_at(path)


def test_a_list_that_others_may_read_stops_the_start(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        list_at(path)


def test_two_processes_lose_nothing_of_each_other(path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("x", "y")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    revoked = list_at(path)
    assert all(f"{name}-{number}" in revoked for name in ("x", "y") for number in range(40))


def test_a_lock_that_is_held_for_too_long_is_said(path: Path) -> None:
    with (
        private_file.locked(path),
        pytest.raises(ConfigError, match="another process"),
        private_file.locked(path, within=0.0),
    ):
        pass


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(1, 100), st.floats(0, 30)), max_size=30)
)
def test_what_is_revoked_is_refused_exactly_until_it_ends(
    steps: list[tuple[str, float, float]],
) -> None:
    now = NOW
    revoked = Revocations(None, clock=lambda: now)
    model: dict[str, float] = {}
    for jti, seconds, passed in steps:
        now += passed
        revoked.revoke(jti, now + seconds)
        model[jti] = max(model.get(jti, 0.0), now + seconds)
        assert all(jti in revoked for jti, until in model.items() if until > now)


def test_the_list_of_issued_tokens_says_their_state(tmp_path: Path) -> None:
    now = NOW
    issued = Issued(tmp_path / "secret.issued", clock=lambda: now)
    revoked = Revocations(tmp_path / "secret.revoked", clock=lambda: now)
    made = [
        new_claims(name=name, role=Role.TUNE, now=NOW + i, seconds=seconds)
        for i, (name, seconds) in enumerate(
            [("a", 60), ("b", 9e6), ("c", 9e6), ("d", 9e6), ("e", 9e6)]
        )
    ]
    for claims in made:
        issued.add(claims, key="old" if claims.name == "e" else "new")
    revoked.revoke(made[1].jti, NOW + 9e6)
    revoked.revoke(used(made[2].jti), NOW + 9e6)
    now = NOW + 61
    states = {row["name"]: row["state"] for row in issued.table(revoked, keys={"new"})}
    assert states == {
        "a": "expired",
        "b": "revoked",
        "c": "used",
        "d": "valid",
        "e": "withdrawn",
    }
    now = NOW + 31 * 86_400
    issued.add(made[3], key="new")
    assert "a" not in {row["name"] for row in issued.table(revoked, keys={"new"})}
