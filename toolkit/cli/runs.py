"""`toolkit runs`: what was run before; list, show, compare, run again, delete."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from toolkit.cli import console
from toolkit.research.store.record import Record

app = typer.Typer(
    name="runs",
    help="What was run before: list, show, compare, run again, delete.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
RunArgument = Annotated[str, typer.Argument(help="Id of a run, or the beginning of it.")]
LISTED = ("trades", "total_return_percent", "sharpe")


@app.callback()
def runs(
    context: typer.Context,
    *,
    symbol: Annotated[str | None, typer.Option(help="Only runs of this symbol.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only backtest, sweep, ...")] = None,
    feed: Annotated[str | None, typer.Option(help="Only bars of this feed.")] = None,
    adjustment: Annotated[str | None, typer.Option(help="Only bars adjusted like this.")] = None,
    source: Annotated[str | None, typer.Option(help="Only files with this in their name.")] = None,
    since: Annotated[str | None, typer.Option(help="Only runs made since, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Only runs made before, UTC.")] = None,
    most: Annotated[int, typer.Option(min=0, help="How many to list; 0: all.")] = 20,
    as_json: console.JsonOption = False,
) -> None:
    """List what was run, the latest first."""
    if context.invoked_subcommand:
        return
    from toolkit.session.study import runs as all_runs

    found = all_runs().filter(
        symbol=symbol,
        kind=kind,
        feed=feed,
        adjustment=adjustment,
        source=source,
        since=since,
        until=until,
    )
    if as_json:
        records = found.records[: most or None]
        console.print_json({"runs": [r.to_dict() for r in records], "unread": list(found.unread)})
        return
    if not found.records:
        console.paper.print("no runs; `toolkit backtest` and `toolkit sweep` keep theirs")
        return
    console.paper.print(_table(found.records[: most or None], of=len(found)))
    if found.unread:
        console.screen.print(f"{len(found.unread)} more were kept by other code")


@app.command()
def show(run: RunArgument, *, as_json: console.JsonOption = False) -> int:
    """Print all that is known of a run."""
    from toolkit.session.kept import run_store

    record = run_store().record(run)
    if as_json:
        console.print_json(record.to_dict())
        return console.OK
    data = record.data
    console.print_figures(
        {
            "id": record.id,
            "kind": record.kind,
            "at": record.at,
            "took": f"{record.seconds:.3f} s",
            "code": record.code,
            "symbols": ", ".join(data.symbols),
            "timeframe": f"{data.timeframe:g} s",
            "first": data.first,
            "last": data.last,
            "bars": f"{data.bars:,}",
            "feed": data.feed,
            "adjustment": data.adjustment,
            "fingerprint": data.fingerprint,
            "source": data.source,
            "capital": record.capital,
            **{name: _short(value) for name, value in record.options.items() if value is not None},
            **{name: _short(value) for name, value in record.costs.items() if value},
            **record.parameters.to_dict(),
            **{name: _short(value) for name, value in record.figures.items()},
        }
    )
    return console.OK


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Ids of two runs or more.")],
    *,
    metric: Annotated[str, typer.Option(help="What is best: sharpe, net_profit, ...")] = "sharpe",
    force: Annotated[
        bool, typer.Option("--force", help="Also runs of other data or costs; the result says so.")
    ] = False,
    as_json: console.JsonOption = False,
) -> int:
    """Set runs side by side, the best first."""
    from toolkit.session.study import runs as all_runs

    found = all_runs().compare(*runs, metric=metric, force=force)
    if as_json:
        console.print_json(
            {
                "metric": metric,
                "sentence": found.sentence,
                "differences": list(found.differences),
                "runs": [record.to_dict() for record in found.records],
            }
        )
        return console.OK
    view = Table(box=SIMPLE_HEAD, pad_edge=False)
    view.add_column("")
    for run in found.frame.columns:
        view.add_column(run, justify="right", overflow="fold")
    for name, row in found.frame.iterrows():
        view.add_row(str(name).replace("_", " "), *(escape(_cell(value)) for value in row))
    console.paper.print(view)
    console.paper.print(escape(found.sentence))
    return console.OK


@app.command()
def reproduce(
    run: RunArgument,
    *,
    file: Annotated[
        str | None, typer.Option(help="The bars, where they are no longer where they were.")
    ] = None,
    as_json: console.JsonOption = False,
) -> int:
    """Run it again; exit code 0 where all is equal to the bit, else 1."""
    from toolkit.session.kept import run_store

    with console.screen.status("running again"):
        found = run_store().reproduce(run, file)
    if as_json:
        console.print_json(
            {
                "id": found.record.id,
                "equal": found.equal,
                "differences": list(found.differences),
                "code_then": found.record.code,
                "code": found.code,
                "sentence": found.sentence,
            }
        )
    else:
        console.paper.print(escape(found.sentence))
    return console.OK if found.equal else console.FAILED


@app.command()
def delete(
    runs: Annotated[list[str], typer.Argument(help="Ids of runs.")],
    *,
    as_json: console.JsonOption = False,
) -> int:
    """Forget runs and their tables; their trials stay counted."""
    from toolkit.session.kept import run_store

    store = run_store()
    deleted = [store.delete(run) for run in runs]
    if as_json:
        console.print_json({"deleted": deleted})
    else:
        console.paper.print(f"deleted {', '.join(deleted)}")
    return console.OK


def _table(records: tuple[Record, ...], *, of: int) -> Table:
    title = f"{of} run{'' if of == 1 else 's'}"
    title += f", the latest {len(records)}" if of > len(records) else ""
    view = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    for name in ("id", "kind", "at (UTC)", "symbols", "from"):
        view.add_column(name, no_wrap=name != "symbols", min_width=7)
    for name in ("trades", "return %", "sharpe"):
        view.add_column(name, justify="right", no_wrap=True)
    for r in records:
        view.add_row(
            r.id[:8],  # eighty columns hold no more; a beginning names a run
            r.kind,
            f"{r.at:%m-%d %H:%M}",
            escape(" ".join(r.data.symbols)),
            f"{r.data.first:%Y-%m-%d}",
            *(_cell(r.figures.get(name)) for name in LISTED),
        )
    return view


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    return console.number(value) if isinstance(value, float) else str(value)


def _short(value: Any) -> Any:
    text = str(value)
    return f"{text[:77]}..." if len(text) > 80 else value
