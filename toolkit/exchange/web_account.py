"""/v2/account, its activities and configurations, /v2/assets, /v2/clock and /v2/calendar."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from datetime import date, timedelta
from typing import Any

from aiohttp import web

from toolkit.core.types import ZERO
from toolkit.exchange.account import Execution
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.funds import buying_power, day_trade_count
from toolkit.exchange.hours import (
    Hours,
    day_of,
    days_between,
    is_regular,
    next_hours,
    next_open,
)
from toolkit.exchange.refusals import malformed
from toolkit.exchange.rules import PATTERN_DAY_TRADER_EQUITY, Configuration
from toolkit.exchange.values import Micros, cents, identifier_of, moment_of, stamp, text
from toolkit.exchange.web import answer, body_of, listed, moment, whole
from toolkit.market.sessions import NEW_YORK


class AccountRoutes:
    """Requests about the account, and about what and when can be traded."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._book = exchange.book
        self._activities: dict[str, list[dict[str, Any]]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this area."""
        return [
            web.get("/v2/account", self.account),
            web.get("/v2/account/configurations", self.configurations),
            web.patch("/v2/account/configurations", self.configure),
            web.get("/v2/account/activities", self.activities),
            web.get("/v2/account/activities/{kind}", self.activities),
            web.get("/v2/assets", self.assets),
            web.get("/v2/assets/{symbol:.+}", self.asset),
            web.get("/v2/clock", self.clock),
            web.get("/v2/calendar", self.calendar),
        ]

    async def account(self, _: web.Request) -> web.Response:
        book, account, now = self._book, self._book.account, self._exchange.now
        prices = book.prices()
        equity, exposure = account.equity(prices), account.exposure(prices)
        values = [p.value(prices.get(s, p.entry_price)) for s, p in account.positions.items()]
        margin = exposure / account.multiplier
        trades = day_trade_count(book, now)
        money = {
            "cash": account.cash,
            "buying_power": buying_power(book),
            "regt_buying_power": buying_power(book),
            "daytrading_buying_power": ZERO,
            "non_marginable_buying_power": buying_power(book, marginable=False),
            "equity": equity,
            "portfolio_value": equity,
            "last_equity": account.last_equity,
            "long_market_value": sum((v for v in values if v > 0), ZERO),
            "short_market_value": sum((v for v in values if v < 0), ZERO),
            "initial_margin": margin,
            "maintenance_margin": margin,
            "last_maintenance_margin": ZERO,
            "sma": ZERO,
            "accrued_fees": ZERO,
        }
        return answer(
            {
                "id": identifier_of("account"),
                "account_number": "PA0EXCHANGE00",
                "status": "ACTIVE",
                "crypto_status": "ACTIVE",
                "currency": "USD",
                **{name: text(cents(value)) for name, value in money.items()},
                "multiplier": str(account.multiplier),
                "pattern_day_trader": trades > 3 and equity < PATTERN_DAY_TRADER_EQUITY,
                "daytrade_count": trades,
                "trading_blocked": False,
                "transfers_blocked": False,
                "account_blocked": False,
                "trade_suspended_by_user": self._exchange.desk.rules.suspend_trade,
                "shorting_enabled": account.multiplier > 1,
                "created_at": stamp(self._exchange.source.start),
                "options_approved_level": 0,
                "options_trading_level": 0,
            }
        )

    async def configurations(self, _: web.Request) -> web.Response:
        return answer(asdict(self._exchange.desk.rules))

    async def configure(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        known = {field.name for field in fields(Configuration)}
        changes = {k: v for k, v in body.items() if k in known and v is not None}
        desk = self._exchange.desk
        desk.rules = replace(desk.rules, **changes)
        return answer(asdict(desk.rules))

    async def activities(self, request: web.Request) -> web.Response:
        kinds = [request.match_info["kind"]] if "kind" in request.match_info else []
        kinds = kinds or listed(request, "activity_types")
        after, until = moment(request, "after"), moment(request, "until")
        found = [
            item
            for execution in self._book.account.executions
            if _between(execution.at, after, until)
            for item in self._told(execution)
            if not kinds or item["activity_type"] in kinds
        ]
        if request.query.get("direction", "desc") != "asc":
            found.reverse()
        token = request.query.get("page_token")
        if token:
            ids = [item["id"] for item in found]
            if token not in ids:
                raise malformed("invalid page_token")
            found = found[ids.index(token) + 1 :]
        return answer(found[: whole(request, "page_size", 100, most=100)])

    def _told(self, execution: Execution) -> list[dict[str, Any]]:
        """Return an execution as activities; it never changes, and is asked for every minute."""
        if execution.id not in self._activities:
            self._activities[execution.id] = _activities(execution)
        return self._activities[execution.id]

    async def assets(self, request: web.Request) -> web.Response:
        wanted = {
            "class": request.query.get("asset_class"),
            "status": request.query.get("status"),
            "exchange": request.query.get("exchange"),
        }
        found = [asset.to_dict() for asset in self._book.assets]
        fits = (a for a in found if all(v in (None, a[k]) for k, v in wanted.items()))
        return answer(list(fits))

    async def asset(self, request: web.Request) -> web.Response:
        return answer(self._book.assets.get(request.match_info["symbol"]).to_dict())

    async def clock(self, _: web.Request) -> web.Response:
        now = self._exchange.clock
        return answer(
            {
                "timestamp": _local(now),
                "is_open": is_regular(now),
                "next_open": _local(next_open(now)),
                "next_close": _local(next_hours(now).close),
            }
        )

    async def calendar(self, request: web.Request) -> web.Response:
        today = day_of(self._exchange.now)
        first = _day(request, "start") or today - timedelta(days=366)
        last = _day(request, "end") or today + timedelta(days=366)
        return answer([_calendar_day(hours) for hours in days_between(first, last)])


def _activities(execution: Execution) -> list[dict[str, Any]]:
    at = moment_of(execution.at)
    prefix = at.strftime("%Y%m%d%H%M%S") + f"{at.microsecond // 1000:03d}"
    fill = {
        "id": f"{prefix}::{execution.id}",
        "activity_type": "FILL",
        "transaction_time": stamp(execution.at),
        "type": "fill" if execution.status == "filled" else "partial_fill",
        "price": text(execution.price),
        "qty": text(execution.quantity),
        "side": execution.side.value,
        "symbol": execution.symbol,
        "leaves_qty": text(execution.leaves),
        "order_id": execution.order_id,
        "cum_qty": text(execution.filled),
        "order_status": "filled" if execution.status == "filled" else "partially_filled",
    }
    fee = _fee(execution, f"{prefix}::{identifier_of(execution.id)}")
    return [fill, fee] if execution.fee else [fill]


def _fee(execution: Execution, name: str) -> dict[str, Any]:
    in_kind = execution.fee_in_kind
    return {
        "id": name,
        "activity_type": "CFEE",
        "date": day_of(execution.at).isoformat(),
        "net_amount": "0" if in_kind else text(-execution.fee),
        "description": "Coin Pair Transaction Fee" + (" (Non USD)" if in_kind else ""),
        "symbol": execution.symbol.replace("/", ""),
        "qty": text(-execution.fee) if in_kind else "0",
        "price": text(execution.price),
        "status": "executed",
    }


def _between(at: Micros, after: Micros | None, until: Micros | None) -> bool:
    return (after is None or at > after) and (until is None or at < until)


def _local(at: Micros) -> str:
    return moment_of(at).astimezone(NEW_YORK).isoformat()


def _day(request: web.Request, name: str) -> date | None:
    value = request.query.get(name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise malformed(f"invalid {name} format") from None


def _calendar_day(hours: Hours) -> dict[str, str]:
    opens, closes, early, late = (
        moment_of(at).astimezone(NEW_YORK)
        for at in (hours.open, hours.close, hours.early, hours.late)
    )
    return {
        "date": hours.day.isoformat(),
        "open": f"{opens:%H:%M}",
        "close": f"{closes:%H:%M}",
        "session_open": f"{early:%H%M}",
        "session_close": f"{late:%H%M}",
    }
