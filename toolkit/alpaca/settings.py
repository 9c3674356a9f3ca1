"""How Alpaca is reached: keys, addresses, patience."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from toolkit.errors import ConfigError

PAPER_URL, LIVE_URL = "https://paper-api.alpaca.markets", "https://api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"
STREAM_URL = "wss://stream.data.alpaca.markets"
FEEDS = ("iex", "sip")
CRYPTO = "crypto"
FEWEST_REQUESTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AlpacaSettings:
    """Addresses that are None are Alpaca's own; times in seconds. Raises ConfigError.

    `trading_url` and `data_url` are without `/v2`; the streams' addresses are complete, as in
    `ws://host/stream`, `ws://host/v2/iex` and `ws://host/v1beta3/crypto/us`.
    `requests_per_minute` is kept below Alpaca's 200 (0: no limit of ours). A connection that
    lasted `good_after` is forgiven: the next loss is mended as fast as the first.
    """

    key_id: str = ""
    secret_key: str = field(default="", repr=False)
    paper: bool = True
    feed: str = "iex"
    trading_url: str | None = None
    data_url: str | None = None
    trading_stream_url: str | None = None
    stock_stream_url: str | None = None
    crypto_stream_url: str | None = None
    connect_timeout: float = 3.0
    request_timeout: float = 10.0
    patience: float = 20.0
    requests_per_minute: int = 190
    handshake_timeout: float = 10.0
    close_timeout: float = 1.0
    queue_size: int = 20_000
    reconnect_delay: float = 0.5
    reconnect_longest: float = 30.0
    refused_delay: float = 5.0
    refused_longest: float = 60.0
    good_after: float = 10.0

    def __post_init__(self) -> None:
        if self.feed not in FEEDS:
            raise ConfigError(
                f"feed is {self.feed!r}; allowed: {', '.join(FEEDS)}",
                field="feed",
                value=self.feed,
                allowed=list(FEEDS),
            )
        if 0 < self.requests_per_minute < FEWEST_REQUESTS or self.requests_per_minute < 0:
            raise ConfigError(
                f"requests_per_minute is {self.requests_per_minute}; allowed: 0 (no limit), or "
                f"from {FEWEST_REQUESTS}",
                field="requests_per_minute",
                value=self.requests_per_minute,
            )
        self._check_account()
        stream = self.stock_stream_url
        if stream is not None and stream.rstrip("/").rpartition("/")[2] != self.feed:
            raise ConfigError(
                f"the feed is {self.feed} and the stream is {stream}: feeds are not mixed; change "
                "the feed or ALPACA_STOCK_STREAM_URL",
                field="stock_stream_url",
                value=stream,
            )

    @property
    def has_keys(self) -> bool:
        """Whether both keys are set."""
        return bool(self.key_id and self.secret_key)

    @property
    def is_live(self) -> bool:
        """Whether orders move real money."""
        return not self.paper and not _is_loopback(self.trading)

    @property
    def trading(self) -> str:
        """The trading API's address."""
        return (self.trading_url or (PAPER_URL if self.paper else LIVE_URL)).rstrip("/")

    @property
    def data(self) -> str:
        """The data API's address."""
        return (self.data_url or DATA_URL).rstrip("/")

    @property
    def trading_stream(self) -> str:
        """The address of the stream of order events."""
        own = PAPER_URL if self.paper else LIVE_URL
        return self.trading_stream_url or own.replace("https", "wss", 1) + "/stream"

    @property
    def stock_stream(self) -> str:
        """The address of the stream of stocks."""
        return self.stock_stream_url or f"{STREAM_URL}/v2/{self.feed}"

    @property
    def crypto_stream(self) -> str:
        """The address of the stream of crypto."""
        return self.crypto_stream_url or f"{STREAM_URL}/v1beta3/crypto/us"

    def require_keys(self) -> None:
        """Raise ConfigError where a key is missing."""
        if not self.has_keys:
            raise ConfigError(
                "Alpaca needs keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY (from the page of "
                "your account; paper and live have different ones)",
                field="alpaca_key_id",
            )

    def _check_account(self) -> None:
        """Refuse real money under the name of paper, and the other way round."""
        wrong = LIVE_URL if self.paper else PAPER_URL
        for name, url in (
            ("trading_url", self.trading_url),
            ("trading_stream_url", self.trading_stream_url),
        ):
            if url is not None and urlsplit(url).hostname == urlsplit(wrong).hostname:
                kind, other = ("paper", "live") if self.paper else ("live", "paper")
                raise ConfigError(
                    f"{url} trades the {other} account, and the {kind} account was asked for; "
                    f"change {name} or ask for {other}",
                    field=name,
                    value=url,
                )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
