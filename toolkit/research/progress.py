"""Progress of a long study: a bar with the time left, or the user's own callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], None]
UPDATES = 100


@contextmanager
def progress_of(progress: bool | Report, *, total: int, what: str) -> Iterator[Report]:
    """Give the function to call with (done, total); about 100 calls of it are passed on.

    True draws a bar on a terminal or in a notebook, False is silent, a function is called.
    """
    stride = max(1, total // UPDATES)

    def thinned(report: Report) -> Report:
        told = 0

        def call(done: int, of: int) -> None:
            nonlocal told
            if done - told >= stride or done == of:
                told = done
                report(done, of)

        return call

    if callable(progress):
        yield thinned(progress)
    elif progress:
        with _bar(total, what) as report:
            yield thinned(report)
    else:
        yield lambda _done, _of: None


@contextmanager
def _bar(total: int, what: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),  # moves while the first results are waited for
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    visible = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, disable=not visible) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
