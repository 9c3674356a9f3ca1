"""The strategy of one symbol: indicators in, one verdict per final bar out."""

from __future__ import annotations

import math
from collections import deque

from toolkit.core import indicators as ind
from toolkit.core.parameters import Parameters
from toolkit.core.types import Bar, Evaluation, Indicators


class _Held:
    """Whether a condition held at any of the last `lookback` bars."""

    def __init__(self, lookback: int) -> None:
        self._recent: deque[bool] = deque(maxlen=lookback)

    def update(self, condition: bool) -> bool:
        self._recent.append(condition)
        return any(self._recent)


class Strategy:
    """StochRSI, EMA and Stochastic conditions over the bars of one symbol.

    It knows neither positions nor money, nor whether it is live.
    """

    def __init__(self, parameters: Parameters) -> None:
        p = parameters
        self._parameters = p
        self._rsi = ind.Rsi(p.stoch_rsi.rsi_length)
        self._stoch_rsi = ind.StochRsi(p.stoch_rsi.stoch_length, p.stoch_rsi.k, p.stoch_rsi.d)
        self._ema = ind.Ema(p.ema.ema_period, smoothing=p.ema.smoothing)
        s = p.stochastic
        self._stochastic = ind.Stochastic(s.k_length, s.smooth_k, s.smooth_d)
        self._atr = ind.Atr(p.rules.atr_period)
        length = p.rules.adaptive_length if p.rules.adaptive_bands else None
        self._bands = ind.Bands(p.stoch_rsi.lower_band, p.stoch_rsi.upper_band, length=length)
        self._previous_k = math.nan
        self._entries = {group: _Held(p.rules.lookback) for group in self._enabled()}
        self._exits = {group: _Held(p.rules.lookback) for group in self._enabled()}

    def _enabled(self) -> list[str]:
        p = self._parameters
        return [g for g in ("stoch_rsi", "ema", "stochastic") if getattr(p, g).enabled]

    def on_bar(self, bar: Bar) -> Evaluation:
        """Take the next final bar and say what it means."""
        values = self._indicators(bar)
        entry, exit_ = self._conditions(bar.close, values)
        self._previous_k = values.stoch_k
        entries = [held.update(entry[group]) for group, held in self._entries.items()]
        exits = [held.update(exit_[group]) for group, held in self._exits.items()]
        wants_exit = self._parameters.rules.exit_on_signal and all(exits)
        return Evaluation(bar=bar, indicators=values, entry=all(entries), exit=wants_exit)

    def _indicators(self, bar: Bar) -> Indicators:
        rsi = self._rsi.update(bar.close)
        k, d = self._stoch_rsi.update(rsi)
        stoch_k, stoch_d = self._stochastic.update(bar.high, bar.low, bar.close)
        atr = self._atr.update(bar.high, bar.low, bar.close)
        lower, upper = self._bands.update(atr, bar.close)
        return Indicators(
            rsi=rsi,
            stoch_rsi_k=k,
            stoch_rsi_d=d,
            stoch_k=stoch_k,
            stoch_d=stoch_d,
            ema=self._ema.update(bar.close),
            atr=atr,
            lower_band=lower,
            upper_band=upper,
        )

    def _conditions(self, close: float, v: Indicators) -> tuple[dict[str, bool], dict[str, bool]]:
        s = self._parameters.stochastic
        entry = {
            "stoch_rsi": v.stoch_rsi_k > v.stoch_rsi_d and v.stoch_rsi_k < v.lower_band,
            "ema": close > v.ema,
            "stochastic": self._previous_k < s.lower_band <= v.stoch_k,
        }
        exit_ = {
            "stoch_rsi": v.stoch_rsi_k < v.stoch_rsi_d and v.stoch_rsi_k > v.upper_band,
            "ema": close < v.ema,
            "stochastic": self._previous_k > s.upper_band >= v.stoch_k,
        }
        return entry, exit_
