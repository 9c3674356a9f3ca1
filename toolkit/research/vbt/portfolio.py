"""A run as a vectorbt Portfolio, made of our own orders. Importing this module imports vectorbt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import OrderSide, log_dt, order_dt

from toolkit.core.kernel import Outcome
from toolkit.core.layout import Floats, Ints
from toolkit.research.tape import Tape, trading_year
from toolkit.research.vbt.quick import (
    QuickDrawdowns,
    QuickEntryTrades,
    QuickExitTrades,
    QuickOrders,
    QuickPositions,
)


class RunPortfolio(vbt.Portfolio):  # type: ignore[misc]  # vectorbt is untyped
    """A Portfolio that annualises its ratios with the trading year of its symbols."""

    @property
    def _year(self) -> pd.Timedelta:
        timeframe = self.wrapper.freq.total_seconds()
        return pd.Timedelta(seconds=trading_year(self.wrapper.columns, timeframe))

    @property
    def stats_defaults(self) -> dict[str, Any]:
        """Defaults of `stats`: the trading year, and no warnings of what does not apply."""
        return self._ours(super().stats_defaults)

    @property
    def plots_defaults(self) -> dict[str, Any]:
        """Defaults of `plot`: the trading year, and no warnings of what does not apply."""
        return self._ours(super().plots_defaults)

    def get_returns_acc(self, *, year_freq: Any = None, **options: Any) -> Any:
        """Return the accessor of returns, with the trading year unless another is given."""
        return super().get_returns_acc(year_freq=year_freq or self._year, **options)

    def get_orders(self, *args: Any, **options: Any) -> Any:
        """Return vectorbt's orders, which are our fills."""
        return QuickOrders(**super().get_orders(*args, **options).config)

    def get_entry_trades(self, *args: Any, **options: Any) -> Any:
        """Return vectorbt's trades by entry."""
        return QuickEntryTrades(**super().get_entry_trades(*args, **options).config)

    def get_exit_trades(self, *args: Any, **options: Any) -> Any:
        """Return vectorbt's trades by exit."""
        return QuickExitTrades(**super().get_exit_trades(*args, **options).config)

    def get_positions(self, *args: Any, **options: Any) -> Any:
        """Return vectorbt's positions."""
        return QuickPositions(**super().get_positions(*args, **options).config)

    def get_drawdowns(self, *args: Any, **options: Any) -> Any:
        """Return vectorbt's drawdowns."""
        return QuickDrawdowns(**super().get_drawdowns(*args, **options).config)

    def stats(self, *names: Any, **options: Any) -> Any:
        """Return vectorbt's statistics; a run without any order has no ratios, they are NaN."""
        found = super().stats(*names, **options)
        if len(self.orders.records) or not isinstance(found, pd.Series):
            return found
        values = [np.nan if _infinite(value) else value for value in found]
        return pd.Series(values, index=found.index, name=found.name, dtype=found.dtype)

    def _ours(self, defaults: dict[str, Any]) -> dict[str, Any]:
        settings = {**defaults["settings"], "year_freq": self._year}
        return {**defaults, "settings": settings, "silence_warnings": True}


def portfolio_of(tape: Tape, outcome: Outcome, *, capital: float) -> RunPortfolio:
    """Build the Portfolio; its values differ from ours by the rounding to micro-dollars only."""
    symbols, close = tape.symbols, closes(tape)
    wrapper = vbt.ArrayWrapper(
        index=close.index,
        columns=pd.Index(symbols, name="symbol"),
        ndim=1 if len(symbols) == 1 else 2,
        freq=pd.Timedelta(seconds=tape.timeframe),
        group_by=None if len(symbols) == 1 else True,
    )
    return RunPortfolio(
        wrapper,
        close if len(symbols) > 1 else close.iloc[:, 0],
        _orders(tape, outcome),
        np.empty(0, log_dt),
        np.array([capital]),
        len(symbols) > 1,
    )


def _infinite(value: object) -> bool:
    return isinstance(value, float) and bool(np.isinf(value))


def rows(tape: Tape) -> Ints:
    """Return for each event the row of its timestamp."""
    return np.searchsorted(tape.market.time[tape.steps()], tape.market.time)


def closes(tape: Tape) -> pd.DataFrame:
    """Return closes by timestamp and symbol; a missing bar repeats the last close."""
    values = np.full((len(tape.steps()), len(tape.symbols)), np.nan)
    values[rows(tape), tape.market.symbol] = tape.market.close
    index = pd.DatetimeIndex(tape.frame["timestamp"].iloc[tape.steps()], name="timestamp")
    columns = pd.Index(tape.symbols, name="symbol")
    return pd.DataFrame(values, index=index, columns=columns).ffill().bfill()


def _orders(tape: Tape, outcome: Outcome) -> Any:
    trips, lots = outcome.trips, outcome.lots
    held = np.flatnonzero(lots["value"])
    kept = lots[held]
    buys = (
        np.concatenate([trips["symbol"], held]),
        np.concatenate([trips["entry"], kept["entry"]]),
        np.concatenate([trips["quantity"], kept["quantity"]]),
        np.concatenate([trips["entry_price"], kept["entry_price"]]),
        np.concatenate([trips["entry_fee"], kept["entry_fee"]]),
    )
    sells = tuple(trips[n] for n in ("symbol", "exit", "quantity", "exit_price", "exit_fee"))
    both = [_records(buys, OrderSide.Buy), _records(sells, OrderSide.Sell)]
    orders = np.concatenate(both)
    orders = orders[np.lexsort((orders["side"], orders["idx"], orders["col"]))]
    orders["idx"] = rows(tape)[orders["idx"]]
    orders["id"] = np.arange(len(orders))
    return orders


def _records(columns: tuple[Ints | Floats, ...], side: int) -> Any:
    symbol, event, quantity, price, fee = columns
    records = np.zeros(len(symbol), order_dt)
    records["col"], records["idx"], records["side"] = symbol, event, side
    records["size"], records["price"], records["fees"] = quantity, price, fee / 1e6
    return records
