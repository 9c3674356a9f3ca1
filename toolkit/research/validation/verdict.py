"""The verdict on a tuned set of parameters, in one plain sentence with its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass

from toolkit.core.parameters import Parameters

CONFIDENCE = 0.95
MIN_TRADES = 30
MAX_LOSS_PROBABILITY = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfSample:
    """The set that was best in the first two thirds of time, and what it did in the last third.

    Sharpe ratios are annualised; NaN and None where there are too few bars.
    """

    parameters: Parameters | None
    in_sample_sharpe: float
    sharpe: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """What a Sharpe ratio is worth after `trials`; Sharpe ratios annualised, the rest fractions.

    `sharpe_by_luck` is the best that so many trials without skill are expected to show;
    `deflated_sharpe` the probability that the true ratio is above it; `pbo` the probability that
    the best set of one half of time is below the median in the other; `loss_probability` that it
    loses there.
    """

    trials: int
    sharpe: float
    sharpe_by_luck: float
    deflated_sharpe: float
    pbo: float
    loss_probability: float
    out_of_sample: OutOfSample

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        tried = _count(self.trials, "trial")
        if math.isnan(self.sharpe):
            return f"No evidence: after {tried} the chosen set has no returns."
        what = f"its Sharpe ratio is {self.sharpe:.2f}"
        luck = f"luck alone would give about {self.sharpe_by_luck:.2f} in {tried}"
        sure = f"skill is {_percent(self.deflated_sharpe)} probable"
        return f"{what[0].upper()}{what[1:]}; {luck}; {self._splits}; {sure}."

    @property
    def _splits(self) -> str:
        if math.isnan(self.pbo):
            return "too little data to try the best set of one half of time in the other"
        return (
            "the best set of one half of time was among the worse half of all sets"
            f" in the other in {_percent(self.pbo)} of the splits"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the data supports `parameters`, and why; `reasons` are plain sentences."""

    parameters: Parameters
    supported: bool
    reasons: tuple[str, ...]
    overfitting: Overfitting

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.supported:
            return "The data supports this set: " + self.overfitting.sentence
        return "No evidence for this set: " + "; ".join(self.reasons) + "."


@dataclass(frozen=True, slots=True, eq=False)
class Chosen(Parameters):
    """Parameters that a sweep chose, with the evidence; a changed copy is without it.

    `swept` names the parameters that were tried; all others were the sweep's base.
    """

    verdict: Verdict | None = None
    swept: tuple[str, ...] = ()

    @classmethod
    def of(cls, verdict: Verdict, *, swept: tuple[str, ...]) -> Chosen:
        """Return the verdict's parameters together with it."""
        p = verdict.parameters
        return cls(p.stoch_rsi, p.ema, p.stochastic, p.rules, p.risk, verdict, swept)


def judge(overfitting: Overfitting, *, parameters: Parameters, trades: int) -> Verdict:
    """Weigh the evidence: any reason against a set means that it is not supported."""
    o, against = overfitting, []
    if trades < MIN_TRADES:
        against.append(f"only {_count(trades, 'trade')}, and fewer than {MIN_TRADES} say little")
    if not o.deflated_sharpe >= CONFIDENCE:
        against.append(_doubt(o))
    if not o.out_of_sample.sharpe > 0.0:
        against.append(_last_third(o.out_of_sample.sharpe))
    if not o.loss_probability <= MAX_LOSS_PROBABILITY:
        against.append(_other_half(o.loss_probability))
    return Verdict(
        parameters=parameters,
        supported=not against,
        reasons=tuple(against) or (o.sentence,),
        overfitting=o,
    )


def _doubt(o: Overfitting) -> str:
    if math.isnan(o.deflated_sharpe):
        return "too little data to tell skill from luck"
    return (
        f"after {_count(o.trials, 'trial')} skill is {_percent(o.deflated_sharpe)} probable,"
        f" and {_percent(CONFIDENCE)} is the least"
    )


def _last_third(sharpe: float) -> str:
    chosen = "the set that was best in the first two thirds"
    if math.isnan(sharpe):
        return f"too little data to tell whether {chosen} earns anything in the last"
    return f"{chosen} {'lost' if sharpe < 0.0 else 'earned nothing'} in the last"


def _other_half(loss_probability: float) -> str:
    if math.isnan(loss_probability):
        return "too little data to tell whether what is best in one half of time loses in the other"
    return (
        "what is best in one half of time loses in the other"
        f" in {_percent(loss_probability)} of the splits"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.0f} %"
