"""The notebook that newcomers start with, run from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.views.notebook.live_chart import BUNDLE

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLKIT_PORT", "0")
        patch.setenv("TOOLKIT_STATE_DIR", str(folder))
        patch.setenv("IPYTHONDIR", str(folder))
        book = nbformat.read(NOTEBOOK, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        return NotebookClient(
            book, timeout=90, kernel_name="python3", resources=resources
        ).execute()


def outputs(book, source):
    (cell,) = [c for c in book.cells if c.cell_type == "code" and source in c.source]
    return cell.outputs


def kinds(book, source):
    return {kind for output in outputs(book, source) for kind in output.get("data", {})}


def test_chart_and_tuner_are_widgets(book):
    assert WIDGET in kinds(book, "live.chart")
    assert WIDGET in kinds(book, "live.tuner")


def test_the_bot_confirms_the_change(book):
    assert "{'ema.ema_period': 12}" in outputs(book, "set_parameters")[0]["data"]["text/plain"]


def test_the_backtest_shows_its_trades_and_its_plot(book):
    assert "exit_reason" in outputs(book, "tk.backtest")[0]["data"]["text/html"]
    assert "application/vnd.bokehjs_exec.v0+json" in kinds(book, "run.plot")


def test_nothing_complains(book):
    if not BUNDLE.exists():
        pytest.skip("the chart's JavaScript was not built (Node is missing), which the chart says")
    streams = [o for c in book.cells for o in c.get("outputs", ()) if o.output_type == "stream"]
    assert [o.text for o in streams if o.name == "stderr"] == []


def test_it_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [c["outputs"] for c in cells if c["cell_type"] == "code" and c["outputs"]] == []
