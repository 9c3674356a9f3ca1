"""`toolkit parity SOURCE`: a session beside its backtest, cause by cause."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from toolkit.cli import console
from toolkit.core.parameters import Parameters

if TYPE_CHECKING:
    from toolkit.research.parity.report import ParityReport

SHOWN = 40


def parity(
    source: Annotated[
        str, typer.Argument(help="A recording (folder), or a bot's journal (.sqlite).")
    ],
    *,
    bars: Annotated[
        str | None,
        typer.Option(help="Bars of a later request: a file, or alpaca to ask for them now."),
    ] = None,
    journal: Annotated[
        str | None, typer.Option(help="Adds executions that the recording has not got.")
    ] = None,
    parameters: console.SetOption = None,
    capital: Annotated[
        float | None, typer.Option(help="Start capital in dollars; default: the session's.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report to this HTML file as well.")
    ] = None,
    as_json: console.JsonOption = False,
) -> int:
    """Compare a session with its backtest: what differs, why, and what it cost.

    Ends with 1 where something is unexplained.
    """
    from toolkit.session.parity import parity as compare

    report = compare(
        source, bars=bars, journal=journal, capital=capital, parameters=_given(parameters)
    )
    if html is not None:
        from toolkit.session.reporting import report as write

        write(report, html)
    if as_json:
        console.print_json(report.to_json())
    else:
        _print(report)
        if html is not None:
            console.screen.print(f"wrote {html}", soft_wrap=True)
    return console.FAILED if report.unexplained else console.OK


def _given(assignments: list[str] | None) -> dict[str, Any] | None:
    """Return the parameters that were named; the others stay those of the session."""
    if not assignments:
        return None
    chosen = console.parameters_of(assignments)
    names = [Parameters.info(a.partition("=")[0].strip()).name for a in assignments]
    return {name: chosen[name] for name in names}


def _print(report: ParityReport) -> None:
    for note in report.notes:
        console.screen.print(escape(note))
    style = "bold red" if report.unexplained else "bold"
    console.paper.print(f"[{style}]{escape(report.sentence)}[/]")
    if not report.differences:
        return
    console.paper.print(_causes(report))
    console.paper.print(_differences(report))


def _causes(report: ParityReport) -> Table:
    table = _table("causes", ("cause",), ("trades", "cost $"))
    for cause, count, cost in report.causes.itertuples(index=False):
        table.add_row(str(cause), str(count), f"{cost:+,.2f}")
    table.add_row("all", str(report.count), f"{float(report.cost):+,.2f}")
    return table


def _differences(report: ParityReport) -> Table:
    frame = report.frame[~report.frame["follows"]]
    title = f"{len(frame)} differences" + (f", the first {SHOWN}" if len(frame) > SHOWN else "")
    table = _table(title, ("symbol", "side", "decided"), ("live", "backtest", "cost $"))
    table.add_column("why")
    for row in frame.head(SHOWN).to_dict("records"):
        table.add_row(
            escape(str(row["symbol"])),
            str(row["side"]),
            f"{row['decided']:%m-%d %H:%M}",
            _price(row["live_price"]),
            _price(row["backtest_price"]),
            f"{row['cost']:+.2f}",
            escape(": ".join(filter(None, (str(row["cause"]), str(row["detail"]))))),
        )
    return table


def _table(title: str, left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _price(value: Any) -> str:
    return "\N{EN DASH}" if math.isnan(value) else f"{value:,.4g}" if value < 1 else f"{value:,.2f}"
