"""Which code made a result."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from toolkit._version import __version__

PACKAGE = Path(__file__).parents[2]
ROOMS = ("core", "research")  # what decides about figures


@lru_cache(1)
def code_version() -> str:
    """Return `version+revision.digest`: git's revision in a checkout, a digest of the sources."""
    revision = git_revision(PACKAGE.parent)
    parts = [f"g{revision[:9]}"] if revision else []
    return f"{__version__}+{'.'.join([*parts, code_digest()])}"


@lru_cache(1)
def code_digest() -> str:
    """Return hex digits that change with any line of the rooms that decide about figures."""
    digest = blake2b(digest_size=4)
    for room in ROOMS:
        for file in sorted((PACKAGE / room).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def git_revision(checkout: Path) -> str:
    """Return the revision that a checkout is at, empty where there is none."""
    with suppress(OSError):
        folder = checkout / ".git"
        if folder.is_file():  # a worktree
            folder = checkout / folder.read_text().partition(":")[2].strip()
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.partition(":")[2].strip()
        common = folder / "commondir"
        root = folder / common.read_text().strip() if common.exists() else folder
        for place in (folder / name, root / name):
            if place.exists():
                return place.read_text().strip()
        for line in (root / "packed-refs").read_text().splitlines():
            if line.endswith(f" {name}"):
                return line.partition(" ")[0]
    return ""
