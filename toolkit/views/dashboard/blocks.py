"""The dashboard's words and figures as small pieces of HTML; pure functions of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from html import escape
from typing import Any

from toolkit.core.parameters import Parameters
from toolkit.core.types import is_crypto
from toolkit.market.sessions import NEW_YORK
from toolkit.streaming.wire import parse_time
from toolkit.views.dashboard import safety
from toolkit.views.dashboard.desk import DeskData
from toolkit.views.gates import gate_lines, listed

_BOT_WORDS = {
    "starting": ("wait", "Starting"),
    "running": ("good", "Running, entries open"),
    "paused": ("wait", "Entries paused"),
    "finished": ("idle", "Data ended"),
    "failed": ("bad", "Failed"),
    "stopped": ("idle", "Stopped"),
}
_CONNECTION_WORDS = {
    "connected": ("good", "Connected"),
    "connecting": ("wait", "Reconnecting"),
    "disconnected": ("bad", "Disconnected"),
    "closed": ("bad", "Connection closed"),
}
STALE_AFTER = 12.0
"""Seconds without a heartbeat (sent every 5) after which the connection counts as silent."""

BLOCK_STYLE = """
:host { font-family: var(--tk-font); color: var(--tk-text); font-size: 13px;
  font-variant-numeric: tabular-nums; line-height: 1.45; }
.up { color: var(--tk-gain); } .down { color: var(--tk-loss); }
.quiet { color: var(--tk-muted); }
.pills { display: flex; flex-wrap: wrap; gap: 2px 16px; align-items: center; }
.pill { white-space: nowrap; }
.pill::before { content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 7px;
  border-radius: 50%; background: var(--tk-muted); }
.pill.good::before { background: var(--tk-up); }
.pill.wait::before { background: var(--tk-warning); border-radius: 2px; }
.pill.bad::before { background: var(--tk-down); border-radius: 2px; transform: rotate(45deg); }
.price { font-size: 20px; font-weight: 600; letter-spacing: -0.01em; white-space: nowrap; }
.price small { font-size: 13px; font-weight: 400; margin-left: 8px; }
.figures { display: grid; grid-template-columns: 1fr 1fr; gap: 12px 16px; }
.figures dt, .set dt { color: var(--tk-muted); font-size: 12px; }
.figures dd { margin: 0; font-size: 17px; font-weight: 600; letter-spacing: -0.01em; }
dl { margin: 0; }
.set { display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; }
.set dd { margin: 0; text-align: right; }
.notice { padding: 8px 12px; border-left: 3px solid var(--tk-warning);
  background: var(--tk-raised); }
.notice.bad { border-color: var(--tk-down); }
"""


def money(value: float | None, *, signed: bool = False) -> str:
    """Return an amount with two decimals, thousands apart; `–` where there is none."""
    if value is None:
        return "–"
    text = f"{abs(value):,.2f}"
    if float(text.replace(",", "")) == 0:
        return text
    sign = "\N{MINUS SIGN}" if value < 0 else "+" if signed else ""
    return sign + text


def price(value: float | None) -> str:
    """Return a price: two decimals, six below 1."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:,.6f}"


def direction(value: float | None) -> str:
    """Return the CSS class of a gain, a loss, or neither."""
    if not value or abs(value) < 0.005:
        return ""
    return "up" if value > 0 else "down"


def headline(bars: Sequence[Mapping[str, Any]]) -> str:
    """Return the newest price and its change since the day's first bar: New York's for stocks.

    Where no bar of an earlier day is known, the day may have begun before the oldest bar: then it
    says since when (UTC).
    """
    if not bars:
        return '<span class="price quiet">–</span>'
    newest = bars[-1]
    day = _day(newest)
    first = next((b for b in bars if _day(b) == day), newest)
    change = (newest["close"] / first["open"] - 1) * 100
    sign = "+" if change >= 0.005 else "\N{MINUS SIGN}" if change <= -0.005 else ""
    words = "today" if _day(bars[0]) < day else f"since {first['timestamp'][11:16]}"
    since = f"since {first['timestamp'][:16].replace('T', ' ')} UTC"
    return (
        f'<span class="price">{price(newest["close"])}'
        f'<small class="{direction(change)}" title="{since}">'
        f"{sign}{abs(change):.2f} % {words}</small></span>"
    )


def _day(bar: Mapping[str, Any]) -> date:
    zone = UTC if is_crypto(bar["symbol"]) else NEW_YORK
    return parse_time(bar["timestamp"]).astimezone(zone).date()


def status(desk: DeskData) -> str:
    """Return the state of the bot and of the connection, and the age of the heartbeat."""
    health = desk.health or {}
    kind, words = _bot_words(health)
    source = f" · {health['market']}" if health else ""
    age = desk.heartbeat_age
    link, linked = _CONNECTION_WORDS.get(desk.connection, ("bad", desk.connection))
    if desk.connection == "connected" and age is not None and age > STALE_AFTER:
        link, linked = "bad", "No heartbeat"
    beat = "" if age is None else f" · heartbeat {age:.0f} s ago"
    return (
        f'<div class="pills">{safety.badge(health)}<span class="pill {kind}">{escape(words)}'
        f'<span class="quiet">{escape(source)}</span></span>'
        f'<span class="pill {link}">{escape(linked)}<span class="quiet">{beat}</span></span></div>'
    )


def _bot_words(health: Mapping[str, Any]) -> tuple[str, str]:
    kind, words = _BOT_WORDS.get(str(health.get("state")), ("idle", "No word from the bot"))
    held = sorted({s for line in gate_lines(health) for s in line.symbols})
    if kind == "good" and held:
        return "wait", f"Running, no entries in {listed(held)}"
    return kind, words


def notice(desk: DeskData, trouble: str = "") -> str:
    """Return what the user must know in words; empty where all is well."""
    lines = [("bad", trouble)] if trouble else []
    if desk.connection != "connected":
        lines.append(("bad", "No connection to the bot: what you see may be out of date."))
    health = desk.health or {}
    known = {gate["reason"] for gate in health.get("gates", ())}
    if health.get("reason") and health["reason"] not in known:
        lines.append(("bad" if health["state"] == "failed" else "", str(health["reason"])))
    if desk.problem and not any(str(desk.problem["message"]) in reason for reason in known):
        lines.append(("", str(desk.problem["message"])))
    said = "".join(f'<div class="notice {kind}">{escape(text)}</div>' for kind, text in lines)
    return safety.gates(health) + said


def account(desk: DeskData) -> str:
    """Return cash, equity, realised and open profit, and the number of open positions."""
    book = desk.account or {}
    realised = book.get("realised_pnl")
    unrealised = sum(p["unrealised_pnl"] for p in desk.positions) if book else None
    figures = (
        ("Equity", money(book.get("equity")), ""),
        ("Cash", money(book.get("cash")), ""),
        ("Realised P/L", money(realised, signed=True), direction(realised)),
        ("Open P/L", money(unrealised, signed=True), direction(unrealised)),
    )
    cells = "".join(
        f'<div><dt>{name}</dt><dd class="{kind}">{value}</dd></div>'
        for name, value, kind in figures
    )
    return f'<dl class="figures">{cells}</dl>'


def parameters(values: Parameters | None) -> str:
    """Return the parameters in force, grouped as one speaks of them."""
    if values is None:
        return '<span class="quiet">Not known yet</span>'
    rows = [*_conditions(values), *_exits(values), *_limits(values)]
    return '<dl class="set">' + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in rows) + "</dl>"


def _conditions(values: Parameters) -> list[tuple[str, str]]:
    rsi, ema, stochastic = values.stoch_rsi, values.ema, values.stochastic
    off = "off"
    lengths = f"{rsi.rsi_length}, {rsi.stoch_length}, {rsi.k}, {rsi.d}"
    rows = [
        ("StochRSI", f"{lengths} · below {rsi.lower_band:g}" if rsi.enabled else off),
        ("EMA", f"{ema.ema_period} · close above" if ema.enabled else off),
    ]
    lengths = f"{stochastic.k_length}, {stochastic.smooth_k}, {stochastic.smooth_d}"
    words = f"{lengths} · up through {stochastic.lower_band:g}"
    rows.append(("Stochastic", words if stochastic.enabled else off))
    rows.append(("Lookback", f"{values.rules.lookback} bars"))
    return rows


def _exits(values: Parameters) -> list[tuple[str, str]]:
    risk = values.risk
    trail = f"{risk.trailing_stop:g} % from +{risk.trailing_activation:g} %"
    fixed = f"{risk.stop_loss:g} %" if risk.stop_loss else "off"
    return [
        ("Stop loss", f"{risk.atr_multiplier:g} × ATR" if risk.atr_stop else fixed),
        ("Take profit", f"{risk.take_profit:g} %" if risk.take_profit else "off"),
        ("Trailing stop", trail if risk.trailing_stop else "off"),
        (
            "Signal exit",
            f"above {values.stoch_rsi.upper_band:g}" if values.rules.exit_on_signal else "off",
        ),
    ]


def _limits(values: Parameters) -> list[tuple[str, str]]:
    risk = values.risk
    by_risk = f"{risk.risk_percent:g} % of capital at risk"
    size = f"{risk.trade_capital_percent:g} % of capital"
    return [
        ("Size", by_risk if risk.atr_sizing else size),
        ("Positions", f"at most {risk.max_positions}"),
        ("Cooldown", f"{risk.cooldown:g} s"),
    ]
