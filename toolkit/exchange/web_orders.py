"""/v2/orders and /v2/positions: what changes the book."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aiohttp import web

from toolkit.core.types import ZERO, Side
from toolkit.exchange.account import Position
from toolkit.exchange.book import promised
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.orders import Order
from toolkit.exchange.refusals import Refusal, malformed, missing
from toolkit.exchange.values import cents, decimal_of, text
from toolkit.exchange.web import answer, body_of, flag, listed, moment, whole

_MOST_ORDERS = 500


class OrderRoutes:
    """Requests about orders and positions."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._book, self._desk = exchange.book, exchange.desk

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this area."""
        return [
            web.get("/v2/orders", self.list_orders),
            web.post("/v2/orders", self.submit),
            web.delete("/v2/orders", self.cancel_all),
            web.get("/v2/orders:by_client_order_id", self.by_client_id),
            web.get("/v2/orders/{order_id}", self.get_order),
            web.patch("/v2/orders/{order_id}", self.replace),
            web.delete("/v2/orders/{order_id}", self.cancel),
            web.get("/v2/positions", self.list_positions),
            web.delete("/v2/positions", self.close_all),
            web.get("/v2/positions/{symbol:.+}", self.get_position),
            web.delete("/v2/positions/{symbol:.+}", self.close),
        ]

    async def list_orders(self, request: web.Request) -> web.Response:
        status = request.query.get("status", "open")
        if status not in ("open", "closed", "all"):
            raise malformed("invalid status")
        limit = whole(request, "limit", 50, most=_MOST_ORDERS)
        after, until = moment(request, "after"), moment(request, "until")
        symbols, side = listed(request, "symbols"), request.query.get("side")
        nested = flag(request, "nested")
        found = [
            order
            for order in self._book.orders.values()
            if (status == "all" or order.status.is_open == (status == "open"))
            and (after is None or order.created_at > after)
            and (until is None or order.created_at < until)
            and (not symbols or {order.symbol, order.asset.position_symbol} & set(symbols))
            and (side is None or order.side == side)
            and not (nested and order.parent)
        ]
        found.sort(key=lambda order: order.created_at)
        if request.query.get("direction", "desc") != "asc":
            found.reverse()
        return answer([order.to_dict(nested=nested) for order in found[:limit]])

    async def submit(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        order = self._desk.submit(body, self._exchange.now)
        return answer(order.to_dict())

    async def get_order(self, request: web.Request) -> web.Response:
        order = self._book.get(request.match_info["order_id"])
        return answer(order.to_dict(nested=flag(request, "nested")))

    async def by_client_id(self, request: web.Request) -> web.Response:
        name = request.query.get("client_order_id", "")
        order = self._book.by_client.get(name)
        if order is None:
            raise missing(f"order not found for {name}")
        return answer(order.to_dict())

    async def replace(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        order_id = request.match_info["order_id"]
        return answer(self._desk.replace(order_id, body, self._exchange.now).to_dict())

    async def cancel(self, request: web.Request) -> web.Response:
        self._desk.cancel(request.match_info["order_id"], self._exchange.now)
        return web.Response(status=204)

    async def cancel_all(self, _: web.Request) -> web.Response:
        asked = self._desk.cancel_all(self._exchange.now)
        results = [{"id": o.id, "status": 200, "body": o.to_dict()} for o in asked]
        return answer(results, status=207)

    async def list_positions(self, _: web.Request) -> web.Response:
        positions = self._book.account.positions
        return answer([self._position(positions[symbol]) for symbol in sorted(positions)])

    async def get_position(self, request: web.Request) -> web.Response:
        asset = self._book.assets.find(request.match_info["symbol"])
        position = self._book.account.positions.get(asset.symbol) if asset else None
        if position is None:
            raise missing("position does not exist")
        return answer(self._position(position))

    async def close(self, request: web.Request) -> web.Response:
        quantity, percentage = _part(request, "qty"), _part(request, "percentage")
        if quantity is not None and percentage is not None:
            raise malformed("only one of qty or percentage is accepted")
        if percentage is not None and not 0 < percentage <= 100:
            raise malformed("percentage must be between 0 and 100")
        order = self._desk.close(
            request.match_info["symbol"],
            self._exchange.now,
            quantity=quantity,
            percentage=percentage,
        )
        return answer(order.to_dict())

    async def close_all(self, request: web.Request) -> web.Response:
        now = self._exchange.now
        if flag(request, "cancel_orders"):
            self._desk.cancel_all(now, at_once=True)
        results = []
        for symbol in sorted(self._book.account.positions):
            asset = self._book.assets.get(symbol)
            result: dict[str, Any] = {"symbol": asset.position_symbol}
            try:
                order: Order = self._desk.close(symbol, now)
                result |= {"status": 200, "body": order.to_dict()}
            except Refusal as refusal:
                result |= {"status": refusal.status, "body": refusal.body()}
            results.append(result)
        return answer(results, status=207)

    def _position(self, position: Position) -> dict[str, Any]:
        asset, quantity, cost = position.asset, position.quantity, position.cost
        room, now = self._book.room(asset.symbol), self._exchange.now
        price = room.price if room else position.entry_price
        before = self._exchange.tape.previous_day_bar(asset.symbol, now)
        last_day = Decimal(str(before.close)) if before else position.entry_price
        value = position.value(price)
        profit, today = value - cost, (price - last_day) * quantity
        exits = [
            order
            for order in self._book.open_orders(asset.symbol)
            if (order.side is Side.SELL) == (quantity > 0)
        ]
        available = abs(quantity) - promised(exits)[0]
        return {
            "asset_id": asset.id,
            "symbol": asset.position_symbol,
            "exchange": asset.exchange,
            "asset_class": asset.kind,
            "asset_marginable": not asset.crypto,
            "avg_entry_price": text(round(position.entry_price, 6)),
            "qty": text(quantity),
            "qty_available": text(available if quantity > 0 else -available),
            "side": "long" if quantity > 0 else "short",
            "market_value": text(cents(value)),
            "cost_basis": text(cents(cost)),
            "unrealized_pl": text(cents(profit)),
            "unrealized_plpc": text(_share(profit, abs(cost))),
            "unrealized_intraday_pl": text(cents(today)),
            "unrealized_intraday_plpc": text(_share(today, abs(last_day * quantity))),
            "current_price": text(price),
            "lastday_price": text(last_day),
            "change_today": text(_share(price - last_day, last_day)),
        }


def _share(part: Decimal, of: Decimal) -> Decimal:
    return round(part / of, 8) if of else ZERO


def _part(request: web.Request, name: str) -> Decimal | None:
    value = request.query.get(name)
    if value is None:
        return None
    try:
        return decimal_of(value)
    except ValueError:
        raise malformed(f"invalid {name}") from None
