"""docs/alpaca_sdk.md names a test for each thing that the SDK does."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import CHECKOUT


def test_every_test_that_the_page_names_exists():
    page = (CHECKOUT / "docs" / "alpaca_sdk.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    there = {name for text in texts for name in re.findall(r"def (test_\w+)\(", text)}
    assert len(named) > 40
    assert named - there == set()
