"""What Alpaca would refuse is refused here, before anything is sent, with the reason; pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from toolkit.alpaca.port import Asset, Ticket
from toolkit.broker import grid
from toolkit.core.types import OrderClass, OrderRequest, OrderType, Side, TimeInForce
from toolkit.errors import OrderRejected

LONGEST_ID = 48
LONGEST_ENTRY_ID = 42  # its nets and exits add `-n1` to `-x9999`
_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_CRYPTO_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_LIMIT})
_CRYPTO_TIMES = frozenset({TimeInForce.GTC, TimeInForce.IOC})
_GROUP_TIMES = frozenset({TimeInForce.DAY, TimeInForce.GTC})


def ticket_of(request: OrderRequest, asset: Asset, *, market_open: bool) -> Ticket:
    """Return the order as Alpaca takes it, prices and quantity on its grid; raises OrderRejected.

    Quantities are rounded down; limits so that they are never worse than asked for.
    """
    ticket = Ticket(
        client_order_id=request.client_order_id,
        symbol=request.symbol,
        side=request.side,
        order_type=request.order_type,
        time_in_force=request.time_in_force or _usual_time(asset),
        quantity=None if request.notional is not None else _quantity(request, asset),
        notional=request.notional,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        trail_percent=request.trail_percent,
        trail_price=request.trail_price,
        order_class=request.order_class,
        take_profit=request.take_profit_price,
        stop_loss=request.stop_loss_price,
        stop_loss_limit=request.stop_loss_limit_price,
        extended_hours=request.extended_hours,
    )
    ticket = _on_grid(ticket, asset)
    problem = _problem(ticket, asset)
    closed = not market_open and not asset.crypto and request.time_in_force is None
    if not problem and closed and ticket.order_type is OrderType.MARKET:
        problem = "the market is closed; name a time in force to let the order wait for the open"
    if not problem and request.exits and ticket.order_class is not OrderClass.SIMPLE:
        problem = f"a {ticket.order_class} order has exits at Alpaca; leave `exits` out"
    if problem:
        raise OrderRejected(f"{request.symbol}: {problem}", symbol=request.symbol, reason=problem)
    return ticket


def check_replacement(
    asset: Asset,
    *,
    quantity: Decimal | None,
    limit_price: Decimal | None,
    stop_price: Decimal | None,
) -> None:
    """Refuse replacements that Alpaca does not do; raises OrderRejected."""
    problem = ""
    if asset.crypto:
        problem = "crypto orders cannot be replaced; cancel and send a new one"
    elif quantity is None and limit_price is None and stop_price is None:
        problem = "nothing is changed; name a quantity, a limit or a stop price"
    elif quantity is not None and (quantity <= 0 or not grid.is_whole(quantity)):
        problem = f"quantity is {quantity}; replacements are for whole shares"
    if problem:
        raise OrderRejected(f"{asset.symbol}: {problem}", symbol=asset.symbol, reason=problem)


def _usual_time(asset: Asset) -> TimeInForce:
    return TimeInForce.GTC if asset.crypto else TimeInForce.DAY


def _quantity(request: OrderRequest, asset: Asset) -> Decimal:
    return grid.quantity_down(asset, request.quantity)


def _on_grid(ticket: Ticket, asset: Asset) -> Ticket:
    buys = ticket.side is Side.BUY
    leaving = not buys if ticket.order_class is OrderClass.OCO else buys
    limit = grid.price_down if buys else grid.price_up
    stop = grid.price_up if buys else grid.price_down
    target = grid.price_up if leaving or ticket.side is Side.SELL else grid.price_down

    def rounded(price: Decimal | None, way: grid.Rounding) -> Decimal | None:
        return way(asset, price) if price is not None and price > 0 else price

    return replace(
        ticket,
        limit_price=rounded(ticket.limit_price, limit),
        stop_price=rounded(ticket.stop_price, stop),
        take_profit=rounded(ticket.take_profit, target),
        stop_loss=rounded(ticket.stop_loss, grid.price_down),
        stop_loss_limit=rounded(ticket.stop_loss_limit, grid.price_down),
    )


def _problem(ticket: Ticket, asset: Asset) -> str:
    checks = (_identity, _amount, _prices, _trail, _group, _extended)
    for check in checks:
        if problem := check(ticket, asset):
            return problem
    return _crypto(ticket) if asset.crypto else _fraction(ticket, asset)


def _identity(ticket: Ticket, asset: Asset) -> str:
    longest = LONGEST_ENTRY_ID if ticket.side is Side.BUY else LONGEST_ID
    if not 0 < len(ticket.client_order_id) <= longest:
        size = len(ticket.client_order_id)
        return (
            f"the client order id has {size} characters, not 1 to {longest}; name the bot shorter"
        )
    return "" if asset.tradable else "the asset is not tradable at Alpaca now"


def _amount(ticket: Ticket, asset: Asset) -> str:
    if ticket.notional is not None:
        if ticket.notional < grid.SMALLEST_COST:
            return f"notional is {ticket.notional}; the least is 1 dollar"
        if ticket.notional % grid.CENT:
            return f"notional is {ticket.notional}; dollars have two decimals"
        return ""
    quantity = ticket.quantity
    if quantity is None or quantity <= 0:
        whole = "" if asset.fractionable or asset.crypto else "; only whole shares of it trade"
        return f"quantity must be above 0{whole}"
    if asset.crypto and asset.min_quantity and quantity < asset.min_quantity:
        return f"quantity is {quantity}; the least is {asset.min_quantity}"
    return ""


def _prices(ticket: Ticket, asset: Asset) -> str:
    for name, price, wanted in (
        ("limit_price", ticket.limit_price, ticket.order_type in _LIMITED),
        ("stop_price", ticket.stop_price, ticket.order_type in _STOPPED),
    ):
        oco = name == "limit_price" and ticket.order_class is OrderClass.OCO
        if wanted and price is None and not oco:
            return f"a {ticket.order_type} order needs a {name}"
        if not wanted and price is not None:
            return f"a {ticket.order_type} order has no {name}"
        if price is not None and price <= 0:
            return f"{name} is {price}; it must be above 0"
    return ""


def _trail(ticket: Ticket, asset: Asset) -> str:
    given = [t for t in (ticket.trail_percent, ticket.trail_price) if t is not None]
    if ticket.order_type is not OrderType.TRAILING_STOP:
        return "only trailing stops have a trail" if given else ""
    if len(given) != 1 or given[0] <= 0:
        return "a trailing stop needs trail_percent or trail_price, above 0"
    return ""


def _group(ticket: Ticket, asset: Asset) -> str:
    legs = [leg for leg in (ticket.take_profit, ticket.stop_loss) if leg is not None]
    kind = ticket.order_class
    if kind is OrderClass.SIMPLE:
        return "only bracket, OCO and OTO orders have legs" if legs else ""
    if ticket.time_in_force not in _GROUP_TIMES:
        return f"{kind} orders are day or gtc"
    if any(leg <= 0 for leg in legs):
        return "the legs' prices must be above 0"
    if kind is OrderClass.OTO:
        return "" if len(legs) == 1 else "an OTO order has one exit: take profit or stop loss"
    if len(legs) != 2:
        return f"a {kind} order needs take_profit_price and stop_loss_price"
    if kind is OrderClass.OCO and ticket.order_type is not OrderType.LIMIT:
        return "an OCO order is a limit order"
    if kind is OrderClass.BRACKET and ticket.order_type not in (
        OrderType.MARKET,
        OrderType.LIMIT,
    ):
        return "the entry of a bracket is a market or limit order"
    return _sides(ticket)


def _sides(ticket: Ticket) -> str:
    assert ticket.take_profit is not None
    assert ticket.stop_loss is not None
    long = (ticket.side is Side.BUY) != (ticket.order_class is OrderClass.OCO)
    if (ticket.take_profit > ticket.stop_loss) is not long:
        return f"take profit {ticket.take_profit} and stop loss {ticket.stop_loss} are swapped"
    base = ticket.limit_price if ticket.order_class is OrderClass.BRACKET else None
    if base is None:
        return ""
    near = ticket.stop_loss > base - grid.CENT if long else ticket.stop_loss < base + grid.CENT
    return f"the stop loss must be at least 0.01 from the entry at {base}" if near else ""


def _extended(ticket: Ticket, asset: Asset) -> str:
    if not ticket.extended_hours:
        return ""
    simple = ticket.order_class is OrderClass.SIMPLE
    limit = ticket.order_type is OrderType.LIMIT
    if asset.crypto or not (simple and limit and ticket.time_in_force is TimeInForce.DAY):
        return "extended hours take simple limit orders for the day, of stocks"
    return ""


def _crypto(ticket: Ticket) -> str:
    if ticket.order_class is not OrderClass.SIMPLE:
        return f"crypto has no {ticket.order_class} orders; give the entry `exits`, kept by us"
    if ticket.order_type not in _CRYPTO_TYPES:
        return f"crypto has no {ticket.order_type} orders; market, limit and stop_limit there are"
    if ticket.time_in_force not in _CRYPTO_TIMES:
        return f"crypto orders are gtc or ioc, not {ticket.time_in_force}"
    return ""


def _fraction(ticket: Ticket, asset: Asset) -> str:
    if ticket.notional is None and grid.is_whole(ticket.quantity or Decimal(0)):
        return ""
    what = "orders in dollars" if ticket.notional is not None else "fractions of shares"
    if not asset.fractionable:
        return f"{what} are not taken: only whole shares of it trade"
    if ticket.order_class is not OrderClass.SIMPLE:
        return f"{what} cannot be {ticket.order_class} orders"
    if ticket.time_in_force is not TimeInForce.DAY:
        return f"{what} are good for the day only"
    if ticket.order_type is OrderType.TRAILING_STOP:
        return f"{what} cannot be trailing stops"
    price = ticket.limit_price or ticket.stop_price
    if ticket.side is Side.BUY and price is not None and ticket.quantity is not None:
        cost = price * ticket.quantity
        if cost < grid.SMALLEST_COST:
            return f"{what} must cost 1 dollar at least, this one {cost.normalize():f}"
    return ""
