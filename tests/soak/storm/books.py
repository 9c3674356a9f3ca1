"""Broker against journal: every order, fill, fee, position, and cash to the cent."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.soak.storm.findings import Findings
from tests.soak.storm.world import CASH
from toolkit.broker.journal import iter_intents, iter_notes, iter_orders
from toolkit.core.types import ZERO, Order

# What the exchange calls the states in which our books may be at rest.
_STATES = {
    "filled": {"filled"},
    "canceled": {"canceled"},
    "replaced": {"canceled"},
    "expired": {"expired"},
    "rejected": {"rejected"},
    "partially_filled": {"partially_filled"},
}
_OPEN = {"accepted", "pending", "partially_filled"}
_NOT_TAKEN = ("refused", "fault.reset_before", "fault.timeout_before", "fault.server_error",
              "fault.rate_limited")  # fmt: skip


def compare(state: Mapping[str, Any], journal: Path) -> Findings:
    """Hold the exchange's truth against the journal, both at rest."""
    found = Findings()
    _orders(state, journal, found)
    with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True)) as file:
        file.row_factory = sqlite3.Row
        fills = {row["execution_id"]: row for row in file.execute("select * from fills")}
        fees = file.execute("select * from fees").fetchall()
    _fills(state, fills, found)
    _fees(state, fees, found)
    _positions(state, fills, _dust(journal, found), found)
    cash = CASH + sum((Decimal(row["cash"]) for row in fills.values()), ZERO)
    words = f"{cash} in the journal, {state['cash']} at the broker"
    found.check("cash", cash == Decimal(state["cash"]), words)
    return found


def sent_once(posted: Mapping[str, list[str]]) -> Findings:
    """Every client order id reached the exchange once at most."""
    found = Findings()
    for name, tries in posted.items():
        sent = [t for t in tries if t == "accepted" or t.startswith(_NOT_TAKEN)]
        found.check("intents sent", len(sent) <= 1, f"{name} was sent {len(sent)} times: {tries}")
    return found


def _orders(state: Mapping[str, Any], journal: Path, found: Findings) -> None:
    intents = {i.ticket.client_order_id for i in iter_intents(journal)}
    last: dict[str, Order] = {order.client_order_id: order for order in iter_orders(journal)}
    there = {order["client_order_id"]: order for order in state["orders"]}
    for name, order in there.items():
        ours = last.get(name)
        if ours is None or name not in intents:
            found.check("orders", False, f"{name} ({order['status']}) is not in the journal")
            continue
        allowed = _STATES.get(order["status"], _OPEN)
        words = f"{name} is {ours.status} in the journal, {order['status']} at the broker"
        found.check("orders", ours.status.value in allowed, words)
        words = f"{name}: {ours.filled_quantity} filled in the journal, {order['filled_qty']} there"
        same = ours.filled_quantity == Decimal(order["filled_qty"])
        found.check("filled quantities", same, words)
    for name in intents - there.keys():
        status = last[name].status.value if name in last else "without any state"
        words = f"{name} never reached the broker and is {status} in the journal"
        found.check("orders", status == "rejected", words)


def _fills(state: Mapping[str, Any], ours: Mapping[str, Any], found: Findings) -> None:
    there = {fill["id"]: fill for fill in state["fills"]}
    for name, fill in there.items():
        row = ours.get(name)
        if row is None:
            words = f"{fill['client_order_id']} {fill['side']} {fill['qty']} at {fill['time']}"
            found.check("fills", False, f"{words} is not in the journal")
            continue
        mine = tuple(Decimal(row[field]) for field in ("quantity", "price", "cash"))
        theirs = tuple(Decimal(fill[field]) for field in ("qty", "price", "cash"))
        found.check("fills", mine == theirs, f"{fill['client_order_id']}: {mine} here, {theirs}")
    for name in ours.keys() - there.keys():
        if not Decimal(ours[name]["quantity"]) and not Decimal(ours[name]["cash"]):
            found.compared["dust written off"] += 1  # no execution: what cannot be sold
            continue
        words = f"{ours[name]['client_order_id']}: fill {name} never happened at the broker"
        found.check("fills", False, words)


def _fees(state: Mapping[str, Any], ours: list[Any], found: Findings) -> None:
    coins: dict[str, Decimal] = defaultdict(Decimal)
    dollars = ZERO
    for fill in state["fills"]:
        if fill["fee_in_kind"]:
            coins[fill["symbol"].replace("/", "")] += Decimal(fill["fee"])
        else:
            dollars += Decimal(fill["fee"])
    mine: dict[str, Decimal] = defaultdict(Decimal)
    for row in ours:
        mine[(row["symbol"] or "").replace("/", "")] += abs(Decimal(row["quantity"]))
    for symbol, amount in coins.items():
        words = f"{symbol}: {mine[symbol]} in the journal, {amount} at the broker"
        found.check("fees", mine[symbol] == amount, words)
    paid = sum((abs(Decimal(row["amount"])) for row in ours), ZERO)
    found.check("fees", paid == dollars, f"{paid} dollars in the journal, {dollars} at the broker")


def _dust(journal: Path, found: Findings) -> dict[str, Decimal]:
    """Return what the journal leaves at the broker as not ours; only dust may be that."""
    left: dict[str, Decimal] = {}
    for note in iter_notes(journal, "foreign"):
        left[note.data["symbol"]] = Decimal(note.data["quantity"])
        why = note.data["why"]
        found.check("left as not ours", why == "dust", f"{note.data['symbol']}: {why}")
    return left


def _positions(
    state: Mapping[str, Any],
    fills: Mapping[str, Any],
    dust: Mapping[str, Decimal],
    found: Findings,
) -> None:
    held: dict[str, Decimal] = defaultdict(Decimal, dust)
    for row in fills.values():
        received = Decimal(row["received"])
        held[row["symbol"]] += received if row["side"] == "buy" else -received
    there = {s.replace("/", ""): Decimal(q) for s, q in state["positions"].items()}
    for symbol, quantity in held.items():
        truth = there.pop(symbol.replace("/", ""), ZERO)
        words = f"{symbol}: {quantity} in the journal, {truth} at the broker"
        found.check("positions", quantity == truth, words)
    for symbol, quantity in there.items():
        found.check("positions", not quantity, f"{symbol}: {quantity} that no fill explains")
