"""Whatever goes wrong in a session: the costs add up, and nothing is left unexplained."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.effort import tries
from tests.research.parity.sessions import BARS, HISTORY, LIVE, Troubled, lived, report_of
from toolkit.bot.bot import Bot
from toolkit.core.gates import Gate
from toolkit.core.types import Bar
from toolkit.errors import NotConnected, OrderRejected
from toolkit.market.tables import frame_of

FATES = ("revised", "late", "missing", "stale")
ERRORS = (None, OrderRejected("too poor"), NotConnected("no answer"))


def disturbed(rng: random.Random, bot_of: list[Bot], broker: Troubled, ills: set[str]) -> list[Any]:
    """The session's bars with a bad day's events between them."""
    script: list[Any] = []
    behind: list[Bar] = []
    for bar in LIVE:
        fate = rng.choice(FATES) if rng.random() < 0.06 else ""
        if fate not in ills:
            script.append(bar)
        elif fate == "revised":
            close = bar.close * (1 + rng.gauss(0, 0.003))
            seen = replace(bar, close=close, high=max(bar.high, close), low=min(bar.low, close))
            script.append(seen)
            behind.append(bar)
        elif fate == "late":
            behind.append(bar)
            continue
        elif fate == "stale":
            script.append((bar, rng.uniform(1, 200)))
        script += [replace(b, revision=1) for b in behind if b.timestamp < bar.timestamp]
        behind = [b for b in behind if b.timestamp == bar.timestamp]
        if "people" in ills and rng.random() < 0.03:
            script.append(order_of(rng, bot_of))
        if "broker" in ills and rng.random() < 0.1:
            script.append(trouble(rng, broker))
    return script


def order_of(rng: random.Random, bot_of: list[Bot]):
    name, args = rng.choice(
        [
            ("stop", {}),
            ("start", {}),
            ("flatten", {}),
            ("set_parameters", {"ema_period": rng.randrange(2, 30)}),
            ("set_parameters", {"stop_loss": rng.uniform(0.1, 1.0)}),
        ]
    )

    async def send() -> None:
        await bot_of[0].command(name, args, who="ada")

    return send


def trouble(rng: random.Random, broker: Troubled):
    error, gates = rng.choice(ERRORS), {}
    if rng.random() < 0.2:
        gates = {rng.choice([Gate.ORDERS, Gate.RECONCILIATION, Gate.BROKER]): "ill"}

    async def step() -> None:
        broker.error, broker.gates = error, gates

    return step


ILLS = st.sets(st.sampled_from([*FATES, "people", "broker", "fills", "shares"]))


# Shrinking a whole session takes minutes; seed and ills are told as they are.
@settings(
    max_examples=tries(8),
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(seed=st.integers(0, 10**6), ills=ILLS, known=st.booleans(), warm=st.integers(0, 100))
def test_the_costs_add_up_and_nothing_is_unexplained(seed, ills, known, warm):
    rng = random.Random(seed)
    bot_of: list[Bot] = []
    broker = Troubled(rng, prices="fills" in ills, shares="shares" in ills)
    script = disturbed(rng, bot_of, broker, ills)
    with TemporaryDirectory() as folder:
        session = asyncio.run(
            lived(
                Path(folder, "r"),
                script,
                broker=broker,
                drive=bot_of.append,
                history=HISTORY[100 - warm :],
            )
        )
    report = report_of(session, frame_of(BARS) if known else None)
    assert report.unexplained == 0, report.frame.to_string()
    if not ills and not known:
        assert report.differences == ()
