"""A mail server and a webhook on this machine, for alerts to reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP

PASSWORD = "hunter2-secret"


class Mailbox:
    """Takes mail; `letters` grows, `arrived` is set with each."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.arrived = asyncio.Event()
        self.port = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
        self.arrived.set()
        return "250 OK"

    @property
    def url(self) -> str:
        place = f"127.0.0.1:{self.port}"
        return f"mailto://{place}?from=bot@example.com&to=desk@example.com&mode=insecure"


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, enable_SMTPUTF8=True, loop=loop), "127.0.0.1", 0
    )
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()


class Hook:
    """A webhook; answers `status`, waits for `gate` first."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()
        self.gate = asyncio.Event()
        self.gate.set()
        self.status = 200
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        await self.gate.wait()
        async with self.changed:
            self.calls.append(await request.json())
            self.changed.notify_all()
        return web.Response(status=self.status)

    async def called(self, times: int) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: len(self.calls) >= times)

    @property
    def url(self) -> str:
        return f"json://desk:{PASSWORD}@127.0.0.1:{self.port}/alerts"


@asynccontextmanager
async def webhook() -> AsyncIterator[Hook]:
    hook = Hook()
    application = web.Application()
    application.router.add_post("/alerts", hook.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.port = runner.addresses[0][1]
    try:
        yield hook
    finally:
        await runner.cleanup()
