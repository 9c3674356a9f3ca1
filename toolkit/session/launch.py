"""`launch` and `connect`: how a session begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from toolkit.config import Settings
from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, checked_symbols, parameters_from
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.runtime import LoopThread
from toolkit.session.hosts import Host, ProcessHost, ThreadHost
from toolkit.session.options import DEFAULT_SYMBOLS, LaunchOptions
from toolkit.session.registry import Registry, ServerRecord
from toolkit.session.session import Session

Announce = Callable[[str], None]


def launch(
    symbols: Sequence[str] | None = None,
    *,
    parameters: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | None = None,
    recording: str | Path | None = None,
    seed: int = 7,
    speed: str | float = "60x",
    isolation: Literal["thread", "process"] = "thread",
    port: int | None = None,
    dashboard: bool = False,
    announce: Announce = print,
) -> Session:
    """Start bot and server in the background and return at once.

    `isolation="thread"` runs them in a thread of this process; `"process"` in one of their own,
    which neither a busy nor a restarted kernel touches, and which a later `launch` on the same
    port finds again. `recording` replays a file; otherwise the market is simulated from `seed`
    at `speed` (market.pace). Raises ConfigError, also for a port that is taken, and DataError.
    """
    if isolation not in ("thread", "process"):
        raise ConfigError(
            f"isolation is {isolation!r}; allowed: thread, process",
            field="isolation",
            allowed=["thread", "process"],
        )
    options = LaunchOptions(
        symbols=checked_symbols(DEFAULT_SYMBOLS if symbols is None else symbols),
        parameters=parameters_from(parameters).to_dict(),
        capital=checked_capital(capital),
        costs=costs or Costs(),
        recording=str(recording) if recording is not None else None,
        seed=seed,
        speed=str(speed),
        dashboard=dashboard,
    )
    settings = Settings.load(port=port)
    loop = LoopThread("toolkit")
    try:
        host, how = _host(options, settings, isolation=isolation, loop=loop)
        session = _session(host.record, loop=loop, host=host)
    except BaseException:
        loop.stop()
        raise
    announce(_story(host.record, settings, how))
    return session


def connect(url: str | None = None, *, token: str | None = None) -> Session:
    """Attach to a bot that runs elsewhere; without a url, to the one on this machine.

    Raises ConfigError where none is found, AuthError for a wrong token, NotConnected where nothing
    answers.
    """
    settings = Settings.load()
    if token is None and settings.token is not None:
        token = settings.token.get_secret_value()
    record = _record(Registry(settings.state_dir).running(), url)
    if record is not None:
        url, token = record.url, token or record.token
    if url is None:
        raise ConfigError("no server of yours runs on this machine; tk.launch() starts one")
    if token is None:
        raise ConfigError(f"{url} wants a token; give token=... or set TOOLKIT_TOKEN")
    loop = LoopThread("toolkit-client")
    try:
        return _attach(url, token, loop=loop, host=None)
    except BaseException:
        loop.stop()
        raise


def _host(
    options: LaunchOptions, settings: Settings, *, isolation: str, loop: LoopThread
) -> tuple[Host, str]:
    if isolation == "thread":
        return ThreadHost(options, settings, loop=loop), "started"
    found = ProcessHost.find(settings)
    if found is None:
        return ProcessHost.launch(options, settings), "started"
    running = found.record
    if options.recording is None and set(running.symbols) != set(options.symbols):
        raise ConfigError(
            f"a bot with other symbols ({', '.join(running.symbols)}) runs on port {running.port}; "
            "use tk.connect() for it, stop it first, or launch with another port",
            field="symbols",
            allowed=list(running.symbols),
        )
    return found, "found again"


def _story(record: ServerRecord, settings: Settings, how: str) -> str:
    names = ", ".join(record.symbols)
    lines = [f"{how}: simulated broker, {names}, {_link(record.url, record.token)}"]
    if record.isolation == "thread":
        lines.append(
            "bot and server share this kernel; for a real account use isolation='process', "
            "which a busy or restarted kernel cannot touch"
        )
    if settings.has_alpaca_keys:
        lines.append("Alpaca keys are set but not used: this version trades simulated markets only")
    return "\n".join(lines)


def _session(record: ServerRecord, *, loop: LoopThread, host: Host) -> Session:
    try:
        return _attach(record.url, record.token, loop=loop, host=host)
    except BaseException:
        host.stop()
        raise


def _attach(url: str, token: str, *, loop: LoopThread, host: Host | None) -> Session:
    from toolkit.client.async_client import StreamClient
    from toolkit.client.sync import Client

    async def open_client() -> StreamClient:
        stream_client = StreamClient(url, token=token)
        await stream_client.connect()
        return stream_client

    client = Client(loop.call(open_client()), call=loop.call)
    return Session(client=client, loop=loop, host=host, link=_link(url, token))


def _link(url: str, token: str) -> str:
    return f"{url.rstrip('/')}/?token={token}"


def _record(records: Sequence[ServerRecord], url: str | None) -> ServerRecord | None:
    if url is None:
        return records[-1] if records else None
    same = [
        r for r in records if r.url.rstrip("/") == url.rstrip("/").replace("localhost", "127.0.0.1")
    ]
    return same[0] if same else None
