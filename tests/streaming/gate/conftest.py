"""Limits that are about time, without the waiting."""

from __future__ import annotations

import pytest


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks ten times as often whose time is up, and goodbyes are shorter."""
    monkeypatch.setattr("toolkit.streaming.gate.presence.SWEEP_SECONDS", 0.05)
    for module in ("presence", "gate"):
        monkeypatch.setattr(f"toolkit.streaming.gate.{module}.GOODBYE_SECONDS", 0.2)
