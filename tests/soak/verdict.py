"""What was promised against what came: pure functions over two logs.

Published: `epoch stream seq symbol` of every message that must not be lost. Heard, per client in
order: `m epoch stream seq symbol`, `f epoch stream seq` (from where delivery was confirmed),
`g epoch stream from to reason` (`to` is -1 where nobody knows) and `c epoch`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]
SHOWN = 10


@dataclass
class Verdict:
    """Counts, and the first few violations in words."""

    received: int = 0
    covered: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def blame(self, what: str, where: str) -> None:
        self.violations[what] += 1
        if len(self.examples) < SHOWN:
            self.examples.append(f"{what}: {where}")

    def merge(self, other: Verdict) -> None:
        self.received += other.received
        self.covered += other.covered
        self.gaps += other.gaps
        self.violations += other.violations
        self.examples = (self.examples + other.examples)[:SHOWN]


@dataclass
class _Heard:
    """What one client heard of one stream in one epoch."""

    seqs: list[int] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    floor: int | None = None
    restart: int | None = None


def judge(
    published: Iterable[str], heard: Iterable[str], *, symbols: Collection[str] | None = None
) -> Verdict:
    """Hold one client's log against the servers'; `symbols` are what it asked for, None = all."""
    verdict = Verdict()
    promised = _promised(published)
    streams = _read(heard, promised, verdict, symbols)
    for (epoch, stream), found in streams.items():
        sent = promised.get((epoch, stream), {})
        wanted = {seq: s for seq, s in sent.items() if symbols is None or s in symbols or s == "-"}
        _check(f"{epoch} {stream}", found, wanted, verdict)
    return verdict


def _promised(published: Iterable[str]) -> Mapping[Key, Mapping[int, str]]:
    found: dict[Key, dict[int, str]] = defaultdict(dict)
    for line in published:
        epoch, stream, seq, symbol = line.split()
        found[epoch, stream][int(seq)] = symbol
    return found


def _read(
    heard: Iterable[str],
    promised: Mapping[Key, Mapping[int, str]],
    verdict: Verdict,
    symbols: Collection[str] | None,
) -> Mapping[Key, _Heard]:
    found: dict[Key, _Heard] = defaultdict(_Heard)
    for line in heard:
        what, epoch, *rest = line.split()
        if what == "c":
            continue
        at = found[epoch, rest[0]]
        if what == "m":
            seq, symbol = int(rest[1]), rest[2]
            at.seqs.append(seq)
            known = promised.get((epoch, rest[0]), {}).get(seq)
            if known not in (None, symbol):
                verdict.blame("altered", line)
            if symbols is not None and symbol not in symbols and symbol != "-":
                verdict.blame("unasked", line)
        elif what == "f" and at.floor is None:
            at.floor = int(rest[1])
        elif what == "g":
            first, last, reason = int(rest[1]), int(rest[2]), rest[3]
            verdict.gaps[reason] += 1
            if last < 0:
                at.restart = first
            else:
                at.gaps.append((first, last))
    return found


def _check(where: str, heard: _Heard, wanted: Mapping[int, str], verdict: Verdict) -> None:
    verdict.received += len(heard.seqs)
    seen: set[int] = set()
    newest = 0
    for seq in heard.seqs:
        if seq in seen:
            verdict.blame("doubled", f"{where} {seq}")
        elif seq < newest:
            verdict.blame("disordered", f"{where} {seq}")
        seen.add(seq)
        newest = max(newest, seq)
    gaps = sorted(heard.gaps)
    starts = [first for first, _ in gaps]
    reach = _reach(gaps)
    for seq in wanted:
        if seq in seen or heard.floor is None or seq <= heard.floor:
            continue
        index = bisect_right(starts, seq) - 1
        told = index >= 0 and reach[index] >= seq
        if told or (heard.restart is not None and seq >= heard.restart):
            verdict.covered += 1
        else:
            verdict.blame("lost without a gap", f"{where} {seq}")


def _reach(gaps: list[tuple[int, int]]) -> list[int]:
    """Return for each gap how far it and those before it reach."""
    reach: list[int] = []
    for _, last in gaps:
        reach.append(max(last, reach[-1]) if reach else last)
    return reach
