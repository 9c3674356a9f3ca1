"""The notebook on research, run from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_research.ipynb"
BOKEH = "application/vnd.bokehjs_exec.v0+json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("research")


@pytest.fixture(scope="module")
def book(folder):
    import nbformat
    from nbclient import NotebookClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLKIT_STATE_DIR", str(folder / "state"))
        patch.setenv("IPYTHONDIR", str(folder))
        book = nbformat.read(NOTEBOOK, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        return NotebookClient(
            book, timeout=90, kernel_name="python3", resources=resources
        ).execute()


def outputs(book, source):
    (cell,) = [c for c in book.cells if c.cell_type == "code" and source in c.source]
    return cell.outputs


def html(book, source):
    return "".join(o.get("data", {}).get("text/html", "") for o in outputs(book, source))


def test_every_picture_is_drawn(book):
    cells = [c for c in book.cells if c.cell_type == "code" and "plot(" in c.source]
    cells += [c for c in book.cells if "heatmap()" in c.source]
    drawn = [{kind for o in c.outputs for kind in o.get("data", {})} for c in cells]
    assert len(drawn) >= 7
    assert all(BOKEH in kinds for kinds in drawn)


def test_noise_is_called_noise(book):
    assert "No evidence for this set" in html(book, "tk.validate")


def test_the_report_is_written(book, folder):
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def test_a_run_is_found_again_and_equal(book):
    (listed,) = [c for c in book.cells if c.source == "tk.runs()"]
    assert "backtest" in listed.outputs[0]["data"]["text/html"]
    (reproduced,) = outputs(book, "reproduce")
    assert "equal" in reproduced["data"]["text/plain"]


def test_nothing_complains(book):
    streams = [o for c in book.cells for o in c.get("outputs", ()) if o.output_type == "stream"]
    assert [o.text for o in streams if o.name == "stderr"] == []


def test_it_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [c["outputs"] for c in cells if c["cell_type"] == "code" and c["outputs"]] == []
