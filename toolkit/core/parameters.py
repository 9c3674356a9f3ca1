"""Parameters of the strategy and of its risk rules: immutable, bounded, named once.

A parameter's full name is `group.name` (`stoch_rsi.lower_band`); the bare name is understood
wherever it is unique (`ema_period`). The full names are the keys on the wire, in JSON, in grids
of a sweep and on the screen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import ConfigError

Value = bool | int | float


def _bounded(
    default: Value, low: float, high: float, step: float, unit: str, about: str
) -> Any:  # a dataclass field, typed as its default
    bounds = {"minimum": low, "maximum": high, "step": step, "unit": unit, "about": about}
    return field(default=default, metadata=bounds)


def _switch(default: bool, about: str) -> Any:
    return _bounded(default, 0, 1, 1, "", about)


@dataclass(frozen=True, slots=True)
class StochRsi:
    """StochRSI group: %K above %D and below the lower band."""

    enabled: bool = _switch(True, "use the StochRSI condition")
    rsi_length: int = _bounded(14, 2, 200, 1, "bars", "length of Wilder's RSI")
    stoch_length: int = _bounded(14, 2, 200, 1, "bars", "window of the RSI's range")
    k: int = _bounded(3, 1, 50, 1, "bars", "smoothing of %K")
    d: int = _bounded(3, 1, 50, 1, "bars", "smoothing of %D")
    lower_band: float = _bounded(35.0, 0, 100, 1, "", "entry only while %K is below")
    upper_band: float = _bounded(100.0, 0, 100, 1, "", "signal exit only while %K is above")


@dataclass(frozen=True, slots=True)
class Ema:
    """EMA group: close above the average."""

    enabled: bool = _switch(True, "use the EMA condition")
    ema_period: int = _bounded(9, 1, 500, 1, "bars", "period of the EMA")
    smoothing: float = _bounded(2.0, 0.1, 10, 0.1, "", "weight = smoothing / (period + 1)")


@dataclass(frozen=True, slots=True)
class Stochastic:
    """Stochastic group: smoothed %K crosses up through the lower band."""

    enabled: bool = _switch(False, "use the Stochastic condition")
    k_length: int = _bounded(14, 2, 200, 1, "bars", "window of the price range")
    smooth_k: int = _bounded(3, 1, 50, 1, "bars", "smoothing of %K")
    smooth_d: int = _bounded(3, 1, 50, 1, "bars", "smoothing of %D")
    lower_band: float = _bounded(35.0, 0, 100, 1, "", "entry when %K crosses up through it")
    upper_band: float = _bounded(80.0, 0, 100, 1, "", "signal exit when %K crosses down through it")


@dataclass(frozen=True, slots=True)
class Rules:
    """How the groups' conditions become a decision."""

    lookback: int = _bounded(2, 1, 50, 1, "bars", "bars within which each condition must have held")
    exit_on_signal: bool = _switch(False, "also exit on the opposite signal")
    adaptive_bands: bool = _switch(False, "widen the bands when volatility is above its mean")
    adaptive_length: int = _bounded(50, 2, 500, 1, "bars", "window of the mean volatility")
    atr_period: int = _bounded(14, 1, 200, 1, "bars", "period of the ATR")


@dataclass(frozen=True, slots=True)
class Risk:
    """Exits, sizing and limits."""

    stop_loss: float = _bounded(0.2, 0, 50, 0.05, "%", "below the entry price; 0 = off")
    take_profit: float = _bounded(0.5, 0, 100, 0.05, "%", "above the entry price; 0 = off")
    trailing_stop: float = _bounded(0.2, 0, 50, 0.05, "%", "below the peak; 0 = off")
    trailing_activation: float = _bounded(0.1, 0, 50, 0.05, "%", "gain that arms the trail")
    atr_stop: bool = _switch(False, "stop at atr_multiplier x ATR instead of stop_loss")
    atr_sizing: bool = _switch(False, "size so that the ATR stop costs risk_percent of capital")
    atr_multiplier: float = _bounded(2.0, 0.1, 20, 0.1, "x ATR", "distance of the ATR stop")
    risk_percent: float = _bounded(0.05, 0.001, 10, 0.01, "% of capital", "loss at the ATR stop")
    trade_capital_percent: float = _bounded(5.0, 0.01, 100, 0.5, "% of capital", "size of a trade")
    max_positions: int = _bounded(10, 1, 500, 1, "positions", "open at the same time")
    cooldown: float = _bounded(60.0, 0, 86400, 1, "s", "no new entry in a symbol after its exit")


GROUPS: Mapping[str, type] = {
    "stoch_rsi": StochRsi,
    "ema": Ema,
    "stochastic": Stochastic,
    "rules": Rules,
    "risk": Risk,
}


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One parameter as forms and command lines need it; bounds include both ends."""

    name: str
    group: str
    kind: type
    default: Value
    minimum: float
    maximum: float
    step: float
    unit: str
    about: str

    @property
    def short(self) -> str:
        """The name without its group."""
        return self.name.partition(".")[2]

    def check(self, value: Any) -> Value:
        """Return `value` in this field's type; raises ConfigError that names what is allowed."""
        allowed = f"{self.minimum:g} to {self.maximum:g}"
        if self.kind is bool:
            allowed = "true or false"
            valid = isinstance(value, bool)
        else:
            valid = isinstance(value, (int, float)) and not isinstance(value, bool)
            valid = valid and math.isfinite(value) and self.minimum <= value <= self.maximum
            if self.kind is int:
                allowed = f"whole numbers from {allowed}"
                valid = valid and float(value).is_integer()
        if not valid:
            raise ConfigError(
                f"{self.name} is {value!r}; allowed: {allowed}",
                field=self.name,
                value=repr(value),
                allowed=allowed,
            )
        result: Value = self.kind(value)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """All parameters, checked on construction: whatever exists is within its bounds.

    >>> Parameters().replace(ema_period=12)["ema.ema_period"]
    12
    """

    stoch_rsi: StochRsi = StochRsi()
    ema: Ema = Ema()
    stochastic: Stochastic = Stochastic()
    rules: Rules = Rules()
    risk: Risk = Risk()

    def __post_init__(self) -> None:
        for info in self.fields():
            group = getattr(self, info.group)
            object.__setattr__(group, info.short, info.check(getattr(group, info.short)))
        if not (self.stoch_rsi.enabled or self.ema.enabled or self.stochastic.enabled):
            raise ConfigError(
                "all three groups are switched off; enable stoch_rsi, ema or stochastic",
                field="stoch_rsi.enabled",
                allowed="at least one group enabled",
            )

    def _groups(self) -> tuple[Any, ...]:
        return tuple(getattr(self, group) for group in GROUPS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self._groups() == other._groups()

    def __hash__(self) -> int:
        return hash(self._groups())

    @staticmethod
    def fields() -> tuple[FieldInfo, ...]:
        """Describe every parameter, in the order of display."""
        return _FIELDS

    @classmethod
    def info(cls, name: str) -> FieldInfo:
        """Describe one parameter by full or unique bare name; raises ConfigError otherwise."""
        found = [f for f in cls.fields() if name in (f.name, f.short)]
        if len(found) == 1:
            return found[0]
        names = [f.name for f in (found or cls.fields())]
        problem = "could be any of" if found else "is no parameter; known are"
        raise ConfigError(f"{name!r} {problem}: {', '.join(names)}", field=str(name), allowed=names)

    def __getitem__(self, name: str) -> Value:
        info = self.info(name)
        value: Value = getattr(getattr(self, info.group), info.short)
        return value

    def replace(self, changes: Mapping[str, Any] | None = None, /, **named: Any) -> Parameters:
        """Return a copy with some values changed; names full or bare, raises ConfigError."""
        groups: dict[str, dict[str, Value]] = {}
        for name, value in {**(changes or {}), **named}.items():
            info = self.info(name)
            groups.setdefault(info.group, {})[info.short] = info.check(value)
        changed = {
            group: dataclasses.replace(getattr(self, group), **groups.get(group, {}))
            for group in GROUPS
        }
        return Parameters(**changed)

    def to_dict(self) -> dict[str, Value]:
        """Return every value under its full name."""
        return {info.name: self[info.name] for info in self.fields()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Parameters:
        """Build from values under full or bare names; what is absent takes its default."""
        return Parameters().replace(values)

    def difference(self, other: Parameters) -> dict[str, tuple[Value, Value]]:
        """Return `{name: (value here, value in other)}` where they differ."""
        ours, theirs = self.to_dict(), other.to_dict()
        return {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}


def _describe(group: str, kind: type) -> list[FieldInfo]:
    return [
        FieldInfo(
            name=f"{group}.{f.name}",
            group=group,
            kind=type(f.default),
            default=f.default,  # type: ignore[arg-type]
            **f.metadata,
        )
        for f in dataclasses.fields(kind)
    ]


_FIELDS: tuple[FieldInfo, ...] = tuple(
    info for group, kind in GROUPS.items() for info in _describe(group, kind)
)
