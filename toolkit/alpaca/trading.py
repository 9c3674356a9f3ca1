"""Alpaca's trading API behind the port `Trading`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from toolkit.alpaca.calling import Caller, Line
from toolkit.alpaca.errors import Reason, broker_error
from toolkit.alpaca.paging import OrderPage, order_page, walk_activities, walk_orders
from toolkit.alpaca.port import (
    Asset,
    BrokerAccount,
    BrokerFee,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    MarketClock,
    Ticket,
    TradingDay,
)
from toolkit.alpaca.resilience import Breaker, Listener, Priority
from toolkit.alpaca.sdk import TradingClient
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.words import (
    account_of,
    asset_of,
    body_of,
    day_of,
    fee_of,
    fill_of,
    moment,
    order_of,
    position_of,
    replacement_body,
)
from toolkit.core.types import OrderClass, Side
from toolkit.errors import BrokerError, OrderRejected

ASSET_AGE = 3600.0
TradingLine = Line[TradingClient]


class AlpacaTrading:
    """The trading API of one account. Raises ConfigError without keys.

    Sells, cancels, replacements and questions about one order go before everything else, entries
    before polling. `on_breaker(state, reason)` hears when the API is left alone.
    """

    def __init__(
        self,
        settings: AlpacaSettings,
        *,
        on_breaker: Listener | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        settings.require_keys()
        self._settings = settings
        self._monotonic, self._now = monotonic, now
        self._assets: dict[str, tuple[float, Asset]] = {}
        self._caller = Caller(
            self._client,
            settings=settings,
            translate=broker_error,
            breaker=Breaker(on_change=on_breaker),
            monotonic=monotonic,
        )

    @property
    def paper(self) -> bool:
        """Whether this is the paper account."""
        return self._settings.paper

    @property
    def breaker(self) -> Breaker:
        """Whether the API answers, and what is done when it does not."""
        return self._caller.breaker

    async def account(self) -> BrokerAccount:
        """Return money and permissions; raises BrokerError or NotConnected, as all questions do."""
        return await self._caller.ask("account", lambda line: account_of(_get(line, "/account")))

    async def clock(self) -> MarketClock:
        """Return Alpaca's clock, compared with ours."""

        def read(line: TradingLine) -> MarketClock:
            sent, begun = self._now(), self._monotonic()
            raw = _get(line, "/clock")
            way = (self._monotonic() - begun) / 2.0
            theirs = moment(raw["timestamp"])
            return MarketClock(
                timestamp=theirs,
                is_open=raw["is_open"],
                next_open=moment(raw["next_open"]),
                next_close=moment(raw["next_close"]),
                offset=(theirs - sent).total_seconds() - way,
            )

        return await self._caller.ask("clock", read)

    async def calendar(self, *, start: date, end: date) -> Sequence[TradingDay]:
        """Return the sessions from `start` to `end`, both included."""
        days = {"start": start.isoformat(), "end": end.isoformat()}
        return await self._caller.ask(
            "calendar", lambda line: [day_of(raw) for raw in _get(line, "/calendar", days)]
        )

    async def asset(self, symbol: str) -> Asset:
        """Return what may be done with a symbol, asked once an hour; raises OrderRejected."""
        known = self._assets.get(symbol)
        if known is not None and self._monotonic() - known[0] < ASSET_AGE:
            return known[1]
        name = symbol.replace("/", "")
        try:
            asset = await self._caller.ask(
                f"asset {symbol}",
                lambda line: asset_of(_get(line, f"/assets/{name}")),
                priority=Priority.ENTRY,
            )
        except BrokerError as error:
            if error.data.get("status") != 404:
                raise
            facts = {**error.data, "reason": Reason.UNKNOWN_SYMBOL.value, "symbol": symbol}
            raise OrderRejected(
                f"Alpaca does not know the symbol {symbol}; check the spelling", **facts
            ) from None
        self._assets[symbol] = (self._monotonic(), asset)
        return asset

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        """Send an order, once; who is cancelled while waiting does not know whether it was sent.

        Raises OrderRejected, UnknownOrderState or NotConnected (which says that it was not done).
        """
        body = body_of(ticket)
        what = f"{ticket.side.value} {ticket.symbol}"
        return await self._caller.change(
            what,
            lambda line: order_of(_object(line.client.post("/orders", body))),
            priority=Priority.EXIT if ticket.side is Side.SELL else Priority.ENTRY,
            repeatable=False,
        )

    async def cancel(self, order_id: str) -> bool:
        """Ask to cancel; False where the order is over already or unknown.

        Raises OrderRejected while it is being replaced, UnknownOrderState or NotConnected.
        """
        try:
            await self._caller.change(
                f"cancel {order_id}",
                lambda line: line.client.delete(f"/orders/{order_id}"),
                priority=Priority.EXIT,
                repeatable=True,
            )
        except OrderRejected as error:
            if "pending_cancel" in error.message:
                return True
            over = error.data.get("status") in (404, 422)
            if not over or "pending_replace" in error.message:
                raise
            return False
        return True

    async def replace(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: int | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> BrokerOrder:
        """Replace an order, asked once; returns the new one."""
        body = replacement_body(
            client_order_id=client_order_id,
            quantity=quantity,
            limit_price=limit_price,
            stop_price=stop_price,
        )
        return await self._caller.change(
            f"replace {order_id}",
            lambda line: order_of(_object(line.client.patch(f"/orders/{order_id}", body))),
            priority=Priority.EXIT,
            repeatable=False,
        )

    async def order(self, order_id: str) -> BrokerOrder | None:
        """Return the order by Alpaca's id, legs included; None where it is not known."""
        if not _is_id(order_id):
            return None
        path, legs = f"/orders/{order_id}", {"nested": "true"}
        return await self._found(f"order {order_id}", lambda line: order_of(_get(line, path, legs)))

    async def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order by our id, legs included; None where it is not known."""
        name = {"client_order_id": client_order_id}
        order = await self._found(
            f"order {client_order_id}",
            lambda line: order_of(_get(line, "/orders:by_client_order_id", name)),
        )
        if order is None or order.order_class is OrderClass.SIMPLE or order.legs:
            return order
        return await self.order(order.id)  # this one tells the legs for certain

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return all open orders; legs whose parent is over stand for themselves."""
        nested, flat = await asyncio.gather(
            walk_orders(partial(self._orders, status="open", nested="true")),
            walk_orders(partial(self._orders, status="open", nested="false")),
        )
        known = {one.id for order in nested for one in (order, *order.legs)}
        alone = [order for order in flat if order.id not in known]
        return sorted([*nested, *alone], key=lambda order: (order.submitted_at, order.id))

    async def orders_since(self, moment: datetime) -> Sequence[BrokerOrder]:
        """Return all orders submitted at or after a moment, legs included, oldest first."""
        ask = partial(self._orders, status="all", nested="true")
        return [o for o in await walk_orders(ask, since=moment) if o.submitted_at >= moment]

    async def fills_since(self, moment: datetime) -> Sequence[BrokerFill]:
        """Return all executions at or after a moment, oldest first."""
        ask = partial(self._activities, activity_types="FILL")
        fills = [fill_of(raw) for raw in await walk_activities(ask, since=moment)]
        found = [fill for fill in fills if fill.timestamp >= moment]
        return sorted(found, key=lambda fill: fill.timestamp)

    async def fees_since(self, moment: datetime) -> Sequence[BrokerFee]:
        """Return fees of a moment's day and later: Alpaca may name only the day of one."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        ask = partial(self._activities, activity_types="CFEE,FEE")
        found = await walk_activities(ask, since=day - timedelta(days=1))
        fees = [fee for fee in map(fee_of, found) if fee.timestamp >= day]
        return sorted(fees, key=lambda fee: fee.timestamp)

    async def positions(self) -> Sequence[BrokerPosition]:
        """Return all positions."""
        return await self._caller.ask(
            "positions", lambda line: [position_of(raw) for raw in _get(line, "/positions")]
        )

    async def close(self) -> None:
        """Release everything. Calling it twice is harmless."""
        await self._caller.close()

    def _client(self) -> TradingClient:
        settings = self._settings
        return TradingClient(
            api_key=settings.key_id,
            secret_key=settings.secret_key,
            paper=settings.paper,
            raw_data=True,
            url_override=settings.trading,
        )

    async def _found(
        self, what: str, request: Callable[[TradingLine], BrokerOrder]
    ) -> BrokerOrder | None:
        try:
            return await self._caller.ask(what, request, priority=Priority.EXIT)
        except BrokerError as error:
            if error.data.get("status") == 404:
                return None
            raise

    async def _orders(self, **fields: str) -> OrderPage:
        return await self._caller.ask(
            "orders", lambda line: order_page(_get(line, "/orders", fields))
        )

    async def _activities(self, **fields: str) -> Sequence[Mapping[str, Any]]:
        return await self._caller.ask(
            "activities", lambda line: list(_get(line, "/account/activities", fields))
        )


def _get(line: TradingLine, path: str, fields: Mapping[str, str] | None = None) -> Any:
    return line.client.get(path, dict(fields or {}))


def _object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise TypeError(f"the answer is {type(answer).__name__}, not an order")
    return answer


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
