"""One run of the strategy over recorded bars, and everything there is to say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.execution import STOP_LOSS, TAKE_PROFIT, TRAILING_STOP
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.kernel import Kernel, Outcome
from toolkit.core.layout import FLATTEN, SIGNAL, Decisions, Rules
from toolkit.core.parameters import Parameters
from toolkit.core.portfolio import dollars
from toolkit.core.report import trade_dict
from toolkit.core.types import Reason, RoundTrip, exact
from toolkit.market.hours import Sessions
from toolkit.research import anatomy
from toolkit.research.plotting import Plotter, draw
from toolkit.research.scoring import BLOCKS, Score, block_edges, score
from toolkit.research.signals import Signals
from toolkit.research.tape import Bars, Tape, tape_of
from toolkit.research.warmup import warm_up_bars

if TYPE_CHECKING:
    import pandas as pd
    import vectorbt

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REASONS = {
    STOP_LOSS: Reason.STOP_LOSS,
    TRAILING_STOP: Reason.TRAILING_STOP,
    TAKE_PROFIT: Reason.TAKE_PROFIT,
    SIGNAL: Reason.SIGNAL,
    FLATTEN: Reason.FLATTEN,
}


def backtest(
    bars: pd.DataFrame | Bars | Tape,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
) -> BacktestRun:
    """Trade recorded bars by the rules of docs/execution.md, all symbols from one capital.

    `bars` is a DataFrame, a file (.parquet, .csv, .feather), a MarketTable or a Tape; quotes and
    trades are built into bars first. `capital` in dollars. `sessions` (all, regular,
    extended) says when stocks trade, `flat_before_close` how many seconds before a session's end
    they are sold (0: they are kept); see docs/research/costs.md. Raises DataError and ConfigError.
    """
    chosen, capital = parameters_from(parameters), checked_capital(capital)
    tape = tape_of(bars, sessions=sessions, flat_before_close=flat_before_close)
    return run_of(tape, chosen, capital=capital, costs=costs_from(costs))


def run_of(
    tape: Tape,
    parameters: Parameters,
    *,
    capital: float,
    costs: Costs,
    signals: Decisions | None = None,
) -> BacktestRun:
    """Trade a tape by the strategy's decisions, or by `signals` given instead of them."""
    decisions = Signals(tape).decisions(parameters) if signals is None else signals
    edges = block_edges(len(tape.steps()), BLOCKS)
    kernel = Kernel(tape.market, charges=tape.charges(costs), edges=edges)
    rules = Rules.of(parameters.risk)
    outcome = kernel.run(decisions, rules, capital=capital)
    measured = score(outcome, capital=capital, periods_per_year=tape.periods_per_year)
    return BacktestRun(
        parameters=parameters,
        capital=capital,
        costs=costs,
        tape=tape,
        outcome=outcome,
        score=measured,
        signals=signals,
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BacktestRun:
    """A finished run. `plotter` draws it; `tk.backtest` brings one along.

    `signals` are what was traded where it was not the strategy's decisions; `id` finds the run in
    the store.
    """

    parameters: Parameters
    capital: float
    costs: Costs
    tape: Tape
    outcome: Outcome
    score: Score
    signals: Decisions | None = field(default=None)
    id: str = ""
    plotter: Plotter | None = field(default=None)

    @cached_property
    def decisions(self) -> Decisions:
        """What was traded: entries and exits at every event of the tape, and the ATR."""
        if self.signals is not None:
            return self.signals
        return Signals(self.tape).decisions(self.parameters)

    @cached_property
    def round_trips(self) -> tuple[RoundTrip, ...]:
        """The closed positions in the order in which they closed."""
        times = self.tape.market.time
        return tuple(
            RoundTrip(
                symbol=self.tape.symbols[trip["symbol"]],
                entry_time=_time(times[trip["entry"]]),
                entry_price=float(trip["entry_price"]),
                exit_time=_time(times[trip["exit"]]),
                exit_price=float(trip["exit_price"]),
                quantity=exact(trip["quantity"]),
                pnl=dollars(int(trip["profit"])),
                return_percent=_percent(trip),
                fees=dollars(int(trip["entry_fee"] + trip["exit_fee"])),
                exit_reason=REASONS[int(trip["reason"])],
            )
            for trip in self.outcome.trips
        )

    @cached_property
    def trades(self) -> pd.DataFrame:
        """The round trips as a table: times in UTC, `pnl` and `fees` in dollars."""
        import pandas as pd

        names = list(trade_dict(_EXAMPLE))
        frame = pd.DataFrame([trade_dict(trip) for trip in self.round_trips], columns=names)
        for name in ("entry_time", "exit_time"):
            times = [getattr(trip, name) for trip in self.round_trips]
            frame[name] = pd.to_datetime(times, utc=True).as_unit("us")
        numbers = ["entry_price", "exit_price", "quantity", "pnl", "return_percent", "fees"]
        return frame.astype(dict.fromkeys(numbers, np.float64))

    def to_json(self) -> dict[str, Any]:
        """Return `{"trades": [...]}` as JSON-ready values, the same as a replay prints."""
        return {"trades": [trade_dict(trip) for trip in self.round_trips]}

    @cached_property
    def equity(self) -> pd.Series[float]:
        """Dollars at each timestamp, open positions at their last close."""
        import pandas as pd

        index = pd.DatetimeIndex(self.tape.frame["timestamp"].iloc[self.tape.steps()])
        return pd.Series(self.outcome.equity, index=index.rename("timestamp"), name="equity")

    def stats(self) -> dict[str, Any]:
        """Return the figures of the run: see `research.scoring.METRICS`, with span and equity.

        Ratios without trades are NaN; the Sharpe ratio is annualised.
        """
        times = self.tape.market.time
        return {
            "start": _time(times[0]),
            "end": _time(times[-1]),
            "bars": len(times),
            "symbols": ", ".join(self.tape.symbols),
            "start_equity": self.capital,
            "end_equity": float(self.outcome.equity[-1]),
            **self.score.metrics,
            "open_positions": int(np.count_nonzero(self.outcome.lots["value"])),
        }

    @property
    def note(self) -> str:
        """Say why there are no trades; empty where there are some."""
        if len(self.outcome.trips):
            return ""
        needed = warm_up_bars(self.parameters) if self.signals is None else 1
        most = max(len(events) for events in self.tape.events.values())
        if most < needed:
            return f"no trades: the indicators need {needed} bars, {most} are there"
        if np.any(self.outcome.lots["value"]):
            return "no trade has closed; a position is open at the end"
        return "no trades: the conditions never led to a position that closed"

    def bars(self, symbol: str | None = None) -> pd.DataFrame:
        """Return the bars of one symbol, by default the first; raises ConfigError."""
        name = self.tape.known(symbol or self.tape.symbols[0])
        return self.tape.frame.iloc[self.tape.events[name]].reset_index(drop=True)

    def indicators(self, symbol: str | None = None) -> pd.DataFrame:
        """Return the indicators of one symbol by timestamp, by default the first symbol."""
        import pandas as pd

        name = self.tape.known(symbol or self.tape.symbols[0])
        values = self.tape.indicators(name, self.parameters)
        columns = {field: getattr(values, field) for field in values.__dataclass_fields__}
        return pd.DataFrame(columns, index=pd.DatetimeIndex(self.bars(name)["timestamp"]))

    @cached_property
    def portfolio(self) -> vectorbt.Portfolio:
        """The run as a vectorbt Portfolio, made of our own orders; needs the extra `backtest`."""
        from toolkit.research.vbt.portfolio import portfolio_of

        return portfolio_of(self.tape, self.outcome, capital=self.capital)

    @cached_property
    def benchmark(self) -> pd.DataFrame:
        """Dollars of buy and hold, with as much as the run had in the market and with all."""
        return anatomy.benchmark(self.tape, self.outcome, self.capital)

    @cached_property
    def exposure(self) -> pd.DataFrame:
        """What was invested at each timestamp: see `anatomy.exposure`."""
        return anatomy.exposure(self.tape, self.outcome)

    @cached_property
    def excursions(self) -> pd.DataFrame:
        """The trades, with how far each went against and for us: see `anatomy.excursions`."""
        return self.trades.join(anatomy.excursions(self.tape, self.outcome))

    @property
    def returns(self) -> pd.DataFrame:
        """Returns by month, day or hour: see `anatomy.period_returns`."""
        return anatomy.period_returns(self.equity, self.capital)

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw the run: `run` (default; `symbol=`), `equity`, `trades`, `excursions`, `returns`.

        Options as in docs/research/pictures.md. Raises ConfigError.
        """
        return draw(self.plotter, self, kind, **options)

    def report(self, path: str | Path, **options: Any) -> Path:
        """Write figures, pictures and trades to one HTML file: see `tk.report`."""
        written: Path = draw(self.plotter, self, "report", path=path, **options)
        return written

    def __repr__(self) -> str:
        m = self.score.metrics
        return (
            f"<BacktestRun {', '.join(self.tape.symbols)}: {m['trades']} trades,"
            f" return {m['total_return_percent']:.2f} %, Sharpe {m['sharpe']:.2f}>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name.replace('_', ' '))}</th>"
            f"<td style='text-align:right'>{escape(_shown(value))}</td></tr>"
            for name, value in self.stats().items()
        )
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"<table>{rows}</table>{note}"


def _time(microseconds: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(microseconds))


def _percent(trip: np.void) -> float:
    cost = float(trip["cost"])
    return 100.0 * float(trip["profit"]) / cost if cost else 0.0


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, float):
        return "\N{EN DASH}" if np.isnan(value) else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


_EXAMPLE = RoundTrip(
    symbol="",
    entry_time=EPOCH,
    entry_price=0.0,
    exit_time=EPOCH,
    exit_price=0.0,
    quantity=exact(0.0),
    pnl=dollars(0),
    return_percent=0.0,
    fees=dollars(0),
    exit_reason=Reason.SIGNAL,
)
