"""What data a result is about, in a few words that can be kept and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from toolkit.research.store.trials import DataKey

if TYPE_CHECKING:
    from toolkit.research.tape import Tape


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """`timeframe` in seconds; `bars` of all symbols together; `source` is a file or a few words.

    `sessions` and `flat_before_close` say when orders filled, as `tape_of` takes them.
    """

    symbols: tuple[str, ...]
    timeframe: float
    first: datetime
    last: datetime
    bars: int
    feed: str
    adjustment: str
    fingerprint: str
    source: str
    sessions: str = "all"
    flat_before_close: float = 0.0

    @classmethod
    def of(cls, tape: Tape, *, source: str | None = None) -> Self:
        """Describe a tape; `source` says more exactly where its bars come from."""
        key = DataKey.of(tape)
        return cls(
            symbols=key.symbols,
            timeframe=key.timeframe,
            first=key.first,
            last=key.last,
            bars=len(tape.market.time),
            feed=tape.feed,
            adjustment=tape.adjustment,
            fingerprint=tape.fingerprint,
            source=source or tape.source,
            sessions=tape.hours.sessions,
            flat_before_close=float(tape.hours.flat_before_close),
        )

    @property
    def key(self) -> DataKey:
        """The key of the ledger of trials."""
        return DataKey(
            symbols=self.symbols,
            timeframe=self.timeframe,
            first=self.first,
            last=self.last,
            feed=self.feed,
            fingerprint=self.fingerprint,
        )

    @property
    def hours(self) -> dict[str, Any]:
        """When orders filled, as options of `tape_of`."""
        return {"sessions": self.sessions, "flat_before_close": self.flat_before_close}

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        values = {**asdict(self), "symbols": list(self.symbols)}
        return {**values, "first": self.first.isoformat(), "last": self.last.isoformat()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        times = {name: datetime.fromisoformat(values[name]) for name in ("first", "last")}
        return cls(**{**values, **times, "symbols": tuple(values["symbols"])})
