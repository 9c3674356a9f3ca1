"""`toolkit exchange`: a stand-in for Alpaca on this machine, with bad days on request."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from toolkit.cli import console
from toolkit.core.inputs import checked_capital, checked_symbols
from toolkit.errors import ConfigError
from toolkit.runtime import new_event_loop

if TYPE_CHECKING:
    from toolkit.exchange.exchange import Exchange
    from toolkit.exchange.server import ExchangeServer
    from toolkit.exchange.source import Source

DEFAULT_SYMBOLS = ("AAPL", "BTC/USD", "MSFT")
PLANS = ("basic", "algo_trader_plus")
REFRESH = 0.5  # seconds between two pictures
LINES = 12
_QUIET = ("order.pending_new", "clock.")
_UNSHOWN = frozenset({"number", "time", "what", "start", "rate"})
_COLOURS = {"fault": "yellow", "order": "cyan", "stream": "magenta", "request": "red"}


def exchange(
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="A symbol to trade; repeatable.")
    ] = None,
    *,
    speed: Annotated[
        str, typer.Option(help="60 or 60x: times real time; max: as fast as the reader; step.")
    ] = "60x",
    faults: Annotated[str, typer.Option(help="calm, hiccups, storm, or a JSON file.")] = "calm",
    seed: Annotated[int, typer.Option(help="Seed of market, revisions and faults.")] = 7,
    port: Annotated[int, typer.Option(help="Port to listen on; 0: a free one.")] = 0,
    recording: Annotated[
        str | None, typer.Option(help="Trade on this file instead of a simulated market.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Time of the exchange at the start (UTC), or: now.")
    ] = None,
    capital: console.CapitalOption = 100_000.0,
    multiplier: Annotated[int, typer.Option(help="1: cash account; 2 or 4: margin.")] = 2,
    plan: Annotated[str, typer.Option(help="Data plan: basic or algo_trader_plus.")] = "basic",
    rate_limit: Annotated[int, typer.Option(help="Requests a minute; 0: no limit.")] = 200,
    log: Annotated[str | None, typer.Option(help="Write everything here as JSON lines.")] = None,
    as_json: console.JsonOption = False,
) -> int:
    """Serve Alpaca's protocols on this machine until Ctrl-C; no keys are needed."""
    from toolkit.exchange.exchange import Exchange
    from toolkit.exchange.settings import ExchangeSettings, Speed
    from toolkit.exchange.weather import weather

    _check("plan", plan, PLANS)
    _check("multiplier", multiplier, (1, 2, 4))
    settings = ExchangeSettings(
        seed=seed,
        cash=str(checked_capital(capital)),
        multiplier=multiplier,
        speed=Speed.parse(speed),
        plan=plan,
        rate_limit=max(rate_limit, 0),
        skip_closed=start != "now",
    )
    source = _source(symbols, recording, seed=seed, start=_moment(start))
    served = Exchange(source, settings, faults=weather(faults, seed=seed, symbols=source.symbols))
    with ExitStack() as stack:
        file = stack.enter_context(_appended(log)) if log else None
        runner = stack.enter_context(asyncio.Runner(loop_factory=new_event_loop))
        on_time = start == "now"
        runner.run(_serve(served, port=port, file=file, as_json=as_json, on_time=on_time))
    return console.OK


async def _serve(
    served: Exchange, *, port: int, file: IO[bytes] | None, as_json: bool, on_time: bool
) -> None:
    from toolkit.exchange.server import ExchangeServer
    from toolkit.exchange.values import micros_of

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if file is not None:
        served.log.listen(lambda entry: _write(file, entry))
    if on_time:
        served.advance(micros_of(datetime.now(UTC)))  # a simulation begins with a whole minute
    async with ExchangeServer(served, port=port) as server:
        if as_json:
            _print_line({"what": "environment", **server.environment})
            served.log.listen(_print_line)
            await ended.wait()
        else:
            _print_environment(server)
            await _show(server, ended)


def _source(
    symbols: list[str] | None, recording: str | None, *, seed: int, start: datetime | None
) -> Source:
    from toolkit.exchange.source import RecordedSource, SimulatedSource
    from toolkit.market.tables import read_table

    chosen = checked_symbols(symbols) if symbols else None
    if recording is None:
        return SimulatedSource(chosen or DEFAULT_SYMBOLS, seed=seed, start=start)
    table = read_table(recording)
    return RecordedSource(table.select(chosen) if chosen else table, start=start)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    if text == "now":
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--start {text}: allowed: now, or a time such as 2026-01-05T15:00",
            field="--start",
            value=text,
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _appended(name: str) -> IO[bytes]:
    try:
        return Path(name).open("ab")
    except OSError as error:
        raise ConfigError(f"--log {name}: {error.strerror}", field="--log", value=name) from None


def _check(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        shown = ", ".join(str(choice) for choice in allowed)
        raise ConfigError(f"--{name} is {value}; allowed: {shown}", field=name, allowed=shown)


def _print_environment(server: ExchangeServer) -> None:
    for name, value in server.environment.items():
        sys.stdout.write(f"export {name}={value}\n")
    sys.stdout.flush()
    console.screen.print("Paste these where the bot runs. Ctrl-C ends the exchange.")


def _print_line(entry: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(entry).decode() + "\n")
    sys.stdout.flush()


def _write(file: IO[bytes], entry: dict[str, Any]) -> None:
    file.write(orjson.dumps(entry) + b"\n")
    file.flush()


async def _show(server: ExchangeServer, ended: asyncio.Event) -> None:
    """Draw what happens until the end; on a screen that is no terminal, print it line by line."""
    entries: deque[dict[str, Any]] = deque(maxlen=LINES)
    plain = not console.screen.is_terminal

    def take(entry: dict[str, Any]) -> None:
        if not entry["what"].startswith(_QUIET):
            entries.append(entry)
            if plain:
                console.screen.print(_line(entry), soft_wrap=True)

    server.exchange.log.listen(take)
    if plain:
        await ended.wait()
        return
    with Live(console=console.screen, auto_refresh=False, transient=True) as live:
        while not ended.is_set():
            live.update(picture(server, entries), refresh=True)
            try:
                await asyncio.wait_for(ended.wait(), REFRESH)
            except TimeoutError:
                continue


def _line(entry: dict[str, Any]) -> Text:
    what = entry["what"]
    facts = {k: v for k, v in entry.items() if k not in _UNSHOWN and v not in (None, 0, "*")}
    if facts.get("amount") == 1.0:  # the usual
        del facts["amount"]
    time = entry["time"][5:19].replace("T", " ")
    line = Text(f"{time}  ", style="dim", no_wrap=True, overflow="ellipsis")
    line.append(f"{what:<24}", style=_COLOURS.get(what.partition(".")[0], ""))
    line.append("  ".join(f"{k} {v}" for k, v in facts.items()), style="default")
    return line


def picture(server: ExchangeServer, entries: Iterable[dict[str, Any]]) -> Group:
    """Return what the terminal shows: time, money, positions and the latest of what happened."""
    from toolkit.exchange.values import stamp

    served = server.exchange
    book, account = served.book, served.account
    equity = account.equity(book.prices())
    clients = len(server.market.streams) + len(server.trading.clients)
    head = Text.from_markup(
        f"[bold]{stamp(served.now)[:19]}[/] at {served.settings.speed}   "
        f"{escape(served.source.name)}   {clients} streams   "
        f"{len(book.open_orders())} open orders   {len(account.executions)} fills   "
        f"cash {account.cash:,.2f} $   equity {equity:,.2f} $"
    )
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("symbol", "held", "price", "bars"):
        table.add_column(name, justify="left" if name == "symbol" else "right")
    for symbol in served.source.symbols:
        room = book.room(symbol)
        price = f"{room.price:,}" if room else "-"
        held = f"{account.quantity(symbol):,f}"
        table.add_row(escape(symbol), held, price, str(len(served.tape.bars(symbol))))
    return Group(head, table, *(_line(entry) for entry in entries))
