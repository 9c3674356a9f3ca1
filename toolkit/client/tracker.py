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
        self._restarted: set[str] = set()

    def start(self, epoch: str) -> list[Gap]:
        """Note the epoch of a new connection; another one makes all numbers start again.

        Returns a gap for each stream whose later messages of the epoch before are lost. The
        server says the same, but only once, and that may be lost with its connection.
        """
        if epoch == self.epoch:
            return []
        lost = [Gap.of(stream, seq + 1, None, "restart") for stream, seq in self._newest.items()]
        self.epoch = epoch
        self._last.clear()
        self._floor.clear()
        self._newest.clear()
        self._restarted = {gap.stream for gap in lost}
        return lost

    def confirm(self, seq: Mapping[str, int]) -> None:
        """Note from where a subscription delivers everything: `{stream: number}`."""
        for stream, number in seq.items():
            self._floor[stream] = max(self._floor.get(stream, 0), number)
            self._advance(stream, number)

    def answered(self, seq: Mapping[str, int]) -> None:
        """Note the ack of a subscription; its confirmation may still be behind other messages."""
        for stream, number in seq.items():
            self._newest.setdefault(stream, number)

    def announced(self, gap: Gap) -> bool:
        """Note a gap that the server announced; returns whether it is news."""
        if gap.last is None:
            return gap.stream not in self._restarted
        self._floor[gap.stream] = max(self._floor.get(gap.stream, 0), gap.last)
        self._advance(gap.stream, gap.last)
        return True

    def accept(self, message: Message) -> tuple[bool, Gap | None]:
        """Return whether `message` is new, and the gap before it if there is one."""
        stream, seq, prev = message["stream_type"], int(message["seq"]), int(message["prev"])
        if message["epoch"] != self.epoch:
            return False, None
        key = (stream, message["symbol"])
        last, snapshot = self._last.get(key, 0), message.get("snapshot")
        if seq <= last and not snapshot:
            return False, None
        self._last[key] = max(last, seq)
        self._advance(stream, seq)
        if snapshot or prev <= last or prev <= (floor := self._floor.get(stream, 0)):
            return True, None
        if stream not in LOSSLESS:
            return True, None
        return True, Gap.of(stream, max(last, floor) + 1, prev, "missing")

    def last_seen(self) -> dict[str, Any] | None:
        """Return what a new connection sends in order to resume; None before the first."""
        if self.epoch is None:
            return None
        return {"epoch": self.epoch, "seq": dict(self._newest)}

    def forget(self, stream: str) -> None:
        """Do not resume `stream`: it was unsubscribed."""
        self._newest.pop(stream, None)

    def _advance(self, stream: str, seq: int) -> None:
        if seq > self._newest.get(stream, -1):
            self._newest[stream] = seq
