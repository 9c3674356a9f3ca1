"""Limits of the account, above the strategy's own risk rules. Pure: it compares numbers."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

from toolkit.core.gates import Gate
from toolkit.errors import ConfigError

MINUTE = timedelta(minutes=1)
MOST_ORDERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """What entries must keep to; None leaves one out. Raises ConfigError for a wrong value.

    `max_position_value` (dollars) holds for one symbol, `max_exposure` (dollars) for all together,
    entries that wait included. `max_orders_per_minute` counts entries. `max_daily_loss` (dollars),
    `max_daily_loss_percent` (of the equity at the day's start) and `max_drawdown_percent` (of the
    equity's peak) close Gate.LOSS. Exits are never limited.
    """

    max_position_value: float | None = None
    max_exposure: float | None = None
    max_orders_per_minute: int | None = 30
    max_daily_loss: float | None = None
    max_daily_loss_percent: float | None = None
    max_drawdown_percent: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, _checked(field.name, value))

    @classmethod
    def none(cls) -> Self:
        """Limit nothing, as a backtest does."""
        return cls(max_orders_per_minute=None)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values that the constructor takes."""
        return dataclasses.asdict(self)

    @property
    def watches_equity(self) -> bool:
        """Whether a loss can close the gate."""
        losses = (self.max_daily_loss, self.max_daily_loss_percent, self.max_drawdown_percent)
        return any(limit is not None for limit in losses)


def _checked(name: str, value: Any) -> float:
    most = 100.0 if name.endswith("percent") else MOST_ORDERS if "orders" in name else 1e9
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0 < value <= most):
        raise ConfigError(
            f"{name} is {value!r}; allowed: above 0, up to {most:g}, or None for no limit",
            field=name,
            value=repr(value),
            allowed=f"above 0, up to {most:g}",
        )
    if "orders" not in name:
        return float(value)
    if value != int(value):
        raise ConfigError(f"{name} is {value!r}; allowed: whole numbers", field=name)
    return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an entry is not made, and which gate that is."""

    gate: Gate
    reason: str


def refusal(
    limits: RiskLimits, *, value: float, held: float, exposure: float, recent: int
) -> Refusal | None:
    """Say why an entry worth `value` dollars breaks a limit; None when it breaks none.

    `held` is what the symbol's position is worth, `exposure` what all positions and waiting
    entries are, `recent` how many entries the last minute saw.
    """
    if (most := limits.max_position_value) is not None and held + value > most:
        reason = f"max_position_value: {held + value:,.2f} of {most:,.2f} dollars"
        return Refusal(gate=Gate.EXPOSURE, reason=reason)
    if (most := limits.max_exposure) is not None and exposure + value > most:
        reason = f"max_exposure: {exposure + value:,.2f} of {most:,.2f} dollars"
        return Refusal(gate=Gate.EXPOSURE, reason=reason)
    if (orders := limits.max_orders_per_minute) is not None and recent >= orders:
        reason = f"max_orders_per_minute: {recent} of {orders} sent within a minute"
        return Refusal(gate=Gate.RATE, reason=reason)
    return None


class OrderRate:
    """Counts the entries of the minute up to a bar; by the bars' clock, so that replays agree."""

    def __init__(self) -> None:
        self._times: deque[datetime] = deque(maxlen=MOST_ORDERS)

    def count(self, moment: datetime) -> int:
        """How many were sent in the minute up to `moment`."""
        while self._times and self._times[0] <= moment - MINUTE:
            self._times.popleft()
        return len(self._times)

    def add(self, moment: datetime) -> None:
        """Note an entry."""
        self._times.append(moment)


class LossGuard:
    """Watches the equity: a day's loss and the fall from the peak.

    A day's loss holds until the next day, a drawdown until a person excuses it; what a person
    has excused counts from there on. `to_dict` and `restore` carry it over a restart.
    """

    def __init__(self, limits: RiskLimits) -> None:
        self._limits = limits
        self._day: date | None = None
        self._opening = self._peak = self._equity = 0.0
        self._daily = self._drawdown = ""

    @property
    def reason(self) -> str:
        """Why no entries are made; empty when they may be."""
        return self._drawdown or self._daily

    @property
    def daily_loss(self) -> float:
        """Dollars lost since the day began, negative for a gain."""
        return self._opening - self._equity

    @property
    def drawdown_percent(self) -> float:
        """The fall from the peak, in percent of the peak."""
        return 100.0 * (self._peak - self._equity) / self._peak if self._peak > 0 else 0.0

    def mark(self, equity: float, day: date) -> str:
        """Take the equity (dollars) of a moment of `day`; returns the reason now in force."""
        if day != self._day:
            self._opening = equity if self._day is None else self._equity
            self._day, self._daily = day, ""
        self._equity, self._peak = equity, max(self._peak, equity)
        self._daily = self._daily or self._day_is_lost()
        most = self._limits.max_drawdown_percent
        if not self._drawdown and most is not None and self.drawdown_percent >= most:
            self._drawdown = (
                f"max_drawdown_percent: {self.drawdown_percent:.2f} of {most:g} percent below the "
                f"peak of {self._peak:,.2f} dollars; look, then start"
            )
        return self.reason

    def _day_is_lost(self) -> str:
        limits, loss, until = self._limits, self.daily_loss, "entries again in the next session"
        if limits.max_daily_loss is not None and loss >= limits.max_daily_loss:
            return f"max_daily_loss: {loss:,.2f} of {limits.max_daily_loss:,.2f} dollars; {until}"
        percent = 100.0 * loss / self._opening if self._opening > 0 else 0.0
        most = limits.max_daily_loss_percent
        if most is not None and percent >= most:
            return f"max_daily_loss_percent: {percent:.2f} of {most:g} percent; {until}"
        return ""

    def excuse(self) -> None:
        """Go on by a person's decision: loss and drawdown count from here."""
        self._daily = self._drawdown = ""
        self._opening = self._peak = self._equity

    def to_dict(self) -> dict[str, Any]:
        """Return what `restore` reads, JSON-ready."""
        return {
            "day": self._day.isoformat() if self._day else None,
            "opening": self._opening,
            "peak": self._peak,
            "equity": self._equity,
            "daily": self._daily,
            "drawdown": self._drawdown,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Go on where `to_dict` stood; raises KeyError, TypeError or ValueError."""
        day = values["day"]
        self._day = date.fromisoformat(day) if day else None
        self._opening, self._peak = float(values["opening"]), float(values["peak"])
        self._equity = float(values["equity"])
        self._daily, self._drawdown = str(values["daily"]), str(values["drawdown"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsStatus:
    """The limits in force and what is used of them: dollars, percent of the peak."""

    limits: RiskLimits
    exposure: float
    daily_loss: float
    drawdown_percent: float
