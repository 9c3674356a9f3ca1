"""What a verdict says: how much was compared, and in plain words what differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 20


@dataclass(slots=True)
class Findings:
    """Counts of what was compared, counts of differences by kind, and the first of each."""

    compared: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def check(self, kind: str, same: bool, words: str) -> None:
        """Count a comparison, and a difference where it failed."""
        self.compared[kind] += 1
        if not same:
            self.blame(kind, words)

    def blame(self, kind: str, words: str) -> None:
        """Count a difference."""
        self.differences[kind] += 1
        if self.differences[kind] <= SHOWN:
            self.examples.append(f"{kind}: {words}")

    def merge(self, other: Findings) -> None:
        """Take over what another judge found."""
        self.compared.update(other.compared)
        self.differences.update(other.differences)
        self.examples += other.examples
