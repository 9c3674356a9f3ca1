"""Line plots as SVG text: no script, colours from the page's CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 26, 14, 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """`ticks` are (position, text), in the units of the data; `log` spaces by ratio."""

    label: str
    least: float
    most: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        if self.log:
            span = math.log(self.most / self.least)
            return math.log(min(max(value, self.least), self.most) / self.least) / span
        return (min(max(value, self.least), self.most) - self.least) / (self.most - self.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """`values` are (x, y) in order; `colour` is a role of the theme.

    Without `joined` they are dots, hollow where `hollow` says so.
    """

    name: str
    colour: str
    values: Sequence[tuple[float, float]]
    joined: bool = True
    hollow: Sequence[bool] = ()


def log_axis(label: str, values: Sequence[float], *, least: float, decades: int = 1) -> Axis:
    """Return a logarithmic axis of whole decades that holds all values; at least `decades`."""
    positive = [value for value in values if value > 0] or [least]
    low = math.floor(math.log10(max(min(positive), least)))
    high = max(math.ceil(math.log10(max(positive))), low + decades)
    ticks = [(10.0**power, compact(10.0**power)) for power in range(low, high + 1)]
    return Axis(label=label, least=10.0**low, most=10.0**high, ticks=ticks, log=True)


def linear_axis(label: str, values: Sequence[float], *, floor: float | None = 0.0) -> Axis:
    """Return an axis from `floor` (None: near the least value) with round steps."""
    most = max(values, default=1.0) or 1.0
    least = min(values, default=0.0) if floor is None else floor
    step = _step((most - least) or abs(most) or 1.0)
    first, last = math.floor(least / step), math.ceil(most / step)
    last = max(last, first + 1)
    ticks = [(step * n, compact(step * n)) for n in range(first, last + 1)]
    return Axis(label=label, least=step * first, most=step * last, ticks=ticks)


def _step(span: float) -> float:
    unit = 10.0 ** math.floor(math.log10(span / 4))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= span / 5)


def compact(value: float) -> str:
    """Return a short text: 2.5 M, 40 k, 0.1."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def plot(series: Sequence[Points], *, x: Axis, y: Axis, limit: float | None = None) -> str:
    """Return one plot; `limit` draws a dashed line at that height."""
    body = [_grid(x, y)]
    if limit is not None and y.least <= limit <= y.most:
        body.append(_limit(y, limit))
    body += [_line(points, x, y) if points.joined else _dots(points, x, y) for points in series]
    label = escape(f"{y.label} over {x.label}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(body)}</svg>'
    )


def legend(series: Sequence[Points]) -> str:
    """Return names with their colours, each once."""
    names = {points.name: points.colour for points in series}
    items = (
        f'<span><i style="background:var(--tk-{colour})"></i>{escape(name)}</span>'
        for name, colour in names.items()
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _across(x: Axis, value: float) -> float:
    return round(LEFT + x.place(value) * (WIDTH - LEFT - RIGHT), 1)


def _up(y: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM), 1)


def _grid(x: Axis, y: Axis) -> str:
    parts = []
    for value, text in y.ticks:
        at = _up(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{escape(text)}</text>')
    for value, text in x.ticks:
        at = _across(x, value)
        parts.append(f'<line class="grid" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="{at}" x2="{at}"/>')
        parts.append(
            f'<text x="{at}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{escape(text)}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="label" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" '
        f'text-anchor="middle">{escape(x.label)}</text>'
        f'<text class="label" transform="translate(14 {middle}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.label)}</text>'
    )
    return "".join(parts)


def _limit(y: Axis, value: float) -> str:
    at = _up(y, value)
    return f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'


def _line(points: Points, x: Axis, y: Axis) -> str:
    path = " ".join(f"{_across(x, a)},{_up(y, b)}" for a, b in points.values)
    return f'<polyline style="stroke:var(--tk-{points.colour})" points="{path}"/>'


def _dots(points: Points, x: Axis, y: Axis) -> str:
    colour = f"var(--tk-{points.colour})"
    hollow = points.hollow or [False] * len(points.values)
    return "".join(
        f'<circle cx="{_across(x, a)}" cy="{_up(y, b)}" r="4" '
        f'style="stroke:{colour};fill:{"none" if empty else colour}"/>'
        for (a, b), empty in zip(points.values, hollow, strict=True)
    )
