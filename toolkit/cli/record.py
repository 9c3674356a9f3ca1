"""`toolkit record`: store what a market sends, without trading."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from toolkit.cli import console
from toolkit.config import Settings
from toolkit.core.inputs import checked_symbols
from toolkit.errors import ToolkitError
from toolkit.runtime import new_event_loop
from toolkit.session.options import LaunchOptions
from toolkit.session.recorded_market import MarketRecord, record_market


def record(
    folder: Annotated[str, typer.Argument(help="A new folder is made below this one.")],
    *,
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="A symbol; repeatable.")
    ] = None,
    speed: console.SpeedOption = "60x",
    seed: Annotated[int, typer.Option(help="Seed of the simulated market.")] = 7,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Simulate, although Alpaca's keys are set.")
    ] = False,
    feed: Annotated[str | None, typer.Option(help="Feed of stocks: iex or sip.")] = None,
    events: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many events; default: at Ctrl-C.")
    ] = None,
    as_json: console.JsonOption = False,
) -> int:
    """Record bars, quotes and trades until Ctrl-C; `toolkit replay` plays them back."""
    options = LaunchOptions(
        symbols=checked_symbols(symbols) if symbols else None,
        seed=seed,
        speed=speed,
        feed=feed,
        market="simulated" if simulated else "auto",
        record=str(Path(folder).absolute()),
    )
    with (
        console.screen.status("recording; Ctrl-C ends it") as status,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):

        def progress(counts: Counter[str]) -> None:
            status.update(escape(f"recording: {_listed(counts)}; Ctrl-C ends it"))

        done = runner.run(record_market(options, Settings.load(), most=events, progress=progress))
    if done.problem:
        raise ToolkitError(done.problem)
    _print(done, as_json=as_json)
    return console.OK


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "nothing yet"


def _print(done: MarketRecord, *, as_json: bool) -> None:
    if as_json:
        console.print_json(done.to_dict())
        return
    console.paper.print(escape(f"{_listed(Counter(done.counts))} of {done.market}"))
    console.paper.print(f"toolkit replay {escape(str(done.path))}", soft_wrap=True)
