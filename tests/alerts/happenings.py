"""Events of a bot, for alerts to judge."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from toolkit.bot.events import BotState, Health, Performance, Problem
from toolkit.core.gates import Gate, GateReason
from toolkit.core.types import Fill, Reason, RoundTrip, Side

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


def fill(symbol: str = "AAPL", *, side: Side = Side.BUY, quantity: str = "12.5") -> Fill:
    return Fill(
        order_id="1",
        client_order_id="one",
        symbol=symbol,
        side=side,
        price=187.32,
        quantity=Decimal(quantity),
        fee=Decimal(0),
        timestamp=NOW,
        reason=Reason.ENTRY if side is Side.BUY else Reason.TAKE_PROFIT,
    )


def round_trip() -> RoundTrip:
    return RoundTrip(
        symbol="AAPL",
        entry_time=NOW,
        entry_price=100.0,
        exit_time=NOW,
        exit_price=101.0,
        quantity=Decimal(10),
        pnl=Decimal("10"),
        return_percent=1.0,
        fees=Decimal(0),
        exit_reason=Reason.STOP_LOSS,
    )


def health(state: BotState = BotState.RUNNING, reason: str = "", **more: Any) -> Health:
    return Health(
        timestamp=NOW,
        state=state,
        reason=reason,
        market="simulated",
        broker="simulated",
        symbols=("AAPL",),
        market_time=NOW,
        bars=1,
        **more,
    )


def gate(name: Gate, reason: str = "because", *, symbol: str | None = None) -> GateReason:
    return GateReason(gate=name, reason=reason, since=NOW, symbol=symbol)


def drawdown(percent: float) -> Performance:
    return Performance(
        timestamp=NOW,
        trades=1,
        wins=0,
        win_rate_percent=0.0,
        realised_pnl=-1.0,
        max_drawdown_percent=percent,
        bars=1,
        bars_per_second=1.0,
    )


def problem(message: str = "it broke", *, code: str = "internal_error") -> Problem:
    return Problem(timestamp=NOW, code=code, message=message, symbol="AAPL")


def gated(*gates: GateReason, state: BotState | None = None) -> Health:
    """Health as the bot tells it: a gate that is closed for all pauses it."""
    reason = next((g.reason for g in gates if g.symbol is None), "")
    usual = BotState.PAUSED if reason else BotState.RUNNING
    return health(state or usual, reason, gates=gates)
