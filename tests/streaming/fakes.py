"""A bot that does what the tests say, and events that are short to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from toolkit.bot.events import BotState, Event, Health, ParametersChanged
from toolkit.core.parameters import Parameters
from toolkit.core.types import Account, Bar, Evaluation, Indicators, Position, Quote
from toolkit.errors import ConfigError
from toolkit.streaming.wire import payload, plain

START = datetime(2026, 1, 2, 14, 30, tzinfo=UTC)
INDICATORS = Indicators(
    rsi=50.0,
    stoch_rsi_k=20.0,
    stoch_rsi_d=15.0,
    stoch_k=float("nan"),
    stoch_d=float("nan"),
    ema=100.0,
    atr=0.5,
    lower_band=35.0,
    upper_band=100.0,
)


def quote(symbol: str = "AAPL", price: float = 100.0, minute: int = 0) -> Quote:
    at = START + timedelta(minutes=minute)
    return Quote(symbol=symbol, timestamp=at, bid=price - 0.01, ask=price + 0.01)


def bar(symbol: str = "AAPL", minute: int = 0, *, price: float = 100.0, final: bool = True) -> Bar:
    return Bar(
        symbol=symbol,
        timestamp=START + timedelta(minutes=minute),
        open=price,
        high=price + 1,
        low=price - 1,
        close=price,
        volume=10.0,
        final=final,
    )


def evaluation(symbol: str = "AAPL", minute: int = 0, *, price: float = 100.0) -> Evaluation:
    closed = bar(symbol, minute, price=price)
    return Evaluation(bar=closed, indicators=INDICATORS, entry=False, exit=False)


def position(symbol: str = "AAPL", price: float = 100.0) -> Position:
    return Position(
        symbol=symbol,
        quantity=Decimal(3),
        entry_price=100.0,
        entry_time=START,
        updated_at=START,
        price=price,
        unrealised_pnl=Decimal(0),
    )


def account(equity: int = 10_000) -> Account:
    return Account(
        timestamp=START,
        cash=Decimal(equity),
        equity=Decimal(equity),
        realised_pnl=Decimal(0),
        open_positions=0,
    )


def health(market_time: datetime | None = None, bars: int = 0) -> Health:
    return Health(
        timestamp=START,
        state=BotState.RUNNING,
        reason="",
        market="simulated",
        broker="simulated",
        symbols=("AAPL",),
        market_time=market_time,
        bars=bars,
    )


class FakeBot:
    """Keeps the parameters, answers history from `bars`, and raises what it is told to."""

    def __init__(self, symbols: Sequence[str] = ("AAPL", "MSFT")) -> None:
        self.symbols = tuple(symbols)
        self.parameters = Parameters()
        self.events: list[Event] = []
        self.bars: list[Evaluation] = []
        self.calls: list[tuple[str, dict[str, Any], str]] = []
        self.failure: Exception | None = None

    def snapshot(self) -> Sequence[Event]:
        return self.events

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        self.calls.append((name, dict(args), who))
        if self.failure is not None:
            raise self.failure
        if name == "set_parameters":
            return self._set_parameters(args, who)
        if name == "get_parameters":
            return {"values": self.parameters.to_dict(), "fields": []}
        if name == "get_history":
            return self._history(args)
        return {"trades": []} if name == "get_trades" else {"state": "running"}

    def _set_parameters(self, args: Mapping[str, Any], who: str) -> Any:
        if not isinstance(args.get("values"), Mapping):
            raise ConfigError("values must be an object", field="values")
        before = self.parameters
        self.parameters = before.replace(args["values"])
        changed = before.difference(self.parameters)
        event = ParametersChanged(
            timestamp=START,
            who=who,
            old={name: old for name, (old, _) in changed.items()},
            new={name: new for name, (_, new) in changed.items()},
            parameters=self.parameters.to_dict(),
        )
        return plain(event)

    def _history(self, args: Mapping[str, Any]) -> Any:
        bars = [e for e in self.bars if e.bar.symbol == args["symbol"]]
        return {"bars": [payload(e).data for e in bars][-args["limit"] :], "fills": []}
