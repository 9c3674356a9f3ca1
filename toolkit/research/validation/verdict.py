"""The verdict on a tuned set of parameters, in one plain sentence with its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from toolkit.core.parameters import Parameters
from toolkit.research.validation.pictured import counted, percent

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
MAX_LUCK = 0.025  # half of the 5 % of noise that may be taken for skill
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

    `trials` are all that were ever made on the data, `sets` those of this sweep. `sharpe_by_luck`
    is the best that so many trials without skill are expected to show; `deflated_sharpe` the
    probability that the true ratio is above it; `snooping` how often luck alone makes a best set
    that good; `pbo` the probability that the best set of one half of time is below the median in
    the other; `loss_probability` that it loses there; `minimum_bars` how many of the `bars` a
    ratio like this needs to stand out from luck.
    """

    trials: int
    sets: int
    sharpe: float
    sharpe_by_luck: float
    deflated_sharpe: float
    snooping: float
    pbo: float
    loss_probability: float
    bars: int
    minimum_bars: float
    out_of_sample: OutOfSample

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        if math.isnan(self.sharpe):
            return f"No evidence: after {counted(self.trials, 'trial')} the set has no returns."
        return self.summary[0].upper() + self.summary[1:] + "."

    @property
    def summary(self) -> str:
        """The figures in words, to stand within a sentence."""
        luck = f"luck alone would give about {self.sharpe_by_luck:.2f}"
        return (
            f"its Sharpe ratio is {self.sharpe:.2f}; {luck} in {counted(self.trials, 'trial')};"
            f" {self._splits}; skill is {percent(self.deflated_sharpe)} probable"
        )

    @property
    def _splits(self) -> str:
        if math.isnan(self.pbo):
            return "too little data to try the best set of one half of time in the other"
        return (
            "the best set of one half of time was among the worse half of all sets"
            f" in the other in {percent(self.pbo)} of the splits"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the data supports `parameters`, and why; `reasons` are plain sentences."""

    parameters: Parameters
    supported: bool
    reasons: tuple[str, ...]
    overfitting: Overfitting
    trades: int

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.supported:
            return f"The data supports this set: {self.overfitting.summary}."
        return "No evidence for this set: " + "; ".join(self.reasons) + "."

    @property
    def frame(self) -> pd.DataFrame:
        """Columns figure, value, needed and passed; what nothing is needed of has None there."""
        import pandas as pd

        o = self.overfitting
        rows: list[tuple[str, float, str | None, bool | None]] = [*_demands(self)]
        rows += [
            (name, getattr(o, name), None, None)
            for name in ("trials", "sets", "sharpe", "sharpe_by_luck", "pbo", "bars")
        ]
        rows.append(("in_sample_sharpe", o.out_of_sample.in_sample_sharpe, None, None))
        frame = pd.DataFrame(rows, columns=["figure", "value", "needed", "passed"])
        return frame.astype({"value": "float64", "passed": "object"})

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>{self.frame.to_html(index=False, na_rep='')}"


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
        against.append(f"only {counted(trades, 'trade')}, and fewer than {MIN_TRADES} say little")
    if not o.deflated_sharpe >= CONFIDENCE:
        against.append(_doubt(o))
    if not o.snooping <= MAX_LUCK:
        against.append(_luck(o.snooping))
    if not o.out_of_sample.sharpe > 0.0:
        against.append(_last_third(o.out_of_sample.sharpe))
    if not o.loss_probability <= MAX_LOSS_PROBABILITY:
        against.append(_other_half(o.loss_probability))
    return Verdict(
        parameters=parameters,
        supported=not against,
        reasons=tuple(against) or (o.sentence,),
        overfitting=o,
        trades=trades,
    )


def _demands(verdict: Verdict) -> list[tuple[str, float, str, bool]]:
    """What `judge` asks for, as rows of a table."""
    o = verdict.overfitting
    last, lost, most = o.out_of_sample.sharpe, o.loss_probability, MAX_LOSS_PROBABILITY
    return [
        ("trades", verdict.trades, f"at least {MIN_TRADES}", verdict.trades >= MIN_TRADES),
        (
            "deflated_sharpe",
            o.deflated_sharpe,
            f"at least {CONFIDENCE:g}",
            o.deflated_sharpe >= CONFIDENCE,
        ),
        ("minimum_bars", o.minimum_bars, f"at most {o.bars}", o.minimum_bars <= o.bars),
        ("snooping", o.snooping, f"at most {MAX_LUCK:g}", o.snooping <= MAX_LUCK),
        ("out_of_sample_sharpe", last, "above 0", last > 0.0),
        ("loss_probability", lost, f"at most {most:g}", lost <= most),
    ]


def _doubt(o: Overfitting) -> str:
    if math.isnan(o.deflated_sharpe):
        return "too little data to tell skill from luck"
    return (
        f"after {counted(o.trials, 'trial')} skill is {percent(o.deflated_sharpe)} probable,"
        f" and {percent(CONFIDENCE)} is the least"
    )


def _luck(chance: float) -> str:
    if math.isnan(chance):
        return "too little data to tell how often luck alone does as well"
    return (
        f"luck alone makes a best set this good in {percent(chance)} of the cases,"
        f" and {percent(MAX_LUCK)} is the most"
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
        f" in {percent(loss_probability)} of the splits"
    )
