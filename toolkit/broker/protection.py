"""What to do next for a position, pure: one step at a time, from what is known now.

At rest a position has one net: a protective stop for all of it at the broker. To sell, the net
is cancelled, its end (or its fill) is awaited, then a market order goes. Every step is decided
afresh from orders and holdings, so a restart or a lost answer changes nothing but the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from toolkit.alpaca.port import Asset, Ticket
from toolkit.broker.grid import is_whole, price_down, sellable
from toolkit.broker.lots import Lot
from toolkit.broker.records import Intent, Role
from toolkit.broker.tracked import Tracked
from toolkit.core.types import OrderStatus, OrderType, Side, TimeInForce, exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """How positions are kept. Fractions of prices; times in seconds.

    `limit_below`: a crypto net is a stop-limit, its limit this far below the stop. `net_step`:
    nets that cannot be moved in place are renewed once the trail has risen by so much.
    `net_patience`: a net whose stop was passed has so long to fill before we sell ourselves.
    `entry_patience`: an entry that is partly filled has so long for the rest. `net_pause`: a net
    that ends by itself is not renewed sooner after it was sent.
    """

    limit_below: float = 0.02
    net_step: float = 0.001
    net_patience: float = 5.0
    entry_patience: float = 5.0
    net_pause: float = 2.0
    look_after: float = 1.0
    cancel_again: float = 10.0
    longest_wait: float = 30.0
    closed_wait: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when a step is decided; `orders` are those of the symbol that are open."""

    orders: Sequence[Tracked]
    asset: Asset
    market_open: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask for an order to be cancelled."""

    order: Tracked


@dataclass(frozen=True, slots=True)
class Look:
    """Ask what became of an order."""

    order: Tracked


@dataclass(frozen=True, slots=True)
class Send:
    """Send an order: a new intent, or one that is on disk and waits."""

    intent: Intent
    waiting: Tracked | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Put a net in the place of another, at the broker and in one go."""

    order: Tracked
    intent: Intent


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Drop an order that was never sent."""

    order: Tracked
    message: str


@dataclass(frozen=True, slots=True)
class Leave:
    """What is left cannot be sold: write it off."""

    lot: Lot


Step = Cancel | Look | Send | Move | Withdraw | Leave


def next_step(
    lot: Lot | None, facts: Facts, care: Care, *, numbers: tuple[int, int]
) -> Step | None:
    """Return what to do now, None for waiting; `numbers` of the next net and the next exit."""
    waiting = [t for t in facts.orders if t.intent.role is Role.EXIT and not t.sent]
    sells = [t for t in facts.orders if t.intent.ticket.side is Side.SELL and t.sent]
    if lot is None:
        if waiting:
            return Withdraw(waiting[0], "the position was closed before")
        # Nets of a lost journal may protect what is not ours any more: they are left alone.
        roles = (Role.NET, Role.EXIT)
        stray = [t for t in sells if t.intent.role in roles and not t.intent.adopted]
        return _clear(stray[0], facts, care) if stray else None
    amount = sellable(facts.asset, lot.quantity, price=lot.price)
    if not amount:
        return _leave(lot, waiting, sells, facts, care)
    entries = [t for t in facts.orders if t.intent.role is Role.ENTRY]
    if entries:
        return _entry_first(lot, entries[0], facts, care)
    if any(t.status is OrderStatus.UNKNOWN for t in sells):
        return None
    nets = [t for t in sells if t.intent.role is Role.NET]
    due = _due(lot, nets, facts, care) and facts.market_open
    if due and not _too_early(lot.exit_not_before, facts):
        return _exit(lot, amount, waiting, sells, facts, care, number=numbers[1])
    if len(waiting) > 1:
        return Withdraw(waiting[0], "another exit of the position waits already")
    return _keep_net(lot, amount, nets, sells, facts, care, number=numbers[0])


def _entry_first(lot: Lot, entry: Tracked, facts: Facts, care: Care) -> Step | None:
    """While an entry works nothing can be sold: buys and sells of one symbol exclude each other."""
    late = facts.now - lot.seen_at >= timedelta(seconds=care.entry_patience)
    if (lot.wish is None and lot.crossed is None and not late) or not entry.id:
        return None
    return _clear(entry, facts, care)


def _due(lot: Lot, nets: Sequence[Tracked], facts: Facts, care: Care) -> bool:
    """Whether the position is to be sold by us; a passed stop is first left to its net."""
    if lot.wish is None and lot.crossed is not None:
        stop, _ = lot.stop()
        resting = max((float(t.stop_price or 0) for t in nets), default=0.0)
        late = facts.now - lot.crossed >= timedelta(seconds=care.net_patience)
        if late or resting < stop * (1.0 - care.net_step / 2):
            lot.wish = lot.crossed_reason
    return lot.wish is not None


def _exit(
    lot: Lot,
    amount: Decimal,
    waiting: Sequence[Tracked],
    sells: Sequence[Tracked],
    facts: Facts,
    care: Care,
    *,
    number: int,
) -> Step | None:
    working = [t for t in sells if t.intent.role is Role.EXIT]
    if working:
        return _watch(working[0], facts, care)
    if sells:
        return _clear(sells[0], facts, care)
    if waiting:
        first = waiting[0]
        if first.intent.ticket.quantity == amount:
            return Send(first.intent, first)
        return Withdraw(first, f"{amount} are left to sell; another order does it")
    assert lot.wish is not None
    ticket = Ticket(
        client_order_id=f"{lot.entry_id}-x{number}",
        symbol=lot.symbol,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC if facts.asset.crypto else TimeInForce.DAY,
        quantity=amount,
    )
    return Send(Intent(ticket=ticket, reason=lot.wish, role=Role.EXIT, made_at=facts.now))


def _keep_net(
    lot: Lot,
    amount: Decimal,
    nets: Sequence[Tracked],
    sells: Sequence[Tracked],
    facts: Facts,
    care: Care,
    *,
    number: int,
) -> Step | None:
    if lot.plan is None or any(t.intent.role is not Role.NET for t in sells):
        return None
    intent = _net(lot, amount, facts, care, number=number)
    if not nets:
        opened = lot.refused_closed and facts.market_open
        early = _too_early(lot.net_not_before, facts) and not opened
        return Send(intent) if intent and not early else None
    latest = nets[-1]
    if len(nets) > 1:
        replacing = latest.intent.replaces == nets[0].id
        return _watch(nets[0], facts, care) if replacing else _clear(nets[0], facts, care)
    if latest.cancel_asked or (latest.quantity or amount) - latest.known != amount:
        return _clear(latest, facts, care)
    return _follow(lot, latest, intent, facts, care)


def _follow(lot: Lot, net: Tracked, intent: Intent | None, facts: Facts, care: Care) -> Step | None:
    """Let the net follow the trail upwards, at bar closes."""
    if not lot.move_due or intent is None:
        return None
    lot.move_due = False
    old, new = net.stop_price, intent.ticket.stop_price
    assert new is not None
    if old is None or new <= old or net.known:
        return None
    quantity = intent.ticket.quantity
    if not facts.asset.crypto and quantity is not None and is_whole(quantity):
        return Move(net, replace(intent, replaces=net.id))
    if float(new) >= float(old) * (1.0 + care.net_step):
        return _clear(net, facts, care)
    return None


def _net(lot: Lot, amount: Decimal, facts: Facts, care: Care, *, number: int) -> Intent | None:
    level, reason = lot.stop()
    if level <= 0.0:
        return None
    asset = facts.asset
    stop = price_down(asset, exact(round(level, 9)))
    limit = price_down(asset, stop * (1 - exact(care.limit_below)))
    whole = is_whole(amount) and not asset.crypto
    ticket = Ticket(
        client_order_id=f"{lot.entry_id}-n{number}",
        symbol=lot.symbol,
        side=Side.SELL,
        order_type=OrderType.STOP_LIMIT if asset.crypto else OrderType.STOP,
        time_in_force=TimeInForce.GTC if whole or asset.crypto else TimeInForce.DAY,
        quantity=amount,
        stop_price=stop,
        limit_price=limit if asset.crypto else None,
    )
    return Intent(ticket=ticket, reason=reason, role=Role.NET, made_at=facts.now)


def _leave(
    lot: Lot,
    waiting: Sequence[Tracked],
    sells: Sequence[Tracked],
    facts: Facts,
    care: Care,
) -> Step | None:
    if waiting:
        return Withdraw(waiting[0], "what is left is less than can be sold")
    if sells:
        return _clear(sells[0], facts, care)
    if any(t.intent.role is Role.ENTRY for t in facts.orders):
        return None
    return Leave(lot)


def _clear(order: Tracked, facts: Facts, care: Care) -> Step | None:
    """Cancel an order, then look at it until it has ended, and ask again if it does not."""
    asked = order.cancel_asked
    if asked is None and _too_early(order.not_before, facts):
        return None
    if asked is None or facts.now - asked >= timedelta(seconds=care.cancel_again):
        return Cancel(order)
    return _watch(order, facts, care)


def _watch(order: Tracked, facts: Facts, care: Care) -> Step | None:
    """Look at an order from time to time: the stream may be mute."""
    old = facts.now - order.intent.made_at >= timedelta(seconds=care.longest_wait)
    pause = care.look_after if order.cancel_asked or not old else care.cancel_again
    since = order.looked_at
    if since is not None and facts.now - since < timedelta(seconds=pause):
        return None
    return Look(order)


def _too_early(not_before: datetime | None, facts: Facts) -> bool:
    return not_before is not None and facts.now < not_before


def failed(
    lot: Lot, message: str, *, role: Role, now: datetime, care: Care, market_open: bool
) -> None:
    """Remember that a net or an exit was not taken; the next try waits longer every time.

    While an exit waits, the net is put back. A net refused while nothing trades is tried at the
    open, and before it now and then.
    """
    lot.failures += 1
    lot.trouble, lot.refused_closed = message, not market_open
    wait = min(0.5 * 2.0 ** min(lot.failures - 1, 10), care.longest_wait)
    if not market_open:
        wait = care.closed_wait
    if role is Role.NET:
        lot.net_not_before = now + timedelta(seconds=wait)
    else:
        lot.exit_not_before = now + timedelta(seconds=wait)


def sent(lot: Lot, *, role: Role, now: datetime, care: Care) -> None:
    """Remember that a net or an exit was taken; one that ends at once is not renewed at once."""
    if role is Role.NET:
        lot.net_not_before = now + timedelta(seconds=care.net_pause)
    if role is Role.EXIT or lot.exit_not_before is None:
        lot.failures, lot.trouble, lot.refused_closed = 0, "", False
