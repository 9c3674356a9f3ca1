"""The clock of `toolkit exchange`: a rehearsal has hours and minutes of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp

from toolkit.errors import NotConnected

POLL_SECONDS = 0.25
TIMEOUT = 5.0


def on_this_machine(url: str) -> bool:
    """Whether an address is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ExchangeClock:
    """Tells the time of the exchange at `url` once it is started; the wall clock's until then.

    Another server at that address, which knows no such clock, leaves it with the wall clock.
    """

    def __init__(
        self,
        url: str,
        *,
        wall: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = f"{url.rstrip('/')}/_exchange/clock"
        self._wall, self._monotonic = wall, monotonic
        self._shown: tuple[datetime, float, float] | None = None
        self._latest: datetime | None = None
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def followed(self) -> bool:
        """Whether the exchange tells the time."""
        return self._shown is not None

    def __call__(self) -> datetime:
        """Return the time, UTC; it never goes back."""
        if self._shown is None:
            return self._wall()
        shown, at, rate = self._shown
        now = shown + timedelta(seconds=(self._monotonic() - at) * rate)
        self._latest = now if self._latest is None else max(now, self._latest)
        return self._latest

    async def start(self) -> None:
        """Ask once and go on asking; raises NotConnected where nobody answers."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        try:
            known = await self._ask(self._session)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotConnected(
                f"{self._url} does not answer ({type(error).__name__}); is `toolkit exchange` "
                "running, and are its lines pasted where the bot runs?"
            ) from None
        if known and self._task is None:
            self._task = asyncio.create_task(self._follow(self._session))

    async def stop(self) -> None:
        """Ask no more. Twice is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._ask(session)
            except (aiohttp.ClientError, TimeoutError):
                continue  # the broker says that it is gone

    async def _ask(self, session: aiohttp.ClientSession) -> bool:
        begun = self._monotonic()
        async with session.get(self._url) as response:
            if response.status != 200:
                return False
            told = await response.json()
        moment = datetime.fromisoformat(told["now"]).astimezone(UTC)
        self._shown = (moment, (begun + self._monotonic()) / 2, float(told["rate"]))
        return True
