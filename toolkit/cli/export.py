"""`toolkit export`: the trade log as CSV, and recordings as Parquet."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from toolkit.cli import console
from toolkit.core.report import TRADE_FIELDS
from toolkit.errors import ConfigError

app = typer.Typer(
    name="export",
    help="Trades as CSV, recordings as Parquet.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def export() -> None:
    """Trades as CSV, recordings as Parquet."""


@app.command()
def trades(
    target: Annotated[str | None, typer.Argument(help="The CSV file; default: stdout.")] = None,
    *,
    url: Annotated[str | None, typer.Option(help="Server; default: the one here.")] = None,
    journal: Annotated[
        str | None, typer.Option(help="Read this journal instead: every execution, also old ones.")
    ] = None,
) -> int:
    """Write the round trips of a running bot, or the executions in a journal, as CSV."""
    if journal is not None:
        count, what = _from_journal(Path(journal), target), "executions"
    else:
        rows = _from_server(url)
        _write(rows, target)
        count, what = len(rows), "round trips"
    console.screen.print(escape(f"{count} {what}" + (f" in {target}" if target else "")))
    return console.OK


@app.command()
def recording(
    folder: Annotated[str, typer.Argument(help="A recording.")],
    target: Annotated[str, typer.Argument(help="Folder for the Parquet files.")],
    *,
    as_json: console.JsonOption = False,
) -> int:
    """Write bars, quotes and trades of a recording as Parquet, for backtests and other tools."""
    from toolkit.market.recording import Recording
    from toolkit.market.recording_tables import to_parquet

    read = Recording(folder)
    with console.screen.status("reading"):
        written = to_parquet(read, Path(target))
    for note in read.notes:
        console.screen.print(escape(note))
    if as_json:
        rows = {path.name: count for path, count in written.items()}
        console.print_json({"files": rows, "notes": read.notes})
    else:
        for path, count in written.items():
            console.paper.print(escape(f"{path}: {count:,} rows"), soft_wrap=True)
    return console.OK


def _from_server(url: str | None) -> list[dict[str, Any]]:
    from toolkit.session.launch import connect

    session = connect(url)
    try:
        return session.trades()
    finally:
        session.close()


def _from_journal(journal: Path, target: str | None) -> int:
    from toolkit.broker.journal import export_trades

    if target is None:
        raise ConfigError("name the CSV file that the journal's trades go to", field="target")
    if not journal.is_file():
        raise ConfigError(f"there is no journal at {journal}", field="journal")
    return export_trades(journal, Path(target))


def _write(rows: Sequence[dict[str, Any]], target: str | None) -> None:
    if target is None:
        _write_rows(rows, sys.stdout)
        return
    with Path(target).open("w", newline="", encoding="utf-8") as file:
        _write_rows(rows, file)


def _write_rows(rows: Sequence[dict[str, Any]], file: Any) -> None:
    writer = csv.DictWriter(file, fieldnames=TRADE_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
