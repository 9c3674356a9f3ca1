"""The storm: `python -m tests.soak.storm [--seed 7] [--minutes 10000] [--kills 200] [--json]`.

The real bot trades eight symbols at the exchange double through alpaca-py, while every fault
happens at random and the bot is killed with SIGKILL and started again. Then the same market is
played once more on a calm day. Broker and journal must agree on everything, nothing may have been
sent twice, no position may have been without its stop for longer than docs/guarantees.md says,
and the decisions must be those of the calm day wherever no fault touched them. Exit code 1 and
the first differences in plain words where that does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.soak.storm.conductor import Conductor, Outcome
from tests.soak.storm.lockstep import Nursery
from tests.soak.storm.loop import IdleLoop
from tests.soak.storm.plan import plan
from tests.soak.storm.verdict import judge, report


async def run(
    seed: int, minutes: int, kills: int, *, folder: Path, progress: Progress, calm: bool = True
) -> dict[str, Any]:
    """Play the storm and the calm day, and return the report."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleLoop)
    wild = plan(seed=seed, minutes=minutes, kills=kills)
    nursery = Nursery(loop)
    await nursery.start()
    outcomes: list[Outcome] = []
    try:
        for name, what in (("storm", wild), ("calm", wild.calm))[: 2 if calm else 1]:
            task = progress.add_task(name, total=minutes)
            conductor = Conductor(what, folder / name, loop=loop, nursery=nursery)
            outcomes.append(await conductor.run(on_minute=lambda task=task: progress.advance(task)))
    finally:
        await nursery.stop()
    storm, calm_day = outcomes[0], outcomes[1] if calm else None
    return report(storm, calm_day, judge(storm, calm_day))


def _show(found: Mapping[str, Any], console: Console) -> None:
    table = Table("what", "compared", "different", title=f"Storm, seed {found['seed']}")
    kinds = dict.fromkeys([*found["compared"], *found["differences"]])
    for kind in kinds:
        differences = found["differences"].get(kind, 0)
        table.add_row(kind, str(found["compared"].get(kind, "")), str(differences or ""))
    console.print(table)
    for name, value in found.items():
        if name not in ("compared", "differences", "examples"):
            console.print(f"{name}: {value}", markup=False)
    for words in found["examples"]:
        console.print(words, markup=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="keep journal, diary and log here")
    parser.add_argument("--no-calm", action="store_true", help="compare no decisions")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    loop = IdleLoop()
    with (
        tempfile.TemporaryDirectory() as place,
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
    ):
        found = loop.run_until_complete(
            run(
                options.seed,
                options.minutes,
                options.kills,
                folder=options.folder or Path(place),
                progress=progress,
                calm=not options.no_calm,
            )
        )
    if options.json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _show(found, Console())
    return 1 if found["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
