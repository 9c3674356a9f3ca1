"""What guards the account, as HTML: closed gates, feed, kind of account, limits and their use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from toolkit.streaming.wire import parse_time
from toolkit.views.dashboard.desk import DeskData
from toolkit.views.gates import GateLine, gate_lines, since_text

REPORT_EVERY = 6.0
"""Seconds between two reports of the bot, and a little: until then the feed's age is theirs."""
NEARLY = 80.0
"""Percent of a limit from which on its use stands out."""

SAFETY_STYLE = """
.gates { display: grid; grid-template-columns: max-content minmax(0, 1fr) max-content;
  gap: 2px 14px; padding: 7px 12px; border-left: 3px solid var(--tk-warning);
  background: var(--tk-raised); }
.gates.bad { border-color: var(--tk-down); }
.gates b { font-weight: 600; }
.gates .gate { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; }
.gates .quiet { white-space: nowrap; }
@media (max-width: 600px) { .gates { grid-template-columns: max-content minmax(0, 1fr); }
  .gates .gate .quiet { grid-column: 2; } }
.badge { padding: 2px 7px; border-radius: 4px; font-size: 11px; font-weight: 600;
  letter-spacing: 0.04em; border: 1px solid var(--tk-line); color: var(--tk-muted); }
.badge.paper { color: var(--tk-accent); border-color: var(--tk-accent); }
.badge.live { color: var(--tk-surface); background: var(--tk-loss); border-color: var(--tk-loss); }
.meter { grid-column: 1 / -1; height: 3px; margin: -1px 0 4px; border-radius: 2px;
  background: var(--tk-line); overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--tk-up); }
.meter.wait i { background: var(--tk-warning); } .meter.bad i { background: var(--tk-down); }
.bad-word { color: var(--tk-loss); }
"""


def with_nets(desk: DeskData) -> list[dict[str, Any]]:
    """Return the positions, each with `net`: whether a protective stop for it rests at the broker.

    A simulated broker keeps the stops itself.
    """
    simulated = not str((desk.health or {}).get("broker", "")).startswith("alpaca")
    resting = {order["symbol"] for order in desk.orders if _is_net(order)}
    none = "simulated" if simulated else "no net"
    return [
        {**held, "net": "at the broker" if held["symbol"] in resting else none}
        for held in desk.positions
    ]


def _is_net(order: Mapping[str, Any]) -> bool:
    stops = ("stop", "stop_limit", "trailing_stop")
    at_rest = order.get("status") in ("accepted", "partially_filled")
    return at_rest and order.get("side") == "sell" and order.get("order_type") in stops


def gates(health: Mapping[str, Any] | None) -> str:
    """Return what keeps entries out, gravest first, with its reason and since when; or nothing."""
    lines = gate_lines(health)
    if not lines:
        return ""
    kind = "bad" if any(line.grave for line in lines) else ""
    return f'<div class="gates {kind}" role="status">{"".join(map(_gate, lines))}</div>'


def _gate(line: GateLine) -> str:
    return (
        f'<div class="gate"><b>{escape(line.title)}</b><span>{escape(line.sentence)}</span>'
        f'<span class="quiet">since {since_text(line.since)}</span></div>'
    )


def badge(health: Mapping[str, Any] | None) -> str:
    """Return whose money is traded: LIVE, PAPER or SIMULATED; nothing before the bot's word."""
    broker = str((health or {}).get("broker", ""))
    if not broker:
        return ""
    kind = broker.rpartition(":")[2]
    known = {"live": "Real money", "paper": "A paper account at the broker"}
    about = known.get(kind, "No order leaves this machine" if kind == "simulated" else broker)
    return (
        f'<span class="badge {escape(kind)}" title="{escape(about)}">{escape(kind.upper())}</span>'
    )


def guards(desk: DeskData) -> str:
    """Return the feed, the broker, and each limit with what is used of it."""
    health = desk.health
    if health is None:
        return '<span class="quiet">No word from the bot yet</span>'
    rows = [_row("Feed", _feed(desk, health)), _row("Broker", escape(str(health["broker"])))]
    rows += [_usage(usage) for usage in usages(desk)]
    return f'<dl class="set">{"".join(rows)}</dl>'


def _feed(desk: DeskData, health: Mapping[str, Any]) -> str:
    name, feed = escape(str(health["market"])), health.get("feed") or {}
    if not feed.get("ok", True):
        return f'{name} · <span class="bad-word">mute or refused</span>'
    age = feed_age(desk)
    if age is None:
        return name
    return f'{name} · <span title="since its last message">{age:.0f} s ago</span>'


def feed_age(desk: DeskData) -> float | None:
    """Seconds since the feed's last message; None where none came or the source has none."""
    health = desk.health or {}
    last = (health.get("feed") or {}).get("last_message")
    if last is None:
        return None
    age = (parse_time(health["timestamp"]) - parse_time(last)).total_seconds()
    late = desk.health_age or 0.0
    return max(0.0, age + (late if late > REPORT_EVERY else 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A limit and what is used of it, in `unit`; `used` None where that is not told."""

    title: str
    used: float | None
    most: float
    unit: str


def usages(desk: DeskData) -> list[Usage]:
    """Return the limits in force, none where the bot has none."""
    status = (desk.health or {}).get("limits")
    if not status:
        return []
    loss = status["daily_loss"]
    opening = ((desk.account or {}).get("equity") or 0.0) + loss
    largest = max((abs(p["quantity"] * p["price"]) for p in desk.positions), default=0.0)
    told: dict[str, tuple[str, float | None, str]] = {
        "max_position_value": ("Largest position", largest, "$"),
        "max_exposure": ("Exposure", status["exposure"], "$"),
        "max_daily_loss": ("Loss today", loss, "$"),
        "max_daily_loss_percent": (
            "Loss today",
            100.0 * loss / opening if opening > 0 else None,
            "%",
        ),
        "max_drawdown_percent": ("Drawdown", status["drawdown_percent"], "%"),
        "max_orders_per_minute": ("Entries a minute", None, ""),
    }
    limits = status["limits"]
    return [
        Usage(title=title, used=None if used is None else max(0.0, used), most=most, unit=unit)
        for name, (title, used, unit) in told.items()
        if (most := limits.get(name)) is not None
    ]


def _usage(usage: Usage) -> str:
    most = _amount(usage.most, usage.unit)
    if usage.used is None:
        return _row(usage.title, f"at most {most}")
    percent = 100.0 * usage.used / usage.most
    kind = "bad" if percent >= 100.0 else "wait" if percent >= NEARLY else ""
    bar = f'<div class="meter {kind}"><i style="width: {min(100.0, percent):.0f}%"></i></div>'
    return _row(usage.title, f"{_amount(usage.used, usage.unit)} of {most}") + bar


def _amount(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:,.2f} %"
    return f"{value:,.0f}"


def _row(name: str, value: str) -> str:
    return f"<dt>{escape(name)}</dt><dd>{value}</dd>"
