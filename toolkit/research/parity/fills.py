"""Executions that a journal knows and a recording does not: its last tenth of a second was lost."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from toolkit.broker.journal import iter_fills, iter_intents
from toolkit.core.types import Fill, Reason
from toolkit.research.parity.session import Execution, Session


def with_fills(session: Session, path: Path) -> Session:
    """Add the journal's executions, within the session's time, that a recording has not got."""
    step = timedelta(seconds=session.timeframe)
    closes = [seen.bar.timestamp + step for seen in session.seen]
    begin, end = min(closes) - step, max(closes) + step
    intents = {i.ticket.client_order_id: i for i in iter_intents(path)}
    told = {_name_of(e.fill) for e in session.executions}
    told |= {_name_of(fill) for fill in session.start.fills}
    more = [f for f in iter_fills(path) if begin <= f.timestamp <= end and _name_of(f) not in told]
    added = [
        Execution(
            fill=fill,
            decided=i.request.timestamp if (i := intents.get(name)) and i.request else None,
            position=bisect_right(closes, fill.timestamp),
            by_hand=fill.reason is Reason.MANUAL,
        )
        for fill in more
        for name in [fill.client_order_id]
    ]
    every = sorted([*session.executions, *added], key=lambda e: (e.position, e.fill.timestamp))
    notes = (f"{len(added)} executions are from the journal",) if added else ()
    return replace(session, executions=tuple(every), notes=(*session.notes, *notes))


def _name_of(fill: Fill) -> tuple[str, datetime, float, str]:
    return fill.order_id, fill.timestamp, fill.price, str(fill.quantity)
