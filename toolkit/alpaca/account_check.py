"""One real call to Alpaca: do the keys open an account?"""

from __future__ import annotations

import warnings
from functools import partial

from toolkit.errors import BrokerError


def check_account(*, key_id: str, secret_key: str, url: str, timeout: float) -> str:
    """Return the account's status in words; raises BrokerError. `timeout` in seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # alpaca-py: websockets.legacy
        from alpaca.common.exceptions import APIError
        from alpaca.trading.client import TradingClient
    import requests

    client = TradingClient(key_id, secret_key, url_override=url)
    session = client._session
    session.request = partial(session.request, timeout=timeout)  # type: ignore[method-assign]
    try:
        account = client.get_account()
    except APIError as error:
        raise BrokerError(f"Alpaca refused the keys: HTTP {error.status_code}") from None
    except requests.RequestException as error:
        raise BrokerError(f"Alpaca cannot be reached: {type(error).__name__}") from None
    finally:
        session.close()
    status = getattr(account, "status", "unknown")
    return f"account {getattr(status, 'value', status)} at {url}"
