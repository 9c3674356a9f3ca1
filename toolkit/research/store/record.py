"""What is kept of one run: a line of facts, and a few tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import StoreError
from toolkit.research.store.data import Data

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A result on its way into the store.

    `options` is all else that was asked (JSON-ready), enough to ask it again; `figures` the
    outcome in numbers; `frames` the tables by name.
    """

    kind: str
    data: Data
    parameters: Parameters
    capital: float
    costs: Costs
    options: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """What the store knows of one run; `seconds` is how long it took, `at` when it was made.

    `id` are hex digits of what was asked and of the code: the same run again is the same record.
    """

    id: str
    kind: str
    at: datetime
    seconds: float
    code: str
    data: Data
    parameters: Parameters
    capital: float
    costs: Mapping[str, Any]
    options: Mapping[str, Any]
    figures: Mapping[str, Any]
    frames: tuple[str, ...]

    @classmethod
    def of(cls, entry: Entry, *, at: datetime, seconds: float, code: str) -> Self:
        """Return the record of an entry."""
        costs = entry.costs.to_dict()
        asked = [
            entry.kind, entry.data.to_dict(), entry.parameters.to_dict(), entry.capital, costs,
            dict(entry.options), code,
        ]  # fmt: skip
        digest = blake2b(to_json(asked).encode(), digest_size=6)
        return cls(
            id=digest.hexdigest(),
            kind=entry.kind,
            at=at,
            seconds=seconds,
            code=code,
            data=entry.data,
            parameters=entry.parameters,
            capital=entry.capital,
            costs=costs,
            options=dict(entry.options),
            figures=dict(entry.figures),
            frames=tuple(entry.frames),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; parameters under their full names."""
        return {
            "id": self.id,
            "kind": self.kind,
            "at": self.at.isoformat(),
            "seconds": self.seconds,
            "code": self.code,
            "data": self.data.to_dict(),
            "parameters": self.parameters.to_dict(),
            "capital": self.capital,
            "costs": dict(self.costs),
            "options": dict(self.options),
            "figures": dict(self.figures),
            "frames": list(self.frames),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises StoreError where this code cannot."""
        try:
            changed = {
                "at": datetime.fromisoformat(values["at"]),
                "data": Data.from_dict(values["data"]),
                "parameters": Parameters.from_dict(values["parameters"]),
                "frames": tuple(values["frames"]),
            }
            return cls(**{**values, **changed})
        except Exception as error:
            known = values.get("id", "?")
            raise StoreError(
                f"run {known} was kept by code that this one does not understand ({error});"
                f" delete it, or use the code that made it, {values.get('code', 'unknown')}",
                id=known,
            ) from error


def to_json(value: Any) -> str:
    """Write JSON in one order of keys; NaN and infinity stay what they are."""
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
