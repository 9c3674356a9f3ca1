"""`toolkit halt` and `toolkit resume`: the kill switch."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from toolkit.cli import console
from toolkit.config import Settings

NameOption = Annotated[
    str | None, typer.Option(help="Bots of this name only; default: all that run here.")
]


def halt(
    *,
    flatten: Annotated[bool, typer.Option("--flatten", help="Close all positions, too.")] = False,
    reason: Annotated[str, typer.Option(help="Why; shown wherever the state is.")] = "",
    name: NameOption = None,
) -> int:
    """Stop entries at once and take back those that wait, until `toolkit resume`."""
    from toolkit.session import halting

    for done in halting.halt(Settings.load(), flatten=flatten, reason=reason, name=name):
        console.paper.print(f"[bold]halted[/] {escape(done.name)} {done.url}: {escape(done.story)}")
    return console.OK


def resume(*, name: NameOption = None) -> int:
    """Lift the halt; entries are made again when nothing else stands in the way."""
    from toolkit.session import halting

    for done in halting.resume(Settings.load(), name=name):
        console.paper.print(f"{escape(done.name)} {done.url}: {escape(done.story)}")
    return console.OK
