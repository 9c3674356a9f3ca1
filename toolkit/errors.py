"""One tree of errors; each carries data, a code for the wire, and says what to do.

ToolkitError
├── ConfigError            a setting, parameter or argument is wrong
├── DataError              market data is malformed, missing or contradictory
│   └── FeedRefused        the source does not let us in: keys, subscription, one connection
├── BrokerError
│   ├── OrderRejected      the broker (or a rule of ours) refused an order
│   ├── NotConnected       there is no connection to send it over
│   └── UnknownOrderState  the request left, its outcome is not known
├── StoreError             what research keeps could not be written, read or run again
├── RelayError             owner and workers of a cluster cannot reach each other
├── WireError              a message breaks the protocol
└── AuthError              no token, a wrong one, or too low a role
"""

from __future__ import annotations

from typing import Any, ClassVar


class ToolkitError(Exception):
    """Base of all errors that `toolkit` raises on purpose.

    `data` holds the facts as JSON-ready values: the field, the value, what is allowed.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    def to_dict(self) -> dict[str, Any]:
        """Return `{code, message, ...data}`, as it travels in acks and `error` events."""
        return {**self.data, "code": self.code, "message": self.message}


class ConfigError(ToolkitError):
    """A setting, parameter or argument is wrong."""

    code = "config_error"


class DataError(ToolkitError):
    """Market data is malformed, missing or contradictory."""

    code = "data_error"


class FeedRefused(DataError):
    """The source of market data does not let us in."""

    code = "feed_refused"


class BrokerError(ToolkitError):
    """The broker could not do what was asked."""

    code = "broker_error"


class OrderRejected(BrokerError):
    """An order was refused; nothing was sent, or nothing will be filled."""

    code = "order_rejected"


class NotConnected(BrokerError):
    """There is no connection over which this could be sent."""

    code = "not_connected"


class UnknownOrderState(BrokerError):
    """A request left and its outcome is unknown: look it up before deciding anything."""

    code = "unknown_order_state"


class StoreError(ToolkitError):
    """What research keeps could not be written, read or run again; results stay in memory."""

    code = "store_error"


class RelayError(ToolkitError):
    """Owner and workers of a cluster cannot reach each other; goes on when they can."""

    code = "relay_error"


class WireError(ToolkitError):
    """A message breaks the protocol."""

    code = "wire_error"


class AuthError(ToolkitError):
    """No token, a wrong one, or a role that may not do this."""

    code = "auth_error"


def error_from_dict(error: dict[str, Any]) -> ToolkitError:
    """Rebuild the error that the other side sent as `to_dict()`."""
    data = dict(error)
    code, message = data.pop("code", "error"), str(data.pop("message", "unknown error"))
    kinds: list[type[ToolkitError]] = [ToolkitError]
    for kind in kinds:
        if kind.code == code:
            return kind(message, **data)
        kinds.extend(kind.__subclasses__())
    return ToolkitError(message, **data)
