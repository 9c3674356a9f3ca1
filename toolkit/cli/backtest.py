"""`toolkit backtest FILE`: the same trades as a replay, in a moment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import console
from toolkit.cli.costs import FlatOption, SessionsOption, with_costs
from toolkit.core.costs import Costs
from toolkit.market.hours import checked_sessions
from toolkit.session.reporting import checked_report

if TYPE_CHECKING:
    from toolkit.research.backtest import BacktestRun

HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", help="Also write one self-contained report to this .html file."),
]


@with_costs
def backtest(
    file: Annotated[str, typer.Argument(help="Parquet, CSV or Feather: bars, quotes or trades.")],
    *,
    parameters: console.SetOption = None,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    html: HtmlOption = None,
    store: console.StoreOption = True,
    as_json: console.JsonOption = False,
) -> int:
    """Backtest the strategy on a file and print its trades and figures."""
    from toolkit.session.study import backtest as run_backtest

    chosen = console.parameters_of(parameters)
    if html is not None:
        checked_report(html)
    began = time.perf_counter()
    with console.screen.status("backtesting"):
        run = run_backtest(
            file,
            chosen,
            capital=capital,
            costs=costs,
            sessions=checked_sessions(sessions),
            flat_before_close=flat_before_close,
            store=store,
        )
    seconds = time.perf_counter() - began
    if as_json:
        values = {
            "file": file,
            "capital": capital,
            "costs": costs.to_dict(),
            "sessions": sessions,
            "flat_before_close": flat_before_close,
            "parameters": chosen.to_dict(),
        }
        found = {"id": run.id, "stats": run.stats(), "note": run.note, "seconds": round(seconds, 3)}
        console.print_json({**values, **run.to_json(), **found, **_written(run, html)})
        return console.OK
    console.paper.print(console.trades_table(run.to_json()["trades"]))
    console.print_figures(run.stats())
    if run.note:
        console.paper.print(run.note)
    for path in _written(run, html).values():
        console.paper.print(f"report: {path}", soft_wrap=True)
    return console.OK


def _written(run: BacktestRun, html: Path | None) -> dict[str, str]:
    if html is None:
        return {}
    with console.screen.status("drawing"):
        return {"html": str(run.report(html))}
