"""From results to what is kept of them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Decisions
from toolkit.errors import ConfigError, StoreError
from toolkit.research.backtest import BacktestRun
from toolkit.research.scoring import METRICS, Moments
from toolkit.research.store.data import Data
from toolkit.research.store.record import Entry, Record
from toolkit.research.sweeps.sets import Sets
from toolkit.research.sweeps.table import Results, SweepTable

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.core.parameters import Parameters

MOMENT, BLOCK = "moment.", "block."  # how columns of a sweep's table begin
PARTS = ("sum", "squares")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SavedRun:
    """A run as it was kept: its facts in `record`, its tables in `frames` by name."""

    record: Record
    frames: Mapping[str, pd.DataFrame]

    @property
    def parameters(self) -> Parameters:
        """The parameters that were run."""
        return self.record.parameters

    @property
    def frame(self) -> pd.DataFrame:
        """The main table: the trades of a backtest, else the first one."""
        return next(iter(self.frames.values()))

    @property
    def trades(self) -> pd.DataFrame:
        """The round trips; raises ConfigError where the run had none to keep."""
        return self._frame("trades")

    @property
    def equity(self) -> pd.Series[float]:
        """Dollars at each timestamp; raises ConfigError where the run had none to keep."""
        return self._frame("equity").set_index("timestamp")["equity"]

    def stats(self) -> dict[str, Any]:
        """Return the figures of the run."""
        return dict(self.record.figures)

    def _frame(self, name: str) -> pd.DataFrame:
        if name not in self.frames:
            raise ConfigError(
                f"a {self.record.kind} keeps no {name}; it keeps {', '.join(self.frames)}",
                field="name",
                value=name,
                allowed=list(self.frames),
            )
        return self.frames[name]

    def __repr__(self) -> str:
        r = self.record
        return (
            f"<SavedRun {r.id}: {r.kind} of {', '.join(r.data.symbols)}, {r.at:%Y-%m-%d %H:%M} UTC>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
            for name, value in self.stats().items()
        )
        return f"<p>{escape(repr(self))}</p><table>{rows}</table>"


def entry_of(result: Any, **options: Any) -> Entry:
    """Return what is to be kept of a result; raises ConfigError for a kind that is not known."""
    if isinstance(result, BacktestRun):
        return _of_backtest(result, options)
    if isinstance(result, SweepTable):
        return _of_sweep(result, options)
    if hasattr(result, "entry"):
        entry: Entry = result.entry()
        return entry
    raise ConfigError(
        f"a {type(result).__name__} cannot be kept; allowed: results of tk.backtest and tk.sweep",
        field="result",
        value=type(result).__name__,
        allowed="BacktestRun, SweepTable, or anything with entry()",
    )


def result_of(record: Record, frames: Mapping[str, pd.DataFrame]) -> Any:
    """Return a kept run as a result: of a sweep its SweepTable, else a SavedRun."""
    if record.kind != "sweep":
        return SavedRun(record=record, frames=frames)
    try:
        return _sweep_of(record, frames["results"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the tables of run {record.id} are not those of a sweep ({error}); delete the run",
            id=record.id,
        ) from error


def costs_of(record: Record) -> Costs:
    """Return the costs of a run; raises StoreError where this code knows other ones."""
    try:
        return Costs.from_dict(record.costs)
    except ConfigError as error:
        raise StoreError(
            f"the costs of run {record.id} are not known to this code ({error});"
            f" use the code that made it, {record.code}",
            id=record.id,
        ) from error


def signals_of(run: SavedRun) -> Decisions | None:
    """Return the signals that were traded instead of the strategy's, None where there were none."""
    if "signals" not in run.frames:
        return None
    frame = run.frames["signals"]
    return Decisions(*(frame[name].to_numpy() for name in Decisions._fields))


def _of_backtest(run: BacktestRun, options: dict[str, Any]) -> Entry:
    import pandas as pd

    frames = {"trades": run.trades, "equity": run.equity.reset_index()}
    if run.signals is not None:
        frames["signals"] = pd.DataFrame(run.signals._asdict())
        options = {**options, "signals": run.signals.digest()}  # runs of others are others
    held = int(np.count_nonzero(run.outcome.lots["value"]))
    return Entry(
        kind="backtest",
        data=Data.of(run.tape),
        parameters=run.parameters,
        capital=run.capital,
        costs=run.costs,
        options=options,
        figures={**run.score.metrics, "open_positions": held},
        frames=frames,
    )


def _of_sweep(table: SweepTable, options: dict[str, Any]) -> Entry:
    if table.data is None:
        raise ConfigError("this table does not know its data; take one of tk.sweep", field="data")
    size, done = table.grid.size, int(table.results.done.sum())
    return Entry(
        kind="sweep",
        data=table.data,
        parameters=table.grid.base,
        capital=table.capital,
        costs=table.costs,
        options={
            **table.how,
            **options,
            "axes": {name: list(values) for name, values in table.grid.axes.items()},
            "block_counts": table.block_counts.tolist(),
            "periods_per_year": table.periods_per_year,
            "sets": size,
            "done": done,
        },
        figures={"sets": done, **_best_figures(table)},
        frames={"results": _results_frame(table)},
    )


def _best_figures(table: SweepTable) -> dict[str, Any]:
    number = table.best_number()
    if number is None:
        return {}
    metrics = dict(zip(METRICS, table.results.metrics[number].tolist(), strict=True))
    return {**metrics, "best": table.grid.values(number)}


def _results_frame(table: SweepTable) -> pd.DataFrame:
    import pandas as pd

    results = table.results
    columns: dict[str, Any] = {"done": results.done, **table.grid.columns()}
    columns |= dict(zip(METRICS, results.metrics.T, strict=True))
    columns |= {
        MOMENT + name: values
        for name, values in zip(Moments._fields, results.moments.T, strict=True)
    }
    for block in range(results.blocks.shape[1]):
        for part, name in enumerate(PARTS):
            columns[f"{BLOCK}{block}.{name}"] = results.blocks[:, block, part]
    return pd.DataFrame(columns)


def _sweep_of(record: Record, frame: pd.DataFrame) -> SweepTable:
    options = dict(record.options)
    kinds = {info.name: info.kind for info in record.parameters.fields()}
    axes = {
        name: tuple(kinds[name](value) for value in values)
        for name, values in options.pop("axes").items()
    }
    codes = [
        np.array([values.index(kinds[name](v)) for v in frame[name].tolist()], np.int64)
        for name, values in axes.items()
    ]
    counts = np.array(options.pop("block_counts"), np.int64)
    blocks = np.empty((len(frame), len(counts), 2))
    for block in range(len(counts)):
        for part, name in enumerate(PARTS):
            blocks[:, block, part] = frame[f"{BLOCK}{block}.{name}"].to_numpy()
    return SweepTable(
        grid=Sets(base=record.parameters, axes=axes, codes=np.stack(codes, axis=1)),
        results=Results(
            done=frame["done"].to_numpy().astype(np.bool_),
            metrics=frame[list(METRICS)].to_numpy(np.float64),
            moments=frame[[MOMENT + name for name in Moments._fields]].to_numpy(np.float64),
            blocks=blocks,
        ),
        block_counts=counts,
        periods_per_year=options.pop("periods_per_year"),
        capital=record.capital,
        costs=costs_of(record),
        source=record.data.source,
        data=record.data,
        how={name: options[name] for name in options if name not in ("sets", "done")},
    )
