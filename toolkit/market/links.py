"""Whether a stream can be trusted: connected, let in, and not mute. Pure: it is told the time."""

from __future__ import annotations

from datetime import datetime

from toolkit.alpaca.port import Link, LinkNews
from toolkit.market.port import FeedHealth

_LONGEST = 16  # times the patience, after which a mute feed is connected again


class LinkWatch:
    """Follows one stream. `mute_after` in seconds; moments of `now` by a monotonic clock.

    A feed is mute when it is up, its market is open and nothing is heard for that long. After
    each new connection that stays mute the patience doubles, until something is heard.
    """

    def __init__(self, feed: str, *, mute_after: float) -> None:
        self._feed = feed
        self._mute_after = mute_after
        self._factor = 1
        self._link: Link | None = None
        self._reason = ""
        self._since: float | None = None  # listening: up, and the market open
        self._mute = False
        self._heard_at: datetime | None = None

    @property
    def is_up(self) -> bool:
        """Whether the stream is connected and subscribed."""
        return self._link is Link.UP

    def on_news(self, news: LinkNews) -> None:
        """Take what became of the connection."""
        self._link, self._reason, self._since = news.link, news.reason, None

    def on_message(self, *, now: float, wall: datetime) -> None:
        """Something was heard."""
        self._since, self._heard_at = now, wall
        self._mute, self._factor = False, 1

    def check(self, *, now: float, market_open: bool) -> bool:
        """Return True when patience is over: the stream has to be connected again."""
        if not (self.is_up and market_open):
            self._since = None
            self._mute = self._mute and market_open
            return False
        if self._since is None:
            self._since = now
        if now - self._since < self._mute_after * self._factor:
            return False
        self._mute, self._since = True, now
        self._factor = min(2 * self._factor, _LONGEST)
        return True

    def health(self) -> FeedHealth:
        """Return whether entries may be based on this stream."""
        reason = self._trouble()
        return FeedHealth(ok=not reason, reason=reason, last_message=self._heard_at)

    def _trouble(self) -> str:
        if self._link is None:
            return f"{self._feed}: not connected yet"
        if self._link is Link.REFUSED:
            return f"{self._feed}: refused: {self._reason or 'check keys and subscription'}"
        if self._link is Link.DOWN:
            why = f" ({self._reason})" if self._reason else ""
            return f"{self._feed}: connection lost{why}; it is tried again"
        if self._mute:
            return (
                f"{self._feed}: nothing heard for {self._mute_after:g} s while the market is open;"
                " connecting again"
            )
        return ""
