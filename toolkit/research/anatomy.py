"""Inside a run: against buy and hold, when invested, how far each trade went, by month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.layout import Floats, Ints
from toolkit.research.tape import Tape

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.core.kernel import Outcome

MONTHLY_FROM, DAILY_FROM = 62.0, 2.0  # days of equity
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def buy_and_hold(tape: Tape, capital: float) -> pd.Series[float]:
    """Return the dollars of whoever splits `capital` equally and buys each symbol's first open.

    Without fees and slippage; a symbol that has no bar yet is cash.
    """
    total = np.zeros(len(tape.steps()))
    share = capital / len(tape.symbols)
    for symbol, at in tape.events.items():
        last = _last_event(tape, symbol)
        units = share / tape.market.open[at[0]]
        total += np.where(last >= 0, units * tape.market.close[last], share)
    return _series(tape, total, "buy_and_hold")


def benchmark(tape: Tape, outcome: Outcome, capital: float) -> pd.DataFrame:
    """Return buy and hold with the run's average exposure, and with all capital, as two columns."""
    import pandas as pd

    everything = buy_and_hold(tape, capital)
    share = float(exposure(tape, outcome)["exposure_percent"].mean())
    part = capital + share / 100.0 * (everything - capital)
    columns = {f"buy and hold {share:.1f} %": part, "buy and hold 100 %": everything}
    return pd.DataFrame(columns)


def exposure(tape: Tape, outcome: Outcome) -> pd.DataFrame:
    """Return `invested` dollars, `exposure_percent` of equity and `positions` at each timestamp."""
    import pandas as pd

    invested, positions = np.zeros(len(tape.steps())), np.zeros(len(tape.steps()), np.int64)
    for code, symbol in enumerate(tape.symbols):
        held = _held(tape, outcome, code)
        last = _last_event(tape, symbol)
        quantity = np.where(last >= 0, held[last], 0.0)
        invested += quantity * tape.market.close[last]
        positions += quantity > 0.0
    frame = pd.DataFrame({"invested": invested}, index=_index(tape))
    frame["exposure_percent"] = 100.0 * invested / outcome.equity
    frame["positions"] = positions
    return frame


def excursions(tape: Tape, outcome: Outcome) -> pd.DataFrame:
    """Return how far each round trip went, in percent of its entry price, and its `bars_held`.

    `mae_percent` (adverse) is at most 0, `mfe_percent` (favourable) at least 0. The exit's bar
    counts with its open and the exit's price only: the rest of it came after the exit.
    """
    import pandas as pd

    market, trips = tape.market, outcome.trips
    lowest, highest = trips["exit_price"].copy(), trips["exit_price"].copy()
    bars = np.zeros(len(trips), np.int64)
    for code, symbol in enumerate(tape.symbols):
        at = tape.events[symbol]
        for i in np.flatnonzero(trips["symbol"] == code):
            first, last = np.searchsorted(at, (trips["entry"][i], trips["exit"][i]))
            before, opened = at[first:last], market.open[at[last]]
            lowest[i] = min(lowest[i], opened, market.low[before].min(initial=np.inf))
            highest[i] = max(highest[i], opened, market.high[before].max(initial=-np.inf))
            bars[i] = last - first + 1
    entry = trips["entry_price"]
    return pd.DataFrame(
        {
            "mae_percent": np.minimum(100.0 * (lowest / entry - 1.0), 0.0),
            "mfe_percent": np.maximum(100.0 * (highest / entry - 1.0), 0.0),
            "bars_held": bars,
        }
    )


def period_returns(equity: pd.Series[float], capital: float) -> pd.DataFrame:
    """Return `start`, `row`, `column`, `return_percent` of each month, day or hour (UTC).

    Months from 62 days on, days from two days on, else hours. `row` and `column` place a period
    in a calendar: year and month, the week's Monday and weekday, day and hour.
    """
    import pandas as pd

    times = pd.DatetimeIndex(equity.index).tz_localize(None)
    days = (times[-1] - times[0]) / pd.Timedelta(days=1)
    unit = "M" if days >= MONTHLY_FROM else "D" if days >= DAILY_FROM else "h"
    last = pd.Series(equity.to_numpy(float), index=times).groupby(times.to_period(unit)).last()
    before = last.shift(1)
    before.iloc[0] = capital
    starts = pd.PeriodIndex(last.index).to_timestamp()
    places = [_place(unit, start) for start in starts]
    return pd.DataFrame(
        {
            "start": starts.tz_localize("UTC"),
            "row": [row for row, _ in places],
            "column": [column for _, column in places],
            "return_percent": (100.0 * (last / before - 1.0)).to_numpy(),
        }
    )


def _place(unit: str, start: pd.Timestamp) -> tuple[str, str]:
    if unit == "M":
        return str(start.year), MONTHS[start.month - 1]
    if unit == "h":
        return f"{start:%Y-%m-%d}", f"{start:%H}:00"
    return f"{start.to_period('W').start_time:%Y-%m-%d}", DAYS[start.weekday()]


def _held(tape: Tape, outcome: Outcome, code: int) -> Floats:
    """Return the units of one symbol that are held at the close of each event."""
    change = np.zeros(len(tape.market.time) + 1)
    trips = outcome.trips[outcome.trips["symbol"] == code]
    np.add.at(change, trips["entry"], trips["quantity"])
    np.add.at(change, trips["exit"], -trips["quantity"])
    lot = outcome.lots[code]
    if lot["value"] > 0:
        change[lot["entry"]] += lot["quantity"]
    held = np.cumsum(change)
    return np.where(held > 1e-9, held, 0.0)  # what is left of rounding is no position


def _last_event(tape: Tape, symbol: str) -> Ints:
    """Return a symbol's newest event at each timestamp, -1 before its first."""
    at, steps = tape.events[symbol], tape.steps()
    place = np.searchsorted(at, steps, side="right") - 1
    found: Ints = np.where(place >= 0, at[np.maximum(place, 0)], -1)
    return found


def _index(tape: Tape) -> Any:
    import pandas as pd

    return pd.DatetimeIndex(tape.frame["timestamp"].iloc[tape.steps()], name="timestamp")


def _series(tape: Tape, values: Floats, name: str) -> pd.Series[float]:
    import pandas as pd

    return pd.Series(values, index=_index(tape), name=name)
