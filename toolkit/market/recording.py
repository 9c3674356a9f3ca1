"""A recording on disk: a folder of segments that only grow, and that a SIGKILL cannot spoil.

Each segment begins with what it is about and how its types are written; then one frame for each
entry (length, checksum, msgpack). What a crash cut off is said and skipped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from toolkit._version import __version__
from toolkit.core.types import Bar
from toolkit.errors import DataError
from toolkit.market.recording_codec import FORMAT, Decoder, Encoder, Entry, frames

MAGIC = b"toolkit recording\n"
SUFFIX = ".segment"
SEGMENT_BYTES = 64 * 2**20

Item = tuple[str, int, Any]


class RecordingWriter:
    """Appends entries to a new folder, made with the first; raises OSError where that fails.

    `about` holds JSON-ready values and stands at the head of every segment. One thread at a time.
    """

    def __init__(
        self, path: Path, *, about: Mapping[str, Any], segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.path = path
        self._about, self._limit = dict(about), segment_bytes
        self._encoder = Encoder()
        self._file = -1
        self._number = self._size = 0

    def write(self, items: Sequence[Item]) -> None:
        """Append entries: (what, received, value). They survive this process once it returns."""
        frame = self._encoder.frame
        data = b"".join([frame(what, received, value) for what, received, value in items])
        if self._file < 0 or self._size >= self._limit:
            self._next_segment()
        self._append(data)

    def close(self) -> None:
        """Put everything on the disk itself. Twice is harmless."""
        if self._file >= 0:
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)
                self._file = -1

    def _next_segment(self) -> None:
        self.close()
        if not self._number:
            self.path.mkdir(parents=True)
        self._number += 1
        name = f"{self._number:06d}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file, self._size = os.open(self.path / name, flags, 0o600), 0
        head = {
            "format": FORMAT,
            "version": __version__,
            "types": self._encoder.schema,
            "about": self._about,
        }
        self._append(MAGIC + self._encoder.frame("head", time.time_ns(), head))

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.write(self._file, rest)
            self._size += written
            rest = rest[written:]


class Recording:
    """A recording that is read; `about` is what its writer was told. Raises DataError.

    `notes` says, after a pass over the entries, what was found damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_recording(Path(path))
        self.notes: list[str] = []
        self._segments = sorted(self.path.glob(f"*{SUFFIX}"))
        first = self._segments[0]
        self.about: Mapping[str, Any] = _head(first, first.read_bytes())[1]["about"]

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in the order in which they came in."""
        self.notes = []
        last = ""
        for number, segment in enumerate(self._segments, start=1):
            if int(segment.stem) != number:
                self._note(f"{segment.name} follows on a segment that is missing")
            for entry in self._read(segment):
                last = entry.what
                yield entry
        if last != "end":
            self._note("its end is missing: the recorder did not get to close it")

    def bars(self) -> Iterator[Bar]:
        """Yield the final bars as they were first handed out, without the warm-up's."""
        for entry in self.entries():
            bar = entry.value
            if entry.what == "market" and isinstance(bar, Bar) and bar.final and not bar.revision:
                yield bar

    def _note(self, text: str) -> None:
        self.notes.append(f"{self.path.name}: {text}")

    def _read(self, segment: Path) -> Iterator[Entry]:
        data = segment.read_bytes()
        try:
            position, head = _head(segment, data)
        except DataError:
            self._note(f"{segment.name} is damaged from its beginning: it is skipped")
            return
        decoder, count = Decoder(head["types"]), 0
        for end, payload in frames(data, position):
            position, count = end, count + 1
            yield decoder.entry(payload)
        if position < len(data):
            lost = len(data) - position
            self._note(f"{segment.name} is damaged after {count} entries: {lost} bytes are skipped")


def is_recording(path: Path) -> bool:
    """Whether a path is a folder with a recording, or with some of them."""
    return path.is_dir() and (any(path.glob(f"*{SUFFIX}")) or any(path.glob(f"*/*{SUFFIX}")))


def find_recording(path: Path) -> Path:
    """Return the folder of the one recording at a path; raises DataError."""
    if any(path.glob(f"*{SUFFIX}")):
        return path
    inside = sorted({segment.parent for segment in path.glob(f"*/*{SUFFIX}")})
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(found.name for found in inside)
    what = f"holds several recordings: {names}; name one of them" if inside else "is no recording"
    raise DataError(f"{path} {what}", field="path", value=str(path), allowed=names)


def new_folder(base: Path, *, now: datetime) -> Path:
    """Return a folder below `base` for a recording that begins now; it does not exist yet."""
    name = f"{now:%Y%m%dT%H%M%SZ}"
    candidates: Iterable[str] = (name, *(f"{name}-{n}" for n in range(2, 1000)))
    return next(base / c for c in candidates if not (base / c).exists())


def _head(segment: Path, data: bytes) -> tuple[int, Mapping[str, Any]]:
    found = next(frames(data, len(MAGIC)), None) if data.startswith(MAGIC) else None
    if found is None:
        raise DataError(
            f"{segment} is no segment of a recording, or its head is damaged; move it away",
            field="path",
            value=str(segment),
        )
    end, payload = found
    head = Decoder(()).entry(payload).value
    if head["format"] > FORMAT:
        raise DataError(
            f"{segment.parent} was made by toolkit {head['version']} in a newer format; update",
            field="format",
            value=head["format"],
            allowed=FORMAT,
        )
    return end, head
