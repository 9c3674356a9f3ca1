"""What all results of validation share: a sentence, a frame and a picture."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from toolkit.research.plotting import Plotter, draw

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pictured:
    """A result; `plotter` draws it, and the functions of `tk` bring one along.

    `id` is that of the store of runs, None where the result is not kept.
    """

    plotter: Plotter | None = field(default=None)
    id: str | None = field(default=None)

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The result in one plain sentence."""

    @property
    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """The figures as a tidy table."""

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw the result; raises ConfigError where it came without a plotter."""
        return draw(self.plotter, self, kind, **options)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>{self.frame.to_html(max_rows=40)}"


def counted(number: int, noun: str, many: str | None = None) -> str:
    """Return `1 trade`, `2,000 trades`."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def percent(fraction: float) -> str:
    """Return a fraction as `95 %`, `97.5 %`, `<0.1 %`; never 0 or 100 for what is not."""
    value = 100.0 * fraction
    if 0.0 < value < 0.05:
        return "<0.1 %"
    if 99.95 < value < 100.0:
        return ">99.9 %"
    near = value < 10.0 or value > 90.0
    shown = f"{value:.1f}" if near else f"{value:.0f}"
    return f"{shown.removesuffix('.0')} %"
