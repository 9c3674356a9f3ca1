"""`tk.bars`: bars of a file, of Alpaca, or of the simulated market."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toolkit.core.inputs import checked_symbols
from toolkit.errors import ConfigError
from toolkit.market.recording import is_recording
from toolkit.session.options import Market, checked_market

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.config import Settings
    from toolkit.research.progress import Report

UNITS = {"sec": 1, "min": 60, "hour": 3600, "day": 86_400}
DEFAULT_COUNT = 1000


def bars(
    symbols: str | Path | Sequence[str],
    timeframe: str | None = None,
    *,
    start: str | datetime | None = None,
    end: str | datetime | None = None,
    count: int | None = None,
    seed: int = 7,
    market: Market = "auto",
    feed: str | None = None,
    adjustment: str = "raw",
    on_mixed: Literal["refuse", "flag"] = "refuse",
    progress: bool | Report = True,
) -> pd.DataFrame:
    """Return bars of a file (.parquet, .csv, .feather), of Alpaca, or of the simulated market.

    Columns timestamp (UTC), symbol, open, high, low, close, volume, and feed where it is known
    for each row; quotes and trades of a file are built into bars. `timeframe` is `5Sec`, `1Min`,
    `1Hour`, `1Day` and so on, by default the file's own or one minute; `start` and `end`
    (excluded) are UTC; `count` bars of each symbol at most: the last ones of Alpaca where there
    is no `start`, by default 1000.

    `market` auto is Alpaca when its keys are set, else simulated. `feed` (iex, sip; by default as
    the environment says) is of stocks, `adjustment` raw, split, dividend or all. Bars of several
    feeds in one file are refused, or with `on_mixed="flag"` named in `attrs["mixed"]`.
    `frame.attrs` has source, feed, adjustment and timeframe (seconds). See docs/data.md. Raises
    ConfigError and DataError.
    """
    first, last = _moment(start, "start"), _moment(end, "end")
    _check_span(first, last, count)
    path = _path(symbols)
    if path is not None:
        wanted = _seconds(timeframe) if timeframe else None
        return _between(_of_file(path, wanted, on_mixed), first, last, count)
    names = checked_symbols([symbols] if isinstance(symbols, (str, Path)) else symbols)  # type: ignore[list-item]
    seconds = _seconds(timeframe or "1Min")
    settings = _alpaca_settings(market)
    if settings is None:
        frame = _simulated(names, seconds, first, last, count, seed)
        return _between(frame, first, last, count)
    from toolkit.session.history import HistoryQuestion, alpaca_bars

    question = HistoryQuestion(
        symbols=tuple(names),
        timeframe=seconds,
        start=first,
        end=last,
        count=count if count or first else DEFAULT_COUNT,
        feed=feed,
        adjustment=adjustment,
    )
    return alpaca_bars(question, settings, progress=progress)


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
    if not isinstance(symbols, str):
        return None
    is_file = re.search(r"\.(parquet|csv|feather)$", symbols, re.I) or is_recording(Path(symbols))
    return Path(symbols) if is_file else None


def _seconds(timeframe: str) -> float:
    found = re.fullmatch(r"(\d+)(sec|min|hour|day)", str(timeframe).strip().lower())
    if not found or int(found[1]) == 0:
        raise ConfigError(
            f"timeframe is {timeframe!r}; allowed: a number and Sec, Min, Hour or Day, such as"
            " 1Min",
            field="timeframe",
            value=str(timeframe),
            allowed="5Sec, 1Min, 15Min, 1Hour, 1Day",
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


def _alpaca_settings(market: str) -> Settings | None:
    """Return how to reach Alpaca, None for the simulated market; raises ConfigError."""
    from toolkit.config import Settings

    chosen, settings = checked_market(market), Settings.load()
    if chosen == "alpaca":
        settings.alpaca().require_keys()
    return settings if chosen != "simulated" and settings.has_alpaca_keys else None


def _of_file(
    path: Path, seconds: float | None, on_mixed: Literal["refuse", "flag"]
) -> pd.DataFrame:
    from toolkit.market.origins import mixed_origins
    from toolkit.market.tables import bars_of, read_table

    table = read_table(path)
    frame = bars_of(table, timeframe=seconds, on_mixed=on_mixed)
    values: dict[Hashable, Any] = {
        name: "+".join(sorted(frame[name].unique())) if name in frame.columns else known
        for name, known in (("feed", table.feed), ("adjustment", table.adjustment))
    }
    frame.attrs = {"source": str(path), "timeframe": seconds or table.timeframe, **values}
    if mixed := mixed_origins(frame):
        frame.attrs["mixed"] = mixed
    return frame


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
    frame = simulate_bars(symbols, wanted, seed, start=start, timeframe=seconds)
    source = f"simulated, seed {seed}"
    frame.attrs |= {"source": source, "adjustment": "raw", "timeframe": seconds}
    return frame


def _between(
    frame: pd.DataFrame, start: datetime | None, end: datetime | None, count: int | None
) -> pd.DataFrame:
    attrs = dict(frame.attrs)
    if start is not None:
        frame = frame[frame["timestamp"] >= start]
    if end is not None:
        frame = frame[frame["timestamp"] < end]
    if count is not None:
        frame = frame.groupby("symbol", sort=False).head(count)
    frame = frame.reset_index(drop=True)
    frame.attrs = attrs
    return frame
