"""The storm: `python -m tests.soak.storm [--seed 7] [--minutes 10000] [--kills 200] [--json]`.

The real bot trades eight symbols at the exchange double through alpaca-py, while every fault
happens at random and the bot is killed with SIGKILL and started again. Beside it the same market
is played on a calm day. Broker and journal must agree on everything, nothing may have been
sent twice, no position may have been without its stop for longer than docs/guarantees.md says,
and the decisions must be those of the calm day wherever no fault touched them. Exit code 1 and
the first differences in plain words where that does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tests.soak.storm.plan import plan
from tests.soak.storm.stage import Stage
from tests.soak.storm.weather import EVERY


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
    parser.add_argument("--every", type=float, default=EVERY, help="seconds between two faults")
    parser.add_argument("--folder", type=Path, help="keep journal, diary and log here")
    parser.add_argument("--no-calm", action="store_true", help="compare no decisions")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    wild = plan(
        seed=options.seed, minutes=options.minutes, kills=options.kills, every=options.every
    )
    with (
        tempfile.TemporaryDirectory() as place,
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
    ):
        stage = Stage(wild, options.folder or Path(place), progress, calm=not options.no_calm)
        found = stage.run()
    if options.json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _show(found, Console())
    return 1 if found["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
