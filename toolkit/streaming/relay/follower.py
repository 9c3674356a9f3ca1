"""A worker's side of a cluster: its hub follows the owner's log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from toolkit.errors import RelayError
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.relay.port import Batch, Entry, Message, Pulse, Relay
from toolkit.streaming.relay.state import State
from toolkit.streaming.wire import Stream

log = logging.getLogger(__name__)

READ_SECONDS = 1.0
PAUSE_SECONDS = 0.1

Seqs = Mapping[Stream, int]


class Follower:
    """Reads the log and hands each frame to the hub, in order and once.

    What was missed is fetched from the kept lossless messages; what is gone even there is
    announced as a gap. `join` asks the owner for the state, at the start and after a gap;
    `on_controls` gets the controls in force whenever they change.
    """

    def __init__(
        self,
        relay: Relay,
        *,
        hub: Hub,
        join: Callable[[], Awaitable[State]],
        on_controls: Callable[[Mapping[str, Any]], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = State()
        self.position = 0
        self._relay = relay
        self._hub = hub
        self._join = join
        self._on_controls = on_controls
        self._monotonic = monotonic
        self._heard = monotonic()
        self._torn = False
        self._newer: State | None = None
        self._moved = asyncio.Event()

    @property
    def silent_seconds(self) -> float:
        """Since when nothing was heard of the owner."""
        return self._monotonic() - self._heard

    async def start(self) -> None:
        """Take over state, numbers and kept messages; raises RelayError: call it again."""
        state = self._newer = self._newer or await self._join()
        if await self._relay.end() < state.number:
            raise RelayError("the owner has published more than the relay holds; look again")
        known = dict.fromkeys(Stream, 0)
        async for message in self._kept(after=0, before=state.number + 1):
            stream = message.lossless
            assert stream is not None, "only lossless messages are kept"
            if message.before > known[stream]:
                self._hub.forget(stream, message.before)
            known[stream] = message.frame.seq
            self._hub.accept(message.frame)
        for stream, seq in state.lossless.items():
            if known[stream] < seq:
                self._hub.forget(stream, seq)
        self.position = state.number
        self._adopt(state)
        self._on_controls(state.controls)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self.step(wait=READ_SECONDS)
            except RelayError as error:
                log.info("%s", error.message)
                await asyncio.sleep(PAUSE_SECONDS)

    async def step(self, *, wait: float) -> None:
        """Read what is new, waiting up to `wait` seconds for it; raises RelayError."""
        for batch in await self._relay.read(after=self.position, wait=wait):
            await self._follow(batch)
        if self._torn:
            await self._mend()
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def moved(self) -> None:
        """Wait for the next step."""
        await self._moved.wait()

    async def reached(self, seq: Seqs, *, within: float) -> None:
        """Wait until the hub is where a client has been on another worker.

        Raises RelayError when the owner is not heard meanwhile; a number that does not exist
        yet after `within` seconds is the client's mistake and is left to the hub.
        """
        try:
            async with asyncio.timeout(within):
                while any(self._hub.seq(stream) < number for stream, number in seq.items()):
                    await self.moved()
        except TimeoutError:
            if self.silent_seconds > within:
                raise RelayError("this worker is behind what you have; connect again") from None

    async def _mend(self) -> None:
        state = await self._join()
        if state.number >= self.position:
            self._newer, self._torn = state, False
            if state.number == self.position:
                self._come_to(state)

    async def _follow(self, batch: Batch) -> None:
        if batch.after > self.position:
            self._torn = True
            async for message in self._kept(after=self.position, before=batch.after + 1):
                self._take(message)
        for entry in batch.entries:
            self._take(entry)

    async def _kept(self, *, after: int, before: int) -> AsyncIterator[Message]:
        end = after
        while batches := await self._relay.kept(after=end):
            for batch in batches:
                for entry in batch.entries:
                    if entry.number >= before:
                        return
                    if isinstance(entry, Message):
                        yield entry
            end = batches[-1].end

    def _take(self, entry: Entry) -> None:
        if entry.number <= self.position:
            return  # sent again, in another batch
        if self._newer is not None and entry.number > self._newer.number:
            self._come_to(self._newer)
        self.position = entry.number
        self._heard = self._monotonic()
        if isinstance(entry, Pulse):
            for stream, seq in entry.lossless.items():
                self._check(stream, seq)
            if entry.controls != self.state.controls:
                self._on_controls(entry.controls)
        elif not entry.quiet:
            if entry.lossless is not None:
                self._check(entry.lossless, entry.before)
            self._hub.accept(entry.frame)
        self.state.apply(entry)

    def _check(self, stream: Stream, seq: int) -> None:
        known = self.state.lossless[stream]
        if seq > known:
            log.error("messages %d to %d of %s are lost", known + 1, seq, stream.value)
            self._hub.lose(stream, known + 1, seq)
            self.state.lossless[stream] = seq
            self._torn = True

    def _come_to(self, state: State) -> None:
        # Up to here everything was read: what the owner has published besides is lost.
        for stream, seq in state.lossless.items():
            self._check(stream, seq)
        self._adopt(state)

    def _adopt(self, state: State) -> None:
        self.state, self._newer = state, None
        self._hub.begin(state.seq, state.last)
