"""Every draft of a tuner is a trial: it is run on the bot's recent bars and goes to the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from toolkit.core.parameters import Parameters
from toolkit.errors import DataError, ToolkitError
from toolkit.runtime import Worker

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.research.backtest import BacktestRun
    from toolkit.research.store.run_store import RunStore

log = logging.getLogger(__name__)
BARS = 500
FRESH = 60.0  # seconds for which bars serve again
COLUMNS = ("timestamp", "symbol", "open", "high", "low", "close", "volume", "feed", "adjustment")


class Historian(Protocol):
    """What is needed of a client."""

    @property
    def symbols(self) -> Sequence[str]:
        """What the bot trades."""
        ...

    def history(self, symbol: str, limit: int = 500) -> dict[str, Any]:
        """Return the last bars of a symbol."""
        ...


class SliderTrials:
    """Runs and counts drafts in a thread of its own; `store()` opens the ledger when first needed.

    What fails is logged once and disturbs nobody.
    """

    def __init__(
        self,
        client: Historian,
        *,
        store: Callable[[], RunStore],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._bars: pd.DataFrame | None = None
        self._bars_at = -FRESH
        self._complained = False
        self._worker = Worker("slider trials", failed=self._failed)

    def tried(self, parameters: Parameters, show: Callable[[str], None]) -> None:
        """Take a draft; `show` is called with what came of it. Returns at once."""
        self._worker.submit(lambda: show(self.run(parameters)))

    def run(self, parameters: Parameters) -> str:
        """Run a draft on the recent bars and count it; returns the outcome in a sentence."""
        from toolkit.research.backtest import backtest
        from toolkit.research.store.data import Data
        from toolkit.session.study import trial_of

        run = backtest(self._recent(), parameters)
        key = Data.of(run.tape).key
        digests, sharpes = trial_of(run)
        ledger = self._store().trials
        ledger.add(key, digests, sharpes, source="slider")
        return _sentence(run, ledger.known(key).count)

    def stop(self) -> None:
        """Let what waits be counted, and end the thread."""
        self._worker.stop()

    def _recent(self) -> pd.DataFrame:
        import pandas as pd

        now = self._clock()
        if self._bars is not None and now - self._bars_at < FRESH:
            return self._bars
        rows = [
            {name: bar[name] for name in COLUMNS if name in bar}
            for symbol in self._client.symbols
            for bar in self._client.history(symbol, BARS)["bars"]
            if bar["final"]
        ]
        if not rows:
            raise DataError("the bot has no bars yet; wait for some", field="bars")
        frame = pd.DataFrame(rows)
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601")
        self._bars, self._bars_at = frame, now
        return frame

    def _failed(self, error: Exception) -> None:
        if self._complained:
            return
        self._complained = True
        said = error.message if isinstance(error, ToolkitError) else repr(error)
        log.warning("a draft of the tuner was not counted as a trial: %s", said)


def _sentence(run: BacktestRun, trials: int) -> str:
    figures, bars = run.score.metrics, len(run.tape.steps())
    outcome = f"{figures['trades']:.0f} trades, {figures['total_return_percent']:+.2f} %"
    counted = "1 trial" if trials == 1 else f"{trials:,} trials"
    return f"On the last {bars:,} bars: {outcome}. {counted} on these bars so far."
