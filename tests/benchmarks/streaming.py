"""All scenarios of the load test as one table: `python -m tests.benchmarks.streaming [--own]`.

Takes about ten minutes on an idle machine. `--seconds` shortens the confirmations, `--only AD`
picks scenarios, `--json FILE` and `--pages FOLDER` keep everything that was found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from toolkit.cli.console import paper
from toolkit.cli.loadtest import Screen
from toolkit.loadtest.page import page
from toolkit.loadtest.result import Result, SideResult, fixed_figures
from toolkit.loadtest.run import Plan, run
from toolkit.loadtest.scenario import SCENARIOS
from toolkit.loadtest.table import machine_line, milliseconds, number, title

COLUMNS = (
    "scenario",
    "server",
    "published/s",
    "deliveries/s",
    "ratio",
    "p50 ms",
    "p99 ms",
    "lost",
    "CPU µs a delivery",
    "bytes a connection",
    "at the fixed rate",
)


def row(result: Result, name: str, side: SideResult, ratio: str) -> list[str]:
    """Return one server's figures in one scenario as texts."""
    fixed = ""
    if side.fixed is not None:
        found = fixed_figures(result.scenario, side.fixed)
        fixed = (
            f"{(found['delivered'] or 0) * 100:.1f} %, p99 {milliseconds(found['p99_ms'])} ms, "
            f"published {milliseconds(found['late_p99_ms'])} ms late"
        )
    return [
        result.scenario.name,
        name,
        number(side.figure("rate")),
        number(side.figure("deliveries_per_s")),
        ratio,
        milliseconds(side.figure("p50_ms")),
        milliseconds(side.figure("p99_ms")),
        number(side.figure("lost")),
        number(side.figure("cpu_us_per_delivery"), digits=2),
        number(side.bytes_per_connection),
        fixed,
    ]


def markdown(results: Sequence[Result]) -> str:
    """Return the table, the rules of each scenario and the machine as Markdown."""
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    for result in results:
        of = "" if result.ratio_of == "deliveries_per_s" else " (p99)"
        lines.append(row(result, "toolkit", result.ours, number(result.ratio, digits=1) + of))
        if result.baseline is not None:
            lines.append(row(result, "stock", result.baseline, ""))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    rules = "\n".join(f"- {title(result)}." for result in results)
    return f"{table}\n\n{rules}\n\n{machine_line(results[0])}"


def main() -> int:
    """Run the scenarios; returns 1 when our server lost, doubled or disordered anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own", action="store_true", help="clients that read stream_batch")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", default="ABCD")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pages", type=Path)
    asked = parser.parse_args()
    results = []
    for name in asked.only:
        plan = Plan(scenario=SCENARIOS[name], seconds=asked.seconds, batch=asked.own)
        with Screen() as screen:
            results.append(run(plan, screen))
        if asked.pages:
            asked.pages.mkdir(parents=True, exist_ok=True)
            (asked.pages / f"{name}.html").write_text(page(results[-1]), encoding="utf-8")
    if asked.json:
        asked.json.write_text(json.dumps([result.to_dict() for result in results], indent=2))
    paper.print(markdown(results), soft_wrap=True, markup=False)
    return 0 if all(result.flawless for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
