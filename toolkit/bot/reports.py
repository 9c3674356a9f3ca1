"""What a bot says of itself: its health, its totals, its parameters, the last of everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from toolkit.bot.events import BotState, Event, Health, ParametersChanged, Performance
from toolkit.bot.ledger import Ledger
from toolkit.bot.losses import Losses
from toolkit.bot.watch import Watch
from toolkit.broker.port import Broker
from toolkit.core.engine import Engine
from toolkit.core.gates import Gates
from toolkit.core.limits import LimitsStatus
from toolkit.core.types import is_crypto
from toolkit.market.hours import Hours
from toolkit.market.port import MarketData


class Reports:
    """Makes events of the parts of one bot; changes nothing."""

    def __init__(
        self,
        *,
        market: MarketData,
        broker: Broker,
        engine: Engine,
        ledger: Ledger,
        gates: Gates,
        watch: Watch,
        losses: Losses,
        clock: Callable[[], datetime],
    ) -> None:
        self._market, self._broker, self._engine, self._ledger = market, broker, engine, ledger
        self._gates, self._watch, self._losses, self._clock = gates, watch, losses, clock

    def health(self, state: BotState, reason: str) -> Health:
        """State of the bot, its gates, its feed and its limits; no `reason`: that of the gates."""
        return Health(
            timestamp=self._clock(),
            state=state,
            reason=reason or self._gates.reason(),
            market=self._market.name,
            broker=self._broker.name,
            symbols=tuple(self._engine.symbols),
            market_time=self._ledger.market_time,
            bars=self._ledger.bars,
            gates=self._gates.closed,
            feed=self._watch.feed,
            limits=self._limits(),
        )

    def session(self, hours: Hours) -> dict[str, Any]:
        """Return what a bot begins with, for its journal: JSON-ready, money in dollars."""
        engine, books = self._engine, self._engine.portfolio
        memories = {symbol: engine.memory(symbol) for symbol in engine.symbols}
        last = [m[-1].bar for s, m in memories.items() if m and not is_crypto(s)]
        return {
            "market": self._market.name,
            "broker": self._broker.name,
            "symbols": list(engine.symbols),
            "timeframe": self._market.timeframe,
            "parameters": engine.parameters.to_dict(),
            "capital": round(books.capital - float(books.realised_pnl), 6),
            "sessions": hours.sessions,
            "flat_before_close": hours.flat_before_close,
            "feed": last[-1].feed if last else "",
            "warm_up": {
                symbol: {
                    "bars": len(memory),
                    "first": memory[0].bar.timestamp.isoformat(),
                    "last": memory[-1].bar.timestamp.isoformat(),
                }
                for symbol, memory in memories.items()
                if memory
            },
        }

    def performance(self, *, since: int, seconds: float) -> Performance:
        """Running totals, with the speed of `seconds` in which `since` grew to all bars."""
        speed = (self._ledger.bars - since) / seconds if seconds > 0 else 0.0
        return self._ledger.performance(timestamp=self._clock(), bars_per_second=speed)

    def parameters(
        self, *, who: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> ParametersChanged:
        """Describe a change together with all values now in force."""
        return ParametersChanged(
            timestamp=self._clock(),
            who=who,
            old=old,
            new=new,
            parameters=self._engine.parameters.to_dict(),
        )

    def latest(self) -> list[Event]:
        """The parameters, last bars and prices, positions and open orders."""
        last = [self._engine.memory(symbol)[-1:] for symbol in self._engine.symbols]
        return [
            self.parameters(who="snapshot", old={}, new={}),
            *(evaluation for evaluations in last for evaluation in evaluations),
            *self._ledger.latest(),
            *self._broker.positions(),
            *self._broker.open_orders(),
        ]

    def _limits(self) -> LimitsStatus | None:
        if self._engine.limits is None:
            return None
        return LimitsStatus(
            limits=self._engine.limits,
            exposure=self._engine.exposure(),
            daily_loss=self._losses.daily_loss,
            drawdown_percent=self._losses.drawdown_percent,
        )
