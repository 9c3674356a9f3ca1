"""Which sets a sweep runs: all of a grid, random ones, or those that Optuna asks for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from toolkit.core.layout import Floats, Ints
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.research.sweeps.grid import (
    MAX_SETS,
    Axes,
    all_codes,
    axes_of,
    combinations,
    grid_of,
    sound,
)
from toolkit.research.sweeps.sets import Sets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

Method = Literal["grid", "random", "optuna"]
METHODS = ("grid", "random", "optuna")
TRIALS = 200
BATCH = 16  # asked of Optuna at a time, whatever the number of threads
FEW = 8  # times the trials: so small a space is looked through for sets that can be run
TRIES = 20  # draws for each set that is wanted, before a space counts as used up
PATIENCE = 4  # repeats of Optuna's after which a random set is drawn instead
WORST = -1e9


class Search(Protocol):
    """Hands out sets and learns how good they were; `total` is how many there will be at most."""

    total: int

    def first(self) -> Sets:
        """Return the sets to begin with."""
        ...

    def more(self, sets: Sets, goodness: Floats) -> Sets | None:
        """Return all sets with new ones after them, None at the end.

        `goodness` has a value for each set so far, higher is better, NaN for none.
        """
        ...


def search_of(
    grid: Mapping[str, Sequence[Any]],
    base: Parameters,
    *,
    method: Method = "grid",
    trials: int | None = None,
    seed: int = 0,
) -> Search:
    """Return how to go through a grid; raises ConfigError.

    `trials` is how many distinct sets random and optuna take, by default 200; a space with no more
    than that is run as a grid.
    """
    if method not in METHODS:
        raise _error("method", method, ", ".join(METHODS))
    if method == "grid":
        if trials is not None:
            raise _error("trials", trials, "None with method='grid', which runs every set")
        return _Listed(grid_of(grid, base))
    wanted = _checked(trials if trials is not None else TRIALS, "trials", 1, MAX_SETS)
    _checked(seed, "seed", 0, 2**32 - 1)
    axes = axes_of(grid)
    if combinations(axes) <= FEW * wanted:
        every = sound(Sets(base=base, axes=axes, codes=all_codes(axes)))
        if every.size <= wanted:
            return _Listed(every)
    if method == "random":
        return _Listed(_drawn(base, axes, wanted, seed))
    return _Optuna(base, axes, wanted, seed)


class _Listed:
    """Sets that are all known before the first one runs."""

    def __init__(self, sets: Sets) -> None:
        self._sets = sets
        self.total = sets.size

    def first(self) -> Sets:
        return self._sets

    def more(self, sets: Sets, goodness: Floats) -> Sets | None:
        return None


def _drawn(base: Parameters, axes: Axes, wanted: int, seed: int) -> Sets:
    """Draw distinct sets, all equally likely."""
    rng = np.random.default_rng(seed)
    lengths = np.array([len(values) for values in axes.values()])
    seen: dict[bytes, Ints] = {}
    for _ in range(TRIES):
        draws = rng.integers(0, lengths, (2 * wanted, len(lengths)))
        drawn = Sets(base=base, axes=axes, codes=draws)
        for row in draws[drawn.valid()]:
            if len(seen) < wanted:
                seen.setdefault(row.tobytes(), row)
        if len(seen) == wanted:
            break
    codes = np.array(list(seen.values()) or [0 * lengths], np.int64)
    return sound(Sets(base=base, axes=axes, codes=codes))


class _Optuna:
    """Optuna's TPE, seeded; asked in batches of 16, so that the number of threads changes nothing.

    A set that it asks for again is answered from memory and is no new trial.
    """

    def __init__(self, base: Parameters, axes: Axes, wanted: int, seed: int) -> None:
        self.total = wanted
        self._base, self._axes = base, axes
        self._study, self._space = _study(axes, seed)
        self._failed = _optuna().trial.TrialState.FAIL
        self._rng = np.random.default_rng(seed)
        self._asked: dict[bytes, int] = {}  # codes of a set: its number
        self._open: dict[int, optuna.Trial] = {}  # sets that run now

    def first(self) -> Sets:
        none = np.empty((0, len(self._axes)), np.int64)
        sets = self._next(Sets(base=self._base, axes=self._axes, codes=none), np.empty(0))
        if sets is None:
            raise _error("grid", "a space without a sound set", "at least one group enabled")
        return sets

    def more(self, sets: Sets, goodness: Floats) -> Sets | None:
        with _quiet():
            for number, trial in self._open.items():
                self._study.tell(trial, _value(goodness[number]))
        self._open = {}
        return self._next(sets, goodness) if sets.size < self.total else None

    def _next(self, sets: Sets, goodness: Floats) -> Sets | None:
        wanted = min(BATCH, self.total - sets.size)
        fresh: list[Ints] = []
        misses = 0
        with _quiet():
            while len(fresh) < wanted and misses < TRIES * wanted:
                trial = self._study.ask(self._space)
                codes = np.array([trial.params[name] for name in self._axes], np.int64)
                if self._is_new(codes):
                    number = sets.size + len(fresh)
                    self._asked[codes.tobytes()] = number
                    self._open[number] = trial
                    fresh.append(codes)
                    continue
                misses += 1
                self._answer(trial, self._asked.get(codes.tobytes()), goodness)
                if misses % PATIENCE == 0:
                    self._enqueue_random()
        return sets.with_more(np.stack(fresh)) if fresh else None

    def _is_new(self, codes: Ints) -> bool:
        one = Sets(base=self._base, axes=self._axes, codes=codes[None, :])
        return codes.tobytes() not in self._asked and bool(one.valid()[0])

    def _answer(self, trial: optuna.Trial, known: int | None, goodness: Floats) -> None:
        """Tell what is known of a set that is asked for again, or that it cannot be run."""
        if known is not None and known < len(goodness):
            self._study.tell(trial, _value(goodness[known]))
        else:
            self._study.tell(trial, state=self._failed)

    def _enqueue_random(self) -> None:
        draw = {name: int(self._rng.integers(len(v))) for name, v in self._axes.items()}
        self._study.enqueue_trial(draw)


def _study(axes: Axes, seed: int) -> tuple[optuna.Study, dict[str, Any]]:
    optuna = _optuna()
    with _quiet():
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
    space = {
        name: optuna.distributions.IntDistribution(0, len(values) - 1)
        for name, values in axes.items()
    }
    return study, space


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "method='optuna' needs Optuna; install it: pip install 'stochrsi-toolkit[backtest]',"
            " or use method='random'",
            field="method",
            allowed="grid, random",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's remarks on experimental options to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _value(goodness: float) -> float:
    return WORST if math.isnan(goodness) else max(WORST, min(-WORST, float(goodness)))


def _checked(value: int, field: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _error(field, value, f"whole numbers from {low} to {high}")
    return value


def _error(field: str, value: Any, allowed: str) -> ConfigError:
    message = f"{field} is {value!r}; allowed: {allowed}"
    return ConfigError(message, field=field, value=repr(value), allowed=allowed)
