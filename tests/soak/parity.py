"""Storms with kills: does the journal alone explain every trade? `python -m tests.soak.parity`.

Each storm is a market, faults and kills of its own seed (tests/soak/storm). Afterwards the journal
is compared with the exchange's own bars. Costs must add up to the micro-dollar. What nothing
explains is printed and counted, and more than `--most` percent of the trades end it with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.research.parity.rehearsed import history_of
from tests.soak.storm.compose import JOURNAL
from tests.soak.storm.conductor import Conductor
from tests.soak.storm.lockstep import Nursery
from tests.soak.storm.loop import IdleLoop
from tests.soak.storm.plan import plan
from toolkit.core.costs import Costs
from toolkit.core.types import ZERO, Bar
from toolkit.market.tables import frame_of
from toolkit.research.parity.journaled import session_of_journal
from toolkit.research.parity.parity import compare
from toolkit.research.parity.report import ParityReport
from toolkit.research.parity.runs import runs_of

SYMBOLS = ("AAPL", "NVDA", "BTC/USD", "SOL/USD")


def main() -> int:
    """Play the storms and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=600)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--most", type=float, default=2.0, help="percent of trades")
    chosen = parser.parse_args()
    loop = IdleLoop()
    asyncio.set_event_loop(loop)
    try:
        found = loop.run_until_complete(_storms(loop, chosen))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    trades = sum(one["trades"] for one in found)
    share = 100.0 * sum(one["unexplained"] for one in found) / max(trades, 1)
    verdict = {"storms": found, "trades": trades, "unexplained_percent": round(share, 2)}
    sys.stdout.write(json.dumps(verdict, indent=2) + "\n")
    return int(share > chosen.most)


async def _storms(loop: IdleLoop, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    nursery = Nursery(loop)
    await nursery.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [
                await _storm(
                    loop,
                    nursery,
                    Path(folder, str(seed)),
                    seed=seed,
                    minutes=chosen.minutes,
                    kills=chosen.kills,
                )
                for seed in chosen.seeds
            ]
    finally:
        await nursery.stop()


async def _storm(
    loop: IdleLoop, nursery: Nursery, folder: Path, *, seed: int, minutes: int, kills: int
) -> dict[str, Any]:
    storm = plan(seed=seed, minutes=minutes, kills=kills, symbols=SYMBOLS)
    conductor = Conductor(storm, folder, loop=loop, nursery=nursery)
    outcome = await conductor.run()
    history = [bar for symbol in SYMBOLS for bar in history_of(conductor.world, symbol)]
    report = report_of_journal(folder / JOURNAL, history)
    whole = report.backtest_profit - report.live_profit
    assert sum((d.cost for d in report.differences), ZERO) == whole
    for row in report.frame[report.frame["cause"] == "unexplained"].to_dict("records"):
        sys.stderr.write(f"seed {seed}: {row}\n")
    return {
        "seed": seed,
        "lives": outcome.lives.births,
        "trades": len({t.key for t in (*report.live, *report.backtest)}),
        "unexplained": report.unexplained,
        "causes": {c.value: [count, float(cost)] for c, (count, cost) in report.totals.items()},
    }


def report_of_journal(path: Path, history: list[Bar]) -> ParityReport:
    """Compare a journal with the exchange's own bars."""
    session = session_of_journal(path, runs_of(path), history, costs=Costs())
    return compare(session, frame_of(history))


if __name__ == "__main__":
    sys.exit(main())
