"""The streaming server: Socket.IO, HTTP API and dashboard proxy on one port, in one loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from toolkit.bot.events import Event
from toolkit.streaming.access.auth import Authenticator
from toolkit.streaming.asgi import App
from toolkit.streaming.control.commands import Commands, Reporter
from toolkit.streaming.control.controls import ControlledBot, ControlState, StreamingControls
from toolkit.streaming.control.notifications import Notifications, Timer
from toolkit.streaming.control.service import BotPort, Membership
from toolkit.streaming.gate.gate import Gate
from toolkit.streaming.http.api import create_api
from toolkit.streaming.http.proxy import Proxy
from toolkit.streaming.http.service import Service
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.listener import bind
from toolkit.streaming.measures.alerts import LatencyAlert, LatencyWatch
from toolkit.streaming.measures.stats import ServiceStats
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.sockets.delivery import Delivery, express_protocol
from toolkit.streaming.sockets.handlers import SocketHandlers
from toolkit.streaming.sockets.socketio_server import asgi, dispatch, socketio_server
from toolkit.streaming.sockets.websocket_only import websocket_only
from toolkit.streaming.web_server import GOODBYE_SECONDS, WebServer
from toolkit.streaming.wire import format_time

__all__ = ["ServerSettings", "StreamingServer", "utc_now"]

# Above it uvicorn closes the connection; below it a message that is too large gets an answer.
HARD_LIMIT_FACTOR = 32


def utc_now() -> datetime:
    """Return the wall time, UTC-aware."""
    return datetime.now(UTC)


class StreamingServer:
    """Serves one bot, which publishes with `publish` in the loop of `start` and `stop`.

    Another ASGI server may run `app` instead: between `open` and `stop`.
    `dashboard` gives the address of the dashboard process, None while there is none;
    `on_shutdown` is called (in the loop) when an admin sends the command `shutdown`;
    `on_alert` gets each latency alert that clients are told;
    `membership` makes the server one of a cluster's workers.
    """

    def __init__(
        self,
        *,
        bot: BotPort,
        hub: Hub,
        settings: ServerSettings,
        dashboard: Callable[[], str | None] = lambda: None,
        on_shutdown: Callable[[], None] | None = None,
        on_alert: Callable[[LatencyAlert], None] = lambda _alert: None,
        clock: Callable[[], datetime] = utc_now,
        membership: Membership | None = None,
    ) -> None:
        self._hub = hub
        self._membership = membership
        self._settings = settings
        self._dashboard = dashboard
        self._on_shutdown = on_shutdown
        self._on_alert = on_alert
        self._clock = clock
        self._auth = Authenticator(settings, clock=lambda: clock().timestamp())
        self._port = settings.port
        self._web = WebServer()
        self._protocol: type[asyncio.Protocol] | None = None
        self._opened = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stats = ServiceStats(hub.counters, clock=clock, monotonic=time.monotonic)
        self._notifications = Notifications(
            hub.publish, monotonic=time.monotonic, later=_call_later
        )
        self.controls = StreamingControls(
            hub,
            self._notifications,
            self._stats,
            state=ControlState(
                streaming_interval=settings.streaming_interval,
                notification_throttle=settings.notification_throttle,
            ),
            monotonic=time.monotonic,
        )
        self._bot = ControlledBot(bot, self.controls)
        self._alerts = LatencyWatch(
            self._stats,
            max_latency_ms=settings.websocket.max_latency_ms,
            clock=clock,
            monotonic=time.monotonic,
        )

    def publish(self, event: Event) -> None:
        """Publish one event of the bot, in the server's loop; never blocks."""
        self._stats.heard(event)
        self._notifications.publish(event)

    @property
    def port(self) -> int:
        """The port that is served; final after `start`."""
        return self._port

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host = self._settings.host
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)
        return f"http://{host}:{self._port}"

    @property
    def token(self) -> str:
        """The owner's token (admin)."""
        return self._auth.token

    @property
    def app(self) -> App:
        """What an ASGI server runs, once `open` was called; without `lifespan`."""
        return self._app

    def move(self, *, host: str, port: int) -> None:
        """Listen elsewhere than the settings say; before `start`. Raises ConfigError.

        The token stays as it is.
        """
        settings = replace(self._settings, host=host, port=port)
        Authenticator(settings)  # refuses an address that others reach without a token
        self._settings, self._port = replace(settings, token=self.token), port
        self._auth = Authenticator(self._settings, clock=lambda: self._clock().timestamp())

    def open(self) -> None:
        """Get ready to answer, without a port; in the loop that will serve `app`."""
        self._stats.start()
        self._build()
        self._opened = True
        self._spawn(self._heartbeat())
        self._spawn(self._gate.presence.run())

    @property
    def delivery_mode(self) -> str:
        """How messages reach the sockets: express or plain."""
        return self._delivery.mode

    def heard(self, symbol: str) -> None:
        """Note that market data of `symbol` came in."""
        self._stats.heard_of(symbol)

    async def start(
        self, listener: socket.socket | None = None, *, public_port: int | None = None
    ) -> None:
        """Bind the port and serve; raises ConfigError at once when the port cannot be had.

        Processes that share a port give their `listener`. `public_port` is the one that browsers
        see, where a load balancer stands before this one.
        """
        listener = listener or bind(self._settings.host, self._settings.port)
        try:
            self._port = listener.getsockname()[1]
            self._auth.bind(public_port or self._port)
            websocket = self._settings.websocket
            self._protocol = await express_protocol(compression=websocket.compression)
            self.open()
        except BaseException:
            listener.close()
            raise
        await self._web.start(
            self._app,
            listener,
            http=self._gate.door.protocol(),
            ws=self._protocol,
            max_message=websocket.max_http_buffer_size * HARD_LIMIT_FACTOR,
        )

    async def stop(self) -> None:
        """Say goodbye to clients and stop within a second, leaving nothing behind."""
        if not self._opened:
            return
        self._opened = False
        await self._say_goodbye()
        self._notifications.close()
        await self._delivery.close()
        await self._commands.close()
        await self._proxy.close()
        await self._sio.shutdown()
        await self._web.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _build(self) -> None:
        settings, hub = self._settings, self._hub
        self._sio = socketio_server(settings, self._auth)
        self._sio.eio.start_background_task = self._start_background_task
        self._gate = Gate(
            sio=self._sio, hub=hub, auth=self._auth, settings=settings, cutter=self._web.cutter
        )
        self._delivery = Delivery(
            hub,
            self._sio.eio,
            self._stats,
            stall_timeout=settings.websocket.ping_timeout,
            express=self._protocol is not None,
        )
        reporter = self._reporter = Reporter(hub.publish, clock=self._clock)
        self._commands = Commands(
            self._bot,
            reporter=reporter,
            on_shutdown=self._on_shutdown,
            timeout=settings.command_timeout,
            membership=self._membership,
        )
        SocketHandlers(
            hub=hub,
            bot=self._bot,
            auth=self._auth,
            presence=self._gate.presence,
            offend=self._gate.offend,
            delivery=self._delivery,
            commands=self._commands,
            stats=self._stats,
            reporter=reporter,
            settings=settings,
            clock=self._clock,
            membership=self._membership,
        ).register(self._sio)
        self._proxy = Proxy(self._dashboard, self._auth, self._gate.presence)
        service = Service(
            bot=self._bot,
            hub=hub,
            auth=self._auth,
            commands=self._commands,
            controls=self.controls,
            delivery=self._delivery,
            stats=self._stats,
            alerts=self._alerts,
            reporter=reporter,
            settings=settings,
            membership=self._membership,
        )
        sockets = self._delivery.around(asgi(self._sio))
        if self._membership is not None and not self._membership.polling:
            sockets = websocket_only(sockets)
        api = create_api(service, fallback=self._proxy)
        self._app = self._gate.entered(dispatch(self._gate.guarded(sockets), api))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        # Engine.IO forgets its timers; here they end with the server.
        return self._spawn(target(*args, **kwargs))

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self._settings.websocket.heartbeat_interval)
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - reported in full; the next beat comes
                self._reporter.unexpected("heartbeat", error)

    def _beat(self) -> None:
        beat = {
            "timestamp": format_time(self._clock()),
            "server_status": "stopped" if self._hub.paused else "streaming",
            "active_clients": len(self._stats.clients),
        }
        self._hub.broadcast("heartbeat", beat)
        for alert in self._alerts.check():
            self._hub.broadcast("alert", alert.to_dict())
            self._on_alert(alert)

    async def _say_goodbye(self) -> None:
        goodbyes = [self._sio.disconnect(client) for client in list(self._stats.clients)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*goodbyes)


def _call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, callback)
