"""Market data over REST: bars, trades, quotes, the latest of each, snapshots; stocks and crypto."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiohttp import web

from toolkit.core.types import is_crypto
from toolkit.exchange.bars import Timeframe, joined
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.messages import (
    SIP_VOLUMES,
    bar_row,
    quote_fields,
    row,
    scaled,
    trade_fields,
)
from toolkit.exchange.refusals import Refusal
from toolkit.exchange.values import MINUTE, Micros
from toolkit.exchange.web import answer, listed, moment

DELAY = 15 * MINUTE  # SIP data younger than this is not for the basic plan
_MOST = 10_000
_FEEDS = frozenset({"iex", "sip", "delayed_sip", "otc", "boats", "overnight"})
_ADJUSTMENTS = frozenset({"raw", "split", "dividend", "all"})
Row = tuple[str, int, dict[str, Any]]  # symbol, place within the symbol, item


class DataRoutes:
    """Requests about the market. Nothing here is ever split or pays dividends."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._tape = exchange.tape

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this area."""
        stock, crypto = "/v2/stocks", "/v1beta3/crypto/us"
        found: list[web.RouteDef] = []
        for kind, rows in (
            ("bars", self._bars),
            ("trades", self._trades),
            ("quotes", self._quotes),
        ):
            found += [
                web.get(f"{stock}/{kind}", self._series(kind, rows)),
                web.get(f"{crypto}/{kind}", self._series(kind, rows)),
            ]
            newest = self._latest(kind)
            found += [
                web.get(f"{stock}/{kind}/latest", newest),
                web.get(f"{stock}/{{symbol}}/{kind}/latest", newest),
                web.get(f"{crypto}/latest/{kind}", newest),
                web.get(f"{stock}/{{symbol}}/{kind}", self._series(kind, rows)),
            ]
        return [
            *found,
            web.get(f"{stock}/snapshots", self.snapshots),
            web.get(f"{stock}/{{symbol}}/snapshot", self.snapshots),
            web.get(f"{crypto}/snapshots", self.snapshots),
        ]

    def _series(
        self, kind: str, rows: Callable[[web.Request, str, Micros, Micros], Iterable[Row]]
    ) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            start, end = self._range(request)
            found = [
                r for symbol in self._symbols(request) for r in rows(request, symbol, start, end)
            ]
            backwards = request.query.get("sort", "asc") == "desc"
            found.sort(key=lambda row: row[1], reverse=backwards)
            found.sort(key=lambda row: row[0])
            page, token = _page(request, found, backwards=backwards)
            if "symbol" in request.match_info:
                symbol = request.match_info["symbol"]
                items = [item for _, _, item in page]
                return answer({"symbol": symbol, kind: items or None, "next_page_token": token})
            groups: dict[str, list[dict[str, Any]]] = {}
            for symbol, _, item in page:
                groups.setdefault(symbol, []).append(item)
            return answer({kind: groups, "next_page_token": token})

        return handle

    def _bars(self, request: web.Request, symbol: str, start: Micros, end: Micros) -> Iterator[Row]:
        try:
            timeframe = Timeframe.parse(request.query.get("timeframe", ""))
        except ValueError as error:
            raise Refusal(400, None, str(error)) from None
        crypto, volumes = is_crypto(symbol), self._volumes(request)
        begin = timeframe.start_of(start, crypto=crypto)
        known = self._tape.bars(symbol).between(begin, self._newest(request))
        for bar in joined(known, timeframe, crypto=crypto):
            if start <= bar.at <= end:
                yield symbol, bar.at, bar_row(bar, volumes=volumes)

    def _trades(
        self, request: web.Request, symbol: str, start: Micros, end: Micros
    ) -> Iterator[Row]:
        volumes = self._volumes(request)
        for number, tick in self._tape.ticks(symbol):
            if start <= tick.at <= end:
                yield symbol, number, row(tick.at, scaled(trade_fields(tick, number), volumes))

    def _quotes(
        self, request: web.Request, symbol: str, start: Micros, end: Micros
    ) -> Iterator[Row]:
        volumes = self._volumes(request)
        for number, tick in self._tape.ticks(symbol):
            if start <= tick.at <= end:
                yield symbol, number, row(tick.at, scaled(quote_fields(tick), volumes))

    def _latest(self, kind: str) -> Callable[[web.Request], Any]:
        one = kind.removesuffix("s")

        async def handle(request: web.Request) -> web.Response:
            volumes = self._recent_volumes(request)
            items = {s: self._newest_item(one, s, volumes) for s in self._symbols(request)}
            found = {symbol: item for symbol, item in items.items() if item is not None}
            if "symbol" in request.match_info:
                symbol = request.match_info["symbol"]
                return answer({"symbol": symbol, one: found.get(symbol)})
            return answer({kind: found})

        return handle

    def _newest_item(self, one: str, symbol: str, volumes: int) -> dict[str, Any] | None:
        if one == "bar":
            bar = self._tape.bars(symbol).last
            return bar_row(bar, volumes=volumes) if bar else None
        latest = self._tape.latest(symbol)
        if latest is None:
            return None
        number, tick = latest
        fields = trade_fields(tick, number) if one == "trade" else quote_fields(tick)
        return row(tick.at, scaled(fields, volumes))

    async def snapshots(self, request: web.Request) -> web.Response:
        volumes, now = self._recent_volumes(request), self._exchange.now
        found: dict[str, Any] = {}
        for symbol in self._symbols(request):
            days = (self._tape.day_bar(symbol, now), self._tape.previous_day_bar(symbol, now))
            today, before = (bar_row(d, volumes=volumes) if d else None for d in days)
            found[symbol] = {
                "latestTrade": self._newest_item("trade", symbol, volumes),
                "latestQuote": self._newest_item("quote", symbol, volumes),
                "minuteBar": self._newest_item("bar", symbol, volumes),
                "dailyBar": today,
                "prevDailyBar": before,
            }
        if "symbol" in request.match_info:
            symbol = request.match_info["symbol"]
            return answer({"symbol": symbol, **found.get(symbol, {})})
        return answer({"snapshots": found} if "crypto" in request.path else found)

    def _symbols(self, request: web.Request) -> list[str]:
        """Return the asked symbols that are known, in order of the alphabet."""
        one = request.match_info.get("symbol")
        asked = [one] if one else listed(request, "symbols")
        if not asked:
            raise Refusal(400, None, "symbols is required")
        crypto = "crypto" in request.path
        wrong = [name for name in asked if is_crypto(name) != crypto]
        if wrong:
            raise Refusal(400, None, f"invalid symbol: {wrong[0]}")
        return sorted(set(asked) & set(self._tape.symbols))

    def _feed(self, request: web.Request, *, default: str) -> str:
        if "crypto" in request.path:
            return "crypto"
        feed = request.query.get("feed", default)
        if feed not in _FEEDS:
            raise Refusal(400, None, f"invalid feed: {feed}")
        if request.query.get("adjustment", "raw") not in _ADJUSTMENTS:
            raise Refusal(400, None, "invalid adjustment")
        return feed

    def _volumes(self, request: web.Request) -> int:
        return SIP_VOLUMES if "sip" in self._feed(request, default="sip") else 1

    def _recent_volumes(self, request: web.Request) -> int:
        """Return the factor of the newest data; the basic plan shows that of IEX only."""
        basic = self._exchange.settings.plan == "basic"
        feed = self._feed(request, default="iex" if basic else "sip")
        if feed == "sip" and basic:
            raise _no_recent_sip()
        return SIP_VOLUMES if "sip" in feed else 1

    def _newest(self, request: web.Request) -> Micros:
        """Return up to when this feed shows anything on this plan."""
        now, feed = self._exchange.now, self._feed(request, default="sip")
        delayed = feed == "delayed_sip" or self._exchange.settings.plan == "basic"
        return now - DELAY if "sip" in feed and delayed else now

    def _range(self, request: web.Request) -> tuple[Micros, Micros]:
        now, newest = self._exchange.now, self._newest(request)
        begin = Timeframe(1, "Day").start_of(now, crypto="crypto" in request.path)
        start, end = moment(request, "start"), moment(request, "end")
        if end is not None and end > newest and self._feed(request, default="sip") == "sip":
            raise _no_recent_sip()
        start = begin if start is None else start
        end = newest if end is None else end
        if start > end and moment(request, "end") is not None:
            raise Refusal(400, None, "end should not be before start")
        return start, min(end, newest)


def _no_recent_sip() -> Refusal:
    return Refusal(403, None, "subscription does not permit querying recent SIP data")


def _page(
    request: web.Request, rows: list[Row], *, backwards: bool
) -> tuple[list[Row], str | None]:
    """Return one page and the token of the next; the limit counts over all symbols."""
    text = request.query.get("limit", "1000")
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise Refusal(400, None, f"invalid limit: {text}")
    limit, token = int(text), request.query.get("page_token")
    if token:
        symbol, place = _read_token(token)
        sign = -1 if backwards else 1
        rows = [r for r in rows if (r[0], sign * r[1]) > (symbol, sign * place)]
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    last = f"{page[-1][0]}|{page[-1][1]}"
    return page, base64.urlsafe_b64encode(last.encode()).decode()


def _read_token(token: str) -> tuple[str, int]:
    try:
        symbol, place = base64.urlsafe_b64decode(token.encode()).decode().split("|")
        return symbol, int(place)
    except (ValueError, binascii.Error):
        raise Refusal(400, None, "invalid page_token") from None
