"""`toolkit replay FILE`: the bot over a recording, as it would run live."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from toolkit.cli import console
from toolkit.cli.costs import FlatOption, SessionsOption, with_costs
from toolkit.config import Settings
from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital
from toolkit.market.hours import checked_sessions
from toolkit.record.comparison import PlayReport
from toolkit.runtime import new_event_loop
from toolkit.session.build import RoundTrips
from toolkit.session.options import LaunchOptions
from toolkit.session.replay import ReplayResult, absorbing_cancellation, report, result_of
from toolkit.session.replay import replay as run_replay


@with_costs
def replay(
    file: Annotated[
        str,
        typer.Argument(help="Parquet, CSV or Feather: bars, quotes, trades; or a recording."),
    ],
    *,
    speed: console.SpeedOption = "60x",
    parameters: console.SetOption = None,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    serve: Annotated[
        bool | None, typer.Option(help="Serve streams meanwhile; default: unless at full speed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the server.")] = None,
    as_json: console.JsonOption = False,
) -> int:
    """Run the bot over a recorded file and print its trades.

    A recording (of `toolkit record`, or of `--record`) plays as it was recorded, to the last bit;
    with other parameters, capital or costs the simulated broker trades anew.
    """
    options = LaunchOptions(
        parameters=console.parameters_of(parameters).to_dict(),
        capital=checked_capital(capital),
        costs=costs,
        sessions=checked_sessions(sessions),
        flat_before_close=flat_before_close,
        recording=file,
        speed=speed,
        dashboard=False,
    )
    serving = speed != "max" if serve is None else serve
    with _bar() as bar, asyncio.Runner(loop_factory=new_event_loop) as runner:
        task = bar.add_task("replay", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        if serving:
            result = runner.run(_serve(options, Settings.load(port=port), progress))
        else:
            result = runner.run(run_replay(options, progress=progress))
    _print(result, as_json=as_json)
    if result.interrupted:
        return console.INTERRUPTED
    left = result.play is not None and result.play.same is False
    return console.FAILED if left else console.OK


async def _serve(options: LaunchOptions, settings: Settings, progress: Any) -> ReplayResult:
    from toolkit.session.service import Service

    collect = RoundTrips()
    service = Service(options, settings, listener=collect)
    began = time.perf_counter()
    await service.start()
    console.screen.print(service.link, soft_wrap=True)
    try:
        finished = asyncio.ensure_future(service.finished())
        with absorbing_cancellation() as cut:
            while not finished.done():
                await asyncio.wait({finished}, timeout=0.2)
                report(service.bot, progress)
        finished.cancel()
        seconds = time.perf_counter() - began
        return result_of(service.bot, options, collect, seconds=seconds, interrupted=cut.is_set())
    finally:
        await service.stop()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console.screen,
        transient=True,
    )


def _print(result: ReplayResult, *, as_json: bool) -> None:
    values = result.to_dict()
    if as_json:
        console.print_json(values)
        return
    console.paper.print(console.trades_table(values["trades"]))
    profit = sum(trade["pnl"] for trade in values["trades"])
    console.paper.print(
        f"{result.bars} bars of {', '.join(result.symbols)} in {result.seconds:.1f} s, "
        f"profit {profit:+,.2f} $, {result.open_positions} positions still open"
    )
    if result.play is not None:
        _print_play(result.play)


def _print_play(play: PlayReport) -> None:
    for text in (*play.notes, *play.differences):
        console.screen.print(escape(text))
    if play.same is not None:
        console.paper.print("as recorded" if play.same else "not as recorded")
