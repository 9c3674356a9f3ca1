"""Bot, hub, server and dashboard as one thing that starts and stops; the same in any isolation."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event, Performance, Publish
from toolkit.config import Settings
from toolkit.core.types import Account, Bar, Evaluation, Position, Quote, Trade
from toolkit.runtime import process_started
from toolkit.session.alerting import build_alerts
from toolkit.session.build import build_bot
from toolkit.session.dashboard import Dashboard
from toolkit.session.options import LaunchOptions
from toolkit.session.registry import ServerRecord, link_to
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.server import StreamingServer

log = logging.getLogger(__name__)

FREQUENT = (Bar, Quote, Trade, Evaluation, Position, Account, Performance)


class Service:
    """One bot with its server; everything runs in the loop that calls `start`."""

    def __init__(
        self, options: LaunchOptions, settings: Settings, *, listener: Publish | None = None
    ) -> None:
        self.hub = Hub(epoch=secrets.token_hex(8), clock=lambda: datetime.now(UTC))
        self._alerts = build_alerts(options, settings, problem=self._publish)
        self.bot: Bot = build_bot(options, publish=self._publish, settings=settings)
        self._options, self._settings = options, settings
        self._listener = listener
        self._listening = False
        self._dashboard = Dashboard(wanted=options.dashboard, state_dir=settings.state_dir)
        self._task: asyncio.Task[None] | None = None
        self.shutdown = asyncio.Event()
        self.server = StreamingServer(
            bot=self.bot,
            hub=self.hub,
            settings=settings.server(websocket=options.websocket),
            dashboard=lambda: self._dashboard.url,
            on_shutdown=self.shutdown.set,
            on_alert=lambda alert: self._alerts.latency(alert.message, stream=alert.stream.value),
        )

    def _publish(self, event: Event) -> None:
        if log.isEnabledFor(logging.DEBUG) and not isinstance(event, FREQUENT):
            log.debug("%s", event)
        self.server.publish(event)
        self._alerts.publish(event)
        if self._listener is not None:
            self._listener(event)

    @property
    def link(self) -> str:
        """Address with token for the owner's browser."""
        return link_to(self.server.url, self.server.token)

    async def listen(self) -> None:
        """Take clients, while the bot does not run yet; raises ConfigError for a taken port."""
        await self.server.start()
        self._listening = True

    async def start(self) -> None:
        """Listen, start the bot, then the dashboard; raises ConfigError for a taken port."""
        if not self._listening:
            await self.listen()
        self._start_bot()
        self._dashboard.start(url=self.server.url, token=self.server.token)

    def open(self) -> None:
        """Start the bot and be ready to answer: another ASGI server runs `server.app`."""
        self.server.open()
        self._start_bot()

    def record(self, *, isolation: str) -> ServerRecord:
        """Describe this service to those who look for it on this machine."""
        return ServerRecord(
            port=self.server.port,
            pid=os.getpid(),
            url=self.server.url,
            token=self.server.token,
            isolation=isolation,
            started=process_started(),
            symbols=tuple(self.bot.symbols),
            options=self._options.to_dict(),
        )

    def _start_bot(self) -> None:
        self._alerts.start()
        self._task = asyncio.get_running_loop().create_task(self._run_bot(), name="bot")

    async def _run_bot(self) -> None:
        with suppress(Exception):  # the bot has logged it and published it as its state
            await self.bot.run()

    async def finished(self) -> None:
        """Wait until the market data ends or the bot stops."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """Stop the bot, the server and the dashboard; nothing is left. Twice is harmless."""
        await self.bot.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._alerts.stop()
        await self.server.stop()
        await self._dashboard.stop()
