"""Alpaca's historical data behind the port `Data`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from toolkit.alpaca.calling import Caller, Line
from toolkit.alpaca.errors import Reason, data_error
from toolkit.alpaca.resilience import Breaker, Listener, TokenBucket
from toolkit.alpaca.sdk import CryptoHistoricalDataClient, StockHistoricalDataClient
from toolkit.alpaca.settings import CRYPTO, FEEDS, AlpacaSettings
from toolkit.alpaca.words import moment
from toolkit.core.types import Bar, is_crypto
from toolkit.errors import DataError, FeedRefused, NotConnected

PAGE = 10_000
BATCH = 100  # symbols in one request: addresses have a longest length
ADJUSTMENTS = ("raw", "split", "dividend", "all")
_MINUTE, _HOUR, _DAY, _WEEK = 60, 3_600, 86_400, 604_800
_INSTANT = timedelta(microseconds=1)


class AlpacaData:
    """Bars of stocks and crypto over REST; crypto needs no keys. Questions wait for each other.

    `on_breaker(state, reason)` hears when the API is left alone.
    """

    def __init__(
        self,
        settings: AlpacaSettings,
        *,
        on_breaker: Listener | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        breaker = Breaker(on_change=on_breaker)
        common: dict[str, Any] = {
            "settings": settings,
            "translate": data_error,
            "breaker": breaker,
            "bucket": TokenBucket(per_minute=settings.requests_per_minute, now=monotonic()),
            "monotonic": monotonic,
        }
        self.breaker = breaker
        self._stocks: Caller[StockHistoricalDataClient] = Caller(self._stock_client, **common)
        self._crypto: Caller[CryptoHistoricalDataClient] = Caller(self._crypto_client, **common)

    async def bars(
        self,
        symbols: Sequence[str],
        *,
        timeframe: float,
        start: datetime,
        end: datetime,
        feed: str | None = None,
        adjustment: str = "raw",
    ) -> Mapping[str, Sequence[Bar]]:
        """Return all bars with `start <= timestamp < end` of each symbol, oldest first.

        `feed` None is the settings' one; crypto has its own. A bar that was not over when Alpaca
        answered is not `final`. A symbol that Alpaca does not know has no bars. Raises DataError,
        FeedRefused for keys and data plans.
        """
        feed = self._checked(feed, adjustment, start, end)
        found: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
        crypto = [symbol for symbol in found if is_crypto(symbol)]
        stocks = [symbol for symbol in found if not is_crypto(symbol)]
        common = {"timeframe": _timeframe(timeframe), "start": start, "end": end}
        if stocks and not self._settings.has_keys:
            raise FeedRefused(
                "bars of stocks need keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY (crypto "
                "needs none)",
                reason=Reason.KEYS.value,
            )
        for batch in _batches(stocks):
            fields = {**common, "symbols": batch, "feed": feed, "adjustment": adjustment}
            await self._collect(self._stocks, "/stocks/bars", fields, found, timeframe=timeframe)
        for batch in _batches(crypto):
            fields = {**common, "symbols": batch}
            await self._collect(self._crypto, "/crypto/us/bars", fields, found, timeframe=timeframe)
        return found

    async def close(self) -> None:
        """Release everything. Calling it twice is harmless."""
        await self._stocks.close()
        await self._crypto.close()

    async def _collect(
        self,
        caller: Caller[Any],
        path: str,
        fields: Mapping[str, Any],
        found: dict[str, list[Bar]],
        *,
        timeframe: float,
    ) -> None:
        """Ask page by page: each is one request for the rate limit, and repeated alone."""
        start, end = fields["start"], fields["end"]
        stamps = {"start": start.isoformat(), "end": (end - _INSTANT).isoformat()}
        asked = {**fields, **stamps, "symbols": ",".join(fields["symbols"]), "limit": PAGE}
        feed, adjustment = fields.get("feed", CRYPTO), fields.get("adjustment", "raw")
        token: str | None = ""
        while token is not None:
            query = {**asked, "page_token": token} if token else dict(asked)

            def read(line: Line[Any], query: dict[str, Any] = query) -> tuple[list[Bar], Any]:
                raw = line.client.get(path, query)
                bars = [
                    _bar(symbol, row, line.date, feed, adjustment, timeframe)
                    for symbol, rows in (raw["bars"] or {}).items()
                    for row in rows
                ]
                return bars, raw.get("next_page_token")

            try:
                bars, token = await caller.ask(f"bars of {', '.join(fields['symbols'])}", read)
            except NotConnected as error:
                raise DataError(error.message, **error.data) from None
            for bar in bars:
                if start <= bar.timestamp < end and bar.symbol in found:
                    found[bar.symbol].append(bar)

    def _checked(self, feed: str | None, adjustment: str, start: datetime, end: datetime) -> str:
        feed = feed or self._settings.feed
        for name, value, allowed in (
            ("feed", feed, (*FEEDS, CRYPTO)),
            ("adjustment", adjustment, ADJUSTMENTS),
        ):
            if value not in allowed:
                raise DataError(
                    f"{name} is {value!r}; allowed: {', '.join(allowed)}",
                    field=name,
                    value=value,
                    allowed=list(allowed),
                )
        if start.tzinfo is None or end.tzinfo is None:
            raise DataError("start and end need a time zone, such as UTC", field="start")
        return self._settings.feed if feed == CRYPTO else feed

    def _stock_client(self) -> StockHistoricalDataClient:
        settings = self._settings
        return StockHistoricalDataClient(
            api_key=settings.key_id,
            secret_key=settings.secret_key,
            raw_data=True,
            url_override=settings.data,
        )

    def _crypto_client(self) -> CryptoHistoricalDataClient:
        settings = self._settings
        keys = (settings.key_id, settings.secret_key) if settings.has_keys else (None, None)
        return CryptoHistoricalDataClient(
            api_key=keys[0], secret_key=keys[1], raw_data=True, url_override=settings.data
        )


def _bar(
    symbol: str,
    row: Mapping[str, Any],
    now: datetime | None,
    feed: str,
    adjustment: str,
    timeframe: float,
) -> Bar:
    at = moment(row["t"])
    over = now is None or at + timedelta(seconds=timeframe) <= now
    return Bar(
        symbol=symbol,
        timestamp=at,
        open=float(row["o"]),
        high=float(row["h"]),
        low=float(row["l"]),
        close=float(row["c"]),
        volume=float(row["v"]),
        final=over,
        feed=feed,
        adjustment=adjustment,
    )


def _timeframe(seconds: float) -> str:
    """Return Alpaca's word for a timeframe; raises DataError."""
    for unit, name, most in (
        (_WEEK, "Week", 1),
        (_DAY, "Day", 1),
        (_HOUR, "Hour", 23),
        (_MINUTE, "Min", 59),
    ):
        count = seconds / unit
        if count >= 1 and count == int(count) and count <= most:
            return f"{int(count)}{name}"
    raise DataError(
        f"timeframe is {seconds:g} s; allowed: 1 to 59 minutes, 1 to 23 hours, a day, a week",
        field="timeframe",
        value=seconds,
    )


def _batches(symbols: Sequence[str]) -> Iterator[list[str]]:
    ordered = sorted(symbols)
    for first in range(0, len(ordered), BATCH):
        yield ordered[first : first + BATCH]
