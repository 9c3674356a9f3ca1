"""The desk, its words, its tables, and the hub that browser sessions share."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pandas as pd
import pytest

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, NotConnected
from toolkit.views.charts.theme import DARK, LIGHT
from toolkit.views.dashboard import app as dashboard
from toolkit.views.dashboard import blocks, safety, tables
from toolkit.views.dashboard.app import Dashboard
from toolkit.views.dashboard.controls import Controls
from toolkit.views.dashboard.desk import MAX_ROWS, Desk
from toolkit.views.dashboard.known import KnownClient
from toolkit.views.dashboard.page import CONTROL_STYLE


class Bot:
    """A client without a server: `send` delivers; nothing happens by itself."""

    def __init__(self) -> None:
        self.symbols = ("AAPL", "MSFT")
        self.state, self.role = "connected", "trade"
        self.parameters = Parameters()
        self.closed_trades: list[dict] = []
        self.known_orders: list[dict] = []
        self.commands: list[str] = []
        self.sent: list[dict] = []
        self.failure: Exception | None = None
        self.during_trades = self.during_orders = lambda: None
        self.handlers: dict[str, list] = {}
        self.subscriptions: list[Any] = []

    def on(self, event, handler):
        self.handlers.setdefault(event, []).append(handler)
        return lambda: self.handlers[event].remove(handler)

    def send(self, event, data=None, *, epoch="one", **message):
        for handler in list(self.handlers.get(event, ())):
            handler({"data": data, "epoch": epoch, **message})

    def subscribe(self, streams, symbols=None):
        self.subscriptions.append((streams, symbols))

    def history(self, _symbol, limit=500):
        return {"bars": [], "fills": []}

    def trades(self):
        self.during_trades()
        if self.failure:
            raise self.failure
        return list(self.closed_trades)

    def command(self, name, /, **args):
        if name == "get_orders":
            self.during_orders()
            return {"orders": list(self.known_orders)}
        self.commands.append(name)
        self.sent.append(args)
        if self.failure:
            raise self.failure
        return {}

    @property
    def listening(self):
        return sum(map(len, self.handlers.values()))


def position(symbol="AAPL", quantity=2.0, pnl=1.5):
    return {"symbol": symbol, "quantity": quantity, "unrealised_pnl": pnl, "price": 10.0}


def trade(exit_time="2026-01-05T15:00:00Z", **values):
    return {"kind": "trade", "symbol": "AAPL", "exit_time": exit_time, "pnl": 1.0, **values}


@pytest.fixture
def bot():
    return Bot()


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def desk(bot, now):
    desk = Desk(KnownClient(bot), run_soon=lambda call: call(), clock=lambda: now[0])
    desk.start()
    return desk


def test_positions_come_and_go(bot, desk):
    bot.send("stream_positions", position())
    bot.send("stream_positions", position("MSFT"))
    bot.send("stream_positions", position(quantity=0.0))
    assert [p["symbol"] for p in desk.snapshot().positions] == ["MSFT"]


def test_orders_are_kept_by_id_newest_first_and_bounded(bot, desk):
    for i in range(MAX_ROWS + 5):
        bot.send("stream_orders", {"kind": "order", "id": str(i), "status": "accepted"})
    bot.send("stream_orders", {"kind": "order", "id": "204", "status": "filled"})
    orders = desk.snapshot().orders
    assert len(orders) == MAX_ROWS
    assert (orders[0]["id"], orders[0]["status"]) == ("204", "filled")


def test_an_order_that_is_open_is_forgotten_last(bot, desk):
    for i in range(MAX_ROWS + 1):
        status = "filled" if i else "accepted"
        bot.send("stream_orders", {"kind": "order", "id": str(i), "status": status})
    orders = desk.snapshot().orders
    assert (len(orders), orders[-1]["id"], orders[-2]["id"]) == (MAX_ROWS, "0", "2")


def order(name, status, minute):
    updated = f"2026-01-05T15:0{minute}:00Z"
    return {"kind": "order", "id": name, "status": status, "updated_at": updated}


def test_orders_of_before_the_dashboard_are_loaded_and_newer_states_win(bot, desk):
    bot.known_orders = [order("1", "filled", 1), order("2", "accepted", 2)]
    news = [order("1", "accepted", 0), order("2", "filled", 3), order("3", "accepted", 4)]
    bot.during_orders = lambda: [bot.send("stream_orders", one) for one in news]
    bot.send("connected")
    shown = [(o["id"], o["status"]) for o in desk.snapshot().orders]
    assert shown == [("3", "accepted"), ("2", "filled"), ("1", "filled")]


def test_a_trade_that_closes_while_trades_are_loaded_is_neither_lost_nor_doubled(bot, desk):
    first, second = trade("2026-01-05T15:00:00Z"), trade("2026-01-05T15:01:00Z")
    bot.closed_trades = [first]
    bot.during_trades = lambda: [bot.send("stream_orders", t) for t in (first, second)]
    bot.send("connected")
    assert desk.snapshot().trades == (second, first)


def test_another_run_of_the_bot_starts_with_an_empty_desk(bot, desk):
    bot.send("stream_positions", position())
    bot.send("stream_account", {"cash": 1.0})
    bot.send("stream_positions", position("MSFT"), epoch="two")
    bot.send("connected", epoch="two")
    shown = desk.snapshot()
    assert [p["symbol"] for p in shown.positions] == ["MSFT"]
    assert shown.account is None


def test_the_same_run_keeps_the_desk_over_a_reconnect(bot, desk):
    bot.send("stream_positions", position())
    bot.send("connected")
    assert len(desk.snapshot().positions) == 1


def test_an_announced_gap_asks_for_a_new_snapshot(bot, desk):
    bot.send("stream_positions", position())
    asked = len(bot.subscriptions)
    bot.send("gap", stream="positions")
    assert desk.snapshot().positions == ()
    assert len(bot.subscriptions) == asked + 1
    bot.send("gap", stream="market_data")
    assert len(bot.subscriptions) == asked + 1


def test_a_reload_that_fails_is_said(bot, desk):
    bot.failure = NotConnected("the server went away")
    bot.send("connected")
    assert "the server went away" in blocks.notice(desk.snapshot())


def test_what_went_wrong_is_said_for_two_minutes(bot, desk, now):
    bot.send("stream_system_health", {"kind": "problem", "message": "not enough buying power"})
    assert "not enough buying power" in blocks.notice(desk.snapshot())
    now[0] += 121.0
    assert blocks.notice(desk.snapshot()) == ""


def test_the_age_of_the_heartbeat_is_measured_by_our_clock(bot, desk, now):
    assert desk.snapshot().heartbeat_age is None
    bot.send("heartbeat", {"timestamp": "1999-01-01T00:00:00Z"})
    now[0] += 3.0
    assert desk.snapshot().heartbeat_age == 3.0
    assert "Connected" in blocks.status(desk.snapshot())
    now[0] += 30.0
    assert "No heartbeat" in blocks.status(desk.snapshot())


def test_versions_grow_with_what_is_drawn(bot, desk):
    version = desk.version
    bot.send("heartbeat", {})
    assert desk.version == version
    bot.send("stream_account", {"cash": 1.0})
    assert desk.version > version


def test_parameters_follow_what_the_bot_confirms(bot, desk):
    changed = Parameters().replace({"ema_period": 21})
    bot.send("stream_parameters", {"parameters": changed.to_dict()})
    assert desk.snapshot().parameters == changed
    assert "<dd>21 · close above</dd>" in blocks.parameters(changed)


def test_closing_the_desk_leaves_no_handler(bot, desk):
    desk.close()
    desk.close()
    assert bot.listening == 1  # the parameters', which are the client's


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "+1,234.50"), (-0.004, "0.00"), (-2.345, "\N{MINUS SIGN}2.35"), (None, "–")],
)
def test_money_has_two_decimals_and_a_true_minus(value, text):
    assert blocks.money(value, signed=True) == text


def test_account_figures_add_up(bot, desk):
    assert "–" in blocks.account(desk.snapshot())
    book = {"cash": 9_000.0, "equity": 10_003.0, "realised_pnl": -12.0}
    bot.send("stream_account", book)
    bot.send("stream_positions", position(pnl=1.5))
    bot.send("stream_positions", position("MSFT", pnl=1.5))
    text = blocks.account(desk.snapshot())
    for part in ("10,003.00", "9,000.00", '"down">\N{MINUS SIGN}12.00', '"up">+3.00'):
        assert part in text


def test_words_from_elsewhere_are_escaped(bot, desk):
    health = {"kind": "health", "state": "failed", "market": "<b>", "broker": "<i>"}
    bot.send("stream_system_health", {**health, "reason": "<script>"})
    bot.send("stream_system_health", {"kind": "problem", "message": "<img>"})
    shown = desk.snapshot()
    said = blocks.status(shown) + blocks.notice(shown, "<u>")
    assert not any(tag in said for tag in ("<b>", "<i>", "<script>", "<img>", "<u>"))


def test_a_lost_connection_is_said(bot, desk):
    bot.state = "connecting"
    shown = desk.snapshot()
    assert "may be out of date" in blocks.notice(shown)
    assert "Reconnecting" in blocks.status(shown)


@pytest.mark.parametrize(("symbol", "change"), [("AAPL", "2.00"), ("BTC/USD", "1.01")])
def test_the_headline_compares_with_the_first_bar_of_the_assets_own_day(symbol, change):
    prices = {"01-05T21:00": 50.0, "01-06T00:30": 100.0, "01-06T01:00": 99.0, "01-06T04:00": 98.0}
    if symbol == "AAPL":
        prices = {"01-05T20:59": 50.0, "01-06T14:30": 100.0, "01-06T14:31": 98.0}
    else:
        del prices["01-06T00:30"]
    bars = [
        {"symbol": symbol, "timestamp": f"2026-{time}:00Z", "open": value, "close": value}
        for time, value in prices.items()
    ]
    shown = blocks.headline(bars)
    assert f"\N{MINUS SIGN}{change} % today" in shown
    assert "98.00" in shown
    assert "–" in blocks.headline([])


def test_the_headline_says_today_only_of_a_day_that_is_known_from_its_beginning():
    bars = [
        {"symbol": "AAPL", "timestamp": f"2026-01-06T{time}:00Z", "open": 100.0, "close": value}
        for time, value in {"15:12": 101.0, "15:13": 102.0}.items()
    ]
    shown = blocks.headline(bars)
    assert "+2.00 % since 15:12<" in shown
    assert "today" not in shown


@pytest.mark.parametrize("columns", [tables.POSITIONS, tables.TRADES, tables.ORDERS])
def test_an_empty_table_has_the_types_of_a_full_one(columns):
    empty = tables.table_frame([], columns)
    times = {"time": "2026-01-05T14:30:00Z"}
    full = tables.table_frame([{c.key: times.get(c.kind, 1.0) for c in columns}], columns)
    assert empty.dtypes.tolist() == full.dtypes.tolist()


def test_missing_values_are_missing_and_not_zero():
    (row,) = tables.table_frame([{"symbol": "AAPL"}], tables.ORDERS).to_dict("records")
    assert math.isnan(row["average_price"])
    assert row["message"] == ""
    assert row["updated_at"] is pd.NaT


def row(symbol="AAPL", pnl=1.0):
    return {"symbol": symbol, "quantity": 1.0, "entry_price": 1.0, "unrealised_pnl": pnl}


# Bokeh 3.9 calls pandas in a way that pandas 3.1 deprecates.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_a_table_is_patched_where_values_changed_and_replaced_where_rows_did():
    widget = tables.table(tables.POSITIONS, empty="none")
    tables.fill(widget, [row(), row("MSFT")], tables.POSITIONS)
    patched = []
    patch = widget.patch
    widget.patch = lambda changes: (patched.append(changes), patch(changes))
    tables.fill(widget, [row(), row("MSFT", pnl=2.0)], tables.POSITIONS)
    tables.fill(widget, [row(), row("MSFT", pnl=2.0)], tables.POSITIONS)
    assert patched == [{"unrealised_pnl": [(1, 2.0)]}]
    assert widget.value["unrealised_pnl"].tolist() == [1.0, 2.0]
    tables.fill(widget, [row("MSFT")], tables.POSITIONS)
    assert widget.value["symbol"].tolist() == ["MSFT"]
    assert len(patched) == 1


@pytest.fixture
def hub(bot):
    """A dashboard whose loop is the test's, with pages that are only counted."""
    return Dashboard(bot)


def test_a_symbol_is_followed_once_while_somebody_looks(bot, hub):
    first, second = hub.follow("AAPL"), hub.follow("AAPL")
    assert first is second
    hub.follow("MSFT")
    assert hub.followed == {"AAPL": 2, "MSFT": 1}
    for symbol in ("AAPL", "AAPL", "MSFT"):
        hub.release(symbol)
    assert hub.followed == {}
    hub.close()
    assert bot.listening == 0


def test_an_unknown_symbol_is_refused_and_not_counted(hub):
    with pytest.raises(ConfigError, match="TSLA"):
        hub.follow("TSLA")
    assert hub.followed == {}


def controls(bot, *, ceiling="admin", who=""):
    said: list[str] = []
    return Controls(KnownClient(bot), on_trouble=said.append, ceiling=ceiling, who=who), said


@pytest.mark.parametrize(
    ("role", "ceiling", "visible"),
    [
        ("trade", "admin", True),
        ("admin", "trade", True),
        ("tune", "admin", False),
        ("admin", "view", False),
        ("admin", "nonsense", False),
    ],
)
async def test_controls_are_for_those_who_may_trade(bot, desk, role, ceiling, visible):
    bot.role = role
    row, said = controls(bot, ceiling=ceiling)
    row.update(desk.snapshot())
    assert row.panel.visible is visible
    await row._send("flatten")
    assert bot.commands == (["flatten"] if visible else [])
    assert said == ([""] if visible else ["flatten needs the role trade"])


async def test_a_refused_command_is_said_in_words(bot):
    bot.failure = NotConnected("not connected to the server")
    row, said = controls(bot)
    await row._send("stop")
    assert said == ["not connected to the server"]


def test_flatten_wants_a_confirmation_that_names_the_number(bot, desk):
    row, _ = controls(bot)
    bot.send("stream_system_health", {"kind": "health", "state": "running", "reason": ""})
    bot.send("stream_positions", position())
    row.update(desk.snapshot())
    assert (row._flatten.disabled, row._confirm.visible) == (False, False)
    row._flatten.clicks += 1
    assert (row._confirm.visible, row._confirm.label) == (True, "Close 1 position")
    bot.send("stream_positions", position(quantity=0.0))
    row.update(desk.snapshot())
    assert (row._flatten.disabled, row._confirm.visible) == (True, False)


def health(*gates, state="running"):
    closed = [{"gate": name, "reason": name, "symbol": None, "since": TIME} for name in gates]
    return {"kind": "health", "state": state, "reason": "", "gates": closed, "timestamp": TIME}


TIME = "2026-01-05T15:00:00Z"


@pytest.mark.parametrize(
    ("gate", "label"),
    [("command", "Resume entries"), ("loss", "Resume entries"), ("feed", "Pause entries")],
)
def test_entries_are_resumed_only_where_a_person_holds_them(bot, desk, gate, label):
    row, _ = controls(bot)
    bot.send("stream_system_health", health(gate, state="paused"))
    row.update(desk.snapshot())
    assert (row._entries.label, row._entries.disabled) == (label, False)


async def test_the_kill_switch_asks_how_and_says_why(bot, desk):
    row, _ = controls(bot)
    switch = row.switch
    bot.send("stream_system_health", health())
    row.update(desk.snapshot())
    switch._halt.clicks += 1
    assert (switch._entries.visible, switch._all.disabled, row._flatten.visible) == (
        True,
        True,
        False,
    )
    assert bot.commands == []
    bot.send("stream_positions", position())
    row.update(desk.snapshot())
    assert (switch._all.label, switch._all.disabled) == ("Stop and close 1 position", False)
    switch._why.value_input = "a drill"
    await switch._stop_all(None)
    assert (bot.commands, bot.sent) == (["halt"], [{"flatten": True, "reason": "a drill"}])
    assert (switch.asking, switch._why.value_input, row._flatten.visible) == (False, "", True)


@pytest.mark.parametrize(
    ("why", "reason"),
    [("a drill", "a drill, asked by anna (trade)"), ("", "asked by anna (trade)")],
)
async def test_the_reason_of_a_halt_names_the_person_at_the_browser(bot, why, reason):
    row, _ = controls(bot, who="anna (trade)")
    row.switch._why.value_input = why
    await row.switch._stop_entries(None)
    assert bot.sent == [{"flatten": False, "reason": reason}]


async def test_a_halt_is_lifted_after_a_second_question(bot, desk):
    row, _ = controls(bot)
    switch = row.switch
    switch._halt.clicks += 1
    bot.send("stream_system_health", health("halt", state="paused"))
    row.update(desk.snapshot())
    shown = (switch._halt.visible, switch._lift.visible, switch._sure.visible)
    assert shown == (False, True, False)
    switch._lift.clicks += 1
    assert (switch._lift.visible, switch._sure.visible, bot.commands) == (False, True, [])
    await switch._resume(None)
    assert bot.commands == ["resume_trading"]


def test_styles_use_roles_that_both_themes_have():
    import re

    for style in (CONTROL_STYLE, blocks.BLOCK_STYLE, safety.SAFETY_STYLE, tables.TABLE_STYLE):
        for role in set(re.findall(r"var\(--tk-(\w+)", style)) - {"font"}:
            assert f"--tk-{role}:" in LIGHT.css()
            assert f"--tk-{role}:" in DARK.css()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "TOOLKIT_URL is not set"),
        ({"TOOLKIT_URL": "http://127.0.0.1:1"}, "TOOLKIT_TOKEN is not set"),
        (
            {"TOOLKIT_URL": "x", "TOOLKIT_TOKEN": "y", "TOOLKIT_DASHBOARD_PORT": "70000"},
            "allowed: 0 to 65535",
        ),
    ],
)
def test_settings_that_are_missing_or_wrong_are_named(monkeypatch, capsys, environment, words):
    for name in ("TOOLKIT_URL", "TOOLKIT_TOKEN", "TOOLKIT_DASHBOARD_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert dashboard.main() == 2
    assert words in capsys.readouterr().err


async def test_work_that_may_block_runs_outside_the_loop(hub):
    hub._loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    hub.run_soon(lambda: loop.call_soon_threadsafe(done.set))
    async with asyncio.timeout(5):
        await done.wait()
