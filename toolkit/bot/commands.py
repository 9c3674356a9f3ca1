"""The commands that clients may send; who may send which is the server's matter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from toolkit.bot.events import Event, Health, ParametersChanged
from toolkit.bot.halt import HaltOrder, HaltSwitch
from toolkit.bot.ledger import Ledger
from toolkit.bot.losses import Losses
from toolkit.bot.trader import Trader
from toolkit.bot.watch import Watch
from toolkit.core.engine import Engine
from toolkit.core.gates import Gate, Gates
from toolkit.core.parameters import FieldInfo, Parameters
from toolkit.core.report import trade_dict
from toolkit.errors import ConfigError

Handler = Callable[[Mapping[str, Any], str], Awaitable[Any]]


class Commanded(Protocol):
    """What commands need of the bot that they change."""

    @property
    def engine(self) -> Engine: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def gates(self) -> Gates: ...
    @property
    def watch(self) -> Watch: ...
    @property
    def switch(self) -> HaltSwitch: ...
    @property
    def losses(self) -> Losses: ...
    @property
    def trader(self) -> Trader: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    def publish(self, event: Event) -> None: ...
    def note(self, kind: str, who: str, data: Mapping[str, Any]) -> None: ...
    def look(self) -> None: ...
    def settle(self) -> None: ...
    def health(self) -> Health: ...
    async def obey(self, order: HaltOrder) -> dict[str, Any]: ...
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
            "halt": self._halt,
            "resume_trading": self._resume_trading,
        }

    def begin(self, name: str, args: Mapping[str, Any], *, who: str) -> None:
        """Do what cannot wait for its turn: note the command, close the gate that it closes.

        Raises ConfigError for wrong arguments.
        """
        if name in self._handlers and not name.startswith("get_"):
            self._bot.note("command", who, {"name": name, "args": dict(args)})
        if name == "stop":
            now = self._bot.clock()
            if self._bot.gates.close(Gate.COMMAND, f"entries stopped by {who}", now=now):
                self._bot.settle()
        elif name == "halt":
            self._throw(_halt_order(args, who))

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
            self._bot.note("parameters", who, {"old": dict(event.old), "new": dict(event.new)})
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
        ledger = self._bot.ledger
        return {
            "bars": list(evaluations),
            "fills": ledger.fills(symbol),
            "corrections": ledger.corrections(symbol),
        }

    async def _get_trades(self, _args: Mapping[str, Any], _who: str) -> Any:
        return {"trades": [trade_dict(trip) for trip in self._bot.ledger.round_trips()]}

    async def _get_orders(self, _args: Mapping[str, Any], _who: str) -> Any:
        return {"orders": list(self._bot.ledger.orders())}

    async def _start(self, _args: Mapping[str, Any], _who: str) -> Any:
        gates = self._bot.gates
        changed = [gates.open(gate) for gate in (Gate.COMMAND, Gate.ERROR)]
        if gates.open(Gate.LOSS):
            self._bot.losses.excuse()
            changed.append(True)
        self._bot.watch.unknown.clear()
        changed.append(self._bot.watch.look())
        if any(changed):
            self._bot.settle()
        return self._bot.health()

    async def _stop(self, _args: Mapping[str, Any], _who: str) -> Any:
        await self._bot.trader.cancel_entries(None)
        return self._bot.health()

    async def _halt(self, args: Mapping[str, Any], who: str) -> Any:
        result = await self._bot.obey(_halt_order(args, who))
        return {**result, "health": self._bot.health()}

    def _throw(self, order: HaltOrder) -> None:
        try:
            self._bot.switch.throw(order)
        except OSError as error:
            message = f"the halt holds, but only until the bot ends: {error}"
            self._bot.trader.problem("halt_file", message)
        self._bot.look()

    async def _resume_trading(self, _args: Mapping[str, Any], _who: str) -> Any:
        try:
            self._bot.switch.lift()
        except OSError as error:
            raise ConfigError(
                f"the halt file cannot be removed: {error}; remove it by hand",
                field="halt",
                path=str(self._bot.switch.path),
            ) from None
        self._bot.look()
        return self._bot.health()

    async def _flatten(self, args: Mapping[str, Any], _who: str) -> Any:
        symbols = args.get("symbols")
        if symbols is not None and not (
            isinstance(symbols, list) and all(isinstance(s, str) for s in symbols)
        ):
            raise ConfigError(
                "symbols is a list of symbols, or absent for all", field="symbols", allowed="list"
            )
        requests = self._bot.engine.flatten(symbols, now=self._bot.clock())
        cancelled = await self._bot.trader.cancel_entries(symbols)
        sent = await self._bot.trader.sell_all(requests)
        return {
            "orders": [name for name, taken in sent.items() if taken],
            "refused": [name for name, taken in sent.items() if not taken],
            "cancelled": cancelled,
        }


def _halt_order(args: Mapping[str, Any], who: str) -> HaltOrder:
    flatten, reason = args.get("flatten", False), args.get("reason", "")
    if not isinstance(flatten, bool) or not isinstance(reason, str):
        raise ConfigError(
            "halt takes flatten (true or false) and reason (text), both optional",
            field="flatten" if isinstance(reason, str) else "reason",
            allowed="true, false" if isinstance(reason, str) else "text",
        )
    return HaltOrder(who=who, reason=reason[:200], flatten=flatten)


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
