"""Runs side by side, and whether it is fair to rank them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from toolkit.core.costs import Costs
from toolkit.errors import ConfigError
from toolkit.research.scoring import LOWER_IS_BETTER, METRICS, known_metric
from toolkit.research.store.record import Record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Comparison:
    """Runs, the best by `metric` first. `differences` say why ranking them is no contest."""

    records: tuple[Record, ...]
    metric: str
    differences: tuple[str, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A column per run; rows are facts, parameters and costs that differ, and figures."""
        import pandas as pd

        columns = {
            record.id: _facts(record) | self._varied(record) | _figures(record)
            for record in self.records
        }
        return pd.DataFrame(
            {run: pd.Series(values, dtype=object) for run, values in columns.items()}
        )

    @property
    def sentence(self) -> str:
        """Which is best, and what speaks against saying so."""
        best, *others = self.records
        value = _figure(best, self.metric)
        if math.isnan(value):
            said = f"No run has a value of {self.metric}."
        else:
            against = ", ".join(f"{_figure(r, self.metric):.4g} of {r.id}" for r in others[:3])
            said = f"{best.id} has the best {self.metric}: {value:.4g} against {against}."
        if not self.differences:
            return said
        return f"{said} That is no contest of parameters: {'; '.join(self.differences)}."

    def _varied(self, record: Record) -> dict[str, Any]:
        first = self.records[0].parameters
        names = {name for other in self.records for name in first.difference(other.parameters)}
        best = record.figures.get("best") or {}
        names |= {name for other in self.records for name in other.figures.get("best") or {}}
        values = record.parameters.to_dict() | best
        varied = {name: values[name] for name in first.to_dict() if name in names}
        costs = self.records[0].costs
        return varied | {
            name: record.costs.get(name)
            for name in costs
            if any(other.costs.get(name) != costs[name] for other in self.records)
        }

    def __repr__(self) -> str:
        return f"{self.frame.to_string()}\n{self.sentence}"

    def _repr_html_(self) -> str:
        from html import escape

        return f"{self.frame.to_html()}<p>{escape(self.sentence)}</p>"


def comparison_of(records: Sequence[Record], *, metric: str, force: bool) -> Comparison:
    """Set runs side by side; raises ConfigError where they cannot be ranked, unless `force`."""
    known_metric(metric)
    distinct = tuple({record.id: record for record in records}.values())
    if len(distinct) < 2:
        raise ConfigError(
            f"{len(distinct)} run to compare; allowed: two different ones or more", field="runs"
        )
    different = differences(distinct)
    if different and not force:
        raise ConfigError(
            f"these runs cannot be ranked: {'; '.join(different)}; take others, or force=True"
            " (--force) to see them side by side all the same",
            field="runs",
            value=[record.id for record in distinct],
            allowed="the same symbols, timeframe, span, feed, adjustment, bars, capital and costs",
        )
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0

    def order(record: Record) -> float:
        value = _figure(record, metric)
        return math.inf if math.isnan(value) else sign * value

    return Comparison(
        records=tuple(sorted(distinct, key=order)), metric=metric, differences=different
    )


def differences(records: Sequence[Record]) -> tuple[str, ...]:
    """Say in which respects runs differ that make their figures no contest of parameters."""
    found = []
    for name, values in _respects(records).items():
        if len(set(values)) > 1:
            parts = [f"{r.id} has {value}" for r, value in zip(records, values, strict=True)]
            found.append(f"they differ in {name} ({', '.join(parts[:4])})")
    if not found and len({r.data.fingerprint for r in records}) > 1:
        found.append("they differ in their bars, though not in what is known of them")
    return tuple(found)


def _respects(records: Sequence[Record]) -> dict[str, list[str]]:
    return {
        "symbols": [", ".join(r.data.symbols) for r in records],
        "timeframe": [f"{r.data.timeframe:g} s" for r in records],
        "span": [f"{r.data.first:%Y-%m-%d %H:%M} to {r.data.last:%Y-%m-%d %H:%M}" for r in records],
        "feed": [r.data.feed for r in records],
        "adjustment": [r.data.adjustment for r in records],
        "capital": [f"{r.capital:,.2f} $" for r in records],
        "costs": [_costs(r) for r in records],
        "sessions": [r.data.sessions for r in records],
        "flat before close": [f"{r.data.flat_before_close:g} s" for r in records],
    }


def _costs(record: Record) -> str:
    """Return the costs that are not Alpaca's."""
    usual = Costs().to_dict()
    own = [f"{name} {v}" for name, v in record.costs.items() if v != usual.get(name)]
    return ", ".join(own) or "Alpaca's"


def _facts(record: Record) -> dict[str, Any]:
    data = record.data
    return {
        "kind": record.kind,
        "at": f"{record.at:%Y-%m-%d %H:%M} UTC",
        "code": record.code,
        "symbols": ", ".join(data.symbols),
        "timeframe": data.timeframe,
        "first": f"{data.first:%Y-%m-%d %H:%M} UTC",
        "last": f"{data.last:%Y-%m-%d %H:%M} UTC",
        "bars": data.bars,
        "feed": data.feed,
        "adjustment": data.adjustment,
        "fingerprint": data.fingerprint,
        "sessions": data.sessions,
        "source": data.source,
        "capital": record.capital,
    }


def _figures(record: Record) -> dict[str, Any]:
    names = [name for name in METRICS if name in record.figures]
    names += [name for name in record.figures if name not in METRICS and name != "best"]
    return {name: record.figures[name] for name in names}


def _figure(record: Record, metric: str) -> float:
    value = record.figures.get(metric)
    return float(value) if isinstance(value, (int, float)) else math.nan
