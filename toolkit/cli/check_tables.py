"""What `toolkit check` prints: the tables of its results, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 40
WRAPPED = ("message", "difference")


def table_of(frame: pd.DataFrame) -> Table:
    """Return a frame as a table, its first rows."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in frame.columns:
        number = frame[name].dtype.kind in "iuf"
        table.add_column(
            str(name), justify="right" if number else "left", no_wrap=name not in WRAPPED
        )
    for row in frame.head(MOST_ROWS).itertuples(index=False):
        table.add_row(*(escape(_cell(value)) for value in row))
    if len(frame) > MOST_ROWS:
        table.caption = f"and {len(frame) - MOST_ROWS:,} more; --json prints all"
        table.caption_justify = "left"
    return table


def _cell(value: Any) -> str:
    import pandas as pd

    if value is None or value is pd.NaT:
        return "-"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:,.0f}" if value.is_integer() else f"{value:,.4g}"
    return str(value)


def leaks(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what knows the future, in few columns."""
    names = {"timestamp": "time", "known": "with future", "cut": "without"}
    kept = ["column", "symbol", "timestamp", "known", "cut", "ahead"]
    return frame[kept].rename(columns=names)


def findings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the findings in few columns."""
    return frame[["row", "timestamp", "symbol", "kind", "message"]].rename(
        columns={"timestamp": "time"}
    )


def warm_ups(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with bare names of parameters where these tell them apart."""
    bare = [str(name).rpartition(".")[2] for name in frame.columns]
    frame = frame if len(set(bare)) < len(bare) else frame.set_axis(bare, axis=1)
    return frame.drop(columns="compared")


def profits(frame: pd.DataFrame) -> pd.DataFrame:
    """Return profits in dollars by fee (down) and slippage (across), every other step."""
    wide = frame.pivot_table(index="fee_bps", columns="slippage_bps", values="profit")
    wide = wide.iloc[::2, ::2].round(2)
    wide.columns = [f"slip {value:g}" for value in wide.columns]
    wide.index = wide.index.map("{:g}".format)
    return wide.reset_index(names="fee bps")


def pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the round trips with what both sides say; all of them where none differs."""
    wrong = frame[frame["difference"] != ""]
    frame = wrong if len(wrong) else frame
    kept = ["symbol", "entry_time", "pnl", "vectorbt_pnl", "difference"]
    return frame[kept].rename(columns={"entry_time": "entry", "vectorbt_pnl": "vectorbt"})


def summary(results: dict[str, dict[str, Any]]) -> Table:
    """Return one line for each check."""
    table = Table(box=None, padding=(0, 1))
    for name in ("", "check", "found"):
        table.add_column(name)
    for name, result in results.items():
        mark = "[green]ok[/]" if result["ok"] else "[red]no[/]"
        table.add_row(mark, name, escape(result["sentence"]))
    return table
