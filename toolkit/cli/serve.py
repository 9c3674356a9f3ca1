"""`toolkit serve`, `toolkit dashboard`, `toolkit lab`: what stays in the foreground."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from toolkit.cli import console
from toolkit.config import Settings
from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, checked_symbols
from toolkit.errors import ConfigError
from toolkit.runtime import new_event_loop, run_foreground
from toolkit.session.logs import set_up_logging
from toolkit.session.options import LaunchOptions
from toolkit.session.registry import Registry


def serve(
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="A symbol to trade; repeatable.")
    ] = None,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; default 9765.")] = None,
    speed: console.SpeedOption = "60x",
    seed: Annotated[int, typer.Option(help="Seed of the simulated market.")] = 7,
    recording: Annotated[str | None, typer.Option(help="Replay this file instead.")] = None,
    parameters: console.SetOption = None,
    capital: console.CapitalOption = 10_000.0,
    stock_fee_bps: console.StockFeeOption = 0.0,
    crypto_fee_bps: console.CryptoFeeOption = 25.0,
    slippage_bps: console.SlippageOption = 0.0,
    dashboard: Annotated[bool, typer.Option(help="Serve the dashboard at /.")] = True,
    debug: console.DebugOption = False,
) -> int:
    """Run market, bot, server and dashboard until Ctrl-C."""
    if debug:
        set_up_logging(debug=True)
    from toolkit.session.child import serve as run
    from toolkit.session.service import Service

    options = LaunchOptions(
        symbols=checked_symbols(symbols) if symbols else None,
        parameters=console.parameters_of(parameters).to_dict(),
        capital=checked_capital(capital),
        costs=Costs(
            stock_fee_bps=stock_fee_bps, crypto_fee_bps=crypto_fee_bps, slippage_bps=slippage_bps
        ),
        recording=recording,
        seed=seed,
        speed=speed,
        dashboard=dashboard,
    )
    settings = Settings.load(host=host, port=port)

    def ready(service: Service) -> None:
        names = ", ".join(service.bot.symbols)
        market = escape(service.bot.market.name)
        console.screen.print(f"[bold]{market}[/] market, {escape(names)}")
        sys.stdout.write(f"Open {service.link}\n")
        sys.stdout.flush()
        console.screen.print("Ctrl-C stops bot, server and dashboard.")

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(Service(options, settings), settings, isolation="serve", ready=ready))
    return console.OK


def dashboard(
    url: Annotated[str | None, typer.Option(help="Server; default: the one here.")] = None,
    *,
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 9766,
) -> int:
    """Serve the dashboard of a running server on a port of its own."""
    _require("panel", "apps")
    settings = Settings.load()
    running = Registry(settings.state_dir).running()
    record = next((r for r in reversed(running) if url in (None, r.url)), None)
    token = settings.token.get_secret_value() if settings.token else None
    if record is not None:
        url, token = record.url, token or record.token
    if url is None or token is None:
        raise ConfigError(
            "no server found here; start one with `toolkit serve`, "
            "or give --url and set TOOLKIT_TOKEN"
        )
    from toolkit.views.dashboard.app import serve as serve_dashboard

    def ready(link: str) -> None:
        sys.stdout.write(f"Open {link}\n")
        sys.stdout.flush()

    serve_dashboard(url=url, token=token, port=port, on_ready=ready)
    return console.OK


def lab(
    directory: Annotated[
        str | None, typer.Argument(help="Folder to open; default: ./notebooks or here.")
    ] = None,
) -> int:
    """Open JupyterLab on the notebooks."""
    _require("jupyterlab", "notebook")
    chosen = Path(directory) if directory else Path("notebooks")
    if not chosen.is_dir():
        if directory:
            raise ConfigError(f"{directory} is no folder", field="directory")
        chosen = Path()
    return run_foreground([sys.executable, "-m", "jupyterlab", str(chosen)])


def _require(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise ConfigError(f"{module} is not installed; pip install 'stochrsi-toolkit[{extra}]'")
