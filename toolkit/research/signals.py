"""What the strategy says at every event of a tape; whatever two settings share is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.core import batch
from toolkit.core.layout import Bools, Decisions, Floats
from toolkit.core.parameters import Parameters, Stochastic, StochRsi
from toolkit.research.kept import Kept
from toolkit.research.tape import Tape

Bits = NDArray[np.uint8]  # eight events in each
KEPT_BYTES = 16_000_000  # of conditions that are kept of each group


class _Group(NamedTuple):
    """Where the entry and the exit condition of one group hold."""

    entry: Bits
    exit: Bits


class Signals:
    """Decisions of one tape, in any thread; remembers the last settings of each group."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._size = len(tape.market.time)
        self._prices = {symbol: tape.prices(symbol) for symbol in tape.symbols}
        settings = min(max(KEPT_BYTES // (self._size // 4 + 1), 16), 1024)
        self._rsi = Kept(self._compute_rsi, most=1)
        self._raw = Kept(self._compute_raw, most=1)
        self._atr = Kept(self._compute_atr, most=2)
        self._stoch_rsi = Kept(self._compute_stoch_rsi, most=settings)
        self._ema = Kept(self._compute_ema, most=settings)
        self._stochastic = Kept(self._compute_stochastic, most=settings)

    def decisions(self, parameters: Parameters, *, atr: bool = True) -> Decisions:
        """Return conditions and ATR at every event; do not change the arrays.

        The ATR may be left out (it is empty then) where no rule asks for it.
        """
        entry, exit_ = self._conditions(parameters)
        period = parameters.rules.atr_period
        return Decisions(entry, exit_, self._atr(period) if atr else np.empty(0))

    def _conditions(self, p: Parameters) -> tuple[Bools, Bools]:
        groups = []
        if p.stoch_rsi.enabled:
            length = p.rules.adaptive_length if p.rules.adaptive_bands else None
            period = p.rules.atr_period if p.rules.adaptive_bands else None
            groups.append(self._stoch_rsi(p.stoch_rsi, length, period, p.rules.lookback))
        if p.ema.enabled:
            groups.append(self._ema(p.ema.ema_period, p.ema.smoothing, p.rules.lookback))
        if p.stochastic.enabled:
            groups.append(self._stochastic(p.stochastic, p.rules.lookback))
        entry = self._everywhere_true([group.entry for group in groups])
        if p.rules.exit_on_signal:
            return entry, self._everywhere_true([group.exit for group in groups])
        return entry, np.zeros(self._size, np.bool_)

    def _everywhere_true(self, conditions: list[Bits]) -> Bools:
        both = np.bitwise_and.reduce(conditions)
        return np.unpackbits(both, count=self._size).view(np.bool_)

    def _compute_rsi(self, length: int) -> dict[str, Floats]:
        return {symbol: batch.rsi(close, length) for symbol, (_, _, close) in self._prices.items()}

    def _compute_raw(self, rsi_length: int, stoch_length: int) -> dict[str, Floats]:
        strength = self._rsi(rsi_length)
        return {s: batch.stoch_rsi_raw(values, stoch_length) for s, values in strength.items()}

    def _compute_atr(self, period: int) -> Floats:
        values = np.empty(self._size)
        for symbol, at in self._tape.events.items():
            values[at] = batch.atr(*self._prices[symbol], period)
        return values

    def _compute_stoch_rsi(
        self, group: StochRsi, adaptive_length: int | None, atr_period: int | None, lookback: int
    ) -> _Group:
        raw = self._raw(group.rsi_length, group.stoch_length)

        def conditions(symbol: str) -> tuple[Bools, Bools]:
            high, low, close = self._prices[symbol]
            k, d = batch.smoothed(raw[symbol], group.k, group.d)
            bands: tuple[Any, Any] = group.lower_band, group.upper_band
            if adaptive_length is not None and atr_period is not None:
                ranges = batch.atr(high, low, close, atr_period)
                bands = batch.adaptive_bands(ranges, close, *bands, adaptive_length)
            return batch.stoch_rsi_signals(k, d, *bands, lookback)

        return self._everywhere(conditions)

    def _compute_ema(self, period: int, smoothing: float, lookback: int) -> _Group:
        def conditions(symbol: str) -> tuple[Bools, Bools]:
            close = self._prices[symbol][2]
            return batch.ema_signals(close, batch.ema(close, period, smoothing), lookback)

        return self._everywhere(conditions)

    def _compute_stochastic(self, group: Stochastic, lookback: int) -> _Group:
        def conditions(symbol: str) -> tuple[Bools, Bools]:
            raw = batch.stochastic_raw(*self._prices[symbol], group.k_length)
            k = batch.mean(raw, group.smooth_k)
            return batch.stochastic_signals(k, group.lower_band, group.upper_band, lookback)

        return self._everywhere(conditions)

    def _everywhere(self, conditions: Callable[[str], tuple[Bools, Bools]]) -> _Group:
        entry, exit_ = np.empty(self._size, np.bool_), np.empty(self._size, np.bool_)
        for symbol, at in self._tape.events.items():
            entry[at], exit_[at] = conditions(symbol)
        return _Group(np.packbits(entry), np.packbits(exit_))
