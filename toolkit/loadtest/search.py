"""Which rates to try to find the highest one that is held; knows nothing of servers."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

# Two neighbours that are so close are the same rate.
CLOSE = 1.1
STEP_DOWN = 0.9
LEAST = 0.5


@dataclass(frozen=True, slots=True)
class Attempt:
    """Try `rate` (published a second) for `seconds`."""

    rate: float
    seconds: float


Search = Generator[Attempt, bool, float | None]


def search(start: float, *, probe: float, confirm: float, most: float = 10_000_000.0) -> Search:
    """Yield attempts, be sent whether each was held; return the highest rate held for `confirm`.

    Doubles in short probes of `probe` seconds, bisects, and confirms; a rate that is not
    confirmed is lowered by a tenth. A rate has failed when it failed twice, for a busy machine
    disturbs both servers. None when no rate is held.
    """
    low, high = yield from _bracket(start, probe=probe, most=most)
    while low and high / low > CLOSE:
        middle = (low * high) ** 0.5
        if (yield from _tried(middle, probe)):
            low = middle
        else:
            high = middle
    while low > LEAST:
        if (yield from _tried(low, confirm)):
            return low
        low *= STEP_DOWN
    return None


def _bracket(
    start: float, *, probe: float, most: float
) -> Generator[Attempt, bool, tuple[float, float]]:
    rate = start
    if (yield from _tried(rate, probe)):
        while rate < most:
            higher = min(rate * 2, most)
            if not (yield from _tried(higher, probe)):
                return rate, higher
            rate = higher
        return most, most
    while rate > LEAST:
        rate /= 2
        if (yield from _tried(rate, probe)):
            return rate, rate * 2
    return 0.0, start


def _tried(rate: float, seconds: float) -> Generator[Attempt, bool, bool]:
    return (yield Attempt(rate, seconds)) or (yield Attempt(rate, seconds))
