"""Whether broker and books agree, pure. What must hold is written in docs/guarantees.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from toolkit.alpaca.port import BrokerFill, BrokerPosition
from toolkit.broker.fees import CRYPTO_FEE, settle
from toolkit.broker.records import key_of
from toolkit.broker.tracked import Tracked
from toolkit.core.types import ZERO, Side, is_crypto

SECOND_LOOK = timedelta(seconds=2)
FEE_TOLERANCE = CRYPTO_FEE * Decimal("1.2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Units of one symbol: `theirs` at the broker, `ours` and `foreign` in the journal."""

    symbol: str
    theirs: Decimal
    ours: Decimal
    foreign: Decimal

    @property
    def amount(self) -> Decimal:
        """What the broker has more than the journal explains."""
        return self.theirs - self.ours - self.foreign

    def __str__(self) -> str:
        others = f" and {self.foreign} of others" if self.foreign else ""
        return f"{self.symbol}: the broker has {self.theirs}, the journal {self.ours}{others}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDeal:
    """An execution that is not ours: `sold_ours` of it took from our position."""

    fill: BrokerFill
    change: Decimal
    sold_ours: Decimal


def differences(
    positions: Iterable[BrokerPosition],
    *,
    ours: Mapping[str, Decimal],
    foreign: Mapping[str, Decimal],
) -> list[Difference]:
    """Return the symbols of which the broker's number is not the sum of ours and others'."""
    theirs = {p.symbol: p.quantity for p in positions}
    symbols = sorted({*theirs, *ours, *foreign})
    found = [
        Difference(
            symbol=symbol,
            theirs=theirs.get(symbol, ZERO),
            ours=ours.get(symbol, ZERO),
            foreign=foreign.get(symbol, ZERO),
        )
        for symbol in symbols
    ]
    return [difference for difference in found if difference.amount]


def foreign_deals(
    fills: Iterable[BrokerFill],
    *,
    seen: Iterable[str],
    ours: Mapping[str, Decimal],
    foreign: Mapping[str, Decimal],
) -> list[ForeignDeal]:
    """Say whose holdings new executions of others have moved.

    A sale takes from what others hold first; what they do not have was ours.
    """
    known, left, held = set(seen), dict(foreign), dict(ours)
    deals = []
    for fill in fills:
        if key_of(fill.id) in known:
            continue
        known.add(key_of(fill.id))
        received = settle(fill.symbol, fill.side, quantity=fill.quantity, price=fill.price).received
        before, mine = left.get(fill.symbol, ZERO), held.get(fill.symbol, ZERO)
        if fill.side is Side.BUY:
            change, sold = received, ZERO
        else:
            sold = min(max(received - max(before, ZERO), ZERO), mine)
            change = sold - received
        left[fill.symbol], held[fill.symbol] = before + change, mine - sold
        deals.append(ForeignDeal(fill=fill, change=change, sold_ours=sold))
    return deals


def is_another_fee(difference: Difference, *, bought: Decimal) -> bool:
    """Whether a difference is no more than a fee of crypto that was reckoned wrongly."""
    tolerance = bought * FEE_TOLERANCE
    return is_crypto(difference.symbol) and abs(difference.amount) <= tolerance


class Comparison:
    """Remembers differences until a second look; `reason` is why the gate is closed."""

    def __init__(self) -> None:
        self.reason = "not reconciled with the broker yet"
        self._first: dict[str, tuple[str, int, datetime]] = {}

    def judge(
        self,
        found: Sequence[Difference],
        lacking: Sequence[Tracked],
        *,
        version: int,
        now: datetime,
    ) -> list[Difference]:
        """Return what a second look has confirmed; `version` counts changes of our books.

        The broker's lists are not of one moment, so the first look proves nothing.
        """
        texts = {d.symbol: str(d) for d in found}
        texts |= {t.client_id: _lacks(t) for t in lacking}
        first, self._first = self._first, {}
        confirmed: list[str] = []
        for name, text in texts.items():
            known = first.get(name)
            if known is None or known[:2] != (text, version):
                self._first[name] = (text, version, now)
                continue
            self._first[name] = known
            if now - known[2] >= SECOND_LOOK:
                confirmed.append(name)
        if not texts:
            self.reason = ""
        elif confirmed:
            self.reason = "; ".join(texts[name] for name in confirmed)
        elif self.reason.startswith("not reconciled"):
            self.reason = "not reconciled with the broker yet: a second look is due"
        return [d for d in found if d.symbol in confirmed]

    def settled(self) -> None:
        """Forget what was seen: the books have been corrected."""
        self._first.clear()
        self.reason = "corrected; looking again"

    @property
    def second_look_due(self) -> bool:
        """Whether there is a difference that was seen only once."""
        return bool(self._first) or self.reason.startswith("corrected")


def _lacks(order: Tracked) -> str:
    return (
        f"{order.client_id}: the broker says {order.filled} filled, "
        f"executions of {order.known} are known"
    )
