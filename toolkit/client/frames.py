"""`LiveFrame`: the last messages of a stream as a pandas DataFrame, at any time."""

from __future__ import annotations

import html
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from toolkit.client.columns import columns, flat
from toolkit.client.messages import Message
from toolkit.streaming.wire import parse_time

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10


class LiveFrame:
    """The last `limit` messages of one stream, of one symbol and kind if given.

    Indexed by time (UTC-aware, of a bar: its open), oldest first. A forming bar is replaced by
    its later versions and at last by the final one. `frame` is an independent copy; attributes,
    `[...]` and `len` work on one as it is at that moment. Thread-safe.
    """

    def __init__(
        self,
        stream: str,
        symbol: str | None = None,
        *,
        kind: str | None = None,
        limit: int = 2000,
    ) -> None:
        self._stream = stream
        self._symbol = symbol
        self._kind = kind
        self._limit = limit
        self._lock = threading.Lock()
        self._rows: OrderedDict[Hashable, dict[str, Any]] = OrderedDict()
        self._states: dict[Hashable, Mapping[str, Any]] = {}
        self._newest: datetime | None = None
        self._sorted = True
        self._built: pd.DataFrame | None = None

    def push(self, message: Message) -> None:
        """Add one message if it belongs here."""
        data = message.data
        if message.stream_type != self._stream or self._symbol not in (None, message.symbol):
            return
        if self._kind not in (None, data["kind"]):
            return
        if data["kind"] == "bar":
            self.fill([data])
            return
        state = (data["kind"], message.symbol, data.get("id") or data.get("client_order_id"))
        with self._lock:
            if message.snapshot and self._states.get(state) == data:
                return
            self._remember(state, data)
            key = (message["epoch"], message.seq, message.snapshot, state)
            self._put(key, message.timestamp, data)
            self._trim()

    def fill(self, bars: Iterable[Mapping[str, Any]]) -> None:
        """Add bars as `history` returns them; a final bar is not replaced by a forming one."""
        with self._lock:
            for bar in bars:
                key = (bar["symbol"], bar["timestamp"])
                before = self._rows.get(key)
                if before is None or bar["final"] or not before["final"]:
                    self._put(key, parse_time(bar["timestamp"]), bar)
            self._trim()

    @property
    def frame(self) -> pd.DataFrame:
        """A copy of what is there now."""
        with self._lock:
            if self._built is None:
                self._built = _build(list(self._rows.values()), columns(self._stream, self._kind))
            return self._built.copy()

    def _put(self, key: Hashable, time: datetime, data: Mapping[str, Any]) -> None:
        if key not in self._rows and self._newest is not None and time < self._newest:
            self._sorted = False
        self._newest = time if self._newest is None else max(time, self._newest)
        self._rows[key] = {**flat(data), "timestamp": time}
        self._built = None

    def _trim(self) -> None:
        if not self._sorted:
            by_time = sorted(self._rows.items(), key=lambda item: item[1]["timestamp"])
            self._rows = OrderedDict(by_time)
            self._sorted = True
        while len(self._rows) > self._limit:
            self._rows.popitem(last=False)

    def _remember(self, state: Hashable, data: Mapping[str, Any]) -> None:
        self._states.pop(state, None)
        self._states[state] = data
        if len(self._states) > self._limit:
            del self._states[next(iter(self._states))]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        return self.frame[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.frame, name)

    def __repr__(self) -> str:
        return f"{self._title()}\n{self.frame.tail(SHOWN)!r}"

    def _repr_html_(self) -> str:
        table = self.frame.tail(SHOWN)._repr_html_()  # type: ignore[operator]
        return f"<p><b>{html.escape(self._title())}</b></p>{table}"

    def _title(self) -> str:
        what = " ".join(part for part in (self._stream, self._symbol, self._kind) if part)
        return f"{what}: {len(self)} of at most {self._limit} rows, live"


def _build(rows: list[dict[str, Any]], known: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    index = pd.DatetimeIndex(
        pd.to_datetime([row["timestamp"] for row in rows], utc=True), name="timestamp"
    ).as_unit("us")
    names = dict.fromkeys(known)
    if not known:
        for row in rows:
            names.update(dict.fromkeys(key for key in row if key != "timestamp"))
    made = {
        name: _column([row.get(name) for row in rows], known.get(name), index) for name in names
    }
    return pd.DataFrame(made, index=index)


def _column(values: list[Any], kind: str | None, index: pd.DatetimeIndex) -> pd.Series[Any]:
    import pandas as pd

    if kind == "number":
        return pd.Series(pd.array(values, dtype="float64"), index=index)
    if kind == "flag":
        return pd.Series([bool(value) for value in values], index=index, dtype="bool")
    if kind == "time":
        times = pd.to_datetime(pd.Series(values, index=index, dtype="object"), utc=True)
        return times.astype("datetime64[us, UTC]")
    if kind == "text":
        return pd.Series(values, index=index, dtype="object")
    return pd.Series(values, index=index)
