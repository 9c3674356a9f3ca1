"""What to launch: one frozen object that a thread, a child process and the command line share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, checked_symbols, parameters_from
from toolkit.core.parameters import Parameters, Value
from toolkit.streaming.settings import WebSocketConfig

DEFAULT_SYMBOLS = ("AAPL", "MSFT", "BTC/USD")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """Market, money and strategy of one bot.

    `recording` is a file to replay; without one the market is simulated from `seed`. `symbols`
    None are all of the recording, or a few of the simulated market. `speed` is as in
    `market.pace`: `60` or `60x` times real time, `60/s` bars a second, or `max`. `capital` in
    dollars, `timeframe` in seconds. `websocket` None is as the environment says.
    """

    symbols: tuple[str, ...] | None = None
    parameters: Mapping[str, Value] = field(default_factory=lambda: Parameters().to_dict())
    capital: float = 10_000.0
    costs: Costs = field(default_factory=Costs)
    recording: str | None = None
    seed: int = 7
    speed: str = "60x"
    timeframe: float = 60.0
    dashboard: bool = True
    websocket: WebSocketConfig | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values that `from_dict` reads back."""
        return {**asdict(self), "parameters": dict(self.parameters)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        data = dict(values)
        data["symbols"] = tuple(data["symbols"]) if data["symbols"] else None
        data["costs"] = Costs(**data["costs"])
        websocket = data.get("websocket")
        data["websocket"] = WebSocketConfig(**websocket) if websocket else None
        return cls(**data)


def checked_options(
    *,
    symbols: Sequence[str] | None,
    parameters: Parameters | Mapping[str, Any] | None,
    capital: float | None,
    costs: Costs | None,
    recording: str | Path | None,
    seed: int | None,
    speed: str | float | None,
    websocket: WebSocketConfig | None,
) -> dict[str, Any]:
    """Return what was given (not None) as values of LaunchOptions; raises ConfigError."""
    wanted = {
        "symbols": None if symbols is None else checked_symbols(symbols),
        "parameters": None if parameters is None else parameters_from(parameters).to_dict(),
        "capital": None if capital is None else checked_capital(capital),
        "costs": costs,
        "recording": None if recording is None else str(Path(recording).absolute()),
        "seed": seed,
        "speed": None if speed is None else str(speed),
        "websocket": websocket,
    }
    return {name: value for name, value in wanted.items() if value is not None}
