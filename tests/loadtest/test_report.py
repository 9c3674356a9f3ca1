from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from tests.loadtest.test_trial import spread, trial
from toolkit.loadtest.page import page
from toolkit.loadtest.plots import compact, linear_axis, log_axis
from toolkit.loadtest.result import Result, SideResult
from toolkit.loadtest.scenario import SCENARIOS
from toolkit.loadtest.table import table
from toolkit.loadtest.trial import Sample

MACHINE = {
    "cpu": "A <fast> & good one",
    "cores": 2,
    "memory_gb": 4.0,
    "system": "Linux",
    "python": "3.11",
    "toolkit": "0.1",
    "packages": {"uvicorn": "1"},
}
SAMPLES = tuple(
    Sample(seconds=n / 2, deliveries_per_s=100.0, p99_ms=2.0 + n, rss=80 * 2**20) for n in range(5)
)


def result(**values: Any) -> Result:
    mine = trial(on_time=60_000, samples=SAMPLES)
    other = trial(latency=spread(4.0), samples=SAMPLES)
    failed = trial(rate=20.0, lost=3)
    usual: dict[str, Any] = {
        "scenario": SCENARIOS["B"],
        "ours": SideResult(best=mine, trials=(failed, mine), bytes_per_connection=40_000),
        "baseline": SideResult(best=other, trials=(other,), bytes_per_connection=50_000),
        "searched": True,
        "batch": False,
        "machine": MACHINE,
        "seconds": 20.0,
    }
    return Result(**{**usual, **values})


def disturbed() -> Result:
    return result(
        baseline=None,
        searched=False,
        quietly=trial(samples=SAMPLES),
        ours=SideResult(best=trial(latency=spread(2.2), samples=SAMPLES)),
        crowd={"slow": 1, "sleepy": 0},
        deeds={"cut": 3},
    )


def on_paper(shown: Result) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as captured:
        console.print(table(shown))
    return captured.get()


def test_the_ratio_of_a_search_is_of_deliveries():
    found = result().to_dict()
    assert (found["ratio"], found["ratio_of"]) == (60.0, "deliveries_per_s")
    assert found["deliveries_per_s"] == 6000.0
    assert found["baseline_deliveries_per_s"] == 100.0
    assert [t["problem"] for t in found["trials"]] == ["3 lost", None]
    json.dumps(found)


def test_the_ratio_at_a_given_rate_is_of_the_p99():
    found = result(searched=False, scenario=SCENARIOS["D"]).to_dict()
    assert found["ratio_of"] == "p99_ms"
    assert found["ratio"] == pytest.approx(2.0, rel=0.05)


def test_a_server_that_held_nothing_has_no_figures():
    found = result(baseline=SideResult(best=None)).to_dict()
    assert found["ratio"] is None
    assert found["baseline_p99_ms"] is None
    assert "held no rate" in on_paper(result(ours=SideResult(best=None)))
    assert not result(ours=SideResult(best=None)).flawless


def test_the_fixed_rate_says_what_fraction_arrived():
    side = SideResult(best=trial(), fixed=trial(due=100, received=4_000))
    found = result(scenario=SCENARIOS["C"], ours=side, baseline=side).to_dict()
    assert found["fixed"]["delivered"] == 0.8
    assert "80.0 %" in on_paper(result(scenario=SCENARIOS["C"], ours=side, baseline=side))


def test_troublemakers_are_judged_by_what_they_change():
    shown = disturbed()
    assert shown.disturbance_percent == pytest.approx(10.0, abs=4.5)
    found = shown.to_dict()["disturbance"]
    assert found["crowd"] == {"slow": 1, "sleepy": 0}
    assert len(found["rss"]) == len(SAMPLES)
    assert "1 slow" in on_paper(shown)
    assert "3 × cut" in on_paper(shown)


def test_the_table_shows_both_servers_and_the_machine():
    text = on_paper(result())
    assert "60.0 times" in text
    assert "stock python-socketio" in text
    assert "A <fast> & good one, 2 cores" in text


@pytest.mark.parametrize("shown", [result(), disturbed()], ids=["search", "disturbed"])
def test_the_page_is_one_well_formed_file_that_loads_nothing(shown: Result):
    text = page(shown)
    assert "A &lt;fast&gt; &amp; good one" in text
    assert "src=" not in text
    assert "http" not in text
    drawings = [part.partition("</svg>")[0] + "</svg>" for part in text.split("<svg")[1:]]
    assert len(drawings) >= 3
    for drawing in drawings:
        root = ElementTree.fromstring("<svg" + drawing)
        assert root.findall(".//polyline") or root.findall(".//circle")
        assert "nan" not in drawing


def test_trials_that_were_not_held_are_hollow():
    failed, held = page(result()).split("<circle")[1:3]
    assert "fill:none" in failed
    assert "fill:var(--tk-accent)" in held


def test_axes_hold_their_values_at_round_ticks():
    axis = log_axis("ms", [0.3, 47.0], least=0.1)
    assert (axis.least, axis.most) == (0.1, 100.0)
    assert [text for _, text in axis.ticks] == ["0.1", "1", "10", "100"]
    assert axis.place(100.0) == 1.0
    memory = linear_axis("MB", [80.0, 83.0])
    assert (memory.least, memory.most) == (0.0, 100.0)
    assert compact(2_500_000) == "2.5 M"
