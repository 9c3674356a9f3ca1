"""The commands that clients may send; who may send which is the server's matter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from toolkit.bot.events import BotState, Health, ParametersChanged, Publish
from toolkit.bot.ledger import Ledger
from toolkit.broker.port import Broker
from toolkit.core.engine import Engine
from toolkit.core.parameters import FieldInfo, Parameters
from toolkit.core.report import trade_dict
from toolkit.core.types import OrderRequest, Side
from toolkit.errors import ConfigError

Handler = Callable[[Mapping[str, Any], str], Awaitable[Any]]


class Commanded(Protocol):
    """What commands need of the bot that they change."""

    @property
    def engine(self) -> Engine: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def publish(self) -> Publish: ...
    @property
    def state(self) -> BotState: ...
    def health(self) -> Health: ...
    def set_state(self, state: BotState, reason: str = "") -> None: ...
    @property
    def broker(self) -> Broker: ...
    async def submit(self, request: OrderRequest) -> bool: ...
    def parameters_event(
        self, *, who: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> ParametersChanged: ...


class Commands:
    """Validates and executes commands on one bot; results are domain objects and plain values."""

    def __init__(self, bot: Commanded) -> None:
        self._bot = bot
        self._handlers: dict[str, Handler] = {
            "get_parameters": self._get_parameters,
            "set_parameters": self._set_parameters,
            "get_status": self._get_status,
            "get_history": self._get_history,
            "get_trades": self._get_trades,
            "get_orders": self._get_orders,
            "start": self._start,
            "stop": self._stop,
            "flatten": self._flatten,
        }

    async def execute(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        """Run one command; raises ConfigError for an unknown name or wrong arguments."""
        handler = self._handlers.get(name)
        if handler is None:
            known = sorted(self._handlers)
            raise ConfigError(
                f"{name!r} is no command; known are: {', '.join(known)}",
                field="name",
                allowed=known,
            )
        return await handler(args, who)

    async def _get_parameters(self, _args: Mapping[str, Any], _who: str) -> Any:
        values = self._bot.engine.parameters.to_dict()
        return {"values": values, "fields": [_field(f) for f in Parameters.fields()]}

    async def _set_parameters(self, args: Mapping[str, Any], who: str) -> Any:
        values = args.get("values", args)
        if not isinstance(values, Mapping) or not values:
            raise ConfigError(
                "set_parameters takes values: an object of name and value, with one at least",
                field="values",
                allowed="{name: value}",
            )
        old, new = self._bot.engine.set_parameters(values)
        changed = old.difference(new)
        event = self._bot.parameters_event(
            who=who,
            old={name: before for name, (before, _) in changed.items()},
            new={name: after for name, (_, after) in changed.items()},
        )
        if changed:
            self._bot.publish(event)
        return event

    async def _get_status(self, _args: Mapping[str, Any], _who: str) -> Any:
        return self._bot.health()

    async def _get_history(self, args: Mapping[str, Any], _who: str) -> Any:
        symbol, limit = args.get("symbol"), args.get("limit", 500)
        if not isinstance(symbol, str):
            raise ConfigError("get_history takes a symbol", field="symbol", allowed="a string")
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 1000:
            raise ConfigError(
                f"limit is {limit!r}; allowed: 1 to 1000", field="limit", allowed="1 to 1000"
            )
        evaluations = self._bot.engine.memory(symbol)[-limit:]
        return {"bars": list(evaluations), "fills": self._bot.ledger.fills(symbol)}

    async def _get_trades(self, _args: Mapping[str, Any], _who: str) -> Any:
        return {"trades": [trade_dict(trip) for trip in self._bot.ledger.round_trips()]}

    async def _get_orders(self, _args: Mapping[str, Any], _who: str) -> Any:
        return {"orders": list(self._bot.ledger.orders())}

    async def _start(self, _args: Mapping[str, Any], _who: str) -> Any:
        if self._bot.state is BotState.PAUSED:
            self._bot.set_state(BotState.RUNNING)
        return self._bot.health()

    async def _stop(self, _args: Mapping[str, Any], who: str) -> Any:
        if self._bot.state in (BotState.RUNNING, BotState.STARTING):
            self._bot.set_state(BotState.PAUSED, f"entries stopped by {who}")
            await self._cancel_entries(None)
        return self._bot.health()

    async def _flatten(self, args: Mapping[str, Any], _who: str) -> Any:
        symbols = args.get("symbols")
        if symbols is not None and not (
            isinstance(symbols, list) and all(isinstance(s, str) for s in symbols)
        ):
            raise ConfigError(
                "symbols is a list of symbols, or absent for all", field="symbols", allowed="list"
            )
        requests = self._bot.engine.flatten(symbols)
        cancelled = await self._cancel_entries(symbols)
        sent = {request.client_order_id: await self._bot.submit(request) for request in requests}
        return {
            "orders": [name for name, taken in sent.items() if taken],
            "refused": [name for name, taken in sent.items() if not taken],
            "cancelled": cancelled,
        }

    async def _cancel_entries(self, symbols: Sequence[str] | None) -> list[str]:
        entries = [
            order
            for order in self._bot.broker.open_orders()
            if order.side is Side.BUY and (symbols is None or order.symbol in symbols)
        ]
        for order in entries:
            await self._bot.broker.cancel(order.id)
        return [order.client_order_id for order in entries]


def _field(info: FieldInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "group": info.group,
        "kind": info.kind.__name__,
        "default": info.default,
        "minimum": info.minimum,
        "maximum": info.maximum,
        "step": info.step,
        "unit": info.unit,
        "about": info.about,
    }
