"""The result as a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from toolkit.loadtest.result import Result, SideResult, fixed_figures
from toolkit.loadtest.scenario import LIMIT_MS

NOTHING = "–"


def number(value: float | None, *, digits: int = 0) -> str:
    """Return a number with thousands separators, a dash for None."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def milliseconds(value: float | None) -> str:
    """Return milliseconds with as many digits as they are worth."""
    return NOTHING if value is None else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def headline(result: Result) -> str:
    """Say in one sentence what was found."""
    if result.quietly is not None:
        change = result.disturbance_percent
        change_text = "unknown" if change is None else f"{change:+.0f} %"
        return f"Troublemakers change the p99 of the others by {change_text}."
    ratio = result.ratio
    if ratio is None:
        return "No ratio: one of the servers held no rate at all."
    if result.searched:
        return f"{ratio:,.1f} times the deliveries of a stock python-socketio server."
    return f"The stock server's p99 is {ratio:,.2f} times ours at the same rate."


def machine_line(result: Result) -> str:
    """Return processor, system and versions on one line."""
    m = result.machine
    packages = ", ".join(f"{name} {version}" for name, version in m["packages"].items())
    return (
        f"{m['cpu']}, {m['cores']} cores, {m['memory_gb']:g} GB, {m['system']}, "
        f"Python {m['python']}, toolkit {m['toolkit']} ({result.ours.delivery} delivery), "
        f"{packages}"
    )


Row = tuple[str, Callable[[SideResult], str]]
ROWS: tuple[Row, ...] = (
    ("published a second", lambda side: number(side.figure("rate"))),
    ("deliveries a second", lambda side: number(side.figure("deliveries_per_s"))),
    ("latency p50, ms", lambda side: milliseconds(side.figure("p50_ms"))),
    ("latency p99, ms", lambda side: milliseconds(side.figure("p99_ms"))),
    ("publisher's delay p99, ms", lambda side: milliseconds(side.figure("late_p99_ms"))),
    ("lost", lambda side: number(side.figure("lost"))),
    ("duplicated", lambda side: number(side.figure("duplicated"))),
    ("out of order", lambda side: number(side.figure("disordered"))),
    (
        "server CPU a delivery, µs",
        lambda side: number(side.figure("cpu_us_per_delivery"), digits=2),
    ),
    ("bytes a connection", lambda side: number(side.bytes_per_connection)),
)


def figures(result: Result) -> list[tuple[str, list[str]]]:
    """Return the rows of the report: a name, then a text for each side."""
    sides = [result.ours, result.baseline] if result.baseline else [result.ours]
    rows = [(name, [show(side) for side in sides]) for name, show in ROWS]
    if result.quietly is not None:
        before = SideResult(best=result.quietly)
        rows = [(name, [show(before), show(result.ours)]) for name, show in ROWS[:-1]]
    fixed = [_fixed(result, side) for side in sides if side.fixed is not None]
    if len(fixed) == len(sides):
        rows.append((f"at {number(result.scenario.fixed_rate)} published a second", fixed))
    return rows


def columns(result: Result) -> list[str]:
    """Return the names of the sides."""
    if result.quietly is not None:
        return ["without troublemakers", "with"]
    clients = "toolkit, stream_batch" if result.batch else "toolkit"
    return [clients, "stock python-socketio"] if result.baseline else [clients]


def title(result: Result) -> str:
    """Name scenario and rule."""
    rule = (
        f"highest rate held for {result.seconds:g} s, p99 below {LIMIT_MS:g} ms, nothing lost"
        if result.searched
        else f"at a given rate for {result.seconds:g} s"
    )
    return f"Scenario {result.scenario.name}: {result.scenario.title}; {rule}"


def table(result: Result) -> RenderableType:
    """Return the whole report for a terminal."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("")
    for name in columns(result):
        shown.add_column(name, justify="right")
    for name, texts in figures(result):
        shown.add_row(name, *texts)
    lines: list[Any] = [Text(title(result), style="bold"), shown, Text(headline(result))]
    if result.quietly is not None:
        lines.append(Text(crowd_line(result)))
    return Group(*lines, Text(machine_line(result), style="dim"))


def crowd_line(result: Result) -> str:
    """Say who misbehaved and how often."""
    who = ", ".join(f"{count} {name}" for name, count in result.crowd.items() if count)
    deeds = ", ".join(f"{count:,} × {name}" for name, count in result.deeds.items())
    return f"Troublemakers: {who}. What they did: {deeds or 'still at the first thing'}."


def _fixed(result: Result, side: SideResult) -> str:
    assert side.fixed is not None
    found = fixed_figures(result.scenario, side.fixed)
    return (
        f"{(found['delivered'] or 0) * 100:.1f} %, p99 {milliseconds(found['p99_ms'])} ms, "
        f"published {milliseconds(found['late_p99_ms'])} ms late"
    )
