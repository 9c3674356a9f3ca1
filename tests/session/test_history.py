"""`tk.bars` with keys: from Alpaca through the store, against the exchange double."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import toolkit as tk
from tests.exchange.serving import Served, served
from toolkit.runtime import LoopThread
from toolkit.session import history

START = datetime(2026, 1, 5, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Served]:
    with served(start=START) as exchange:
        exchange.advance(3600)
        yield exchange


@pytest.fixture
def keys(exchange: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name, value in exchange.server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TOOLKIT_BARS_DIR", str(tmp_path / "bars"))
    return tmp_path / "bars"


def test_bars_of_alpaca_say_where_they_come_from(keys: Path) -> None:
    bars = tk.bars(["AAPL", "BTC/USD"], start="2026-01-05T15:00", end="2026-01-05T15:30")
    assert bars["symbol"].value_counts().to_dict() == {"AAPL": 30, "BTC/USD": 30}
    assert set(zip(bars["symbol"], bars["feed"], strict=True)) == {
        ("AAPL", "iex"),
        ("BTC/USD", "crypto"),
    }
    assert bars.attrs == {
        "source": "alpaca:crypto+iex",
        "feed": "crypto+iex",
        "adjustment": "raw",
        "timeframe": 60.0,
    }
    assert len(list(keys.rglob("*.parquet"))) == 2


def test_a_second_call_asks_alpaca_for_nothing(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    span = {"start": "2026-01-05T15:00", "end": "2026-01-05T15:10"}
    first = tk.bars("AAPL", **span)
    monkeypatch.setenv("ALPACA_DATA_URL", "http://127.0.0.1:9")
    pd.testing.assert_frame_equal(tk.bars("AAPL", **span), first)


def test_without_a_start_the_last_bars_come(keys: Path) -> None:
    bars = tk.bars("AAPL", "5Min", end="2026-01-05T15:30", count=40)
    assert len(bars) == 40
    assert bars["timestamp"].iloc[-1] == pd.Timestamp("2026-01-05T15:25Z")


def test_bars_of_an_exchange_double_are_not_kept_among_those_of_alpaca(
    keys: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TOOLKIT_BARS_DIR")
    assert len(tk.bars("AAPL", start="2026-01-05T15:00", end="2026-01-05T15:10")) == 10
    assert list(tmp_path.rglob("*.parquet")) == []


def test_the_simulated_market_can_be_asked_for_in_spite_of_keys(keys: Path) -> None:
    bars = tk.bars("AAPL", count=5, market="simulated")
    assert (bars.attrs["source"], bars.attrs["feed"]) == ("simulated, seed 7", "simulated")


def test_recent_sip_bars_on_the_basic_plan_are_explained(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(tk.DataError, match="use feed iex, end earlier"):
        tk.bars("AAPL", start="2026-01-05T15:50", end="2026-01-05T15:59", feed="sip")


def test_bars_that_do_not_exist_are_named(keys: Path) -> None:
    with pytest.raises(tk.DataError, match="no bars of NOPE"):
        tk.bars("NOPE", start="2026-01-05T15:00", end="2026-01-05T15:10")


def test_alpaca_without_keys_says_which() -> None:
    with pytest.raises(tk.ConfigError, match="APCA_API_KEY_ID"):
        tk.bars("AAPL", market="alpaca")


def test_a_backtest_refuses_a_mixture(keys: Path) -> None:
    bars = tk.bars("AAPL", start="2026-01-05T15:00", end="2026-01-05T15:30")
    other = bars.assign(feed="sip", symbol="MSFT")
    with pytest.raises(tk.DataError, match="mixes bars of feed iex, sip"):
        tk.backtest(pd.concat([bars, other]))


def test_a_mixture_in_a_file_is_refused_or_flagged(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    bars = tk.bars("AAPL", count=4, start="2026-01-05T15:00")
    bars.assign(feed=["iex", "sip", "iex", "iex"]).to_csv(path, index=False)
    with pytest.raises(tk.DataError, match="keep the rows of one feed"):
        tk.bars(path)
    flagged = tk.bars(path, on_mixed="flag")
    assert flagged.attrs["mixed"] == {"feed": ["iex", "sip"]}
    assert flagged.attrs["feed"] == "iex+sip"


def test_what_was_fetched_before_ctrl_c_is_kept(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.market.collect._BARS_AT_ONCE", 10)
    span = {"start": "2026-01-05T15:00", "end": "2026-01-05T15:50"}

    stopping, stop = threading.Event(), LoopThread.stop

    def noted_stop(self: LoopThread) -> None:
        stopping.set()
        stop(self)

    def press(done: int, total: int) -> None:
        assert total == 5
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)
            assert stopping.wait(10.0)

    monkeypatch.setattr(LoopThread, "stop", noted_stop)

    with pytest.raises(KeyboardInterrupt):
        tk.bars("AAPL", **span, progress=press)
    left: list[int] = []
    bars = tk.bars("AAPL", **span, progress=lambda done, total: left.append(total))
    assert len(bars) == 50
    assert left[0] == 3


def test_progress_is_reported_to_whoever_asks_for_it(keys: Path) -> None:
    seen: list[tuple[int, int]] = []
    tk.bars(
        "AAPL",
        start="2026-01-05T15:00",
        end="2026-01-05T15:10",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 1)]


@pytest.mark.parametrize(("quiet", "bars"), [(1e9, 0), (-1.0, 1)])
def test_a_progress_bar_appears_only_after_a_second(
    keys: Path, monkeypatch: pytest.MonkeyPatch, quiet: float, bars: int
) -> None:
    shown: list[int] = []

    @contextmanager
    def progress_of(progress: object, *, total: int, what: str) -> Iterator[object]:
        shown.append(total)
        yield lambda done, of: None

    monkeypatch.setattr(history, "QUIET_SECONDS", quiet)
    monkeypatch.setattr(history, "progress_of", progress_of)
    tk.bars("AAPL", start="2026-01-05T15:00", end="2026-01-05T15:05")
    assert len(shown) == bars
