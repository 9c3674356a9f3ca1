"""Real money only with consent: a typed account number, or TOOLKIT_ALLOW_LIVE=1."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.alpaca.settings import AlpacaSettings
from toolkit.config import Settings
from toolkit.errors import ConfigError
from toolkit.session.options import LaunchOptions

AskText = Callable[[str], str]


def require_consent(
    options: LaunchOptions,
    settings: Settings,
    *,
    account_number: Callable[[AlpacaSettings], str],
    ask: AskText | None,
) -> None:
    """Return when these options may trade; raises ConfigError when real money is not agreed to.

    `account_number` makes a real call; `ask` shows a question and returns what was typed, None
    where nobody can be asked.
    """
    if not options.live or settings.allow_live:
        return
    alpaca = settings.alpaca(live=True, feed=options.feed)
    alpaca.require_keys()
    if not alpaca.is_live:
        return
    if ask is None:
        raise ConfigError(
            "live trading wants a typed confirmation, and nobody can be asked here; set "
            "TOOLKIT_ALLOW_LIVE=1 to allow it",
            field="live",
        )
    number = account_number(alpaca)
    typed = ask(f"This trades real money. Type the account number ({number}) to go on: ")
    if not number or typed.strip() != number:
        raise ConfigError(
            "that is not the account number: nothing was started; leave out live to trade paper",
            field="live",
        )


async def fetch_account_number(alpaca: AlpacaSettings) -> str:
    """Ask Alpaca for the account's number; raises BrokerError."""
    from toolkit.alpaca.trading import AlpacaTrading

    trading = AlpacaTrading(alpaca)
    try:
        account = await trading.account()
    finally:
        await trading.close()
    return account.number or account.id
