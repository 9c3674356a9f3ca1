"""What compression costs and saves: ticks, a stream_batch of ticks, a snapshot, a history.

    python -m tests.benchmarks.compression

Prints bytes on the wire and microseconds of CPU on the server for each message, as it is and
deflated without context (what the server does above 1 KB), and deflated with a context that is
kept for each connection (what stock permessage-deflate does).
"""

from __future__ import annotations

import random
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from tests.streaming.fakes import START
from toolkit.core.types import Bar, Evaluation, Indicators, Trade
from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.sockets.packing import LEVEL, WINDOW_BITS, deflated, pack, text_message
from toolkit.streaming.wire import payload

SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY", "TSLA")
NAMES = ("rsi", "stoch_rsi_k", "stoch_rsi_d", "stoch_k", "stoch_d", "ema", "atr")


@dataclass(frozen=True, slots=True)
class Case:
    """Messages of one kind, as the payload of a WebSocket message each."""

    name: str
    messages: list[bytes]


class Market:
    """Prices that wander, in cents; always the same ones."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._cents = dict.fromkeys(SYMBOLS, 20_000)

    def price(self, symbol: str) -> float:
        self._cents[symbol] += self._random.randint(-5, 5)
        return self._cents[symbol] / 100

    def trade(self, number: int) -> Trade:
        symbol = SYMBOLS[number % len(SYMBOLS)]
        at = START + timedelta(microseconds=1_234 * number)
        size = float(self._random.randint(1, 500))
        return Trade(symbol=symbol, timestamp=at, price=self.price(symbol), size=size)

    def evaluation(self, number: int, symbol: str) -> Evaluation:
        low, *between, high = sorted(self.price(symbol) for _ in range(4))
        bar = Bar(
            symbol=symbol,
            timestamp=START + timedelta(minutes=number),
            open=between[0],
            high=high,
            low=low,
            close=between[1],
            volume=float(self._random.randint(100, 90_000)),
        )
        values = [self._random.uniform(0, 100) for _ in range(7)]
        indicators = Indicators(
            **dict(zip(NAMES, values, strict=True)), lower_band=35.0, upper_band=100.0
        )
        return Evaluation(bar=bar, indicators=indicators, entry=False, exit=False)


def cases() -> list[Case]:
    """Return ticks, a batch of them, a snapshot and a history of 1,000 bars."""
    market = Market()
    numbers = Sequencer(epoch="e1", clock=lambda: datetime.now(UTC))
    ticks = [numbers.frame(payload(market.trade(number))) for number in range(2_000)]
    bars = [payload(market.evaluation(number, "AAPL")) for number in range(1_000)]
    snapshot = [numbers.snapshot(item) for item in bars[:100]]
    answer = {"ok": True, "result": {"bars": [item.data for item in bars], "fills": []}}
    return [
        Case("a tick", [b"4" + frame.text.encode() for frame in ticks]),
        Case(
            "stream_batch of 100 ticks", [_batch(ticks[n : n + 100]) for n in range(0, 2000, 100)]
        ),
        Case("snapshot of 100 symbols", [_batch(snapshot)] * 5),
        Case("history of 1,000 bars", [b"431" + orjson.dumps([answer])] * 5),
    ]


def _batch(frames: list[Frame]) -> bytes:
    (chunk,) = pack(frames, batch=True, deflates=False)
    return chunk.data[chunk.data.index(b"42[") :]


def kept_context() -> Callable[[bytes], bytes]:
    """Return what compresses one message of a connection after the other."""
    encoder = zlib.compressobj(wbits=-12, memLevel=5)

    def compressed(message: bytes) -> bytes:
        data = encoder.compress(message) + encoder.flush(zlib.Z_SYNC_FLUSH)
        return text_message(data[:-4], compressed=True)

    return compressed


def measured(messages: list[bytes], write: Callable[[bytes], bytes]) -> tuple[float, float]:
    """Return bytes and CPU microseconds for one message."""
    began = time.process_time_ns()
    size = sum(len(write(message)) for message in messages)
    spent = time.process_time_ns() - began
    return size / len(messages), spent / 1_000 / len(messages)


def main() -> None:
    """Print the table."""
    ways = {"plain": text_message, f"deflate {LEVEL}/{WINDOW_BITS}": deflated}
    header = f"{'one message':28}" + "".join(f"{way:>26}" for way in (*ways, "kept context"))
    sys.stdout.write(header + "\n")
    for case in cases():
        row = f"{case.name:28}"
        for write in (*ways.values(), kept_context()):
            size, spent = measured(case.messages, write)
            row += f"{size:>13,.0f} B {spent:>8,.1f} us"
        sys.stdout.write(row + "\n")


if __name__ == "__main__":
    main()
