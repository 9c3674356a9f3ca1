"""`launch` and `connect`: how a session begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import orjson

from toolkit.alpaca.settings import AlpacaSettings
from toolkit.config import Settings
from toolkit.core.costs import Costs
from toolkit.core.limits import RiskLimits
from toolkit.core.parameters import Parameters
from toolkit.errors import BrokerError, ConfigError
from toolkit.market.hours import Sessions
from toolkit.runtime import LoopThread, wait_until
from toolkit.session.build import trades_alpaca
from toolkit.session.consent import AskText, fetch_account_number, require_consent
from toolkit.session.hosts import Host, ProcessHost, ThreadHost
from toolkit.session.options import LaunchOptions, Market, checked_options
from toolkit.session.registry import Registry, ServerRecord, link_to
from toolkit.session.session import Session
from toolkit.streaming.settings import WebSocketConfig

Announce = Callable[[str], None]
# A broker that does not answer within is waited for in the background.
START_SECONDS = 5.0


def launch(
    symbols: Sequence[str] | None = None,
    *,
    parameters: Parameters | Mapping[str, Any] | None = None,
    capital: float | None = None,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions | None = None,
    flat_before_close: float | None = None,
    recording: str | Path | None = None,
    seed: int | None = None,
    speed: str | float | None = None,
    isolation: Literal["thread", "process"] = "thread",
    port: int | None = None,
    dashboard: bool = False,
    websocket: WebSocketConfig | None = None,
    market: Market | None = None,
    live: bool = False,
    feed: str | None = None,
    limits: RiskLimits | None = None,
    name: str | None = None,
    claim: Sequence[str] | None = None,
    record: str | Path | None = None,
    ask: AskText = input,
    announce: Announce = print,
) -> Session:
    """Start bot and server in the background and return at once.

    With Alpaca's keys set it trades the paper account, `market="simulated"` all the same
    simulates; `live=True` trades real money once the account's number is typed (`ask`), or
    TOOLKIT_ALLOW_LIVE=1 is set. `feed` is iex or sip, `limits` bind entries, `name` tells bots
    of one account apart, `claim` takes over what the account holds of these symbols. `record` is a
    folder below which all that comes in is stored, for `toolkit replay`.

    `isolation="thread"` runs them in a thread of this process; `"process"` in one of their own,
    which neither a busy nor a restarted kernel touches, and which a later `launch` on the same
    port finds again: what was tuned since stays, and arguments that ask for something else than
    what runs are refused. `recording` replays a file, or a folder that `record` made (all its
    symbols by default); otherwise the market is simulated from `seed`. `capital` in dollars,
    `sessions` (all, regular, extended) and `flat_before_close` (seconds) say when stocks trade,
    `speed` as in market.pace; defaults in `session.options.LaunchOptions`. `websocket` sets the
    connection to clients.
    Raises ConfigError, also for a port that is taken, DataError, and BrokerError where the broker
    refuses us.
    """
    if isolation not in ("thread", "process"):
        raise ConfigError(
            f"isolation is {isolation!r}; allowed: thread, process",
            field="isolation",
            allowed=["thread", "process"],
        )
    wanted = checked_options(
        symbols=symbols,
        parameters=parameters,
        capital=capital,
        costs=costs,
        sessions=sessions,
        flat_before_close=flat_before_close,
        recording=recording,
        seed=seed,
        speed=speed,
        websocket=websocket,
        market=market,
        live=live or None,
        feed=feed,
        limits=limits,
        name=name,
        claim=claim,
        record=record,
    )
    settings = Settings.load(port=port)
    options = LaunchOptions(**wanted, dashboard=dashboard)
    trades_alpaca(options, settings)
    loop = LoopThread("toolkit")
    try:
        require_consent(options, settings, account_number=partial(_account_number, loop), ask=ask)
        session, how = _begin(options, settings, wanted, isolation=isolation, loop=loop)
    except BaseException:
        loop.stop()
        raise
    try:
        announce(_story(session, _begun(session), how))
    except BaseException:
        session.stop()
        raise
    return session


def _account_number(loop: LoopThread, alpaca: AlpacaSettings) -> str:
    return loop.call(fetch_account_number(alpaca))


def _begin(
    options: LaunchOptions,
    settings: Settings,
    wanted: Mapping[str, Any],
    *,
    isolation: str,
    loop: LoopThread,
) -> tuple[Session, str]:
    found = ProcessHost.find(settings) if isolation == "process" else None
    if found is None:
        return _start(options, settings, isolation=isolation, loop=loop), "started"
    _check_same(found.record, options, wanted)
    session = _attach(found.record.url, found.record.token, loop=loop, host=found)
    return session, "found again"


def _check_same(running: ServerRecord, options: LaunchOptions, wanted: Mapping[str, Any]) -> None:
    asked = orjson.loads(orjson.dumps(options.to_dict()))
    asked["symbols"] = sorted(options.symbols or ())
    have = {**running.options, "symbols": sorted(running.symbols)}
    different = [name for name in wanted if asked[name] != have.get(name)]
    if different:
        raise ConfigError(
            f"a bot with other {', '.join(different)} runs on port {running.port} "
            f"({', '.join(running.symbols)}); tk.connect() uses it as it is; or stop it first, "
            "or launch with another port",
            field=different[0],
            allowed=have.get(different[0]),
        )


def _start(
    options: LaunchOptions, settings: Settings, *, isolation: str, loop: LoopThread
) -> Session:
    host: Host
    if isolation == "thread":
        host = ThreadHost(options, settings, loop=loop)
    else:
        host = ProcessHost.launch(options, settings)
    try:
        return _attach(host.record.url, host.record.token, loop=loop, host=host)
    except BaseException:
        host.stop()
        raise


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


def _begun(session: Session) -> dict[str, Any]:
    """Return the bot's state once it has met its broker; raises BrokerError where it may not."""
    status = session.status()
    if status["broker"] != "simulated":
        wait_until(
            lambda: session.status()["state"] != "starting", timeout=START_SECONDS, interval=0.1
        )
        status = session.status()
    if status["state"] == "failed":
        raise BrokerError(status["reason"])
    return status


def _story(session: Session, status: Mapping[str, Any], how: str) -> str:
    names = ", ".join(session.symbols)
    lines = [f"{how}: {status['broker']} broker, {status['market']} data, {names}, {session.link}"]
    if session.isolation == "thread":
        lines.append(
            "bot and server share this kernel; for a real account use isolation='process', "
            "which a busy or restarted kernel cannot touch"
        )
    lines += [f"no entries: {gate['reason']}" for gate in status["gates"]]
    return "\n".join(lines)


def _attach(url: str, token: str, *, loop: LoopThread, host: Host | None) -> Session:
    from toolkit.client.async_client import StreamClient
    from toolkit.client.sync import Client

    async def open_client() -> StreamClient:
        stream_client = StreamClient(url, token=token)
        await stream_client.connect()
        return stream_client

    client = Client(loop.call(open_client()), call=loop.call)
    return Session(client=client, loop=loop, host=host, link=link_to(url, token))


def _record(records: Sequence[ServerRecord], url: str | None) -> ServerRecord | None:
    if url is None and len(records) > 1:
        urls = [record.url for record in records]
        raise ConfigError(
            f"several servers of yours run here: {', '.join(urls)}; give the url of one",
            field="url",
            allowed=urls,
        )
    if url is None:
        return records[0] if records else None
    same = [
        r for r in records if r.url.rstrip("/") == url.rstrip("/").replace("localhost", "127.0.0.1")
    ]
    return same[0] if same else None
