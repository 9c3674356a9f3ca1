"""What the strategy says at every event of a tape; whatever two settings share is computed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from toolkit.core import batch
from toolkit.core.layout import Bools, Decisions, Floats
from toolkit.core.parameters import Parameters, Stochastic, StochRsi
from toolkit.research.tape import Tape

Prices = tuple[Floats, Floats, Floats]  # high, low, close of one symbol
Group = tuple[Bools, Bools]  # entry and exit condition at every event
KEPT = 64


class Signals:
    """Decisions of one tape; remembers the last 64 settings of each group."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._prices = {symbol: tape.prices(symbol) for symbol in tape.symbols}
        self._atr = lru_cache(KEPT)(self._compute_atr)
        self._stoch_rsi = lru_cache(KEPT)(self._compute_stoch_rsi)
        self._ema = lru_cache(KEPT)(self._compute_ema)
        self._stochastic = lru_cache(KEPT)(self._compute_stochastic)

    def decisions(self, parameters: Parameters) -> Decisions:
        """Return conditions and ATR at every event; do not change the arrays."""
        p, groups = parameters, []
        if p.stoch_rsi.enabled:
            length = p.rules.adaptive_length if p.rules.adaptive_bands else None
            period = p.rules.atr_period if p.rules.adaptive_bands else None
            groups.append(self._stoch_rsi(p.stoch_rsi, length, period, p.rules.lookback))
        if p.ema.enabled:
            groups.append(self._ema(p.ema.ema_period, p.ema.smoothing, p.rules.lookback))
        if p.stochastic.enabled:
            groups.append(self._stochastic(p.stochastic, p.rules.lookback))
        entry, exit_ = batch.combine(groups, exit_on_signal=p.rules.exit_on_signal)
        return Decisions(entry, exit_, self._atr(p.rules.atr_period))

    def _compute_atr(self, period: int) -> Floats:
        values = np.empty(len(self._tape.market.time))
        for symbol, at in self._tape.events.items():
            values[at] = batch.atr(*self._prices[symbol], period)
        return values

    def _compute_stoch_rsi(
        self, group: StochRsi, adaptive_length: int | None, atr_period: int | None, lookback: int
    ) -> Group:
        def conditions(high: Floats, low: Floats, close: Floats) -> Group:
            strength = batch.rsi(close, group.rsi_length)
            _, k, d = batch.stoch_rsi(strength, group.stoch_length, group.k, group.d)
            lower, upper = group.lower_band, group.upper_band
            if adaptive_length is None or atr_period is None:
                bands = np.full(len(close), lower), np.full(len(close), upper)
            else:
                ranges = batch.atr(high, low, close, atr_period)
                bands = batch.adaptive_bands(ranges, close, lower, upper, adaptive_length)
            return batch.stoch_rsi_signals(k, d, *bands, lookback)

        return self._everywhere(conditions)

    def _compute_ema(self, period: int, smoothing: float, lookback: int) -> Group:
        def conditions(_high: Floats, _low: Floats, close: Floats) -> Group:
            return batch.ema_signals(close, batch.ema(close, period, smoothing), lookback)

        return self._everywhere(conditions)

    def _compute_stochastic(self, group: Stochastic, lookback: int) -> Group:
        def conditions(high: Floats, low: Floats, close: Floats) -> Group:
            g = group
            _, k, _ = batch.stochastic(high, low, close, g.k_length, g.smooth_k, g.smooth_d)
            return batch.stochastic_signals(k, g.lower_band, g.upper_band, lookback)

        return self._everywhere(conditions)

    def _everywhere(self, conditions: Callable[[Floats, Floats, Floats], Group]) -> Group:
        size = len(self._tape.market.time)
        entry, exit_ = np.empty(size, np.bool_), np.empty(size, np.bool_)
        for symbol, at in self._tape.events.items():
            entry[at], exit_[at] = conditions(*self._prices[symbol])
        return entry, exit_
