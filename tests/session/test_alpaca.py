"""A bot at Alpaca, composed as users get it, against the exchange double."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import toolkit as tk
from tests.core.test_engine import EAGER
from tests.exchange.serving import Served, served
from toolkit.alpaca.data import AlpacaData
from toolkit.bot.bot import Bot
from toolkit.bot.events import BotState, Event, Problem
from toolkit.cli.main import main
from toolkit.config import Settings
from toolkit.core.gates import Gate
from toolkit.core.limits import RiskLimits
from toolkit.core.types import Fill, RoundTrip
from toolkit.errors import ConfigError
from toolkit.runtime import wait_until
from toolkit.session.alpaca import build_alpaca_bot
from toolkit.session.build import build_bot
from toolkit.session.consent import require_consent
from toolkit.session.options import LaunchOptions
from toolkit.session.registry import bot_folder

SYMBOLS = ("AAPL", "BTC/USD")
# Positions that stay until they are told to go.
PATIENT = EAGER.replace(stop_loss=20, take_profit=0, trailing_stop=0).to_dict()


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(symbols=SYMBOLS) as found:
        use(found, monkeypatch)
        yield found


def use(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in exchange.server.environment.items():
        monkeypatch.setenv(name, value)


def bot_of(events: list[Event], **options) -> Bot:
    chosen = LaunchOptions(**{"symbols": SYMBOLS, "parameters": PATIENT, **options})
    return build_bot(chosen, publish=events.append, settings=Settings.load())


@asynccontextmanager
async def running(bot: Bot) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(bot.run())
    try:
        yield task
    finally:
        await bot.stop()
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another thread's server makes it true
            await asyncio.sleep(0.01)


async def trade_until(exchange: Served, condition: Callable[[], object]) -> None:
    """Let minutes pass until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await exchange.pass_time(15)
            await asyncio.sleep(0.3)


def of(kind, events):
    return [event for event in events if type(event) is kind]


async def test_it_trades_and_what_it_did_is_known_after_a_restart(exchange: Served):
    events: list[Event] = []
    first = bot_of(events)
    async with running(first):
        await until(lambda: first.state is BotState.RUNNING)
        await trade_until(exchange, lambda: of(Fill, events))
    held = first.engine.portfolio.holdings
    again: list[Event] = []
    second = bot_of(again)
    async with running(second):
        await until(lambda: second.state is BotState.RUNNING)
        assert not of(Fill, again)
        kept = second.engine.portfolio.holdings
        assert {s: h.quantity for s, h in kept.items()} == {s: h.quantity for s, h in held.items()}
        result = await second.command("halt", {"flatten": True, "reason": "enough"}, who="ada")
        assert (len(result["orders"]), result["refused"]) == (len(held), [])
        await trade_until(exchange, lambda: of(RoundTrip, again))
    orders = exchange.state()["orders"]
    assert len({order["client_order_id"] for order in orders}) == len(orders)
    assert not [order for order in orders if order["status"] in ("new", "accepted", "held")]
    assert not exchange.state()["positions"]
    notes = [note for note in _notes(second) if note.kind == "command"]
    assert [(note.who, note.data["name"]) for note in notes] == [("ada", "halt")]
    third = bot_of([])
    async with running(third):
        await until(lambda: Gate.HALT in third.gates.by_gate)


def _notes(bot: Bot):
    from toolkit.broker.journal import Journal

    journal = Journal(bot.broker.journal.path, clock=bot.clock)
    try:
        return list(journal.notes())
    finally:
        journal.close()


async def test_the_second_start_warms_up_from_the_store(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("TOOLKIT_BARS_DIR", str(tmp_path / "bars"))

    fetched = 0
    ask = AlpacaData.bars

    async def counted(self, *symbols, **wish):
        nonlocal fetched
        answer = await ask(self, *symbols, **wish)
        fetched += sum(len(bars) for bars in answer.values())
        return answer

    monkeypatch.setattr(AlpacaData, "bars", counted)
    counts = []
    for _ in range(2):
        async with running(bot := bot_of([])):
            await until(lambda bot=bot: bot.state in (BotState.RUNNING, BotState.PAUSED))
            assert len(bot.engine.memory("BTC/USD")) >= 400
        counts.append(fetched)
        fetched = 0
    assert list((tmp_path / "bars").rglob("*.parquet"))
    assert counts[0] > 400
    assert counts[1] < 100  # the last minutes may still be revised, so they are asked for again


async def test_holdings_are_left_alone_unless_they_are_claimed(exchange: Served):
    buy = {"symbol": "AAPL", "side": "buy", "qty": 3, "type": "market", "time_in_force": "day"}
    await asyncio.to_thread(lambda: exchange.trading().post("/orders", buy))
    await exchange.pass_time(60)
    assert exchange.state()["positions"] == {"AAPL": "3"}
    for options, held in (({}, 0), ({"claim": ("AAPL",)}, 3)):
        bot = bot_of([], symbols=("AAPL",), **options)
        async with running(bot):
            await until(lambda bot=bot: bot.state is BotState.RUNNING)
            assert bot.engine.portfolio.quantity("AAPL") == held
            assert len(bot.broker.positions()) == bool(held)


async def test_too_little_money_is_said_and_the_bot_goes_on(monkeypatch: pytest.MonkeyPatch):
    with served(symbols=SYMBOLS, cash=20) as exchange:
        use(exchange, monkeypatch)
        events: list[Event] = []
        bot = bot_of(events)
        async with running(bot):
            await until(lambda: bot.state is BotState.RUNNING)
            await trade_until(exchange, lambda: of(Problem, events))
            assert "available 20); send a smaller order" in of(Problem, events)[0].message
            assert (of(Problem, events)[0].code, bot.state) == ("order_rejected", BotState.RUNNING)


async def test_wrong_keys_end_it_with_what_to_do(exchange, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APCA_API_KEY_ID", "WRONG")
    bot = bot_of([])
    async with running(bot) as task:
        await asyncio.wait({task}, timeout=10)
        assert bot.state is BotState.FAILED
        assert "key" in bot.health().reason
        task.exception()


async def test_without_an_exchange_it_waits_and_says_so(monkeypatch: pytest.MonkeyPatch):
    with served(symbols=SYMBOLS) as gone:
        use(gone, monkeypatch)
    bot = bot_of([])
    async with running(bot):
        await until(lambda: Gate.BROKER in bot.gates.by_gate)
        assert "does not answer" in bot.gates.by_gate[Gate.BROKER]
        assert bot.state is BotState.STARTING


async def test_a_journal_of_another_account_is_not_mixed_with_this_one(exchange: Served):
    bot = bot_of([])
    async with running(bot):
        await until(lambda: bot.state is BotState.RUNNING)
    folder = bot_folder(Settings.load().state_dir, "stochrsi")
    (path,) = folder.glob("account-*")
    path.write_text("somebody else")
    other = bot_of([])
    async with running(other) as task:
        await asyncio.wait({task}, timeout=10)
        assert "another account" in other.health().reason
        task.exception()


def test_a_second_bot_of_the_name_is_refused(exchange: Served):
    bot = bot_of([])
    with pytest.raises(tk.BrokerError, match="another bot writes"):
        bot_of([])
    asyncio.run(bot.stop())


def test_launch_trades_paper_with_keys_and_simulates_on_request(exchange: Served):
    said: list[str] = []
    with tk.launch(symbols=SYMBOLS, port=0, announce=said.append) as live:
        assert "alpaca:paper broker, alpaca:crypto+iex data" in said[0]
        assert wait_until(lambda: live.status()["state"] == "running", timeout=10)
        assert live.status()["limits"]["limits"]["max_orders_per_minute"] == 30
        record = next((Settings.load().state_dir / "servers").glob("*.json")).read_text()
        secret = exchange.exchange.settings.secret
        assert secret not in record + repr(live) + repr(Settings.load())
        assert secret not in repr(Settings.load().alpaca())
    with tk.launch(symbols=SYMBOLS, port=0, market="simulated", announce=said.append) as live:
        assert "simulated broker" in said[1]
        assert live.status()["limits"] is None


def test_a_launch_that_the_broker_refuses_says_so_and_leaves_nothing(exchange, monkeypatch):
    monkeypatch.setenv("APCA_API_KEY_ID", "WRONG")
    with pytest.raises(tk.BrokerError, match="key"):
        tk.launch(symbols=SYMBOLS, port=0, announce=print)
    assert not list((Settings.load().state_dir / "servers").glob("*.json"))


def test_stopped_and_started_it_never_holds_two_connections(exchange: Served):
    for _ in range(5):
        with tk.launch(symbols=SYMBOLS, port=0, announce=lambda _text: None) as live:
            assert wait_until(lambda: live.status()["feed"]["ok"], timeout=10)
    open_now: Counter[str] = Counter()
    for entry in exchange.happened("stream."):
        assert entry["what"] != "stream.error", entry
        open_now[entry["feed"]] += 1 if entry["what"] == "stream.opens" else -1
        assert max(open_now.values()) <= 1
    assert len(exchange.happened("stream.opens")) == 15
    assert not any(open_now.values())


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["toolkit", *words])
    return main()


def test_the_doctor_tells_account_feed_hours_and_clock(exchange: Served, monkeypatch, capsys):
    typed(monkeypatch, "doctor", "--port", "0", "--json")
    check = json.loads(capsys.readouterr().out)["alpaca"]
    assert "ACTIVE" in check["found"]
    assert (check["paper"], check["feed"], check["market_open"]) == (True, "iex", True)
    assert not check["ok"]  # the exchange lives in another year
    assert "clock" in check["mend"]


def test_the_doctor_says_that_keys_are_wrong(exchange: Served, monkeypatch, capsys):
    monkeypatch.setenv("APCA_API_KEY_ID", "WRONG")
    typed(monkeypatch, "doctor", "--port", "0", "--json")
    said = capsys.readouterr()
    check = json.loads(said.out)["alpaca"]
    assert (check["ok"], "keys" in check["mend"]) == (False, True)
    assert exchange.exchange.settings.secret not in said.out + said.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"live": True}, "APCA_API_KEY_ID"),
        ({"market": "alpaca"}, "APCA_API_KEY_ID"),
        ({"market": "moon"}, "auto, simulated, alpaca"),
        ({"market": "alpaca", "recording": "x.csv"}, "recording"),
        ({"name": "A-B"}, "a-z"),
        ({"limits": {"max_exposure": 5}}, "tk.RiskLimits"),
        ({"feed": "nyse", "market": "simulated"}, "iex"),
    ],
)
def test_options_that_contradict_are_refused_by_name(options, words):
    with pytest.raises(ConfigError, match=words):
        tk.launch(port=0, announce=print, **options)


LIVE = LaunchOptions(market="alpaca", live=True)


def consent(ask, **settings) -> None:
    loaded = Settings.load(alpaca_key_id="k", alpaca_secret_key="s", **settings)
    require_consent(LIVE, loaded, account_number=lambda _alpaca: "PA123", ask=ask)


def test_real_money_wants_the_account_number_or_a_setting(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def answer(text: str) -> Callable[[str], str]:
        return lambda question: (asked.append(question), text)[1]

    consent(answer(" PA123 "))
    assert "real money" in asked[0]
    for wrong in ("", "y", "PA124"):
        with pytest.raises(ConfigError, match="nothing was started"):
            consent(answer(wrong))
    with pytest.raises(ConfigError, match="TOOLKIT_ALLOW_LIVE=1"):
        consent(None)
    monkeypatch.setenv("TOOLKIT_ALLOW_LIVE", "1")
    consent(None)


def test_serve_live_without_a_terminal_needs_the_setting(monkeypatch, capsys):
    monkeypatch.setenv("APCA_API_KEY_ID", "k")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "s")
    assert typed(monkeypatch, "serve", "--live", "--port", "0") == 2
    assert "TOOLKIT_ALLOW_LIVE=1" in capsys.readouterr().err


def test_an_address_of_the_other_account_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALPACA_TRADING_URL", "https://api.alpaca.markets")
    with pytest.raises(ConfigError, match="live account"):
        Settings.load(alpaca_key_id="k", alpaca_secret_key="s").alpaca()


def test_limits_come_from_launch_else_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOOLKIT_MAX_EXPOSURE", "500")
    events: list[Event] = []

    def limits(**options) -> RiskLimits | None:
        made = LaunchOptions(market="simulated", **options)
        return build_bot(made, publish=events.append, settings=Settings.load()).engine.limits

    assert limits() == RiskLimits(max_exposure=500)
    assert limits(limits=RiskLimits(max_daily_loss=1)) == RiskLimits(max_daily_loss=1)
    monkeypatch.delenv("TOOLKIT_MAX_EXPOSURE")
    assert limits() is None
    monkeypatch.setenv("TOOLKIT_MAX_EXPOSURE", "-5")
    with pytest.raises(ConfigError, match="max_exposure"):
        limits()


def test_options_survive_the_way_into_another_process():
    options = LaunchOptions(
        limits=RiskLimits(max_exposure=5),
        market="alpaca",
        live=True,
        feed="sip",
        name="desk",
        claim=("AAPL",),
    )
    assert LaunchOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


def test_nothing_is_kept_where_nothing_outlives(tmp_path: Path):
    build_bot(LaunchOptions(), publish=lambda _event: None, settings=Settings.load())
    assert not (tmp_path / "state").exists()


def test_the_builder_for_alpaca_needs_keys():
    with pytest.raises(ConfigError, match="APCA_API_KEY_ID"):
        build_alpaca_bot(LaunchOptions(), Settings.load(), publish=lambda _event: None, limits=None)
