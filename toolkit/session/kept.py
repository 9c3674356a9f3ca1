"""What `tk.*` has run goes to the store of runs and the ledger of trials, unless `store=False`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.errors import StoreError
from toolkit.session.pictures import picture

if TYPE_CHECKING:
    from toolkit.research.store.record import Record
    from toolkit.research.store.run_store import RunStore

T = TypeVar("T")
SIMULATED = "simulated, seed "
ALPACA = "alpaca:"


class NotKept(UserWarning):
    """A result could not be put into the store; it is in memory all the same."""


def run_store(path: Path | str | None = None) -> RunStore:
    """Return the store of runs in a folder, by default the user's; it finds bars again."""
    from toolkit.research.store.run_store import RunStore

    return RunStore.open(path or _folder(), loader=bars_again, plotter=picture)


def keep(
    result: T,
    *,
    store: bool | RunStore,
    seconds: float,
    bars: Any,
    trials: Callable[[T], tuple[list[str], Any]],
    source: str,
) -> T:
    """Put a result into the store and its trials into the ledger; it gets its id there.

    What cannot be written is told in one warning, and the result comes back as it is. `trials`
    returns digests and Sharpe ratios of one period.
    """
    if store is False:
        return result
    place = run_store() if store is True else store
    from toolkit.research.store.entries import entry_of

    entry = entry_of(result)
    if found := source_of(bars):
        entry = replace(entry, data=replace(entry.data, source=found))
    try:
        digests, sharpes = trials(result)
        place.trials.add(entry.data.key, digests, sharpes, source=source)
        run = place.put(entry, seconds=seconds)
    except StoreError as error:
        not_kept(error)
        return result
    kept: T = replace(result, id=run)  # type: ignore[type-var]
    return kept


def not_kept(error: StoreError) -> None:
    """Tell once, where the user called, that something is not in the store."""
    message = (
        f"not kept: {error.message}; the result is in memory; with store=False (--no-store) nothing"
        " is kept, and nothing said"
    )
    warnings.warn(message, NotKept, stacklevel=4)


def source_of(bars: Any) -> str | None:
    """Say where bars come from, so that they are found again: a file, or a few words of tk.bars."""
    given = bars if isinstance(bars, (str, Path)) else getattr(bars, "attrs", {}).get("source")
    if given is None:
        return None
    path = Path(given)
    return str(path.absolute()) if path.exists() else str(given)


def bars_again(record: Record) -> Any:
    """Return the bars of a run: its file, the simulated market, or what Alpaca says.

    Raises StoreError where the file is gone.
    """
    from toolkit.research.store.reproduction import bars_of_file

    data = record.data
    if data.source.startswith(SIMULATED):
        return _simulated(record)
    if data.source.startswith(ALPACA):
        from toolkit.session.bars import bars

        return bars(
            data.symbols,
            timeframe_name(data.timeframe),
            start=data.first,
            end=data.last + _seconds(data.timeframe),
            market="alpaca",
            feed=None if data.feed == "crypto" else data.feed.replace("crypto+", ""),
            adjustment=data.adjustment,
        )
    return bars_of_file(record)


def timeframe_name(seconds: float) -> str:
    """Return `1Min`, `5Sec`, `1Day` and so on."""
    for name, unit in (("Day", 86_400), ("Hour", 3600), ("Min", 60)):
        if seconds % unit == 0:
            return f"{seconds / unit:.0f}{name}"
    return f"{seconds:.0f}Sec"


def _simulated(record: Record) -> Any:
    from toolkit.market.simulated import simulate_bars

    data = record.data
    seed = int(data.source.removeprefix(SIMULATED))
    count, rest = divmod(data.bars, len(data.symbols))
    if rest:  # cut at an end: more than enough of each symbol
        count = round((data.last - data.first).total_seconds() / data.timeframe) + 1
    return simulate_bars(data.symbols, count, seed, start=data.first, timeframe=data.timeframe)


def _seconds(seconds: float) -> Any:
    from datetime import timedelta

    return timedelta(seconds=seconds)


def _folder() -> Path | None:
    """Return the folder that `.env` names; without it the store knows the way itself."""
    if "TOOLKIT_STATE_DIR" in os.environ or not Path(".env").exists():
        return None
    from toolkit.config import Settings

    return Settings.load().state_dir / "research"
