"""Compare a session with its backtest; see docs/research/parity.md."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from toolkit.errors import BrokerError
from toolkit.market.tables import MarketTable
from toolkit.research.parity.attribution import differences, moved_entries
from toolkit.research.parity.details import detailed
from toolkit.research.parity.ladder import Told, climb
from toolkit.research.parity.market import Market, market_of
from toolkit.research.parity.report import Fact, ParityReport
from toolkit.research.parity.session import Cause, Session
from toolkit.research.parity.trades import Key, Trade, Trades

if TYPE_CHECKING:
    import pandas as pd


def compare(
    session: Session, bars: pd.DataFrame | MarketTable | None = None, *, told: Told | None = None
) -> ParityReport:
    """Compare a session with the backtest of its span on `bars`, by default its own as corrected.

    `told(done, total)` hears of the progress. Raises DataError where the bars do not fit.
    """
    market = market_of(session, bars)
    live, notes = _live(session, market)
    step = timedelta(seconds=session.timeframe)
    rungs = list(climb(session, market, live, told=told or _nobody))
    found = detailed(differences(rungs, step=step), session, market)
    return ParityReport(
        source=session.source,
        symbols=session.symbols,
        start=market.bars[0].timestamp,
        end=market.bars[-1].timestamp + step,
        live=tuple(live.values()),
        backtest=tuple(rungs[0].trades.values()),
        differences=found,
        known=tuple(_facts(session, market)),
        market=market.bars,
        moved=len(moved_entries(rungs[0].trades, rungs[-1].trades, step=step)),
        notes=(*session.notes, *notes),
    )


def _live(session: Session, market: Market) -> tuple[dict[Key, Trade], list[str]]:
    """Return the session's trades by decision; those that no bar follows are left out."""
    collected, notes = Trades(), []
    for fill in session.start.fills:
        collected.add(fill)
    collected.forget_closed()
    for found in session.executions:
        try:
            collected.add(
                found.fill,
                decided=found.decided,
                position=found.position,
                delay=found.delay,
                by_hand=found.by_hand,
            )
        except BrokerError as error:
            notes.append(f"a fill is left out: {error.message}")
    trades = {trade.key: trade for trade in collected.result(market.prices)}
    last = {bar.symbol: bar.timestamp for bar in market.bars}
    late = [key for key in trades if key[1] >= last.get(key[0], key[1])]
    for key in late:
        notes.append(f"{key[0]}: an entry after the last bar is left out")
        del trades[key]
    return trades, notes


def _facts(session: Session, market: Market) -> Iterator[Fact]:
    for fact in market.facts.values():
        yield Fact(cause=fact.cause, symbol=fact.key[0], time=fact.key[1], detail=fact.text)
    for change in session.changes:
        values = ", ".join(f"{name} = {value}" for name, value in change.values.items())
        detail = f"{change.who} set {values}"
        yield Fact(cause=Cause.PARAMETER_CHANGE, symbol="", time=change.at, detail=detail)
    for seen in session.seen:
        if seen.cause is not None:
            yield Fact(
                cause=seen.cause, symbol=seen.bar.symbol, time=seen.bar.timestamp,
                detail=seen.refusal,
            )  # fmt: skip
    for key, failure in session.failures.items():
        yield Fact(cause=failure.cause, symbol=key[0], time=key[1], detail=failure.reason)
    for begin, end, why in session.outages:
        detail = f"{(end - begin).total_seconds():.1f} s: {why}"
        yield Fact(cause=Cause.OUTAGE, symbol="", time=begin, detail=detail)


def _nobody(_done: int, _total: int) -> None:
    """Nobody wants to hear of the progress."""
