"""/_exchange: the truth about orders and money, faults, events, and the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from toolkit.exchange.account import Execution
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import fault_from
from toolkit.exchange.refusals import Refusal
from toolkit.exchange.settings import Pace
from toolkit.exchange.values import Micros, micros, stamp, text
from toolkit.exchange.web import answer, body_of, refused

_NUMBERS = ("start", "length", "rate", "amount")
Advance = Callable[[Micros], Awaitable[None]]


class ControlRoutes:
    """Requests that no exchange has, for rehearsals and tests. They need no key."""

    def __init__(self, exchange: Exchange, *, advance: Advance) -> None:
        self._exchange = exchange
        self._advance = advance

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this area."""
        return [
            web.get("/_exchange/state", self.state),
            web.get("/_exchange/clock", self.clock),
            web.get("/_exchange/events", self.events),
            web.get("/_exchange/faults", self.faults),
            web.post("/_exchange/faults", self.inject),
            web.get("/_exchange/advance", self.advance),
            web.post("/_exchange/advance", self.advance),
        ]

    async def state(self, _: web.Request) -> web.Response:
        return answer(state_of(self._exchange))

    async def clock(self, _: web.Request) -> web.Response:
        """Tell the time and how many exchange seconds pass in a real one, 0 where that varies."""
        speed = self._exchange.settings.speed
        rate = speed.rate if speed.pace is Pace.REAL else 0.0
        return answer({"now": stamp(self._exchange.now), "rate": rate})

    async def events(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        after = int(since) if since.isdecimal() else 0
        entries = self._exchange.log.entries(request.query.get("what", ""))
        return answer([entry for entry in entries if entry["number"] > after])

    async def faults(self, _: web.Request) -> web.Response:
        exchange = self._exchange
        return answer(
            {
                "schedule": [fault.to_dict() for fault in exchange.faults.schedule],
                "happened": exchange.log.entries("fault."),
            }
        )

    async def inject(self, request: web.Request) -> web.Response:
        """Add a fault; its start counts from now."""
        try:
            body = await body_of(request)
            numbers = {
                k: float(body[k]) for k in ("start", "length", "rate", "amount") if k in body
            }
            count = {"count": int(body["count"])} if "count" in body else {}
            fault = fault_from({"start": 0.0, **body, **numbers, **count})
        except Refusal as refusal:
            return refused(refusal)
        except (TypeError, ValueError, KeyError) as error:
            return answer({"message": f"no fault: {error}"}, status=422)
        self._exchange.faults.inject(fault, self._exchange.now)
        await self._advance(self._exchange.now)
        return answer(fault.to_dict())

    async def advance(self, request: web.Request) -> web.Response:
        """Let `seconds` (by default 60) of exchange time pass; for the speed `step`."""
        try:
            seconds = float(request.query.get("seconds", "60"))
        except ValueError:
            return answer({"message": "seconds is a number"}, status=422)
        await self._advance(self._exchange.now + micros(max(seconds, 0.0)))
        return answer({"now": stamp(self._exchange.now)})


def state_of(exchange: Exchange) -> dict[str, Any]:
    """Return what the exchange knows: the truth that a bot must agree with."""
    account, book = exchange.account, exchange.book
    return {
        "now": stamp(exchange.now),
        "market": exchange.source.name,
        "cash": text(account.cash),
        "equity": text(account.equity(book.prices())),
        "positions": {s: text(p.quantity) for s, p in sorted(account.positions.items())},
        "orders": [order.to_dict(nested=False) for order in book.orders.values()],
        "fills": [_fill(execution) for execution in account.executions],
    }


def _fill(execution: Execution) -> dict[str, Any]:
    return {
        "id": execution.id,
        "order_id": execution.order_id,
        "client_order_id": execution.client_order_id,
        "symbol": execution.symbol,
        "side": execution.side.value,
        "qty": text(execution.quantity),
        "price": text(execution.price),
        "fee": text(execution.fee),
        "fee_in_kind": execution.fee_in_kind,
        "cash": text(execution.cash),
        "time": stamp(execution.at),
    }
