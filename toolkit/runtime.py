"""The only place that starts a thread or a process.

`LoopThread` owns an event loop in a background thread; `ChildProcess` owns a detached process
that outlives the kernel that started it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import gc
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from toolkit.errors import ConfigError, ToolkitError

T = TypeVar("T")
Item = TypeVar("Item")
Done = TypeVar("Done")
STOP_TIMEOUT = 5.0
SWITCH_SECONDS = 0.0005
POLL = 0.1
MOST_WORKERS = 256
M_MMAP_THRESHOLD, BIG = -3, 1 << 20  # of glibc's malloc.h; bytes
YOUNG_OBJECTS = 10_000  # so many more than before, and the garbage collector looks at them


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop where there is one, else the standard loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def keep_pauses_short() -> None:
    """Set this process up to answer quickly; for one that is ours, once all is loaded.

    The garbage collector leaves alone what is there now, and a thread that wants to run waits
    half a millisecond at most for another's Python code.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    sys.setswitchinterval(SWITCH_SECONDS)


class LoopThread:
    """An event loop in a daemon thread of its own; `stop` cancels what is left and joins it.

    >>> with LoopThread("example") as loop:
    ...     loop.call(asyncio.sleep(0, "done"))
    'done'
    """

    def __init__(self, name: str) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    @property
    def alive(self) -> bool:
        """Whether calls are still taken."""
        return self._thread.is_alive() and not self._loop.is_closed()

    def call(self, coroutine: Coroutine[Any, Any, T], *, timeout: float | None = 30.0) -> T:
        """Run a coroutine on the loop and wait for its result, `timeout` seconds at most.

        Raises ToolkitError when called from the loop's own thread, stopped or timed out.
        """
        if threading.current_thread() is self._thread or not self.alive:
            coroutine.close()
            here = "from its own thread" if self.alive else "after stop()"
            raise ToolkitError(f"a background loop cannot be called {here}")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise ToolkitError(f"no answer within {timeout:g} s", timeout=timeout) from None

    def stop(self) -> None:
        """Cancel all tasks, end the thread and close the loop. Calling it twice is harmless."""
        if not self.alive:
            return
        with suppress(ToolkitError, concurrent.futures.CancelledError):
            self.call(self._shut_down(), timeout=STOP_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT)
        if not self._thread.is_alive():
            self._loop.close()

    async def _shut_down(self) -> None:
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Worker:
    """A daemon thread that runs what it is given, one after another; it ends when idle and stopped.

    It starts with the first task. What a task raises goes to `failed`.
    """

    def __init__(self, name: str, *, failed: Callable[[Exception], None]) -> None:
        self._name, self._failed = name, failed
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, task: Callable[[], object]) -> None:
        """Run a task when those before it are done; returns at once."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
                self._thread.start()
        self._tasks.put(task)

    def stop(self, *, timeout: float = STOP_TIMEOUT) -> None:
        """Let what waits be done, `timeout` seconds at most, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._tasks.put(None)
            thread.join(timeout)

    def _main(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                self._failed(error)


def _return_big_arrays() -> None:
    """Have glibc return a big array's memory when it is freed; it keeps that of threads apart."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # other C libraries have no such knob
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, BIG)


class ThreadCrew:
    """Maps over items with so many threads, each of which takes the next item when it is free."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, function: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
        """Yield `function(item)` in the order in which they are done; raises what it raised.

        Ctrl-C reaches the caller at once. Left early, it waits for the items that are being done.
        """
        source, lock, stopped = iter(items), threading.Lock(), threading.Event()
        results: queue.SimpleQueue[tuple[Any, BaseException | None] | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                while not stopped.is_set():
                    with lock:
                        item = next(source, results)
                    if item is results:
                        break
                    results.put((function(item), None))  # type: ignore[arg-type]
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                results.put((None, error))
            results.put(None)

        names = [f"crew-{number}" for number in range(self.workers)]
        threads = [threading.Thread(target=work, name=name, daemon=True) for name in names]
        _return_big_arrays()
        for thread in threads:
            thread.start()
        try:
            yield from _until_all_end(results, len(threads))
        finally:
            stopped.set()
            for thread in threads:
                thread.join(STOP_TIMEOUT)


def _until_all_end(results: queue.SimpleQueue[Any], working: int) -> Iterator[Any]:
    while working:
        try:
            found = results.get(timeout=POLL)  # so that signals are seen meanwhile
        except queue.Empty:
            continue
        if found is None:
            working -= 1
            continue
        value, error = found
        if error is not None:
            raise error
        yield value


def thread_crew(workers: int | None = None) -> ThreadCrew:
    """Return a crew of so many threads, by default one per processor; raises ConfigError."""
    if workers is None:
        usable = getattr(os, "sched_getaffinity", None)
        workers = len(usable(0)) if usable else os.cpu_count() or 1
    if (
        isinstance(workers, bool)
        or not isinstance(workers, int)
        or not 1 <= workers <= MOST_WORKERS
    ):
        raise ConfigError(
            f"workers is {workers!r}; allowed: whole numbers from 1 to {MOST_WORKERS}",
            field="workers",
            value=repr(workers),
            allowed=f"1 to {MOST_WORKERS}",
        )
    return ThreadCrew(workers)


class ChildProcess:
    """A process of ours, by its id; started here or found again.

    `started` (epoch seconds) tells it from a later process that got the same id.
    """

    def __init__(self, pid: int, *, started: float | None = None) -> None:
        self.pid = pid
        self.started = started
        self._process: subprocess.Popen[bytes] | None = None
        self._reaper: threading.Thread | None = None

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        inherited: Sequence[int] = (),
    ) -> Self:
        """Start a detached process whose output goes to `log`; it outlives this one.

        It gets the file descriptors `inherited` under the same numbers (not on Windows).
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = _popen(command, output, environment, inherited)
        child = cls(process.pid)
        child._process = process
        child._reaper = threading.Thread(target=process.wait, name="reaper", daemon=True)
        child._reaper.start()
        return child

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            if self.started is not None and abs(process.create_time() - self.started) > 1.0:
                return False
            return bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    @property
    def how_it_ended(self) -> str:
        """Exit code or signal of a process that was started here and has ended."""
        code = self._process.returncode if self._process else None
        if code is None:
            return "for an unknown reason"
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    def ask_to_end(self) -> None:
        """Ask the process to end and do not wait for it."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the process without asking it; it is not waited for."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def stop(self, *, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the process to end, and end it after `timeout` seconds."""
        for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if self.alive:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, number)
            if wait_until(lambda: not self.alive, timeout=timeout):
                if self._reaper:
                    self._reaper.join(timeout)
                return
        raise ToolkitError(f"process {self.pid} does not end", pid=self.pid)


def _popen(
    command: Sequence[str],
    output: IO[bytes],
    environment: Mapping[str, str],
    inherited: Sequence[int],
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
            pass_fds=tuple(inherited),
        )
    except OSError as error:
        raise ConfigError(f"cannot start {command[0]}: {error}", command=command[0]) from error


def run_foreground(command: Sequence[str]) -> int:
    """Run a command on this terminal and return its exit code."""
    return subprocess.call(command)


def run_to_end(command: Sequence[str], *, timeout: float) -> tuple[int, str]:
    """Run a command without a terminal; return its exit code and all that it said.

    Raises ConfigError where it cannot be started, ToolkitError after `timeout` seconds.
    """
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise ConfigError(f"cannot start {command[0]}: {error}", command=command[0]) from error
    except subprocess.TimeoutExpired:
        raise ToolkitError(
            f"{command[0]} did not end within {timeout:g} s", command=command[0], timeout=timeout
        ) from None
    return ended.returncode, ended.stdout.decode(errors="replace")


def process_started() -> float:
    """When this process was created, in epoch seconds."""
    import psutil

    return float(psutil.Process().create_time())


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def wait_until(condition: Callable[[], bool], *, timeout: float, interval: float = 0.02) -> bool:
    """Wait for a condition, `timeout` seconds at most; returns whether it came true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True
