"""`toolkit validate FILE --grid ...`: is there evidence for the best set of a grid?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from toolkit.cli import console
from toolkit.cli.costs import FlatOption, SessionsOption, with_costs
from toolkit.cli.grids import GridOption, grid_of
from toolkit.core.costs import Costs
from toolkit.market.hours import checked_sessions

if TYPE_CHECKING:
    from toolkit.research.validation.validate import Validation


@with_costs
def validate(
    file: Annotated[str, typer.Argument(help="Parquet, CSV or Feather: bars, quotes or trades.")],
    *,
    grid: GridOption = None,
    parameters: console.SetOption = None,
    folds: Annotated[
        int | None, typer.Option(help="Tests of the walk-forward; 5 unless --test is given.")
    ] = None,
    train: Annotated[int | None, typer.Option(help="Length of each training in bars.")] = None,
    test: Annotated[int | None, typer.Option(help="Length of each test in bars.")] = None,
    anchored: Annotated[
        bool, typer.Option("--anchored", help="Each training begins with the data.")
    ] = False,
    groups: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 10,
    share: Annotated[
        float, typer.Option(help="Seal the last share of the bars, and look once at the end.")
    ] = 0.0,
    draws: Annotated[int, typer.Option(help="Histories of bootstrap and Monte Carlo.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of bootstrap and Monte Carlo.")] = 0,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    workers: console.WorkersOption = None,
    store: console.StoreOption = True,
    as_json: console.JsonOption = False,
) -> int:
    """Sweep a grid and say whether the data supports its best set, and why.

    Exit code 0 whatever the verdict; it is `supported` in the JSON.
    """
    from toolkit.session.validating import validate as run

    values = grid_of(grid)
    found = run(
        file,
        values,
        folds=folds,
        train=train,
        test=test,
        anchored=anchored,
        groups=groups,
        share=share,
        draws=draws,
        seed=seed,
        base=console.parameters_of(parameters),
        capital=capital,
        costs=costs,
        sessions=checked_sessions(sessions),
        flat_before_close=flat_before_close,
        workers=workers,
        store=store,
    )
    if as_json:
        asked: dict[str, Any] = {"file": file, "capital": capital, "costs": costs.to_dict()}
        console.print_json({**asked, "id": found.id, **found.to_json()})
        return console.OK
    _print(found)
    return console.OK


def _print(found: Validation) -> None:
    paper = console.paper
    paper.print(f"[bold {'green' if found.supported else 'yellow'}]{found.sentence}[/]")
    chosen = ", ".join(f"{name} {found.parameters[name]}" for name in found.basis.axes)
    paper.print(f"Best of {found.basis.sets:,} sets: {chosen}")
    paper.print(_figures(found))
    parts = (found.walk_forward, found.cross_validation, found.look, found.plateau)
    for part in (*parts, found.bootstrap, found.monte_carlo):
        if part is not None:
            paper.print(part.sentence)


def _figures(found: Validation) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("90 % between", justify="right", no_wrap=True)
    table.add_column("needed", no_wrap=True)
    table.add_column("", no_wrap=True)
    part = ""
    for row in found.to_json()["figures"]:
        if row["part"] != part:
            part = row["part"]
            table.add_row(f"[bold]{part.replace('_', ' ')}[/]")
        low, high = row["low"], row["high"]
        table.add_row(
            "  " + row["figure"].replace("_", " "),
            _shown(row["value"]),
            f"{_shown(low)} to {_shown(high)}" if low is not None else "",
            row["needed"] or "",
            {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row["passed"]],
        )
    return table


def _shown(value: float | None) -> str:
    return "n/a" if value is None else console.number(float(value))
