"""A client whose parameters are at hand: asked for once, then kept by what the bot confirms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from toolkit.core.parameters import Parameters

Data = dict[str, Any]


class BotClient(Protocol):
    """What the dashboard needs of the synchronous client; `parameters` may ask the server."""

    @property
    def symbols(self) -> Iterable[str]: ...
    @property
    def state(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def parameters(self) -> Parameters: ...
    def on(self, event: str, handler: Callable[[Data], None], /) -> Callable[[], None]: ...
    def subscribe(self, streams: list[str], symbols: list[str] | None = None, /) -> Any: ...
    def history(self, symbol: str, limit: int = 500) -> Mapping[str, Any]: ...
    def trades(self) -> list[Data]: ...
    def command(self, name: str, /, **args: Any) -> Any: ...
    def set_parameters(self, changes: Mapping[str, Any], /) -> Mapping[str, Any]: ...


class KnownClient:
    """Passes everything on to `client`, but never blocks for the parameters.

    Pages are drawn in the event loop, where asking the server is forbidden.
    """

    def __init__(self, client: BotClient) -> None:
        self._client = client
        self._parameters: Parameters | None = None
        self._remove = client.on("stream_parameters", self._on_parameters)

    @property
    def symbols(self) -> Iterable[str]:
        """What the bot trades."""
        return self._client.symbols

    @property
    def state(self) -> str:
        """State of the connection."""
        return self._client.state

    @property
    def role(self) -> str:
        """What the token may do: view, tune, trade or admin."""
        return self._client.role

    @property
    def known_parameters(self) -> Parameters | None:
        """The parameters in force, None until the bot has said them."""
        return self._parameters

    @property
    def parameters(self) -> Parameters:
        """The parameters in force, the defaults until the bot has said them."""
        return self._parameters or Parameters()

    def on(self, event: str, handler: Callable[[Data], None]) -> Callable[[], None]:
        """Call `handler` on each event; returns what removes it."""
        return self._client.on(event, handler)

    def subscribe(self, streams: Iterable[str], symbols: Iterable[str] | None = None) -> Any:
        """Ask for streams; no symbols means all. May block."""
        return self._client.subscribe(list(streams), None if symbols is None else list(symbols))

    def history(self, symbol: str, *, limit: int = 500) -> Mapping[str, Any]:
        """Return the last bars and the fills. May block."""
        return self._client.history(symbol, limit=limit)

    def trades(self) -> list[Data]:
        """Return the round trips so far. May block."""
        return self._client.trades()

    def orders(self) -> list[Data]:
        """Return the latest states of the last orders, oldest order first. May block."""
        orders: list[Data] = self._client.command("get_orders")["orders"]
        return orders

    def command(self, name: str, /, **args: Any) -> Any:
        """Have the bot carry out a command. May block."""
        return self._client.command(name, **args)

    def set_parameters(self, changes: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Change parameters of the running bot. May block."""
        return self._client.set_parameters(changes)

    def ask_parameters(self) -> None:
        """Ask the bot for its parameters. May block."""
        self._parameters = self._client.parameters

    def close(self) -> None:
        """Stop following the parameters; the client is left open."""
        self._remove()

    def _on_parameters(self, message: Data) -> None:
        self._parameters = Parameters.from_dict(message["data"]["parameters"])
