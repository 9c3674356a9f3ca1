"""What all rooms' tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"


def recordings() -> list[Path]:
    """Real market data beside the checkout; empty where it is not there."""
    return sorted(SHARED_DATA.glob("*.parquet"))


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real recordings are not checked")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's servers, keys or settings."""
    monkeypatch.setenv("TOOLKIT_STATE_DIR", str(tmp_path / "state"))
    ours = ("TOOLKIT_", "APCA_", "ALPACA_", "WEBSOCKET_", "STREAMING_", "NOTIFICATION_")
    for name in [name for name in os.environ if name.startswith(ours) or name == "MAX_CONNECTIONS"]:
        if name != "TOOLKIT_STATE_DIR":
            monkeypatch.delenv(name)
