"""`tk.bars`, `tk.backtest`, `tk.sweep`: research with its pictures attached."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_symbols
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.research.backtest import BacktestRun
    from toolkit.research.progress import Report
    from toolkit.research.table import SweepTable
    from toolkit.research.tape import Bars

UNITS = {"sec": 1, "min": 60, "hour": 3600}
DEFAULT_COUNT = 1000


def bars(
    symbols: str | Path | Sequence[str],
    timeframe: str | None = None,
    *,
    start: str | datetime | None = None,
    end: str | datetime | None = None,
    count: int | None = None,
    seed: int = 7,
) -> pd.DataFrame:
    """Return bars of a file (.parquet, .csv, .feather), or of the simulated market for symbols.

    Columns timestamp (UTC), symbol, open, high, low, close, volume; quotes and trades of a file
    are built into bars. `timeframe` is `5Sec`, `1Min`, `1Hour` and so on, by default the file's
    own or one minute; `start` and `end` (excluded) are UTC; `count` bars of each symbol at most,
    by default 1000 of the simulated market unless `end` is given. `frame.attrs["source"]` says
    where they come from. Raises ConfigError and DataError.
    """
    first, last = _moment(start, "start"), _moment(end, "end")
    _check_span(first, last, count)
    path = _path(symbols)
    if path is not None:
        from toolkit.market.tables import bars_of, read_table

        frame = bars_of(read_table(path), timeframe=_seconds(timeframe) if timeframe else None)
        return _between(frame, first, last, count, source=str(path))
    names = checked_symbols([symbols] if isinstance(symbols, (str, Path)) else symbols)  # type: ignore[list-item]
    frame = _simulated(names, _seconds(timeframe or "1Min"), first, last, count, seed)
    return _between(frame, first, last, count, source=f"simulated, seed {seed}")


def backtest(
    bars: pd.DataFrame | Bars,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    capital: float = 10_000.0,
    costs: Costs | None = None,
) -> BacktestRun:
    """Trade recorded bars by the rules of docs/execution.md; the run's `plot()` draws it.

    See `research.backtest.backtest`. Raises DataError and ConfigError.
    """
    from toolkit.research.backtest import backtest as run

    return replace(run(bars, parameters, capital=capital, costs=costs), plotter=_plot_run)


def sweep(
    bars: pd.DataFrame | Bars,
    grid: Mapping[str, Sequence[Any]],
    *,
    base: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | None = None,
    progress: bool | Report = True,
) -> SweepTable:
    """Run every combination of a grid; the table's `heatmap()` draws it.

    See `research.sweep.sweep`. Raises ConfigError and DataError.
    """
    from toolkit.research.sweep import sweep as run

    table = run(bars, grid, base=base, capital=capital, costs=costs, progress=progress)
    return replace(table, plotter=_plot_heatmap)


def _plot_run(run: BacktestRun, symbol: str | None) -> Any:
    from toolkit.views.charts.picture import Picture
    from toolkit.views.charts.runs import run_figure

    name = symbol or run.tape.symbols[0]
    trades = run.trades[run.trades["symbol"] == name]
    figure = run_figure(
        bars=run.bars(name),
        trades=trades,
        equity=run.equity,
        indicators=run.indicators(name),
        symbol=name,
    )
    return Picture(figure)


def _plot_heatmap(table: SweepTable, x: str, y: str, value: str) -> Any:
    from toolkit.research.table import LOWER_IS_BETTER
    from toolkit.views.charts.picture import Picture
    from toolkit.views.charts.runs import heatmap_figure

    best: Literal["highest", "lowest"] = "lowest" if value in LOWER_IS_BETTER else "highest"
    return Picture(heatmap_figure(table.frame, x, y, value, best=best))


def _check_span(start: datetime | None, end: datetime | None, count: int | None) -> None:
    if count is not None and not (isinstance(count, int) and count >= 1):
        raise ConfigError(
            f"count is {count!r}; allowed: whole numbers from 1", field="count", allowed="from 1"
        )
    if start is not None and end is not None and start >= end:
        raise ConfigError(
            f"start is {start.isoformat()}, which is not before end, {end.isoformat()}",
            field="start",
            allowed="times before end",
        )


def _path(symbols: object) -> Path | None:
    if isinstance(symbols, Path):
        return symbols
    is_file = isinstance(symbols, str) and re.search(r"\.(parquet|csv|feather)$", symbols, re.I)
    return Path(str(symbols)) if is_file else None


def _seconds(timeframe: str) -> float:
    found = re.fullmatch(r"(\d+)(sec|min|hour)", str(timeframe).strip().lower())
    if not found or int(found[1]) == 0:
        raise ConfigError(
            f"timeframe is {timeframe!r}; allowed: a number and Sec, Min or Hour, such as 1Min",
            field="timeframe",
            value=str(timeframe),
            allowed="5Sec, 1Min, 15Min, 1Hour",
        )
    return float(int(found[1]) * UNITS[found[2]])


def _moment(value: str | datetime | None, field: str) -> datetime | None:
    if value is None:
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError:
        raise ConfigError(
            f"{field} is {value!r}; allowed: a date or time such as 2026-01-02 or 2026-01-02T15:00",
            field=field,
            value=str(value),
            allowed="ISO 8601",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _simulated(
    symbols: Sequence[str],
    seconds: float,
    start: datetime | None,
    end: datetime | None,
    count: int | None,
    seed: int,
) -> pd.DataFrame:
    from toolkit.market.simulated import simulate_bars

    wanted = count or DEFAULT_COUNT
    if end is not None and start is not None:
        wanted = max(int((end - start).total_seconds() // seconds), 1)
    return simulate_bars(symbols, wanted, seed, start=start, timeframe=seconds)


def _between(
    frame: pd.DataFrame,
    start: datetime | None,
    end: datetime | None,
    count: int | None,
    *,
    source: str,
) -> pd.DataFrame:
    if start is not None:
        frame = frame[frame["timestamp"] >= start]
    if end is not None:
        frame = frame[frame["timestamp"] < end]
    if count is not None:
        frame = frame.groupby("symbol", sort=False).head(count)
    frame = frame.reset_index(drop=True)
    frame.attrs["source"] = source
    return frame
