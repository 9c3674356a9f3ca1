"""What has arrived: drops duplicates, sees what is missing, knows where to resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.client.messages import Gap, Message
from toolkit.streaming.wire import LOSSLESS


class Tracker:
    """Numbers seen in one epoch, per stream and symbol.

    A message is missing when its `prev` is newer than the last message we have of its stream
    and symbol. Market data may skip numbers (it conflates); there the server announces lost
    final bars by itself.
    """

    def __init__(self) -> None:
        self.epoch: str | None = None
        self._last: dict[tuple[str, str | None], int] = {}
        self._floor: dict[str, int] = {}
        self._newest: dict[str, int] = {}

    def start(self, epoch: str) -> None:
        """Note the epoch of a new connection; another one makes all numbers start again."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._last.clear()
            self._floor.clear()
            self._newest.clear()

    def confirm(self, seq: Mapping[str, int]) -> None:
        """Note from where a subscription delivers everything: `{stream: number}`."""
        for stream, number in seq.items():
            self._floor[stream] = max(self._floor.get(stream, 0), number)
            self._advance(stream, number)

    def answered(self, seq: Mapping[str, int]) -> None:
        """Note the ack of a subscription; its confirmation may still be behind other messages."""
        for stream, number in seq.items():
            self._newest.setdefault(stream, number)

    def announced(self, gap: Gap) -> None:
        """Note a gap that the server announced."""
        if gap.last is not None:
            self._floor[gap.stream] = max(self._floor.get(gap.stream, 0), gap.last)
            self._advance(gap.stream, gap.last)

    def accept(self, message: Message) -> tuple[bool, Gap | None]:
        """Return whether `message` is new, and the gap before it if there is one."""
        stream, seq = message.stream_type, message.seq
        key = (stream, message.symbol)
        if message["epoch"] != self.epoch:
            return False, None
        known = max(self._last.get(key, 0), self._floor.get(stream, 0))
        if not message.snapshot and seq <= self._last.get(key, 0):
            return False, None
        self._last[key] = max(self._last.get(key, 0), seq)
        self._advance(stream, seq)
        if message.snapshot or stream not in LOSSLESS or message.prev <= known:
            return True, None
        return True, Gap.of(stream, known + 1, message.prev, "missing")

    def last_seen(self) -> dict[str, Any] | None:
        """Return what a new connection sends in order to resume; None before the first."""
        if self.epoch is None:
            return None
        return {"epoch": self.epoch, "seq": dict(self._newest)}

    def forget(self, stream: str) -> None:
        """Do not resume `stream`: it was unsubscribed."""
        self._newest.pop(stream, None)

    def _advance(self, stream: str, seq: int) -> None:
        self._newest[stream] = max(self._newest.get(stream, 0), seq)
