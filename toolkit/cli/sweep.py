"""`toolkit sweep FILE --grid ...`: many sets of parameters over the same bars."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from toolkit.cli import console
from toolkit.cli.costs import FlatOption, SessionsOption, with_costs
from toolkit.cli.grids import GridOption, grid_of
from toolkit.core.costs import Costs
from toolkit.errors import DataError
from toolkit.market.hours import checked_sessions

if TYPE_CHECKING:
    from toolkit.research.sweeps.table import SweepTable

SHOWN = ("trades", "total_return_percent", "sharpe", "max_drawdown_percent")
SHORT = {"total_return_percent": "return %", "max_drawdown_percent": "drawdown %"}


@with_costs
def sweep(
    file: Annotated[str, typer.Argument(help="Parquet, CSV or Feather: bars, quotes or trades.")],
    *,
    grid: GridOption = None,
    parameters: console.SetOption = None,
    method: Annotated[
        str, typer.Option(help="grid: all; random: some; optuna: looks for the best.")
    ] = "grid",
    trials: Annotated[
        int | None, typer.Option(help="How many sets random and optuna run; default 200.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of random and optuna.")] = 0,
    metric: Annotated[str, typer.Option(help="What is best: sharpe, net_profit, ...")] = "sharpe",
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    workers: console.WorkersOption = None,
    dask: Annotated[
        str | None, typer.Option(help="Scheduler of a Dask cluster, tcp://host:port.")
    ] = None,
    store: console.StoreOption = True,
    top: Annotated[int, typer.Option(min=0, help="How many sets to print; 0: all.")] = 10,
    as_json: console.JsonOption = False,
) -> int:
    """Run many sets of parameters on a file and print the best, and what they are worth.

    Ctrl-C ends it and keeps what is done (exit code 130).
    """
    from toolkit.session.study import sweep as run_sweep

    wanted, base = grid_of(grid), console.parameters_of(parameters)
    began = time.perf_counter()
    table = run_sweep(
        file,
        wanted,
        method=method,  # type: ignore[arg-type] # checked there
        trials=trials,
        seed=seed,
        metric=metric,
        base=base,
        capital=capital,
        costs=costs,
        sessions=checked_sessions(sessions),
        flat_before_close=flat_before_close,
        workers=workers,
        client=dask,
        store=store,
    )
    seconds = time.perf_counter() - began
    if as_json:
        console.print_json({"file": file, "seconds": round(seconds, 3)} | to_json(table, top=top))
    else:
        _print(table, top=top)
    return console.INTERRUPTED if table.interrupted else console.OK


def to_json(table: SweepTable, *, top: int) -> dict[str, Any]:
    """Return a table as JSON-ready values: the `top` best sets by its metric, 0 for all."""
    ranked = table.ranked().head(top or table.grid.size)
    return {
        "id": table.id,
        **table.how,
        "sets": table.grid.size,
        "done": int(table.results.done.sum()),
        "interrupted": table.interrupted,
        "capital": table.capital,
        "costs": table.costs.to_dict(),
        "data": table.data.to_dict() if table.data else {},
        "base": table.grid.base.to_dict(),
        "grid": {name: list(values) for name, values in table.grid.axes.items()},
        "verdict": _verdict(table),
        "rows": ranked.reset_index().to_dict("records"),
    }


def _verdict(table: SweepTable) -> str:
    try:
        return table.verdict().sentence
    except DataError as error:  # no set closed a trade
        return error.message


def _print(table: SweepTable, *, top: int) -> None:
    ranked, done = table.ranked(), int(table.results.done.sum())
    metric = str(table.how["metric"])
    count = f"{done:,} sets" if done == table.grid.size else f"{done:,} of {table.grid.size:,} sets"
    shown = ranked.head(top or table.grid.size)
    title = f"{count}, the best {len(shown)} by {metric}"
    view = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    names = [*table.grid.axes, *SHOWN, *([metric] if metric not in SHOWN else [])]
    for name in names:
        view.add_column(SHORT.get(name, name.rpartition(".")[2]), justify="right", no_wrap=True)
    for row in shown[names].itertuples(index=False):
        view.add_row(*(_cell(value) for value in row))
    console.paper.print(view)
    console.paper.print(escape(_verdict(table)))
    if table.id:
        console.paper.print(f"kept as {table.id}: toolkit runs show {table.id}")


def _cell(value: Any) -> str:
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "on" if value else "off"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
