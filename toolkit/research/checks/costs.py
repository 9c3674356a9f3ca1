"""`check costs`: at what fee or slippage the edge dies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import MAX_BPS, Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import DataError
from toolkit.market.hours import Sessions
from toolkit.research.backtest import BacktestRun, backtest, run_of
from toolkit.research.checks.result import CheckResult
from toolkit.research.plotting import Plotter
from toolkit.research.progress import Report, progress_of
from toolkit.research.tape import Bars

if TYPE_CHECKING:
    import pandas as pd

MARGIN_BPS = 1.0  # about half the spread of a liquid stock
POINTS = 9
FINE_BPS = 0.001
COLUMNS = ("fee_bps", "slippage_bps", "trades", "profit", "profit_per_trade", "sharpe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run: `profit` in dollars with open positions at their last close."""

    fee_bps: float
    slippage_bps: float
    trades: int
    profit: float
    profit_per_trade: float
    sharpe: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CostsCheck(CheckResult):
    """Where the profit ends, in basis points of each fill: 0 where it never was, inf beyond 1000.

    `assumed` is the run with the costs given, `free` the one without any; `turnover` is what a
    round trip buys and sells, in dollars; `error` the standard error of the profit per trade.
    """

    assumed: Point
    free: Point
    points: tuple[Point, ...]
    fee_break_even: float
    slippage_break_even: float
    turnover: float
    error: float
    margin_bps: float = MARGIN_BPS
    plotter: Plotter | None = field(default=None)

    @property
    def ok(self) -> bool:
        """Whether it earns at the costs given, and would with `margin_bps` more slippage."""
        enough = self.slippage_break_even >= self.assumed.slippage_bps + self.margin_bps
        return self.assumed.profit > 0.0 and enough

    @property
    def sentence(self) -> str:
        """Where the edge dies, and how sure it is that there is one."""
        trades = f"{self.assumed.trades:,} trades"
        if self.free.profit <= 0.0:
            return f"no edge: {_dollars(self.free.profit)} without any costs, {trades}"
        assumed = (
            f"at fee {self.assumed.fee_bps:g} and slippage {self.assumed.slippage_bps:g} bps it"
            f" makes {_dollars(self.assumed.profit)} in {trades}"
        )
        return f"{self._ends}; {assumed}; {self._trust}"

    @property
    def _ends(self) -> str:
        if self.assumed.profit <= 0.0 and self.fee_break_even == self.slippage_break_even == 0.0:
            return "the edge is dead at either of the costs given, whatever the other"
        if self.slippage_break_even == 0.0:
            dead = "at the fee given it is dead without any slippage"
            return f"the edge dies at a fee of {self._said(self.fee_break_even)}; {dead}"
        slippage = f"a slippage of {self._said(self.slippage_break_even)}"
        if self.fee_break_even == 0.0:
            return f"the edge dies at {slippage}; at the slippage given it is dead without any fee"
        return f"the edge dies at a fee of {self._said(self.fee_break_even)}, or at {slippage}"

    @property
    def _trust(self) -> str:
        mean = self.assumed.profit_per_trade
        if math.isnan(mean):
            return "no trade has closed"
        each = f"{_dollars(mean)} a closed trade, give or take ${self.error:,.2f}"
        return each if abs(mean) > 2.0 * self.error else f"{each}: too little to tell from luck"

    def _said(self, bps: float) -> str:
        if math.isinf(bps):
            return f"more than {MAX_BPS:g} bps"
        return f"{bps:.2f} bps of each fill ({_dollars(bps / 1e4 * self.turnover)} a round trip)"

    @property
    def frame(self) -> pd.DataFrame:
        """One row per fee and slippage; money in dollars."""
        import pandas as pd

        rows = [{name: getattr(point, name) for name in COLUMNS} for point in self.points]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def to_json(self) -> dict[str, Any]:
        """Return rows, sentence and break-evens; null where the edge outlives 1000 bps."""
        breaks = {
            name: value if math.isfinite(value) else None
            for name, value in (
                ("fee_break_even", self.fee_break_even),
                ("slippage_break_even", self.slippage_break_even),
                ("turnover", self.turnover),
            )
        }
        return {**super().to_json(), **breaks}


def check_costs(
    bars: BacktestRun | pd.DataFrame | Bars,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    margin_bps: float = MARGIN_BPS,
    progress: bool | Report = True,
) -> CostsCheck:
    """Run the same signals at rising fees and slippage until the profit is gone.

    `bars` may be a finished run, whose signals, capital, costs and sessions are taken. The fee is
    that of stocks and of crypto; all other costs stay as given. Raises DataError where nothing
    traded.
    """
    if isinstance(bars, BacktestRun):
        run = bars
    else:
        run = backtest(
            bars,
            parameters,
            capital=capital,
            costs=costs,
            sessions=sessions,
            flat_before_close=flat_before_close,
        )
    if not len(run.outcome.trips):
        raise DataError(
            f"nothing to check: {run.note}", field="trades", allowed="at least one closed trade"
        )
    trips = run.outcome.trips
    bought, sold = (trips[f"{name}_price"] * trips["quantity"] for name in ("entry", "exit"))
    turnover = float((bought + sold).mean())
    error = float(trips["profit"].std() / 1e6 / math.sqrt(len(trips)))
    fee, slippage = _fee(run), run.costs.slippage_bps
    runner = _Runner(run)
    fee_end = _break_even(lambda bps: runner(bps, slippage).profit)
    slippage_end = _break_even(lambda bps: runner(fee, bps).profit)
    pairs = list(product(_axis(fee, fee_end), _axis(slippage, slippage_end)))
    with progress_of(progress, total=len(pairs), what="costs") as report:
        points = []
        for fees, slips in pairs:
            points.append(runner(fees, slips))
            report(len(points), len(pairs))
    return CostsCheck(
        assumed=runner(fee, slippage),
        free=runner.free(),
        points=tuple(points),
        fee_break_even=fee_end,
        slippage_break_even=slippage_end,
        turnover=turnover,
        error=error,
        margin_bps=margin_bps,
    )


class _Runner:
    """Runs the signals of one run at other fees and slippage; remembers what was run."""

    def __init__(self, run: BacktestRun) -> None:
        self._run = run
        self._known: dict[tuple[float, float], Point] = {}

    def __call__(self, fee_bps: float, slippage_bps: float) -> Point:
        key = (float(fee_bps), float(slippage_bps))
        if key not in self._known:
            self._known[key] = self.with_costs(
                replace(
                    self._run.costs,
                    stock_fee_bps=fee_bps,
                    crypto_fee_bps=fee_bps,
                    crypto_maker_fee_bps=fee_bps,
                    slippage_bps=slippage_bps,
                )
            )
        return self._known[key]

    def free(self) -> Point:
        """Run without any costs; how much of a bar's volume an entry takes stays limited."""
        limit = self._run.costs.max_volume_percent
        return self.with_costs(
            Costs.paper(stock_fee_bps=0.0, crypto_fee_bps=0.0, max_volume_percent=limit)
        )

    def with_costs(self, costs: Costs) -> Point:
        """Run once."""
        run = self._run
        again = run_of(
            run.tape, run.parameters, capital=run.capital, costs=costs, signals=run.decisions
        )
        metrics, trades = again.score.metrics, len(again.outcome.trips)
        return Point(
            fee_bps=_fee(again),
            slippage_bps=costs.slippage_bps,
            trades=trades,
            profit=float(again.outcome.equity[-1]) - run.capital,
            profit_per_trade=metrics["net_profit"] / trades if trades else math.nan,
            sharpe=metrics["sharpe"],
        )


def _fee(run: BacktestRun) -> float:
    """Return the fee assumed: that of the symbols, the mean where they differ."""
    return float(np.mean([run.costs.fee_bps(symbol) for symbol in run.tape.symbols]))


def _break_even(profit: Callable[[float], float]) -> float:
    """Return the lowest basis points at which the profit is gone; 0 or inf where there is none."""
    if profit(0.0) <= 0.0:
        return 0.0
    low, high = 0.0, 1.0
    while profit(high) > 0.0:
        if high >= MAX_BPS:
            return math.inf
        low, high = high, min(2.0 * high, MAX_BPS)
    while high - low > FINE_BPS:
        middle = (low + high) / 2.0
        if profit(middle) > 0.0:
            low = middle
        else:
            high = middle
    return high


def _axis(assumed: float, end: float) -> list[float]:
    """Return even steps from 0 past what is assumed and where the edge dies."""
    most = max(2.0 * assumed, 2.0 * end if math.isfinite(end) else MAX_BPS, 2.0)
    steps = np.linspace(0.0, min(most, MAX_BPS), POINTS)
    return sorted({assumed, *(round(float(step), 3) for step in steps)})


def _dollars(amount: float) -> str:
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"
