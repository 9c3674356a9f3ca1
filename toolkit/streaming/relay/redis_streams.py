"""The relay over Redis (6.2 or later): the only module that imports its client.

The log is a Redis Stream whose ids are our numbers. Appending is one script that compares and
adds at once: a retry after an unknown outcome adds nothing twice, and a server that came back
with less than we sent says so itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from toolkit.errors import ConfigError, RelayError
from toolkit.streaming.relay.port import Batch, Packed, join
from toolkit.streaming.relay.seal import Seal

log = logging.getLogger(__name__)

OLDEST = (6, 2)
ANSWER_SECONDS = 2.0
BOX_SIZE = 1_000
BOX_SECONDS = 60
KEPT_SECONDS = 3_600
PAGE = 100

# KEYS: log, kept. ARGV: after, number, oldest number of the log, oldest kept, seconds, all
# entries, lossless entries ("" for none).
_APPEND = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local at = newest and string.match(newest[1], '^%d+') or '0'
if at ~= ARGV[1] then return tonumber(at) end
if at == '0' then redis.call('DEL', KEYS[2]) end
local id = ARGV[2] .. '-0'
redis.call('XADD', KEYS[1], 'MINID', '~', ARGV[3], id, 'after', at, 'body', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[5])
if ARGV[7] ~= '' then
    redis.call('XADD', KEYS[2], 'MINID', '~', ARGV[4], id, 'after', at, 'body', ARGV[7])
end
redis.call('EXPIRE', KEYS[2], ARGV[5])
return tonumber(ARGV[2])
"""


def masked(url: str) -> str:
    """Return the address without user, password and options."""
    parts = urlsplit(url)
    _user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{'***@' if at else ''}{host}{parts.path}"


class RedisRelay:
    """One cluster's log and boxes under `name` (an epoch's own, so that no two ever mix).

    All of it is sealed with `key`: what others write is reported and not taken for ours.
    `size` entries of the log stay readable. Keys nobody refreshes for an hour expire. Raises
    ConfigError for an address that is none, or without the package `redis`.
    """

    def __init__(self, url: str, *, name: str, key: bytes, size: int = 50_000) -> None:
        self.address = masked(url)
        self._seal = Seal(key)
        self._size = size
        self._errors, self._redis = _client(url)
        # The braces keep all keys of a name on one node of a Redis Cluster.
        self._prefix = f"toolkit:{{{name}}}"
        self._log, self._kept = f"{self._prefix}:log", f"{self._prefix}:kept"
        self._append = self._redis.register_script(_APPEND)

    async def check(self) -> None:
        """Raise ConfigError unless a Redis that is new enough answers and lets us in."""
        try:
            async with self._translated():
                found = await self._redis.info("server")
        except RelayError as error:
            raise ConfigError(
                f"{error.message}; start one, or give another address with --redis",
                field="redis",
                address=self.address,
            ) from None
        version = tuple(int(part) for part in str(found["redis_version"]).split(".")[:2])
        if version < OLDEST:
            raise ConfigError(
                f"Redis at {self.address} is {found['redis_version']}; 6.2 or later is needed",
                field="redis",
                address=self.address,
            )

    async def append(self, items: Sequence[Packed], *, after: int, keep_from: int) -> int:
        """Add `items` if the log ends at `after`; return the number at which it ends now."""
        kept = [item for item in items if item.stream is not None]
        end = items[-1].number
        oldest = max(0, end - self._size)
        place = f"{after} {end}"
        whole = self._seal.close(join(items), f"log {place}")
        lossless = self._seal.close(join(kept), f"kept {place}") if kept else b""
        arguments = [after, end, oldest, keep_from, KEPT_SECONDS, whole, lossless]
        async with self._translated():
            return int(await self._append(keys=[self._log, self._kept], args=arguments))

    async def read(self, *, after: int, wait: float) -> list[Batch]:
        """Return batches that end after that number; wait up to `wait` seconds."""
        block = max(1, int(wait * 1000))
        async with self._translated(wait):
            found = await self._redis.xread({self._log: f"{after}-0"}, count=PAGE, block=block)
        return [self._batch("log", *entry) for _key, entries in found for entry in entries]

    async def kept(self, *, after: int) -> list[Batch]:
        """Return the next batches that end after that number, with their lossless entries only."""
        async with self._translated():
            found = await self._redis.xrange(self._kept, min=f"({after}-0", count=PAGE)
        return [self._batch("kept", *entry) for entry in found]

    async def end(self) -> int:
        """Return the number of the log's last entry, 0 when it is empty."""
        async with self._translated():
            found = await self._redis.xrevrange(self._log, count=1)
        return _number(found[0][0]) if found else 0

    async def send(self, box: str, body: bytes) -> None:
        """Put something into a box; the oldest goes when there is too much."""
        key = self._box(box)
        sealed = self._seal.close(body, box)
        async with self._translated(), self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(key, sealed).ltrim(key, -BOX_SIZE, -1).expire(key, BOX_SECONDS)
            await pipe.execute()

    async def receive(self, box: str, *, wait: float) -> list[bytes]:
        """Take what is in a box; wait up to `wait` seconds for something."""
        key = self._box(box)
        async with self._translated(wait):
            first = await self._redis.blpop([key], timeout=wait)
            if first is None:
                return []
            rest: list[bytes] | None = await self._redis.lpop(key, BOX_SIZE)
        opened = [self._seal.open(sealed, box) for sealed in (first[1], *(rest or []))]
        if None in opened:
            log.error(
                "somebody else writes to Redis at %s; what they wrote is left out", self.address
            )
        return [body for body in opened if body is not None]

    async def clear(self) -> None:
        """Delete the log and all boxes."""
        async with self._translated():
            keys = [key async for key in self._redis.scan_iter(f"{_escaped(self._prefix)}:*")]
            if keys:
                await self._redis.unlink(*keys)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _batch(self, kind: str, key: bytes, fields: dict[bytes, bytes]) -> Batch:
        after, end = int(fields[b"after"]), _number(key)
        body = self._seal.open(fields[b"body"], f"{kind} {after} {end}")
        if body is None:
            raise RelayError(
                f"somebody else writes to Redis at {self.address}; use one of your own, with a "
                "password",
                address=self.address,
            )
        return Batch(after=after, end=end, body=body)

    def _box(self, box: str) -> str:
        return f"{self._prefix}:box:{box}"

    @asynccontextmanager
    async def _translated(self, wait: float = 0.0) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(wait + ANSWER_SECONDS):
                yield
        except (self._errors.RedisError, OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise RelayError(
                f"Redis at {self.address} does not serve ({said})", address=self.address
            ) from error


def _client(url: str) -> tuple[Any, Any]:
    try:
        from redis import asyncio as redis
        from redis import exceptions
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigError(
            "workers need the package redis; pip install 'stochrsi-toolkit[redis]'", field="redis"
        ) from None
    try:
        client = redis.Redis.from_url(
            url,
            # Ours is around each call: the client's own swallows cancellation (Python 3.11).
            socket_timeout=None,
            socket_connect_timeout=ANSWER_SECONDS,
            # A retry hidden in the client would hide how long the server is away.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except ValueError:  # its text may hold the password
        raise ConfigError(
            "the address of Redis is not valid; allowed: redis://host:port/0, rediss://..., "
            "unix:///path (special characters of a password as %40 and the like)",
            field="redis",
        ) from None
    return exceptions, client


def _number(key: bytes) -> int:
    return int(key.partition(b"-")[0])


def _escaped(pattern: str) -> str:
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in pattern)
