"""The oracle: docs/execution.md as one slow, plain event loop, sharing no code with `toolkit`.

Read it beside the document. Every value of a bar is looked up in whole lists of history, nothing
is updated in place that the document does not say is. A value that is not defined is NaN.

`bars` are rows with the keys symbol, timestamp (datetime), open, high, low, close and, where they
are known, volume and spread, in any order. `parameters` has every value under its full name
(`stoch_rsi.k`), as `Parameters.to_dict()` gives, `costs` every value as `Costs.to_dict()` gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

NAN = math.nan
NEW_YORK = ZoneInfo("America/New_York")
Row = Mapping[str, Any]


# ---------------------------------------------------------------- indicators


def mean(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:
        total = total + value
    return total / len(values)


def last_defined(values: Sequence[float], count: int) -> list[float] | None:
    """The last `count` values that are not NaN, oldest first, or None while there are fewer."""
    defined = [v for v in values[-count:] if not math.isnan(v)]
    return defined if len(defined) == count else None


def mean_of_last(values: Sequence[float], count: int) -> float:
    window = last_defined(values, count)
    return NAN if window is None or math.isnan(values[-1]) else mean(window)


def wilder(moves: Sequence[float], n: int) -> list[float]:
    averages: list[float] = []
    for i, move in enumerate(moves):
        if i + 1 < n:
            averages.append(NAN)
        elif i + 1 == n:
            averages.append(mean(moves[:n]))
        else:
            averages.append((averages[-1] * (n - 1) + move) / n)
    return averages


def ema_values(close: Sequence[float], period: int, smoothing: float) -> list[float]:
    a = smoothing / (period + 1)
    values = [close[0]]
    for price in close[1:]:
        values.append(a * price + (1 - a) * values[-1])
    return values


def rsi_values(close: Sequence[float], n: int) -> list[float]:
    changes = [after - before for before, after in pairwise(close)]
    ups = wilder([max(change, 0.0) for change in changes], n)
    downs = wilder([max(-change, 0.0) for change in changes], n)
    values = [NAN]
    for up, down in zip(ups, downs, strict=True):
        if math.isnan(up):
            values.append(NAN)
        elif down == 0:
            values.append(100.0)
        else:
            values.append(100 * up / (up + down))
    return values


def oscillate(value: float, low: float, high: float, flat: float, before: float) -> float:
    return before if high - low < flat else 100 * (value - low) / (high - low)


def stoch_rsi_values(
    rsi: Sequence[float], stoch_length: int, k: int, d: int
) -> tuple[list[float], list[float]]:
    raw: list[float] = []
    ks: list[float] = []
    ds: list[float] = []
    for i in range(len(rsi)):
        window = last_defined(rsi[: i + 1], stoch_length)
        if window is None:
            raw.append(NAN)
        else:
            before = raw[-1] if raw else NAN
            raw.append(oscillate(rsi[i], min(window), max(window), 1e-9, before))
        ks.append(mean_of_last(raw, k))
        ds.append(mean_of_last(ks, d))
    return ks, ds


def stochastic_values(bars: Sequence[Row], k_length: int, smooth_k: int) -> list[float]:
    raw: list[float] = []
    ks: list[float] = []
    for i in range(len(bars)):
        window = bars[max(0, i + 1 - k_length) : i + 1]
        if len(window) < k_length:
            raw.append(NAN)
        else:
            low, high = min(b["low"] for b in window), max(b["high"] for b in window)
            before = raw[-1] if raw else NAN
            raw.append(oscillate(bars[i]["close"], low, high, 1e-9 * high, before))
        ks.append(mean_of_last(raw, smooth_k))
    return ks


def atr_values(bars: Sequence[Row], period: int) -> list[float]:
    ranges = [bars[0]["high"] - bars[0]["low"]]
    for before, bar in pairwise(bars):
        previous_close = before["close"]
        ranges.append(
            max(
                bar["high"] - bar["low"],
                abs(bar["high"] - previous_close),
                abs(bar["low"] - previous_close),
            )
        )
    return wilder(ranges, period)


def band_values(
    atr: Sequence[float], close: Sequence[float], p: Mapping[str, Any]
) -> list[tuple[float, float]]:
    lower_band, upper_band = p["stoch_rsi.lower_band"], p["stoch_rsi.upper_band"]
    if not p["rules.adaptive_bands"]:
        return [(lower_band, upper_band)] * len(close)
    bands = []
    v = [a / c for a, c in zip(atr, close, strict=True)]
    for i in range(len(close)):
        usual = mean_of_last(v[: i + 1], p["rules.adaptive_length"])
        ratio = 1.0 if math.isnan(usual) or usual == 0 else v[i] / usual
        ratio = min(max(ratio, 0.5), 2.0)
        lower = min(lower_band / ratio, 100.0)
        bands.append((lower, max(100 - (100 - upper_band) / ratio, 0.0)))
    return bands


# ---------------------------------------------------------------- decisions


def within(conditions: Sequence[bool], lookback: int) -> list[bool]:
    return [any(conditions[max(0, i + 1 - lookback) : i + 1]) for i in range(len(conditions))]


def decide(bars: Sequence[Row], p: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What one symbol's bars say: for each bar its entry condition, exit condition and ATR."""
    close = [b["close"] for b in bars]
    atr = atr_values(bars, p["rules.atr_period"])
    groups: list[list[tuple[bool, bool]]] = []

    if p["stoch_rsi.enabled"]:
        rsi = rsi_values(close, p["stoch_rsi.rsi_length"])
        ks, ds = stoch_rsi_values(
            rsi, p["stoch_rsi.stoch_length"], p["stoch_rsi.k"], p["stoch_rsi.d"]
        )
        bands = band_values(atr, close, p)
        groups.append(
            [
                (k > d and k < lower, k < d and k > upper)
                for k, d, (lower, upper) in zip(ks, ds, bands, strict=True)
            ]
        )
    if p["ema.enabled"]:
        emas = ema_values(close, p["ema.ema_period"], p["ema.smoothing"])
        groups.append([(c > e, c < e) for c, e in zip(close, emas, strict=True)])
    if p["stochastic.enabled"]:
        low, high = p["stochastic.lower_band"], p["stochastic.upper_band"]
        ks = stochastic_values(bars, p["stochastic.k_length"], p["stochastic.smooth_k"])
        before = [NAN, *ks[:-1]]
        groups.append([(a < low <= b, a > high >= b) for a, b in zip(before, ks, strict=True)])

    lookback = p["rules.lookback"]
    entries = [within([entry for entry, _ in group], lookback) for group in groups]
    exits = [within([exit_ for _, exit_ in group], lookback) for group in groups]
    return [
        {
            "entry": all(group[i] for group in entries),
            "exit": p["rules.exit_on_signal"] and all(group[i] for group in exits),
            "atr": atr[i],
        }
        for i in range(len(bars))
    ]


# ---------------------------------------------------------------- money


def micros(x: float) -> int:
    return math.floor(x * 1e6 + 0.5)


def lots(quantity: float) -> float:
    return math.floor(quantity * 1e9) / 1e9


class Books:
    """Whole micro-dollars."""

    def __init__(self, capital: float) -> None:
        self.start = micros(capital)
        self.realised = 0
        self.tied_up: dict[str, int] = {}

    def capital(self) -> float:
        return (self.start + self.realised) / 1e6

    def cash(self) -> int:
        return self.start + self.realised - sum(self.tied_up.values())


# ---------------------------------------------------------------- costs


def is_stock(symbol: str) -> bool:
    return "/" not in symbol


def fee_bps(costs: Mapping[str, Any], symbol: str, reason: str) -> float:
    if is_stock(symbol):
        return float(costs["stock_fee_bps"])
    rests = reason == "take_profit" and costs["targets_rest"]
    return float(costs["crypto_maker_fee_bps"] if rests else costs["crypto_fee_bps"])


def slippage_bps(costs: Mapping[str, Any], bar: Row, price: float, quantity: float) -> float:
    spread = bar.get("spread")
    if costs["quoted_spread"] and spread is not None and not math.isnan(spread):
        half = spread / price * 5000
    else:
        half = costs["symbol_spread_bps"].get(bar["symbol"], costs["spread_bps"]) / 2
    impact = 0.0
    if costs["impact_bps"] > 0:
        impact = costs["max_impact_bps"]
        if bar.get("volume", 0) > 0:
            impact = min(impact, costs["impact_bps"] * math.sqrt(quantity / bar["volume"]))
    return min(costs["slippage_bps"] + half + impact, 5000.0)


class Regulators:
    """What the fills of each New York day owe, kind by kind, exactly, and what was taken so far."""

    def __init__(self, costs: Mapping[str, Any]) -> None:
        self.costs = costs
        self.owed: dict[Any, dict[str, Fraction]] = {}
        self.taken: dict[Any, int] = {}

    def take(self, bar: Row, price: float, quantity: float, *, sold: bool) -> int:
        if not is_stock(bar["symbol"]):
            return 0
        day = bar["timestamp"].astimezone(NEW_YORK).date()
        owed = self.owed.setdefault(day, dict.fromkeys(("sec", "taf", "cat"), Fraction(0)))
        owed["cat"] += billionths(quantity * self.costs["cat_per_share"])
        if sold:
            taf = min(quantity * self.costs["taf_per_share"], self.costs["taf_cap"])
            owed["taf"] += billionths(taf)
            owed["sec"] += billionths(price * quantity * self.costs["sec_fee_per_million"] / 1e6)
        cents = sum(math.ceil(amount * 100) for amount in owed.values())
        more = cents * 10_000 - self.taken.get(day, 0)
        self.taken[day] = cents * 10_000
        return more


def billionths(dollars: float) -> Fraction:
    return Fraction(math.floor(dollars * 1e9 + 0.5), 10**9)


# ---------------------------------------------------------------- sessions


class Calendar:
    """Sessions of stocks as (open, close); without any, and for crypto, one that never ends."""

    def __init__(
        self,
        sessions: Sequence[tuple[datetime, datetime]] | None,
        *,
        timeframe: float,
        flat_before_close: float,
    ) -> None:
        self.sessions = sessions
        self.timeframe = timedelta(seconds=timeframe)
        self.flat = timedelta(seconds=flat_before_close)

    def at(self, symbol: str, moment: datetime) -> Any:
        if self.sessions is None or not is_stock(symbol):
            return "always"
        return next((s for s in self.sessions if s[0] <= moment < s[1]), None)

    def for_entry(self, bar: Row) -> Any:
        """The session in which an entry decided at this bar's close may fill, if there is one."""
        moment = bar["timestamp"] + self.timeframe
        session = self.at(bar["symbol"], moment)
        if session in (None, "always"):
            return session
        return session if session[1] - moment > self.flat else None

    def must_leave(self, bar: Row) -> bool:
        return bool(self.flat) and self.for_entry(bar) is None


# ---------------------------------------------------------------- one bar


def protective_exit(
    bar: Row, position: dict[str, Any], p: Mapping[str, Any]
) -> tuple[str, float] | None:
    """Walk open, low, high, close; return (reason, price) of the exit, if there is one."""
    entry = position["entry_price"]
    fixed = -math.inf
    if position["stop_distance"] > 0:
        fixed = entry - position["stop_distance"]
    elif p["risk.stop_loss"] > 0:
        fixed = entry * (1 - p["risk.stop_loss"] / 100)
    target = math.inf
    if p["risk.take_profit"] > 0:
        target = entry * (1 + p["risk.take_profit"] / 100)
    arm = entry * (1 + p["risk.trailing_activation"] / 100)

    def stop() -> tuple[str, float]:
        if p["risk.trailing_stop"] > 0 and position["peak"] >= arm:
            trail = position["peak"] * (1 - p["risk.trailing_stop"] / 100)
            if trail > fixed:
                return "trailing_stop", trail
        return "stop_loss", fixed

    position["peak"] = max(position["peak"], bar["open"])
    reason, level = stop()
    if bar["open"] <= level:
        return reason, bar["open"]
    if bar["open"] >= target:
        return "take_profit", bar["open"]
    if bar["low"] <= level:
        return reason, level
    if bar["high"] >= target:
        return "take_profit", target
    position["peak"] = max(position["peak"], bar["high"])
    reason, level = stop()
    if bar["close"] <= level:
        return reason, level
    return None


def enter(
    bar: Row,
    order: Mapping[str, Any],
    books: Books,
    costs: Mapping[str, Any],
    regulators: Regulators,
) -> dict[str, Any] | None:
    """Buy at the open, cut to volume and cash; None where that leaves nothing."""
    wanted, volume = order["quantity"], bar.get("volume", 0)
    if costs["max_volume_percent"] > 0 and volume > 0:
        most = volume * costs["max_volume_percent"] / 100
        wanted = lots(most) if most < wanted else wanted
    price = bar["open"] * (1 + slippage_bps(costs, bar, bar["open"], wanted) / 10000)
    bps = fee_bps(costs, bar["symbol"], "entry")
    cash = books.cash() / 1e6
    if is_stock(bar["symbol"]) and costs["cat_per_share"] > 0:
        cash = cash - (wanted * costs["cat_per_share"] + 0.01)
    quantity = wanted
    if micros(price * quantity) + micros(price * quantity * bps / 10000) > micros(cash):
        quantity = lots(cash / (price * (1 + bps / 10000)))
    if quantity <= 0:
        return None
    cost = micros(price * quantity)
    fee = micros(price * quantity * bps / 10000)
    fee += regulators.take(bar, price, quantity, sold=False)
    books.tied_up[bar["symbol"]] = cost + fee
    return {
        "entry_time": bar["timestamp"],
        "entry_price": price,
        "quantity": quantity,
        "cost": cost,
        "entry_fee": fee,
        "stop_distance": order["stop_distance"],
        "peak": bar["open"],
    }


def leave(
    bar: Row,
    position: Mapping[str, Any],
    books: Books,
    costs: Mapping[str, Any],
    regulators: Regulators,
    price: float,
    reason: str,
) -> dict[str, Any]:
    """Sell everything at `price`, less slippage; return the round trip."""
    quantity = position["quantity"]
    if reason != "take_profit" or not costs["targets_rest"]:
        price = price * (1 - slippage_bps(costs, bar, price, quantity) / 10000)
    proceeds = micros(price * quantity)
    exit_fee = micros(price * quantity * fee_bps(costs, bar["symbol"], reason) / 10000)
    exit_fee += regulators.take(bar, price, quantity, sold=True)
    fees = position["entry_fee"] + exit_fee
    profit = proceeds - position["cost"] - fees
    books.realised += profit
    del books.tied_up[bar["symbol"]]
    return {
        "symbol": bar["symbol"],
        "entry_time": rfc3339(position["entry_time"]),
        "entry_price": position["entry_price"],
        "exit_time": rfc3339(bar["timestamp"]),
        "exit_price": price,
        "quantity": quantity,
        "pnl": profit / 1e6,
        "return_percent": 100.0 * float(profit) / float(position["cost"])
        if position["cost"]
        else 0.0,
        "fees": fees / 1e6,
        "exit_reason": reason,
    }


def size(close: float, atr: float, capital: float, p: Mapping[str, Any]) -> float:
    quantity = capital * p["risk.trade_capital_percent"] / 100 / close
    if p["risk.atr_sizing"] and atr > 0:
        risked = capital * p["risk.risk_percent"] / 100
        quantity = min(quantity, risked / (p["risk.atr_multiplier"] * atr))
    return lots(quantity)


def rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


# ---------------------------------------------------------------- the event loop


class Run:
    """The state of all symbols; the methods are the numbered steps of one bar."""

    def __init__(
        self, p: Mapping[str, Any], capital: float, costs: Mapping[str, Any], calendar: Calendar
    ) -> None:
        self.p = p
        self.costs = costs
        self.regulators = Regulators(costs)
        self.calendar = calendar
        self.books = Books(capital)
        self.positions: dict[str, dict[str, Any]] = {}
        self.pending_entry: dict[str, dict[str, Any]] = {}
        self.pending_exit: dict[str, str] = {}
        self.last_exit: dict[str, datetime] = {}
        self.trades: list[dict[str, Any]] = []

    def on_bar(self, bar: Row, verdict: Mapping[str, Any]) -> None:
        symbol = bar["symbol"]
        session = self.calendar.at(symbol, bar["timestamp"])
        if symbol in self.pending_exit and session is not None:
            self.exit_at_open(bar)
        if symbol in self.pending_entry:
            self.enter_at_open(bar, session)
        if symbol in self.positions and session is not None:
            self.protect(bar)
        if symbol in self.positions:
            if symbol not in self.pending_exit:
                self.order_exit(bar, verdict)
        elif verdict["entry"] and self.may_enter(bar):
            self.order_entry(bar, verdict["atr"])

    def exit_at_open(self, bar: Row) -> None:
        reason = self.pending_exit.pop(bar["symbol"])
        self.sell(bar, bar["open"], reason)

    def enter_at_open(self, bar: Row, session: Any) -> None:
        symbol = bar["symbol"]
        order = self.pending_entry.pop(symbol)
        if session != order["session"]:
            return
        position = enter(bar, order, self.books, self.costs, self.regulators)
        if position is not None:
            self.positions[symbol] = position

    def protect(self, bar: Row) -> None:
        exit_ = protective_exit(bar, self.positions[bar["symbol"]], self.p)
        if exit_ is not None:
            reason, price = exit_
            self.sell(bar, price, reason)

    def sell(self, bar: Row, price: float, reason: str) -> None:
        symbol = bar["symbol"]
        position = self.positions.pop(symbol)
        trade = leave(bar, position, self.books, self.costs, self.regulators, price, reason)
        self.trades.append(trade)
        self.last_exit[symbol] = bar["timestamp"]

    def order_exit(self, bar: Row, verdict: Mapping[str, Any]) -> None:
        if self.calendar.must_leave(bar):
            self.pending_exit[bar["symbol"]] = "flatten"
        elif verdict["exit"]:
            self.pending_exit[bar["symbol"]] = "signal"

    def may_enter(self, bar: Row) -> bool:
        if self.calendar.for_entry(bar) is None:
            return False
        if bar["symbol"] in self.last_exit:
            waited = (bar["timestamp"] - self.last_exit[bar["symbol"]]).total_seconds()
            if waited < self.p["risk.cooldown"]:
                return False
        return len(self.positions) + len(self.pending_entry) < self.p["risk.max_positions"]

    def order_entry(self, bar: Row, atr: float) -> None:
        quantity = size(bar["close"], atr, self.books.capital(), self.p)
        if quantity > 0:
            atr_stop = self.p["risk.atr_stop"] and not math.isnan(atr)
            self.pending_entry[bar["symbol"]] = {
                "quantity": quantity,
                "stop_distance": self.p["risk.atr_multiplier"] * atr if atr_stop else 0.0,
                "session": self.calendar.for_entry(bar),
            }


def oracle(
    bars: Sequence[Row],
    parameters: Mapping[str, Any],
    *,
    costs: Mapping[str, Any],
    capital: float = 10_000.0,
    sessions: Sequence[tuple[datetime, datetime]] | None = None,
    timeframe: float = 60.0,
    flat_before_close: float = 0.0,
) -> list[dict[str, Any]]:
    """Run the strategy; return the round trips in the order in which they closed."""
    events = sorted(bars, key=lambda b: (b["timestamp"], b["symbol"]))
    by_symbol: dict[str, list[Row]] = {}
    for bar in events:
        by_symbol.setdefault(bar["symbol"], []).append(bar)
    calendar = Calendar(sessions, timeframe=timeframe, flat_before_close=flat_before_close)
    verdicts = {symbol: iter(decide(own, parameters)) for symbol, own in by_symbol.items()}
    run = Run(parameters, capital, costs, calendar)
    for bar in events:
        run.on_bar(bar, next(verdicts[bar["symbol"]]))
    return run.trades
