"""`tk.parity`: a recording or a journal beside its backtest, with bars from wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.alpaca.settings import FEEDS
from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.parameters import Parameters
from toolkit.core.types import is_crypto
from toolkit.errors import ConfigError, DataError
from toolkit.market.lookback import start_for
from toolkit.market.recording import Recording, is_recording
from toolkit.session.options import LaunchOptions
from toolkit.session.pictures import picture

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.market.tables import MarketTable
    from toolkit.research.parity.report import ParityReport
    from toolkit.research.parity.session import Session
    from toolkit.research.progress import Report

ALPACA = "alpaca"
SQLITE = b"SQLite format 3"
WARM_UP = 1000  # bars before the session, so that the backtest's indicators are settled


def parity(
    source: str | Path,
    *,
    bars: pd.DataFrame | MarketTable | str | Path | None = None,
    journal: str | Path | None = None,
    parameters: Parameters | Mapping[str, Any] | None = None,
    capital: float | None = None,
    costs: Costs | Mapping[str, Any] | None = None,
    progress: bool | Report = True,
) -> ParityReport:
    """Compare a session with its backtest; every difference gets its cause and its cost.

    `source` is a recording (docs/recording.md) or a bot's journal. `bars` are those that a later
    request gives: a DataFrame, a file, or `"alpaca"` to ask now. Without them a recording is
    compared on its own bars with what was corrected since; a journal needs them. `journal` adds
    executions that a recording has not got. `parameters`, `capital` (dollars) and `costs` are
    the backtest's, by default those that the session began with; mappings change some of them. See
    docs/research/parity.md. Raises ConfigError, DataError and BrokerError.
    """
    from toolkit.research.parity.parity import compare
    from toolkit.research.parity.session import Cause
    from toolkit.research.progress import progress_of

    path = Path(source)
    if is_recording(path):
        session = _of_recording(Recording(path), capital=capital, costs=costs)
        table = _table(
            bars, session.symbols, session.timeframe, span=_span(session), feed=_feed(session)
        )
        if journal is not None:
            session = _with_journal(session, Path(journal))
    elif path.is_file() and _begins_with(path, SQLITE):
        session, table = _of_journal(path, bars, capital=capital, costs=costs)
    else:
        raise DataError(
            f"{path} is neither a recording nor a journal; name the folder of a recording, or the "
            "file journal-paper.sqlite of a bot",
            field="source",
            value=str(path),
        )
    if parameters is not None:
        session = _against(session, parameters)
    with progress_of(progress, total=len(Cause) - 1, what="parity") as told:
        report = compare(session, table, told=told)
    return replace(report, plotter=picture)


def _of_recording(
    recording: Recording, *, capital: float | None, costs: Costs | Mapping[str, Any] | None
) -> Session:
    from toolkit.research.parity.recorded import session_of_recording
    from toolkit.research.parity.session import Start

    given = recording.about.get("options")
    options = LaunchOptions.from_dict(given) if given else LaunchOptions()
    timeframe = float(recording.about["timeframe"])
    at_alpaca = str(recording.about.get("broker", "")).startswith(ALPACA)
    lived = options.costs.without_regulators() if at_alpaca else options.costs
    start = Start(
        parameters=parameters_from(options.parameters),
        capital=options.capital if capital is None else checked_capital(capital),
        costs=_costs(costs, lived),
        name=options.name,
        hours=options.hours(timeframe),
    )
    return session_of_recording(recording, start)


def _of_journal(
    path: Path,
    bars: Any,
    *,
    capital: float | None,
    costs: Costs | Mapping[str, Any] | None,
) -> tuple[Session, Any]:
    from toolkit.research.parity.journaled import session_of_journal
    from toolkit.research.parity.market import bars_in
    from toolkit.research.parity.runs import runs_of

    runs = runs_of(path)
    if bars is None:
        raise ConfigError(
            "a journal holds no bars to backtest on; pass bars: a DataFrame, a file, or "
            "alpaca to ask for them",
            field="bars",
            allowed="a DataFrame, a file, alpaca",
        )
    symbols = tuple(dict.fromkeys(symbol for run in runs for symbol in run.symbols))
    timeframe = runs[0].timeframe
    span = (runs[0].at, runs[-1].until)
    table = _table(bars, symbols, timeframe, span=span, feed=runs[0].feed or None)
    if capital is not None:
        runs = tuple(replace(run, capital=checked_capital(capital)) for run in runs)
    found = bars_in(table, symbols=symbols, timeframe=timeframe)
    return session_of_journal(path, runs, found, costs=_costs(costs, Costs.paper())), table


def _costs(given: Costs | Mapping[str, Any] | None, lived: Costs) -> Costs:
    """Return the costs to backtest with; a mapping changes some of the session's."""
    if given is None or isinstance(given, Costs):
        return given or lived
    return costs_from({**lived.to_dict(), **given})


def _with_journal(session: Session, path: Path) -> Session:
    from toolkit.research.parity.fills import with_fills

    return with_fills(session, path)


def _against(session: Session, parameters: Parameters | Mapping[str, Any]) -> Session:
    """Backtest with other parameters: the session then began with a change."""
    from toolkit.research.parity.session import Change

    lived = session.start.parameters
    chosen = parameters if isinstance(parameters, Parameters) else lived.replace(parameters)
    values = {name: theirs for name, (_, theirs) in chosen.difference(lived).items()}
    if not values:
        return session
    first = Change(position=0, values=values, who="the start", at=session.seen[0].bar.timestamp)
    return replace(
        session,
        start=replace(session.start, parameters=chosen),
        changes=(first, *session.changes),
    )


def _span(session: Session) -> tuple[datetime, datetime]:
    times = [seen.bar.timestamp for seen in session.seen]
    return min(times), max(times) + timedelta(seconds=session.timeframe)


def _feed(session: Session) -> str | None:
    """Return the feed of the session's stocks, None where it had none of Alpaca's."""
    feeds = (seen.bar.feed for seen in session.seen if not is_crypto(seen.bar.symbol))
    return next((feed for feed in feeds if feed in FEEDS), None)


def _table(
    bars: Any,
    symbols: tuple[str, ...],
    timeframe: float,
    *,
    span: tuple[datetime, datetime],
    feed: str | None,
) -> Any:
    """Return bars as a table; those of a file, of a recording, or of Alpaca are fetched."""
    if not isinstance(bars, (str, Path)):
        return bars
    from toolkit.session.bars import bars as fetch
    from toolkit.session.kept import timeframe_name

    name = timeframe_name(timeframe)
    if str(bars) == ALPACA:
        start = start_before(symbols, timeframe, span[0])
        return fetch(symbols, name, start=start, end=span[1], market="alpaca", feed=feed)
    if not Path(bars).exists():
        raise DataError(
            f"{bars} is no file; bars are a DataFrame, a .parquet, .csv or .feather, or alpaca",
            field="bars",
            value=str(bars),
        )
    return fetch(Path(bars))


def start_before(symbols: tuple[str, ...], timeframe: float, begin: datetime) -> datetime:
    """Return a time with enough bars between it and `begin` to settle the indicators."""
    step = timedelta(seconds=timeframe)
    return min(start_for(s, slots=WARM_UP, step=step, end=begin) for s in symbols)


def _begins_with(path: Path, text: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(text)) == text
