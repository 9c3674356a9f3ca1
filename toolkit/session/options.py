"""What to launch: one frozen object that a thread, a child process and the command line share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from toolkit.alpaca.settings import FEEDS
from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, checked_symbols, costs_from, parameters_from
from toolkit.core.limits import RiskLimits
from toolkit.core.parameters import Parameters, Value
from toolkit.errors import ConfigError
from toolkit.market.hours import Hours, Sessions, checked_sessions
from toolkit.streaming.settings import WebSocketConfig

DEFAULT_SYMBOLS = ("AAPL", "MSFT", "BTC/USD")
MARKETS = ("auto", "simulated", "alpaca")
# The name begins every order id, of which Alpaca takes 48 characters.
NAME = re.compile(r"[a-z0-9_]{1,10}")
Market = Literal["auto", "simulated", "alpaca"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """Market, money and strategy of one bot.

    `recording` is a file to replay; without one the market is simulated from `seed`. `symbols`
    None are all of the recording, or a few of the simulated market. `speed` is as in
    `market.pace`: `60` or `60x` times real time, `60/s` bars a second, or `max`. `capital` in
    dollars, `timeframe` in seconds. `websocket` None is as the environment says.

    `market` auto is Alpaca when keys are set and nothing is replayed. `live` trades real money,
    else paper. `feed` is of stocks (iex, sip), `limits` bind entries; None of both: as the
    environment says. `name` tells bots of one account apart: in order ids, and in the folder
    where journal and halt lie. `record` is a folder below which all that comes in is stored.
    `claim` names symbols whose holdings, found in the account, the bot takes over. `sessions`
    and `flat_before_close` (seconds) say when stocks trade: `market.hours.Hours`.
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
    market: Market = "auto"
    live: bool = False
    feed: str | None = None
    limits: RiskLimits | None = None
    name: str = "stochrsi"
    record: str | None = None
    claim: tuple[str, ...] = ()
    sessions: Sessions = "all"
    flat_before_close: float = 0.0

    def hours(self, timeframe: float) -> Hours:
        """Return when bars of `timeframe` seconds fill; raises ConfigError."""
        return Hours(
            timeframe=timeframe, sessions=self.sessions, flat_before_close=self.flat_before_close
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values that `from_dict` reads back."""
        return {**asdict(self), "parameters": dict(self.parameters)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        data = dict(values)
        data["symbols"] = tuple(data["symbols"]) if data["symbols"] else None
        data["costs"] = Costs.from_dict(data["costs"])
        websocket = data.get("websocket")
        data["websocket"] = WebSocketConfig(**websocket) if websocket else None
        data["claim"] = tuple(data.get("claim", ()))
        limits = data.get("limits")
        data["limits"] = RiskLimits(**limits) if limits else None
        return cls(**data)


def checked_options(
    *,
    symbols: Sequence[str] | None,
    parameters: Parameters | Mapping[str, Any] | None,
    capital: float | None,
    costs: Costs | Mapping[str, Any] | None,
    recording: str | Path | None,
    seed: int | None,
    speed: str | float | None,
    websocket: WebSocketConfig | None,
    market: str | None = None,
    live: bool | None = None,
    feed: str | None = None,
    limits: RiskLimits | None = None,
    name: str | None = None,
    claim: Sequence[str] | None = None,
    record: str | Path | None = None,
    sessions: str | None = None,
    flat_before_close: float | None = None,
) -> dict[str, Any]:
    """Return what was given (not None) as values of LaunchOptions; raises ConfigError."""
    wanted = {
        "symbols": None if symbols is None else checked_symbols(symbols),
        "parameters": None if parameters is None else parameters_from(parameters).to_dict(),
        "capital": None if capital is None else checked_capital(capital),
        "costs": None if costs is None else costs_from(costs),
        "recording": None if recording is None else str(Path(recording).absolute()),
        "seed": seed,
        "speed": None if speed is None else str(speed),
        "websocket": websocket,
        "market": None if market is None else checked_market(market),
        "live": live,
        "feed": None if feed is None else checked_feed(feed),
        "limits": None if limits is None else checked_limits(limits),
        "name": None if name is None else checked_name(name),
        "claim": checked_symbols(claim) if claim else None,
        "record": None if record is None else str(Path(record).absolute()),
        "sessions": None if sessions is None else checked_sessions(sessions),
        "flat_before_close": flat_before_close,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def checked_market(market: str) -> Market:
    """Return where to trade; raises ConfigError."""
    if market not in MARKETS:
        raise ConfigError(
            f"market is {market!r}; allowed: {', '.join(MARKETS)}",
            field="market",
            allowed=list(MARKETS),
        )
    return market  # type: ignore[return-value]


def checked_feed(feed: str) -> str:
    """Return the feed of stocks; raises ConfigError."""
    if feed not in FEEDS:
        raise ConfigError(
            f"feed is {feed!r}; allowed: {', '.join(FEEDS)}", field="feed", allowed=list(FEEDS)
        )
    return feed


def checked_limits(limits: RiskLimits) -> RiskLimits:
    """Return limits of entries; raises ConfigError."""
    if not isinstance(limits, RiskLimits):
        raise ConfigError(
            f"limits is {limits!r}; allowed: tk.RiskLimits(max_exposure=5_000) and the like",
            field="limits",
            allowed="RiskLimits",
        )
    return limits


def checked_name(name: str) -> str:
    """Return the name of a bot; raises ConfigError."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"name is {name!r}; allowed: 1 to 10 of a-z, 0-9 and _",
            field="name",
            allowed="a-z, 0-9, _",
        )
    return name
