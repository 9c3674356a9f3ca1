"""The soak test itself: it finds what is planted, and a short run of it holds."""

from __future__ import annotations

import asyncio

import pytest
from rich.progress import Progress

from tests.soak.delivery import KINDS, run
from tests.soak.verdict import judge

PUBLISHED = [f"e1 orders {seq} {'AAPL' if seq % 2 else 'MSFT'}" for seq in range(1, 11)]


def heard(*seqs: int, floor: int = 0) -> list[str]:
    lines = [f"m e1 orders {seq} {'AAPL' if seq % 2 else 'MSFT'}" for seq in seqs]
    return [f"f e1 orders {floor}", *lines]


def test_all_that_came_once_and_in_order_is_fine() -> None:
    verdict = judge(PUBLISHED, heard(*range(1, 11)))
    assert (verdict.received, verdict.violations) == (10, {})


def test_what_was_before_the_subscription_or_of_other_symbols_is_not_owed() -> None:
    assert judge(PUBLISHED, heard(6, 7, 8, 9, 10, floor=5)).violations == {}
    assert judge(PUBLISHED, heard(1, 3, 5, 7, 9), symbols={"AAPL"}).violations == {}


@pytest.mark.parametrize(
    ("lines", "violations"),
    [
        (heard(1, 2, 3, 5, 6, 7, 8, 9, 10), {"lost without a gap": 1}),
        (heard(1, 2, 3, 4, 5, 6, 7, 8), {"lost without a gap": 2}),
        (heard(*range(1, 11), 10), {"doubled": 1}),
        (heard(1, 2, 4, 3, *range(5, 11)), {"disordered": 1}),
        ([*heard(*range(1, 10)), "m e1 orders 10 AAPL"], {"altered": 1}),
        (
            [*heard(*range(1, 10)), "g e1 orders 11 12 slow"],
            {"lost without a gap": 1},
        ),
    ],
)
def test_what_is_planted_is_found(lines: list[str], violations: dict[str, int]) -> None:
    assert judge(PUBLISHED, lines).violations == violations


def test_what_was_not_asked_for_is_found() -> None:
    assert judge(PUBLISHED, heard(1, 2, 3, 5, 7, 9), symbols={"AAPL"}).violations == {"unasked": 1}


@pytest.mark.parametrize(
    "gaps",
    [["4 6 slow"], ["4 5 slow", "6 6 expired"], ["1 9 slow", "2 3 slow"], ["4 -1 restart"]],
)
def test_what_lies_in_a_gap_is_covered(gaps: list[str]) -> None:
    came = heard(1, 2, 3) if "restart" in gaps[0] else heard(1, 2, 3, 7, 8, 9, 10)
    verdict = judge(PUBLISHED, [*came, *(f"g e1 orders {gap}" for gap in gaps)])
    assert verdict.violations == {}
    assert verdict.covered == (7 if "restart" in gaps[0] else 3)


def test_kills_cuts_and_freezes_lose_nothing_without_a_gap() -> None:
    with Progress(disable=True) as progress:
        report = asyncio.run(run(9, seed=3, progress=progress))
    assert {kind: found["count"] for kind, found in report["cycles"].items()} == dict.fromkeys(
        sorted(KINDS), 3
    )
    assert report["violations"] == {}, report["examples"]
    assert report["epochs"] == 4
    assert report["gaps"]["restart"] >= 3
    assert all(count > 100 for count in report["received"].values())
