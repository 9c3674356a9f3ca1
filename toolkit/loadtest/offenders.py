"""Clients that misbehave, seen from the run: how many of each, and the process they live in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

import orjson

from toolkit.loadtest.channel import Helper
from toolkit.loadtest.scenario import check
from toolkit.loadtest.websocket import Door

SPECIFICATION = "TOOLKIT_LOADTEST_CROWD"
MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """`slow` read little, `churn` come and go, `sleepy` stop reading, `hostile` send garbage,
    floods and messages that are too large.
    """

    slow: int = 0
    churn: int = 0
    sleepy: int = 0
    hostile: int = 0

    def __post_init__(self) -> None:
        for name, count in self.to_dict().items():
            check(name, count, 0, MOST)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.to_dict().values())

    def to_dict(self) -> dict[str, int]:
        """Return the numbers by name."""
        return asdict(self)


NONE = Crowd()


class Offenders:
    """The process with the troublemakers; a context manager."""

    def __init__(self, crowd: Crowd, door: Door, *, symbols: int) -> None:
        specification = {
            "crowd": crowd.to_dict(),
            "port": door.port,
            "token": door.token,
            "symbols": symbols,
        }
        self._helper = Helper(
            "toolkit.loadtest.offences",
            name="process of troublemakers",
            environment={SPECIFICATION: orjson.dumps(specification).decode()},
        )

    def deeds(self) -> dict[str, int]:
        """Return how often each has done its worst; raises ToolkitError when the process ended."""
        return {name: int(count) for name, count in self._helper.call("deeds").items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._helper.close()
