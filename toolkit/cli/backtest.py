"""`toolkit backtest FILE`: the same trades as a replay, in a moment."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from toolkit.cli import console
from toolkit.cli.costs import FlatOption, SessionsOption, with_costs
from toolkit.core.costs import Costs
from toolkit.market.hours import checked_sessions


@with_costs
def backtest(
    file: Annotated[str, typer.Argument(help="Parquet, CSV or Feather: bars, quotes or trades.")],
    *,
    parameters: console.SetOption = None,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    as_json: console.JsonOption = False,
) -> int:
    """Backtest the strategy on a file and print its trades and figures."""
    from toolkit.research.backtest import backtest as run_backtest

    chosen = console.parameters_of(parameters)
    began = time.perf_counter()
    with console.screen.status("backtesting"):
        run = run_backtest(
            file,
            chosen,
            capital=capital,
            costs=costs,
            sessions=checked_sessions(sessions),
            flat_before_close=flat_before_close,
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
        console.print_json({**values, **run.to_json(), "seconds": round(seconds, 3)})
        return console.OK
    console.paper.print(console.trades_table(run.to_json()["trades"]))
    console.print_figures(run.stats())
    if run.note:
        console.paper.print(run.note)
    return console.OK
