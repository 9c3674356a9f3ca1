"""The day's loss and the drawdown of one bot, remembered over restarts."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

from toolkit.bot.halt import write_durably
from toolkit.core.limits import LossGuard, RiskLimits
from toolkit.market.sessions import NEW_YORK

log = logging.getLogger(__name__)


class Losses:
    """A LossGuard with a file; None keeps it for this run only. A day is one of New York.

    `capital` (dollars) is what the bot began with: a bot that goes on with more or less has
    neither won nor lost the difference.
    """

    def __init__(self, limits: RiskLimits, *, path: Path | None, capital: float = 0.0) -> None:
        self._guard = LossGuard(limits)
        self._path, self._capital = path, capital
        self._wanted = limits.watches_equity
        self._written = ""
        if self._wanted and path is not None:
            self._load(path)

    @property
    def reason(self) -> str:
        """Why no entries are made; empty when they may be."""
        return self._guard.reason

    @property
    def daily_loss(self) -> float:
        """Dollars lost since the day began, negative for a gain."""
        return self._guard.daily_loss

    @property
    def drawdown_percent(self) -> float:
        """The fall from the peak, in percent of the peak."""
        return self._guard.drawdown_percent

    @property
    def wanted(self) -> bool:
        """Whether the equity is watched at all."""
        return self._wanted

    def mark(self, equity: float, moment: datetime) -> str:
        """Take the equity in dollars; returns why no entries are made."""
        return self._guard.mark(equity, moment.astimezone(NEW_YORK).date())

    def excuse(self) -> None:
        """Go on by a person's decision."""
        self._guard.excuse()
        self.save()

    def save(self) -> None:
        """Write down what changed; raises OSError."""
        if self._path is None or not self._wanted:
            return
        text = json.dumps({**self._guard.to_dict(), "capital": self._capital})
        if text != self._written:
            write_durably(self._path, text)
            self._written = text

    def _load(self, path: Path) -> None:
        try:
            values = json.loads(path.read_text())
            more = self._capital - values["capital"]
            moved = {name: values[name] + more for name in ("opening", "peak", "equity")}
            self._guard.restore({**values, **moved})
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s): losses count from now on", path, error)
