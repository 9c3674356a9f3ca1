"""The application: commands, the one debug switch, and how errors reach a terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from toolkit._version import __version__
from toolkit.cli import console
from toolkit.cli.alerts import app as alerts
from toolkit.cli.backtest import backtest
from toolkit.cli.check import app as check
from toolkit.cli.doctor import doctor
from toolkit.cli.exchange import exchange
from toolkit.cli.export import app as export
from toolkit.cli.halt import halt, resume
from toolkit.cli.loadtest import loadtest
from toolkit.cli.parity import parity
from toolkit.cli.record import record
from toolkit.cli.replay import replay
from toolkit.cli.runs import app as runs
from toolkit.cli.serve import dashboard, lab, serve
from toolkit.cli.sweep import sweep
from toolkit.cli.token import app as token
from toolkit.cli.validate import validate
from toolkit.errors import ConfigError, DataError, ToolkitError
from toolkit.session.logs import set_up_logging

app = typer.Typer(
    name="toolkit",
    help="Run, watch, tune and backtest the StochRSI + EMA bot.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
COMMANDS = (
    serve,
    halt,
    resume,
    dashboard,
    lab,
    replay,
    record,
    backtest,
    validate,
    sweep,
    parity,
    loadtest,
    exchange,
    doctor,
)
for command in COMMANDS:
    app.command()(command)
for group in (token, export, alerts, check, runs):
    app.add_typer(group)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"toolkit {__version__}\n")
        raise typer.Exit


@app.callback()
def configure(
    debug: Annotated[bool, typer.Option("--debug", help=console.DEBUG_HELP)] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run, watch, tune and backtest the StochRSI + EMA bot."""
    set_up_logging(debug=debug or None)


def main() -> int:
    """Run a command; returns 0, 1 when it failed, 2 when it was asked wrongly."""
    try:
        with console.plain_warnings():
            result = app(standalone_mode=False)
    except typer.Exit as ended:
        if ended.exit_code == console.INTERRUPTED:
            console.screen.print("stopped")
        return int(ended.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        console.screen.print("stopped")
        return console.INTERRUPTED
    except ToolkitError as error:
        console.print_error(error.message)
        return console.USAGE if isinstance(error, (ConfigError, DataError)) else console.FAILED
    except Exception as error:
        if hasattr(error, "format_message"):
            console.print_error(error.format_message())
            return console.USAGE
        raise
    if result == console.INTERRUPTED:  # typer makes this of Ctrl-C
        console.screen.print("stopped")
    return result if isinstance(result, int) else console.OK
