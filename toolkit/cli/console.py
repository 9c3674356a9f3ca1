"""What the commands share: options, output, exit codes."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
SHORT_REASONS = {"stop_loss": "stop", "trailing_stop": "trail", "take_profit": "target"}

DEBUG_HELP = "Log every step to stderr."

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A parameter, e.g. ema_period=12; repeatable."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Threads; default: one for each processor.")
]
StoreOption = Annotated[
    bool, typer.Option(help="Keep what is run for `toolkit runs`, and count it as trials.")
]
CapitalOption = Annotated[float, typer.Option(help="Start capital in dollars.")]
LimitOption = Annotated[float | None, typer.Option(help="Limit for entries, in dollars.")]
PercentOption = Annotated[float | None, typer.Option(help="Limit for entries, in percent.")]
RateOption = Annotated[int | None, typer.Option(help="Limit for entries, a minute.")]
RecordOption = Annotated[
    str | None,
    typer.Option(help="Store all that comes in below this folder, for `toolkit replay`."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help=DEBUG_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
SpeedOption = Annotated[
    str, typer.Option(help="60 or 60x: times real time; 60/s: bars a second; max.")
]

# People's progress and errors go to the screen, results to paper: stdout.
screen = Console(stderr=True, highlight=False)
paper = Console(highlight=False)


def ask(question: str) -> str:
    """Show a question on the screen and return the line that was typed."""
    return screen.input(escape(question))


def print_error(message: str) -> None:
    """Say what went wrong; the message is shown as it is."""
    screen.print(f"[bold red]error:[/] {escape(message)}")


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show the toolkit's own warnings as a line on the screen, and others as Python does."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *others: Any, **more: Any) -> None:
        if category.__module__.startswith("toolkit."):
            screen.print(f"[yellow]warning:[/] {escape(str(message))}")
        else:
            usual(message, category, *others, **more)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def print_json(value: Any) -> None:
    """Write one JSON object and a newline to stdout."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
    sys.stdout.flush()


def parameters_of(assignments: Sequence[str] | None) -> Parameters:
    """Read `name=value` pairs; raises ConfigError that names what is allowed."""
    values: dict[str, Any] = {}
    for assignment in assignments or ():
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(
                f"--set {assignment}: write NAME=VALUE", field="--set", allowed="NAME=VALUE"
            )
        info = Parameters.info(name.strip())
        values[info.name] = info.check(value_of(text.strip(), info.kind))
    return Parameters.from_dict(values)


def value_of(text: str, kind: type) -> Any:
    """Return a typed value as Python has it; what it cannot read stays text."""
    if kind is bool:
        return {"true": True, "false": False, "on": True, "off": False}.get(text.lower(), text)
    try:
        return float(text)
    except ValueError:
        return text


def trades_table(trades: Sequence[dict[str, Any]], *, most: int = 30) -> Table:
    """Return the last `most` round trips as a table for people; times are UTC."""
    title = f"{len(trades)} trades" + (f", the last {most}" if len(trades) > most else "")
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in ("symbol", "entry (UTC)", "exit (UTC)"):
        table.add_column(name, no_wrap=True)
    for name in ("bought", "sold", "p/l $", "%"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", no_wrap=True)
    for trade in trades[-most:]:
        table.add_row(
            escape(trade["symbol"]),
            trade["entry_time"][5:16].replace("T", " "),
            trade["exit_time"][5:16].replace("T", " "),
            _price(trade["entry_price"]),
            _price(trade["exit_price"]),
            f"{trade['pnl']:+.2f}",
            f"{trade['return_percent']:+.2f}",
            SHORT_REASONS.get(trade["exit_reason"], trade["exit_reason"]),
        )
    return table


def print_figures(figures: Mapping[str, Any]) -> None:
    """Print named figures, one a line; times are UTC."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), escape(_shown(value)))
    paper.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Return a figure with cents or three digits, or with more where they would hide it."""
    if math.isnan(value):
        return "n/a"
    if value.is_integer():
        return f"{value:,.0f}"
    if abs(value) < 0.1:
        return f"{value:.3g}"
    return f"{value:,.3f}" if abs(value) < 1000.0 else f"{value:,.2f}"


def _price(value: float) -> str:
    return f"{value:,.2f}" if value >= 10.0 else f"{value:.5g}"
