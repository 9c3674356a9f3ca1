"""An exchange beside the notebook: a stand-in for Alpaca in a thread of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from toolkit.errors import ConfigError
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import fault_from
from toolkit.exchange.server import ExchangeServer
from toolkit.exchange.settings import ExchangeSettings, Speed
from toolkit.exchange.source import SimulatedSource
from toolkit.exchange.weather import weather
from toolkit.exchange.web_control import state_of
from toolkit.runtime import LoopThread

SYMBOLS = ("AAPL", "BTC/USD", "MSFT")


class Rehearsal:
    """Serves a simulated market as `toolkit exchange` does, until `stop()`.

    `speed` is as there (`60x`, `max`, `step`), `faults` is calm, hiccups, storm or a file, `cash`
    in dollars. Raises ConfigError.
    """

    def __init__(
        self,
        symbols: Sequence[str] = SYMBOLS,
        *,
        speed: str = "60x",
        faults: str = "calm",
        seed: int = 7,
        cash: float = 100_000.0,
    ) -> None:
        settings = ExchangeSettings(seed=seed, cash=str(cash), speed=Speed.parse(speed))
        source = SimulatedSource(symbols, seed=seed)
        plan = weather(faults, seed=seed, symbols=source.symbols)
        self._exchange = Exchange(source, settings, faults=plan)
        self._server = ExchangeServer(self._exchange)
        self._loop = LoopThread("exchange")
        try:
            self._loop.call(self._server.start())
        except BaseException:
            self._loop.stop()
            raise

    @property
    def environment(self) -> Mapping[str, str]:
        """What a bot needs in its environment to trade here instead of at Alpaca."""
        return self._server.environment

    def state(self) -> dict[str, Any]:
        """Return the truth: orders, fills, positions and cash as the exchange has them."""

        async def read() -> dict[str, Any]:
            return state_of(self._exchange)

        return self._loop.call(read())

    def inject(self, kind: str, **fields: Any) -> None:
        """Begin a fault at once: a kind and fields as in docs/exchange.md; raises ConfigError."""
        try:
            fault = fault_from({"start": 0.0, **fields, "kind": kind})
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"no such fault: {error}; see docs/exchange.md", field="kind"
            ) from None

        async def begin() -> None:
            self._exchange.faults.inject(fault, self._exchange.now)

        self._loop.call(begin())

    def stop(self) -> None:
        """End the exchange and its thread. Calling it twice is harmless."""
        if self._loop.alive:
            self._loop.call(self._server.stop())
            self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
