"""A crew of Dask workers: the same sweep on many machines. The only place that imports Dask.

Data goes out once. Tasks take about two seconds each: the first ones are single items, and what
those took says how many go together. What a dead worker had begun is run again by another.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from toolkit._version import __version__
from toolkit.errors import ConfigError, ToolkitError
from toolkit.research.store.code import code_digest

Client = Any  # a distributed.Client; Dask has no types
Item = TypeVar("Item")
Done = TypeVar("Done")
log = logging.getLogger(__name__)

TASK_SECONDS = 2.0
LEAST, MOST = 1, 10_000  # items of a task
AHEAD = 2  # tasks that wait for each thread of the cluster
POLL = 0.5  # seconds
PATIENCE = 60.0  # seconds without any worker
LOSSES = 5  # times that all copies of the data may be lost


class WorkersLost(ToolkitError):
    """The cluster is gone, or kills every worker that takes a task."""

    code = "workers_lost"


def connect(address: str, *, timeout: float = 10.0) -> Client:
    """Return a client of the scheduler at `tcp://host:port`; raises ConfigError."""
    distributed = _distributed()
    try:
        return distributed.Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address}: {error}; start one with `dask scheduler`, and"
            " workers with `dask worker`, or leave client (--dask) out",
            field="client",
            value=address,
            allowed="tcp://host:port",
        ) from error


class DaskCrew:
    """Maps over the workers of a client; raises ConfigError where they are not like this process.

    Results come in the order in which they are done. An iterator that is left early takes its
    tasks back.
    """

    def __init__(
        self, client: Client, *, seconds: float = TASK_SECONDS, patience: float = PATIENCE
    ) -> None:
        _distributed()
        self._client = client
        self._seconds, self._patience = seconds, patience
        self._shared: _Shared | None = None
        check_versions(client, patience=patience)

    def map(self, function: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
        """Yield `function(item)` of each item; both must be picklable.

        Raises what the function raised, and WorkersLost.
        """
        if self._shared is None or self._shared.function is not function:
            self._shared = _Shared(self._client, function, self._patience)
        work: _Work[Item, Done] = _Work(
            self._client, self._shared, deque(items), self._seconds, self._patience
        )
        try:
            while work.left:
                work.fill()
                yield from work.collect()
        finally:
            work.stop()


class _Shared:
    """A function with its data on all workers, and how long an item of it takes."""

    def __init__(self, client: Client, function: Callable[[Any], Any], patience: float) -> None:
        self.function = function
        self.each = math.inf  # seconds for an item, the best that was seen
        self._client, self._patience = client, patience
        self.send()

    def send(self) -> None:
        """Send it to all workers; they may come and go meanwhile. Raises WorkersLost."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._client.wait_for_workers(1, timeout=max(POLL, deadline - time.monotonic()))
                self.data = self._client.scatter(self.function, broadcast=True, hash=False)
            except (OSError, ValueError, KeyError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise _nobody(self._patience) from error
                time.sleep(POLL)
            else:
                return


class _Work(Generic[Item, Done]):
    """One map: what waits and what is out."""

    def __init__(
        self,
        client: Client,
        shared: _Shared,
        items: deque[Item],
        seconds: float,
        patience: float,
    ) -> None:
        self._client, self._shared, self._items = client, shared, items
        self._seconds, self._patience = seconds, patience
        self._out: dict[Any, list[Item]] = {}  # futures
        self._losses = 0
        self._workers: set[str] = set()
        self._alone = 0.0  # since when there is no worker; 0 while there is one

    @property
    def left(self) -> bool:
        """Whether anything is not done yet."""
        return bool(self._items or self._out)

    def fill(self) -> None:
        """Hand out tasks until every thread has one and some wait."""
        wanted = AHEAD * max(1, sum(self._client.nthreads().values()))
        while self._items and len(self._out) < wanted:
            size = self._size(wanted)
            part = [self._items.popleft() for _ in range(min(size, len(self._items)))]
            self._submit(part)

    def collect(self) -> Iterator[Done]:
        """Wait a moment for tasks and yield their results."""
        from distributed import TimeoutError as NothingYet
        from distributed import wait
        from distributed.client import FuturesCancelledError

        waiting: Any = wait
        with self._client.as_current(), suppress(NothingYet, FuturesCancelledError):
            waiting(list(self._out), timeout=POLL, return_when="FIRST_COMPLETED")
        self._look_at_workers()
        for future in [future for future in self._out if future.status != "pending"]:
            yield from self._results(future)

    def stop(self) -> None:
        """Take back what is out."""
        with suppress(Exception):  # a cluster that is gone needs no cancelling
            self._client.cancel(list(self._out), force=True)
        self._out = {}

    def _size(self, wanted: int) -> int:
        if math.isinf(self._shared.each):
            return LEAST
        fair = math.ceil(len(self._items) / wanted)  # so that all end together
        return max(LEAST, min(MOST, fair, math.ceil(self._seconds / max(self._shared.each, 1e-9))))

    def _submit(self, part: list[Item]) -> None:
        future = self._client.submit(_run, self._shared.data, part, pure=False)
        self._out[future] = part

    def _results(self, future: Any) -> Iterator[Done]:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        part = self._out.pop(future, None)
        if part is None:  # sent again meanwhile
            return
        try:
            took, results = future.result()
        except FutureCancelledError:
            self._lost(part)
            return
        except KilledWorker as error:
            raise WorkersLost(
                f"a task killed {error.allowed_failures + 1} workers one after another; give the"
                " workers more memory, or take fewer sets"
            ) from error
        self._shared.each = min(self._shared.each, took / len(part))
        yield from results

    def _lost(self, part: list[Item]) -> None:
        """Send data and tasks again: every worker that had the data is gone."""
        self._losses += 1
        if self._losses > LOSSES:
            raise WorkersLost(f"all workers were lost {LOSSES} times; look at their logs")
        log.warning("all workers with the data were lost; it is sent again")
        parts = [part, *self._out.values()]
        self._client.cancel(list(self._out), force=True)
        self._out = {}
        self._shared.send()
        for again in parts:
            self._submit(again)

    def _look_at_workers(self) -> None:
        """Say when a worker dies; give up when none has been there for long."""
        now = time.monotonic()
        workers = set(self._client.nthreads())
        if gone := self._workers - workers:
            log.warning("lost %s; what it had begun is run again", ", ".join(sorted(gone)))
        self._workers = workers
        self._alone = 0.0 if workers else self._alone or now
        if self._alone and now - self._alone > self._patience:
            raise _nobody(self._patience)


def _nobody(seconds: float) -> WorkersLost:
    return WorkersLost(
        f"no worker has been there for {seconds:g} s; start workers with `dask worker`, and run the"
        " sweep again"
    )


def check_versions(client: Client, *, patience: float) -> None:
    """Refuse workers whose code is not ours, for their results would not be equal to the bit.

    Raises ConfigError.
    """
    from distributed import TimeoutError as NobodyThere

    try:
        client.wait_for_workers(1, timeout=patience)
        found: dict[str, dict[str, str]] = client.run(versions)
    except NobodyThere as error:
        raise ConfigError(
            f"no worker is there after {patience:g} s; start some with `dask worker`",
            field="client",
        ) from error
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a worker cannot import {error.name}; install the same toolkit there", field="client"
        ) from error
    ours = versions()
    for address, theirs in found.items():
        different = [
            f"{name} {theirs.get(name)}, here {ours[name]}"
            for name in ours
            if theirs.get(name) != ours[name]
        ]
        if different:
            raise ConfigError(
                f"the worker at {address} has {'; '.join(different)}; install the same there, so"
                " that results are equal to the bit",
                field="client",
                value=theirs,
                allowed=ours,
            )


def versions() -> dict[str, str]:
    """Return what decides about figures in this process."""
    import platform

    import numba
    import numpy as np

    return {
        "toolkit": f"{__version__}+{code_digest()}",
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numba": str(numba.__version__),
        "numpy": np.__version__,
    }


def _run(function: Callable[[Any], Any], items: Sequence[Any]) -> tuple[float, list[Any]]:
    began = time.perf_counter()
    results = [function(item) for item in items]
    return time.perf_counter() - began, results


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "a Dask cluster needs the extra dask: pip install 'stochrsi-toolkit[dask]'",
            field="client",
        ) from error
    return distributed
