"""What all checks have in common: a verdict, a sentence, a table, a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.research.plotting import Plotter, draw

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20


class CheckResult(ABC):
    """The result of one check; `plotter` draws it, the functions of `tk` bring one along."""

    plotter: Plotter | None

    @property
    @abstractmethod
    def ok(self) -> bool:
        """Whether nothing was found."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The result in one sentence or two."""

    @property
    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """The result as a tidy table."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values; what is not a number is null."""
        records = [
            {name: plain(value) for name, value in row.items()}
            for row in self.frame.to_dict("records")
        ]
        return {"ok": self.ok, "sentence": self.sentence, "rows": records}

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw the result; raises ConfigError where there is no plotter."""
        return draw(self.plotter, self, kind, **options)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.sentence}>"

    def _repr_html_(self) -> str:
        table = self.frame.head(SHOWN).to_html()
        left = len(self.frame) - SHOWN
        more = f"<p>and {left:,} rows more</p>" if left > 0 else ""
        return f"<p>{escape(self.sentence)}</p>{table}{more}"


def plain(value: Any) -> Any:
    """Return a value of a table as JSON can hold it."""
    import pandas as pd

    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, pd.Timestamp):
        return value.isoformat().replace("+00:00", "Z") if value is not pd.NaT else None
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
