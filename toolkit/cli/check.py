"""`toolkit check`: what is wrong with data, signals, warm-up and costs, before it costs money.

Exit code 0 where nothing was found, 1 where something was, 2 where it could not be looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from toolkit.cli import check_tables as tables
from toolkit.cli import console
from toolkit.cli.costs import FlatOption, SessionsOption, with_costs
from toolkit.cli.grids import GridOption, grid_of
from toolkit.core.costs import Costs
from toolkit.errors import ConfigError, DataError
from toolkit.market.hours import checked_sessions

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.research.checks.result import CheckResult

app = typer.Typer(
    name="check",
    help="Look for faults in data, look-ahead, too little warm-up, and costs that eat the edge."
    " Exit code 1 where something was found.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

FileArgument = Annotated[
    str, typer.Argument(help="Parquet, CSV or Feather: bars, quotes, trades; or a recording.")
]
CutsOption = Annotated[int, typer.Option(help="At how many bars the future is cut off.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the random cuts or starts.")]
FunctionOption = Annotated[
    str | None,
    typer.Option(metavar="FILE.py:NAME", help="Your own function of bars instead of the strategy."),
]


@app.callback()
def check() -> None:
    """Look for faults in data, look-ahead, too little warm-up, and costs that eat the edge."""


@app.command()
@with_costs
def lookahead(
    file: FileArgument,
    *,
    parameters: console.SetOption = None,
    function: FunctionOption = None,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    cuts: CutsOption = 60,
    seed: SeedOption = 0,
    as_json: console.JsonOption = False,
) -> int:
    """Cut the future off at many bars: no signal, indicator or trade before may change."""
    from toolkit.session.checking import check_lookahead

    found = check_lookahead(
        file,
        None if function is None else _function(function),
        parameters=console.parameters_of(parameters),
        capital=capital,
        costs=costs,
        sessions=checked_sessions(sessions),
        flat_before_close=flat_before_close,
        cuts=cuts,
        seed=seed,
    )
    return _print(found, as_json=as_json, shown=tables.leaks)


@app.command()
def warmup(
    file: FileArgument,
    *,
    parameters: console.SetOption = None,
    grid: GridOption = None,
    seed: SeedOption = 0,
    as_json: console.JsonOption = False,
) -> int:
    """Count the bars until signals agree with those of a long history."""
    from toolkit.session.checking import check_warmup

    chosen = console.parameters_of(parameters)
    found = check_warmup(file, chosen, grid=grid_of(grid) if grid else None, seed=seed)
    return _print(found, as_json=as_json, shown=tables.warm_ups)


@app.command()
@with_costs
def costs(
    file: FileArgument,
    *,
    parameters: console.SetOption = None,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    margin_bps: Annotated[
        float,
        typer.Option(help="Slippage that the edge must survive beyond what is given, in bps."),
    ] = 1.0,
    as_json: console.JsonOption = False,
) -> int:
    """Find the fee and the slippage at which the edge dies."""
    from toolkit.session.checking import check_costs

    found = check_costs(
        file,
        console.parameters_of(parameters),
        capital=capital,
        costs=costs,
        sessions=checked_sessions(sessions),
        flat_before_close=flat_before_close,
        margin_bps=margin_bps,
    )
    return _print(found, as_json=as_json, shown=tables.profits)


@app.command()
def data(
    file: FileArgument,
    *,
    symbol: Annotated[str | None, typer.Option(help="Symbol of a file that names none.")] = None,
    timeframe: Annotated[
        float | None, typer.Option(help="Seconds of a bar; default: the most frequent distance.")
    ] = None,
    as_json: console.JsonOption = False,
) -> int:
    """Find gaps, spikes, splits, doubles, bad values, mixed feeds and wrong time zones."""
    from toolkit.session.checking import check_data

    found = check_data(file, symbol=symbol, timeframe=timeframe)
    code = _print(found, as_json=as_json, shown=tables.findings)
    if not as_json:
        for finding in {finding.kind: finding for finding in found.findings}.values():
            console.paper.print(f"  {finding.kind}: {escape(finding.advice)}", soft_wrap=True)
    return code


@app.command()
@with_costs
def vectorbt(
    file: FileArgument,
    *,
    parameters: console.SetOption = None,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    as_json: console.JsonOption = False,
) -> int:
    """Trade once more in vectorbt's own simulator and compare trade by trade (ten seconds)."""
    from toolkit.session.checking import check_vectorbt

    chosen = console.parameters_of(parameters)
    with console.screen.status("vectorbt compiles its simulator and trades"):
        found = check_vectorbt(
            file,
            chosen,
            capital=capital,
            costs=costs,
            sessions=checked_sessions(sessions),
            flat_before_close=flat_before_close,
        )
    return _print(found, as_json=as_json, shown=tables.pairs)


@app.command(name="all")
@with_costs
def every(
    file: FileArgument,
    *,
    parameters: console.SetOption = None,
    capital: console.CapitalOption = 10_000.0,
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    as_json: console.JsonOption = False,
) -> int:
    """Run data, lookahead, warmup and costs; one line each."""
    from toolkit.session import checking

    chosen = console.parameters_of(parameters)
    hours = checked_sessions(sessions)
    data = checking.check_data(file).to_json()  # a file that cannot be read ends here
    checks: dict[str, Callable[[], CheckResult]] = {
        "lookahead": lambda: checking.check_lookahead(
            file,
            parameters=chosen,
            capital=capital,
            costs=costs,
            sessions=hours,
            flat_before_close=flat_before_close,
        ),
        "warmup": lambda: checking.check_warmup(file, chosen),
        "costs": lambda: checking.check_costs(
            file,
            chosen,
            capital=capital,
            costs=costs,
            sessions=hours,
            flat_before_close=flat_before_close,
        ),
    }
    results = {"data": data, **{name: _tried(run) for name, run in checks.items()}}
    ok = all(result["ok"] for result in results.values())
    if as_json:
        console.print_json({"ok": ok, "file": file, **results})
    else:
        console.paper.print(tables.summary(results))
    return console.OK if ok else console.FAILED


def _tried(run: Callable[[], CheckResult]) -> dict[str, Any]:
    """Return a check's result as JSON; one that cannot be made says why, and the others go on."""
    try:
        return run().to_json()
    except DataError as error:
        return {"ok": False, "sentence": f"cannot be checked: {error.message}", "rows": []}


def _print(
    found: CheckResult,
    *,
    as_json: bool,
    shown: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> int:
    if as_json:
        console.print_json(found.to_json())
    else:
        frame = found.frame if shown is None else shown(found.frame)
        if len(frame):
            console.paper.print(tables.table_of(frame))
        mark = "[green]ok[/]" if found.ok else "[red]fault[/]"
        console.paper.print(f"{mark} {escape(found.sentence)}", soft_wrap=True)
    return console.OK if found.ok else console.FAILED


def _function(where: str) -> Callable[[pd.DataFrame], Any]:
    """Return the function that FILE.py:NAME names; raises ConfigError."""
    path, colon, name = where.rpartition(":")
    wrong = {"field": "--function", "value": where, "allowed": "FILE.py:NAME"}
    if not colon or not Path(path).is_file():
        raise ConfigError(f"--function {where}: there is no such file; write FILE.py:NAME", **wrong)
    spec = util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"--function {where}: {path} is no Python file", **wrong)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise ConfigError(f"--function {where}: {path} has no function {name}", **wrong)
    return found  # type: ignore[no-any-return]
