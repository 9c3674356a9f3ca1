"""What is tested: how many clients want which symbols, and at which rate."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.errors import ConfigError

LIMIT_MS = 50.0
MOST_CLIENTS, MOST_SYMBOLS = 60_000, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`clients` that each subscribe to `per_client` of `symbols` symbols.

    `rate` (messages published a second) is what it runs at; None searches the highest rate that
    is held. `fixed_rate` is measured besides the search, None for nothing.
    """

    name: str
    clients: int
    symbols: int
    per_client: int
    rate: float | None = None
    fixed_rate: float | None = None

    def __post_init__(self) -> None:
        check("clients", self.clients, 1, MOST_CLIENTS)
        check("symbols", self.symbols, 1, MOST_SYMBOLS)
        check("per_client", self.per_client, 1, self.symbols)
        if self.rate is not None:
            check("rate", self.rate, 0.1, 10_000_000)

    @property
    def fan_out(self) -> float:
        """Deliveries for one message published."""
        return self.clients * self.per_client / self.symbols

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        clients = f"{self.clients:,} client" + ("s" if self.clients > 1 else "")
        wanted = "all" if self.per_client == self.symbols else str(self.per_client)
        symbols = "symbol" if self.symbols == 1 else "symbols"
        of = "1 symbol" if self.symbols == 1 else f"{wanted} of {self.symbols} {symbols}"
        return f"{clients} × {of}"

    def subscriptions(self, *, seed: int = 1) -> list[list[int]]:
        """Deal the symbols out: each client gets different ones at random, each symbol is dealt
        equally often (give or take one), and the same `seed` deals the same way.
        """
        if self.per_client == self.symbols:
            return [list(range(self.symbols)) for _ in range(self.clients)]
        dealer, deck = random.Random(seed), list[int]()
        hands: list[list[int]] = []
        for _ in range(self.clients):
            hand: list[int] = []
            while len(hand) < self.per_client:
                if not deck:
                    # What the hand holds already is dealt last, so no hand gets it twice.
                    deck = dealer.sample(range(self.symbols), self.symbols)
                    deck.sort(key=lambda index: index not in hand)
                hand.append(deck.pop())
            hands.append(sorted(hand))
        return hands


def check(name: str, value: float, least: float, most: float) -> None:
    """Raise ConfigError unless `value` is from `least` to `most`."""
    if not least <= value <= most:
        allowed = f"{least:g} to {most:,.0f}"
        raise ConfigError(f"{name} is {value:g}; allowed: {allowed}", field=name, allowed=allowed)


SCENARIOS: Mapping[str, Scenario] = {
    "A": Scenario(name="A", clients=1, symbols=1, per_client=1),
    "B": Scenario(name="B", clients=100, symbols=10, per_client=10),
    "C": Scenario(name="C", clients=1_000, symbols=100, per_client=5, fixed_rate=1_000.0),
    "D": Scenario(name="D", clients=100, symbols=10, per_client=1, rate=100.0),
}


def symbol_name(index: int) -> str:
    """Return the name of a symbol; the kernel reads its index from it."""
    return f"L{index:03d}"
