"""The notebook about trading at Alpaca, run without keys: against the stand-in it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.views.notebook.live_chart import BUNDLE

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_live_trading.ipynb"
KEYS = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("live_trading")
    with pytest.MonkeyPatch.context() as patch:
        for name in KEYS:
            patch.delenv(name, raising=False)
        patch.setenv("TOOLKIT_PORT", "0")
        patch.setenv("TOOLKIT_STATE_DIR", str(folder / "state"))
        patch.setenv("IPYTHONDIR", str(folder))
        book = nbformat.read(NOTEBOOK, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        return NotebookClient(
            book, timeout=90, kernel_name="python3", resources=resources
        ).execute()


def text(book, source):
    (cell,) = [c for c in book.cells if c.cell_type == "code" and source in c.source]
    parts = [o.get("text", "") + str(o.get("data", "")) for o in cell.outputs]
    return "".join(parts)


def test_it_trades_paper_and_says_what_keeps_entries_out(book):
    said = text(book, 'status["gates"]')
    assert "alpaca:crypto+iex alpaca:paper" in said
    assert "reason" in said
    assert "exposure" in text(book, '"limits"')


def test_the_kill_switch_names_who_and_why_until_it_is_lifted(book):
    assert "halted by python (admin): a drill" in text(book, "live.halt(")
    assert text(book, "live.lift_halt(")


def test_the_journal_has_the_commands_and_the_comparisons_with_the_broker(book):
    assert "resume_trading" in text(book, "iter_orders(journal)")
    assert "reason" in text(book, '"reconciliation"')


def test_nothing_complains(book):
    if not BUNDLE.exists():
        pytest.skip("the chart's JavaScript was not built (Node is missing), which the chart says")
    streams = [o for c in book.cells for o in c.get("outputs", ()) if o.output_type == "stream"]
    assert [o.text for o in streams if o.name == "stderr"] == []


def test_it_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [c["outputs"] for c in cells if c["cell_type"] == "code" and c["outputs"]] == []
