"""Whether a play comes to the same signals and round trips as the recorded session did."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from toolkit.core.types import RoundTrip, Signal
from toolkit.record.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayReport:
    """`same` is None where another broker traded: then there is nothing to compare.

    `differences` are the first places where the play left the recording, `notes` what was found
    damaged.
    """

    same: bool | None
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "same_as_recorded": self.same,
            "differences": list(self.differences),
            "notes": list(self.notes),
        }


class Comparison:
    """Holds what was played and what was recorded against each other, in order."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._played: dict[type, deque[Any]] = {Signal: deque(), RoundTrip: deque()}

    def publish(self, event: object) -> None:
        """Take an event of the playing bot."""
        played = self._played.get(type(event))
        if played is not None:
            played.append(event)
            self._compare()

    def finish(self) -> None:
        """Note what one of the two has and the other has not; the play is over."""
        self._compare()
        for kind, recorded in self._recorded():
            played, name = self._played[kind], kind.__name__
            for item in list(recorded)[:1]:
                self._script.differs(f"the recording has a {name} that was not played: {item}")
            for item in list(played)[:1]:
                self._script.differs(f"a {name} was played that is not in the recording: {item}")
            recorded.clear()
            played.clear()

    def _recorded(self) -> tuple[tuple[type, deque[Any]], ...]:
        return ((Signal, self._script.signals), (RoundTrip, self._script.trips))

    def _compare(self) -> None:
        for kind, recorded in self._recorded():
            played = self._played[kind]
            while played and recorded:
                now, then = played.popleft(), recorded.popleft()
                if now != then:
                    self._script.differs(f"{kind.__name__} {now} was {then} in the recording")
