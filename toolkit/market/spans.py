"""Spans of time, `start <= moment < end`: what is known, and what is missing of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `start` up to, not including, `end`."""

    start: datetime
    end: datetime


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the same time as few spans, in order; empty ones are dropped."""
    out: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if out and span.start <= out[-1].end:
            out[-1] = Span(out[-1].start, max(out[-1].end, span.end))
        else:
            out.append(span)
    return out


def without(span: Span, known: Iterable[Span]) -> list[Span]:
    """Return what is left of a span where the known ones are taken away."""
    left, start = [], span.start
    for one in merged(known):
        if one.end <= start or one.start >= span.end:
            continue
        if one.start > start:
            left.append(Span(start, one.start))
        start = one.end
    return [*left, Span(start, span.end)] if start < span.end else left


def pieces(span: Span, longest: timedelta) -> Iterator[Span]:
    """Yield the parts of a span, each at most `longest`, oldest first."""
    start = span.start
    while start < span.end:
        end = min(start + longest, span.end)
        yield Span(start, end)
        start = end
