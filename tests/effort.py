"""How often randomised tests try: `EFFORT=20` (make soak) is twenty times as often."""

from __future__ import annotations

import os


def tries(number: int) -> int:
    """Return how many examples to try where the suite has time for `number`."""
    return number * int(os.environ.get("EFFORT", "1"))
