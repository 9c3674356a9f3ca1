"""One real call to Alpaca: do the keys open an account?"""

from __future__ import annotations

import asyncio

from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.trading import AlpacaTrading


def check_account(*, key_id: str, secret_key: str, url: str, timeout: float) -> str:
    """Return the account's status in words; raises BrokerError. `timeout` in seconds."""
    settings = AlpacaSettings(
        key_id=key_id,
        secret_key=secret_key,
        paper="paper" in url,
        trading_url=url,
        connect_timeout=timeout,
        request_timeout=timeout,
        patience=timeout,
    )
    return asyncio.run(_check(settings))


async def _check(settings: AlpacaSettings) -> str:
    trading = AlpacaTrading(settings)
    try:
        account = await trading.account()
    finally:
        await trading.close()
    blocked = ", which may not trade" if account.trading_blocked else ""
    return f"account {account.status} at {settings.trading}{blocked}"
