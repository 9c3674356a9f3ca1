"""`toolkit exchange` as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.request import Request, urlopen


@contextmanager
def exchange(*options: str) -> Iterator[dict[str, str]]:
    """Run one, and yield what a bot sets to trade there."""
    command = [sys.executable, "-m", "toolkit", "exchange", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def test_an_exchange_that_starts_now_has_the_right_time_also_while_stocks_are_closed() -> None:
    with exchange("--symbol", "AAPL", "--start", "now", "--speed", "1x") as environment:
        request = Request(environment["ALPACA_TRADING_URL"] + "/v2/clock")
        request.add_header("APCA-API-KEY-ID", environment["APCA_API_KEY_ID"])
        request.add_header("APCA-API-SECRET-KEY", environment["APCA_API_SECRET_KEY"])
        with urlopen(request) as answer:
            told = datetime.fromisoformat(json.load(answer)["timestamp"])
        assert abs((told - datetime.now(UTC)).total_seconds()) < 1.0
