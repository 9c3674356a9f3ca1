"""`tk.bars`: where bars come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import toolkit as tk


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    tk.bars("AAPL", count=100, start="2026-01-05").to_csv(path, index=False)
    return str(path)


def test_simulated_bars_are_counted_from_their_start_and_say_their_source():
    bars = tk.bars(["AAPL", "BTC/USD"], "5Min", start="2026-01-05", count=30)
    assert bars["symbol"].value_counts().to_dict() == {"AAPL": 30, "BTC/USD": 30}
    assert bars["timestamp"].min().isoformat() == "2026-01-05T00:00:00+00:00"
    assert bars.attrs["source"] == "simulated, seed 7"


def test_the_bars_of_a_file_all_come_unless_cut(file: str):
    assert len(tk.bars(file)) == 100
    assert len(tk.bars(file, count=10)) == 10
    middle = tk.bars(file)["timestamp"].iloc[50]
    assert len(tk.bars(file, start=middle)) == 50
    assert len(tk.bars(file, end=middle)) == 50


@pytest.mark.parametrize(
    ("symbols", "options", "words"),
    [
        ("AAPL", {"count": 0}, "from 1"),
        ("AAPL", {"count": -5}, "from 1"),
        ("AAPL", {"timeframe": "soon"}, "1Min"),
        ("AAPL", {"start": "yesterday"}, "2026-01-02"),
        ("AAPL", {"start": "2026-01-05", "end": "2026-01-04"}, "not before end"),
        ("bars.pq", {}, "a file ends in"),
        ("bars.xlsx", {}, "a file ends in"),
        ("data/bars.csv.gz", {}, "a file ends in"),
        ([], {}, "at least one"),
    ],
)
def test_what_cannot_be_meant_is_refused(symbols, options, words):
    with pytest.raises(tk.ConfigError, match=words):
        tk.bars(symbols, **options)


def test_a_missing_file_is_named():
    with pytest.raises(tk.DataError, match=r"nowhere\.csv"):
        tk.bars("nowhere.csv")


def test_the_best_set_is_the_lowest_where_lower_is_better():
    grid = {"stop_loss": [0.1, 0.4], "take_profit": [0.3, 0.6]}
    table = tk.sweep(tk.bars("AAPL", count=2000), grid, progress=False)
    lowest = table.frame["max_drawdown_percent"].min()
    assert table.best("max_drawdown_percent") in [
        table.grid.parameters(int(n))
        for n in table.frame.index[table.frame["max_drawdown_percent"] == lowest]
    ]
