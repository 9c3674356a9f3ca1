"""Real calls to Alpaca: do the keys open an account, is the market open, is our clock right?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.alpaca.settings import AlpacaSettings
from toolkit.bot.watch import CLOCK_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What was found; `trouble` says what keeps a bot from trading, empty when nothing does."""

    story: str
    trouble: str
    facts: Mapping[str, Any]


async def check_alpaca(settings: AlpacaSettings) -> Checkup:
    """Ask for the account and the clock; raises ConfigError, BrokerError."""
    from toolkit.alpaca.trading import AlpacaTrading

    trading = AlpacaTrading(settings)
    try:
        account, clock = await trading.account(), await trading.clock()
    finally:
        await trading.close()
    kind = "paper" if settings.paper else "live"
    market = "open" if clock.is_open else f"closed until {clock.next_open:%Y-%m-%d %H:%M} UTC"
    return Checkup(
        story=(
            f"{kind} account {account.status} at {settings.trading}, feed {settings.feed}, market "
            f"{market}, clock off by {clock.offset:+.2f} s"
        ),
        trouble=_trouble(blocked=account.trading_blocked, offset=clock.offset),
        facts={
            "paper": settings.paper,
            "feed": settings.feed,
            "account_status": account.status,
            "market_open": clock.is_open,
            "next_open": clock.next_open.isoformat(),
            "clock_offset": round(clock.offset, 3),
        },
    )


def _trouble(*, blocked: bool, offset: float) -> str:
    if blocked:
        return "trading is blocked for this account: see its page at Alpaca"
    if abs(offset) > CLOCK_LIMIT:
        return f"set this machine's clock: no entries while it is off by {abs(offset):.1f} s"
    return ""
