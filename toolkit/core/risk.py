"""Risk rules of an entry: how much, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from toolkit.core import execution
from toolkit.core.parameters import Risk
from toolkit.core.types import Bar, ExitPlan, exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What the rules look at besides the bar: `slots_used` counts open and pending positions."""

    slots_used: int
    last_exit: datetime | None


def refusal(risk: Risk, bar: Bar, exposure: Exposure) -> str:
    """Say why no entry may be made at this bar's close; empty when it may."""
    if exposure.last_exit is not None:
        waited = (bar.timestamp - exposure.last_exit).total_seconds()
        if waited < risk.cooldown:
            return f"cooldown: {waited:g} of {risk.cooldown:g} s since the last exit"
    if exposure.slots_used >= risk.max_positions:
        return f"max_positions: {exposure.slots_used} of {risk.max_positions} in use"
    return ""


def size(risk: Risk, bar: Bar, *, atr: float, capital: float) -> Decimal:
    """Return the units to buy at about this bar's close; 0 where the capital buys none."""
    quantity = execution.quantity_for(
        capital,
        bar.close,
        atr,
        risk.trade_capital_percent,
        risk.atr_sizing,
        risk.risk_percent,
        risk.atr_multiplier,
    )
    return exact(quantity)


def exit_plan(risk: Risk, *, atr: float) -> ExitPlan:
    """Return the protective exits of an entry decided with this ATR (NaN: percent stop)."""
    distance = risk.atr_multiplier * atr if risk.atr_stop and atr > 0.0 else 0.0
    return ExitPlan(
        stop_loss=risk.stop_loss,
        take_profit=risk.take_profit,
        trailing_stop=risk.trailing_stop,
        trailing_activation=risk.trailing_activation,
        stop_distance=distance,
    )
