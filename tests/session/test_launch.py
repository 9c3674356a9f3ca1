"""`tk.launch` and `tk.connect`: quick, clean, and found again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import toolkit as tk
from toolkit.config import Settings
from toolkit.research.validation.verdict import Chosen
from toolkit.runtime import wait_until
from toolkit.session.registry import Registry

SYMBOLS = ["AAPL", "BTC/USD"]


def silent(_text: str) -> None:
    """Swallow what launch announces."""


def launch(**options):
    defaults = {"symbols": SYMBOLS, "port": 0, "speed": "600x", "announce": silent}
    return tk.launch(**{**defaults, **options})


def leftovers() -> tuple[set[str], set[int], set[int]]:
    process = psutil.Process()
    threads = {t.name for t in threading.enumerate()}
    return threads, {c.pid for c in process.children(recursive=True)}, open_sockets(process)


def added(before: tuple[set[str], set[int], set[int]]) -> list[object]:
    pairs = zip(leftovers(), before, strict=True)
    return [thing for now, then in pairs for thing in now - then]


def open_sockets(process: psutil.Process) -> set[int]:
    return {c.fd for c in process.net_connections(kind="all")}


def test_a_launched_bot_streams_and_obeys():
    with launch() as live:
        assert (live.state, live.role, sorted(live.symbols)) == ("connected", "admin", SYMBOLS)
        frame = live.frame("market_data", "AAPL")
        assert wait_until(lambda: len(frame) > 20, timeout=10)
        confirmed = live.set_parameters(ema_period=12)
        assert confirmed["new"] == {"ema.ema_period": 12}
        assert live.parameters.ema.ema_period == 12
        assert live.pause()["state"] == "paused"
        assert live.resume()["state"] == "running"
        assert live.history("AAPL")["bars"]
        assert isinstance(live.trades(), list)
        assert live.link.startswith(live.url)


def test_ten_launches_leave_nothing_behind():
    launch().stop()
    before = leftovers()
    for _ in range(10):
        live = launch()
        live.stop()
        live.stop()
    # What an earlier test has left may go meanwhile; nothing may come.
    assert wait_until(lambda: not added(before), timeout=5), added(before)


async def test_launch_works_inside_a_running_event_loop():
    began = time.monotonic()
    live = launch()
    took = time.monotonic() - began
    try:
        assert asyncio.get_running_loop().is_running()
        assert live.state == "connected"
        assert took < 10
    finally:
        live.stop()


def test_a_taken_port_names_itself_and_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        before = leftovers()
        with pytest.raises(tk.ConfigError, match=str(port)) as error:
            launch(port=port)
        assert "port" in error.value.message
        assert wait_until(lambda: not added(before), timeout=5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbols": []}, "at least one"),
        ({"symbols": ["A$"]}, "no symbol"),
        ({"symbols": ["AAPL", "aapl"]}, "each once"),
        ({"capital": -1}, "1 to 1e9"),
        ({"speed": "fast"}, "fast"),
        ({"isolation": "cloud"}, "thread, process"),
        ({"parameters": {"ema_period": 0}}, "whole numbers from 1 to 500"),
        ({"port": 70000}, "port"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options, words):
    before = leftovers()
    with pytest.raises(tk.ConfigError, match=words):
        launch(**options)
    assert wait_until(lambda: not added(before), timeout=5)


def test_a_missing_recording_is_a_data_error():
    with pytest.raises(tk.DataError, match=r"nowhere\.parquet"):
        launch(recording="nowhere.parquet")


def test_an_unknown_symbol_of_a_chart_lists_the_known_ones():
    with launch() as live, pytest.raises(tk.ConfigError, match="AAPL, BTC/USD"):
        live.chart("TSLA")


def test_the_announcement_gives_the_link_and_the_advice():
    said: list[str] = []
    with launch(announce=said.append) as live:
        assert live.link in said[0]
        assert "isolation='process'" in said[0]


def test_connect_finds_the_bot_of_this_machine_and_leaves_it_running():
    with launch() as live:
        with tk.connect() as other:
            assert other.url == live.url
            other.set_parameters(ema_period=15)
        assert live.state == "connected"
        assert live.parameters.ema.ema_period == 15


def test_connect_without_a_server_says_how_to_start_one():
    with pytest.raises(tk.ConfigError, match=r"tk\.launch"):
        tk.connect()


def test_connect_with_a_wrong_token_is_refused():
    with launch() as live, pytest.raises(tk.AuthError):
        tk.connect(live.url, token="wrong")


def test_the_private_record_is_for_its_user_only():
    with launch():
        (path,) = (Settings.load().state_dir / "servers").glob("*.json")
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_a_process_outlives_its_kernel_and_is_found_again(tmp_path: Path):
    port = free_port()
    code = (
        "import toolkit as tk, os;"
        f"live = tk.launch(symbols={SYMBOLS!r}, port={port}, speed='600x', isolation='process');"
        "live.set_parameters(ema_period=17); os._exit(9)"
    )
    kernel = subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False)
    assert kernel.returncode == 9
    (record,) = Registry(Settings.load().state_dir).running()
    live = launch(port=port, isolation="process")
    try:
        assert live.parameters.ema.ema_period == 17
        assert wait_until(lambda: live.status()["bars"] > 0, timeout=10)
        for other in (
            {"symbols": ["TSLA"]},
            {"recording": "bars.csv"},
            {"capital": 500.0},
            {"parameters": {"stop_loss": 1.5}},
        ):
            with pytest.raises(tk.ConfigError, match=f"other {next(iter(other))}"):
                launch(port=port, isolation="process", **other)
    finally:
        live.stop()
    assert not record.alive
    assert wait_until(lambda: "reaper" not in leftovers()[0], timeout=5)


def test_a_process_that_cannot_start_says_why():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(tk.ConfigError, match=str(port)):
            launch(port=port, isolation="process")


def test_closing_a_process_session_leaves_the_bot_and_stopping_ends_it():
    port = free_port()
    launch(port=port, isolation="process").close()
    (record,) = Registry(Settings.load().state_dir).running()
    assert record.alive
    launch(port=port, isolation="process").stop()
    assert not record.alive


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class _Verdict:
    def __init__(self, *, supported: bool) -> None:
        self.supported = supported
        self.reasons = ("only 3 trades",)


def chosen(*, supported: bool, **values) -> Chosen:
    p = tk.Parameters().replace(values)
    groups = (p.stoch_rsi, p.ema, p.stochastic, p.rules, p.risk)
    return Chosen(*groups, _Verdict(supported=supported), ("risk.stop_loss",))


def test_apply_asks_when_the_evidence_is_missing_and_lists_the_changes():
    asked: list[str] = []
    best = chosen(supported=False, stop_loss=0.4)
    with launch() as live:
        assert live.apply(best, confirm=lambda q: bool(asked.append(q))) is None
        assert "only 3 trades" in asked[0]
        assert "risk.stop_loss 0.2 to 0.4" in asked[0]
        assert live.parameters.risk.stop_loss == 0.2
        assert live.apply(best, confirm=lambda _q: True)["new"] == {"risk.stop_loss": 0.4}


def test_apply_asks_before_it_undoes_what_was_not_swept():
    asked: list[str] = []
    best = chosen(supported=True, stop_loss=0.4)
    with launch() as live:
        live.set_parameters(trade_capital_percent=1.0)
        assert live.apply(best, confirm=lambda q: bool(asked.append(q))) is None
        assert "risk.trade_capital_percent 1.0 to 5.0" in asked[0]
        live.set_parameters(trade_capital_percent=5.0)
        assert live.apply(best)["new"] == {"risk.stop_loss": 0.4}


def test_apply_takes_plain_parameters_and_changes_only_what_a_mapping_names():
    with launch() as live:
        confirmed = live.apply(tk.Parameters().replace(ema_period=8))
        assert confirmed["new"] == {"ema.ema_period": 8}
        assert live.apply({"stop_loss": 0.3})["new"] == {"risk.stop_loss": 0.3}
        assert live.parameters.ema.ema_period == 8
        with pytest.raises(tk.ConfigError, match="Parameters or a mapping"):
            live.apply(None)


def test_symbols_choose_among_those_of_a_recording(tmp_path: Path):
    path = tmp_path / "bars.csv"
    tk.bars(["AAPL", "MSFT"], count=50).to_csv(path, index=False)
    with launch(symbols=["MSFT"], recording=path) as live:
        assert list(live.symbols) == ["MSFT"]
    with launch(symbols=None, recording=path) as live:
        assert list(live.symbols) == ["AAPL", "MSFT"]
    with pytest.raises(tk.DataError, match="TSLA"):
        launch(symbols=["TSLA"], recording=path)


def test_an_old_session_does_not_hide_a_new_bot_on_its_port():
    port = free_port()
    old = launch(port=port, isolation="process")
    os.kill(Registry(Settings.load().state_dir).running()[0].pid, signal.SIGKILL)
    assert wait_until(lambda: not Registry(Settings.load().state_dir).running(), timeout=5)
    new = launch(port=port, isolation="process")
    try:
        with pytest.raises(tk.NotConnected):
            old.status()
        old.stop()
        (record,) = Registry(Settings.load().state_dir).running()
        assert record.port == port
    finally:
        new.stop()


def test_connect_wants_to_know_which_of_several():
    with launch() as one, launch() as two:
        with pytest.raises(tk.ConfigError, match="several servers"):
            tk.connect()
        with tk.connect(two.url) as found:
            assert found.url == two.url != one.url
