"""One server with its clients, each in processes of their own, measured at one rate at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Self

import orjson
import psutil

from toolkit.errors import ToolkitError
from toolkit.loadtest.channel import Helper, call_all
from toolkit.loadtest.latency import histogram
from toolkit.loadtest.scenario import LIMIT_MS, Scenario
from toolkit.loadtest.target import SPECIFICATION
from toolkit.loadtest.trial import Sample, Trial, sum_up
from toolkit.loadtest.websocket import Door

POLL = 0.5
# When more than this fraction was too late, the p99 of the whole cannot be below the limit.
HOPELESS = 0.01
# What the clients may take, after publishing has ended, to get what is on its way.
PATIENCE = 3.0
OVER_DUE = 60.0

Watch = Callable[[Sample], None]


class Server:
    """A server in a process of its own; `kind` is `ours` or `stock`."""

    def __init__(self, kind: str, *, clients: int, symbols: int, batch: bool = False) -> None:
        specification = {"kind": kind, "clients": clients, "symbols": symbols}
        self.helper = Helper(
            "toolkit.loadtest.target",
            name=f"server ({kind})",
            environment={SPECIFICATION: orjson.dumps(specification).decode()},
        )
        try:
            place = self.helper.call("start")
            self.door = Door(port=place["port"], token=place["token"], batch=batch)
            self.delivery = str(place["delivery"])
            self._process = psutil.Process(self.helper.pid)
        except BaseException:
            self.helper.close()
            raise

    @property
    def rss(self) -> int:
        """Its memory in bytes."""
        return int(self._process.memory_info().rss)

    def settled_rss(self) -> int:
        """Its memory in bytes after it has thrown away its garbage."""
        self.helper.call("settle")
        return self.rss

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.helper.close()


class Bench:
    """A server and its clients; a context manager. `batch`: the clients read `stream_batch`."""

    def __init__(self, kind: str, scenario: Scenario, *, processes: int, batch: bool) -> None:
        self.kind = kind
        self._scenario = scenario
        self._batch = batch
        self._subscriptions = scenario.subscriptions()
        self._open = ExitStack()
        self._server: Server | None = None
        self._ready = False
        count = min(processes, scenario.clients)
        self._parts = [self._subscriptions[first::count] for first in range(count)]
        self._workers: list[Helper] = []

    @property
    def server(self) -> Server:
        """The server that runs now; raises ToolkitError before `prepare`."""
        if self._server is None:
            raise ToolkitError("the server under test does not run yet")
        return self._server

    def prepare(self) -> None:
        """Have a fresh server with all clients connected, unless the present one is fine."""
        if self._ready:
            return
        if self._server is not None:
            self._ask("leave")
            self._server.helper.close()
            self._server = None
        scenario = self._scenario
        self._server = Server(
            self.kind, clients=scenario.clients, symbols=scenario.symbols, batch=self._batch
        )
        self._start_workers()
        door = self._server.door
        place = {"port": door.port, "token": door.token, "batch": door.batch}
        requests = [
            {"subscriptions": part, "symbols": scenario.symbols, "door": place}
            for part in self._parts
        ]
        call_all(self._workers, "join", requests)
        self._server.settled_rss()
        self._ready = True

    def _start_workers(self) -> None:
        while len(self._workers) < len(self._parts):
            worker = Helper("toolkit.loadtest.worker", name="client process", environment={})
            self._workers.append(self._open.enter_context(worker))

    def measure(
        self,
        rate: float,
        seconds: float,
        *,
        to_the_end: bool = False,
        watch: Watch = lambda _: None,
    ) -> Trial:
        """Publish at `rate` for `seconds` and return what came.

        Ends early once the rate cannot be held any more, unless `to_the_end`.
        """
        self.prepare()
        self._ask("begin")
        helper, due = self.server.helper, max(1, round(rate * seconds))
        most = 1.0 if to_the_end else HOPELESS
        helper.send("publish", rate=rate, seconds=seconds, most_overdue=most)
        course = _Course(self.server, watch)
        hopeless = due * self._scenario.fan_out * HOPELESS
        done = None
        while done is None:
            course.check(seconds)
            done = helper.answer(POLL)
            if done is None:
                found = course.note(sum_up(self._ask("progress")))
                if not to_the_end and _is_hopeless(found, hopeless):
                    helper.send("halt")
        on_time = sum_up(self._ask("progress"))["received"]
        patience = POLL if to_the_end else PATIENCE
        results = self._ask("finish", published=done["published"], patience=patience)
        summary = sum_up(results)
        self._ready = summary["quiet"] and not summary["faults"]
        wanted = sum(done["published"][s] for hand in self._subscriptions for s in hand)
        return Trial(
            rate=rate,
            seconds=seconds,
            elapsed=done["seconds"],
            due=due,
            published=sum(done["published"]),
            expected=wanted,
            on_time=on_time,
            late_p99_ms=done["late_p99_ms"],
            cpu_seconds=done["cpu_seconds"],
            samples=tuple(course.samples),
            latency=histogram(summary.pop("latencies").items()),
            **summary,
        )

    def _ask(self, request: str, **arguments: Any) -> list[dict[str, Any]]:
        return call_all(self._workers, request, [arguments] * len(self._workers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._open:
            if self._server is not None:
                self._server.helper.close()


class _Course:
    """How a trial goes, sample by sample."""

    def __init__(self, server: Server, watch: Watch) -> None:
        self.samples: list[Sample] = []
        self._server = server
        self._watch = watch
        self._begun = time.monotonic()
        self._last = 0.0
        self._before: Mapping[str, Any] | None = None

    def check(self, seconds: float) -> None:
        """Raise ToolkitError when publishing should have ended long ago."""
        if time.monotonic() - self._begun > seconds + OVER_DUE:
            raise ToolkitError(f"the {self._server.helper.name} does not stop publishing")

    def note(self, found: dict[str, Any]) -> dict[str, Any]:
        """Take what came until now as a sample, and return it."""
        now = time.monotonic() - self._begun
        before = self._before or {"received": 0, "latencies": Counter()}
        recent = histogram((found["latencies"] - before["latencies"]).items())
        sample = Sample(
            seconds=now,
            deliveries_per_s=(found["received"] - before["received"]) / max(now - self._last, 1e-9),
            p99_ms=recent.percentile(99),
            rss=self._server.rss,
        )
        self.samples.append(sample)
        self._watch(sample)
        self._before, self._last = found, now
        return found


def _is_hopeless(found: Mapping[str, Any], most_late: float) -> bool:
    late = sum(count for ms, count in found["latencies"].items() if ms >= LIMIT_MS)
    wrong = any(found[name] for name in ("duplicated", "disordered", "broken", "unasked"))
    return bool(found["faults"]) or wrong or late > most_late
