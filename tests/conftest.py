"""What all rooms' tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"


def recordings() -> list[Path]:
    """Real market data beside the checkout; empty where it is not there."""
    return sorted(SHARED_DATA.glob("*.parquet"))


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, also where a shell started us with `&`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one file on one worker where they share what is made once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares(item):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}.{item.path.stem}"))


def _shares(item: pytest.Item) -> bool:
    needed = getattr(item, "_fixtureinfo", None)
    found = needed.name2fixturedefs.values() if needed else ()
    return any(f.scope == "module" and f.baseid.startswith("tests/") for fs in found for f in fs)


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real recordings are not checked")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's servers, keys or settings."""
    make_private(tmp_path, monkeypatch)


def make_private(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Do so also for what outlives a test, which is made before `private_state`."""
    patch.setenv("TOOLKIT_STATE_DIR", str(folder / "state"))
    ours = ("TOOLKIT_", "APCA_", "ALPACA_", "WEBSOCKET_", "STREAMING_", "NOTIFICATION_")
    for name in [name for name in os.environ if name.startswith(ours) or name == "MAX_CONNECTIONS"]:
        if name != "TOOLKIT_STATE_DIR":
            patch.delenv(name)
