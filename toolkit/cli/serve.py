"""`toolkit serve`, `toolkit dashboard`, `toolkit lab`: what stays in the foreground."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from toolkit.cli import console
from toolkit.cli.costs import FlatOption, SessionsOption, with_costs
from toolkit.cli.told import Told
from toolkit.config import Settings
from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, checked_symbols
from toolkit.errors import ConfigError
from toolkit.market.hours import checked_sessions
from toolkit.runtime import new_event_loop, run_foreground
from toolkit.session.build import trades_alpaca
from toolkit.session.consent import fetch_account_number, require_consent
from toolkit.session.logs import set_up_logging
from toolkit.session.options import LaunchOptions, checked_name
from toolkit.session.registry import Registry

if TYPE_CHECKING:
    from toolkit.session.cluster import ClusterOptions


@with_costs
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
    costs: Costs,
    sessions: SessionsOption = "all",
    flat_before_close: FlatOption = 0.0,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Simulate, although Alpaca's keys are set.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Trade real money; asks for the account's number.")
    ] = False,
    feed: Annotated[str | None, typer.Option(help="Feed of stocks: iex or sip.")] = None,
    name: Annotated[
        str, typer.Option(help="Name of the bot, in order ids and files.")
    ] = "stochrsi",
    record: console.RecordOption = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(help="Take over what the account holds of a symbol; repeatable."),
    ] = None,
    max_position_value: console.LimitOption = None,
    max_exposure: console.LimitOption = None,
    max_orders_per_minute: console.RateOption = None,
    max_daily_loss: console.LimitOption = None,
    max_daily_loss_percent: console.PercentOption = None,
    max_drawdown_percent: console.PercentOption = None,
    dashboard: Annotated[bool, typer.Option(help="Serve the dashboard at /.")] = True,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve clients; needs Redis.")
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(help="Redis that joins workers; a password better in TOOLKIT_REDIS."),
    ] = None,
    sticky: Annotated[
        bool,
        typer.Option(help="A load balancer keeps each client on one worker: allow long polling."),
    ] = False,
    port_per_worker: Annotated[
        bool, typer.Option(help="Give each worker the next port, for a load balancer in front.")
    ] = False,
    debug: console.DebugOption = False,
) -> int:
    """Run market, bot, server and dashboard until Ctrl-C."""
    if debug:
        set_up_logging(debug=True)
    from toolkit.session.child import serve as run
    from toolkit.session.cluster import Cluster
    from toolkit.session.service import Service

    options = LaunchOptions(
        symbols=checked_symbols(symbols) if symbols else None,
        parameters=console.parameters_of(parameters).to_dict(),
        capital=checked_capital(capital),
        costs=costs,
        sessions=checked_sessions(sessions),
        flat_before_close=flat_before_close,
        recording=recording,
        seed=seed,
        speed=speed,
        dashboard=dashboard,
        market="simulated" if simulated else "auto",
        live=live,
        feed=feed,
        name=checked_name(name),
        claim=checked_symbols(claim) if claim else (),
        record=record,
    )
    settings = Settings.load(
        host=host,
        port=port,
        redis=redis,
        max_position_value=max_position_value,
        max_exposure=max_exposure,
        max_orders_per_minute=max_orders_per_minute,
        max_daily_loss=max_daily_loss,
        max_daily_loss_percent=max_daily_loss_percent,
        max_drawdown_percent=max_drawdown_percent,
    )
    _check(options, settings)
    service: Service | Cluster
    if workers is None and redis is None:
        service = Service(options, settings, listener=Told())
    else:
        chosen = _cluster(settings, workers or 1, sticky=sticky, port_per_worker=port_per_worker)
        service = Cluster(options, settings, chosen)

    def ready(service: Service | Cluster) -> None:
        names = ", ".join(service.bot.symbols)
        market = escape(service.bot.market.name)
        broker = escape(service.bot.broker.name)
        console.screen.print(f"[bold]{market}[/] market, {broker} broker, {escape(names)}")
        if isinstance(service, Cluster):
            console.screen.print(escape(service.story))
        sys.stdout.write(f"Open {service.link}\n")
        sys.stdout.flush()
        console.screen.print("Ctrl-C stops bot, server and dashboard.")

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(service, settings, isolation="serve", ready=ready))
    return console.OK


def _check(options: LaunchOptions, settings: Settings) -> None:
    trades_alpaca(options, settings)
    require_consent(
        options,
        settings,
        account_number=lambda alpaca: asyncio.run(fetch_account_number(alpaca)),
        ask=console.ask if sys.stdin.isatty() else None,
    )


def _cluster(
    settings: Settings, workers: int, *, sticky: bool, port_per_worker: bool
) -> ClusterOptions:
    from toolkit.session.cluster import ClusterOptions

    if settings.redis is None:
        raise ConfigError(
            "several workers are joined by Redis; give --redis redis://host:port/0, or set "
            "TOOLKIT_REDIS",
            field="redis",
        )
    return ClusterOptions(
        workers=workers,
        redis=settings.redis.get_secret_value(),
        sticky=sticky,
        port_per_worker=port_per_worker,
    )


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
