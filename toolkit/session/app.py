"""Bot, streams and HTTP API as one ASGI application: the quick way to serve them.

>>> import toolkit
>>> app = toolkit.create_app(["AAPL", "MSFT"])        # doctest: +SKIP
>>> app.service.start_streaming(interval=0.5)         # doctest: +SKIP
>>> app.run(host="127.0.0.1", port=9765)              # doctest: +SKIP

Or leave the last line out and give `app` to any ASGI server: `uvicorn mine:app`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.config import Settings
from toolkit.core.costs import Costs
from toolkit.core.limits import RiskLimits
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.market.hours import Sessions
from toolkit.runtime import new_event_loop
from toolkit.session.build import trades_alpaca
from toolkit.session.child import serve
from toolkit.session.consent import require_consent
from toolkit.session.options import LaunchOptions, Market, checked_options
from toolkit.session.service import Service
from toolkit.streaming.asgi import Message, Receive, Scope, Send
from toolkit.streaming.control.controls import StreamingControls
from toolkit.streaming.settings import WebSocketConfig


def create_app(
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
    token: str | None = None,
    websocket: WebSocketConfig | None = None,
    market: Market | None = None,
    live: bool = False,
    feed: str | None = None,
    limits: RiskLimits | None = None,
    name: str | None = None,
    record: str | Path | None = None,
) -> ToolkitApp:
    """Compose bot and server into one ASGI application; nothing runs yet.

    Arguments as in `launch`, but nobody is asked: `live` needs TOOLKIT_ALLOW_LIVE=1. `token` is
    the owner's (admin), made up when there is none. Raises ConfigError, DataError, BrokerError.
    """
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
        record=record,
    )
    options, settings = LaunchOptions(**wanted, dashboard=False), Settings.load(token=token)
    trades_alpaca(options, settings)
    require_consent(options, settings, account_number=lambda _alpaca: "", ask=None)
    return ToolkitApp(options, settings)


class ToolkitApp:
    """One bot with its streams and HTTP API. It runs once, in one process: a bot is not shared.

    As an ASGI application it starts with the server's lifespan, or with the first request where
    a server has none; then call `close` yourself. It answers to the names of this machine, or,
    where TOOLKIT_HOST says that others reach it, to all; then a token must be given.
    """

    def __init__(self, options: LaunchOptions, settings: Settings) -> None:
        self._settings = settings
        self._running = Service(options, settings)
        self._state = "new"

    @property
    def service(self) -> StreamingControls:
        """What can be changed while it runs: `start_streaming(interval=0.5)` and the like.

        Call it before `run`, or in the loop of the ASGI server.
        """
        return self._running.server.controls

    @property
    def token(self) -> str:
        """The owner's token (admin), for clients."""
        return self._running.server.token

    def run(self, host: str | None = None, port: int | None = None) -> None:
        """Serve until Ctrl-C; host and port are those of the environment when None.

        Raises ConfigError for a port that is taken, and for an address that others reach when
        no token was given.
        """
        server, settings = self._running.server, self._settings
        chosen_host = settings.host if host is None else host
        server.move(host=chosen_host, port=settings.port if port is None else port)
        self._begin()

        def ready(service: Service) -> None:
            sys.stdout.write(f"Open {service.link}\n")
            sys.stdout.flush()

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(self._running, settings, isolation="serve", ready=ready))
        self._state = "closed"

    async def close(self) -> None:
        """Stop bot and streams; in the loop that ran them. Twice is harmless."""
        if self._state == "open":
            self._state = "closed"
            await self._running.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if self._state == "new":
            self._open()
        await self._running.server.app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        answer: Message = {"type": "lifespan.startup.complete"}
        try:
            self._open()
        except ConfigError as error:
            answer = {"type": "lifespan.startup.failed", "message": error.message}
        await send(answer)
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        self._begin()
        self._running.open()
        if self._settings.token is None:
            sys.stdout.write(f"Token of this start: {self.token}\n")
            sys.stdout.flush()

    def _begin(self) -> None:
        if self._state != "new":
            raise ConfigError("this application ran already; create another one")
        self._state = "open"
