"""Positions, trades and orders as tables with fixed columns and types, also while empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["text", "time", "price", "quantity", "money", "percent", "status"]

_TYPES: Mapping[Kind, str] = {
    "text": "object",
    "status": "object",
    "time": "datetime64[ms]",
    "price": "float64",
    "quantity": "float64",
    "money": "float64",
    "percent": "float64",
}

# Cells are drawn in the browser from underscore templates: `value` is the number.
_NUMBER = (
    "<%= value == null || isNaN(value) ? '–' : Number(value).toLocaleString('en-US', "
    "{minimumFractionDigits: MIN, maximumFractionDigits: MAX}) %>"
)
_DIGITS = "Math.abs(value) >= 1 ? 2 : 6"
_SIGNED = (
    "<% const shown = Number(value).toFixed(2); %>"
    "<span class=\"<%= shown > 0 ? 'gain' : shown < 0 ? 'loss' : '' %>\">"
    "<%= value == null || isNaN(value) ? '–' : (shown > 0 ? '+' : shown < 0 ? '\u2212' : '') + "
    "Math.abs(shown).toLocaleString('en-US', "
    "{minimumFractionDigits: 2, maximumFractionDigits: 2}) %>SUFFIX</span>"
)
_TIME = (
    "<%= value == null || isNaN(value) ? '–' : "
    "new Date(value).toISOString().slice(5, 19).replace('T', ' ') %>"
)

# What wants an eye stands out: an order whose outcome nobody knows most of all.
_STATUS = (
    "<span class=\"<%= {unknown: 'loss strong', rejected: 'loss', pending: 'open', "
    "accepted: 'open', 'partially filled': 'open', canceled: 'over', "
    "expired: 'over', simulated: 'over', 'no net': 'loss'}[value] || '' %>\">"
    "<%= value == 'unknown' ? 'outcome unknown' : value %></span>"
)

TABLE_STYLE = """
:host .tabulator { font: 12px var(--tk-font); font-variant-numeric: tabular-nums;
  color: var(--tk-text); background: transparent; border: 0; }
:host .tabulator .tabulator-header, :host .tabulator .tabulator-header .tabulator-col,
:host .tabulator .tabulator-headers, :host .tabulator .tabulator-header-contents {
  color: var(--tk-muted); background: var(--tk-surface); border: 0; font-weight: 400; }
:host .tabulator .tabulator-header { border-bottom: 1px solid var(--tk-line); }
:host .tabulator .tabulator-col .tabulator-col-content { padding: 4px 6px !important; }
:host .tabulator .tabulator-col.empty { visibility: hidden; }
:host .tabulator .tabulator-col-title { padding: 0 !important; font-weight: 400; }
:host .tabulator .tabulator-tableholder { background: transparent; }
:host .tabulator .tabulator-tableholder .tabulator-table { background: transparent;
  color: var(--tk-text); }
:host .tabulator .tabulator-row, :host .tabulator .tabulator-row.tabulator-row-even {
  background: transparent; border: 0; border-bottom: 1px solid var(--tk-grid); min-height: 26px; }
:host .tabulator .tabulator-row:hover { background: var(--tk-raised); color: var(--tk-text); }
:host .tabulator .tabulator-row .tabulator-cell { padding: 4px 6px !important;
  margin: 0 !important; border: 0; height: 26px; }
:host .tabulator .tabulator-row { padding: 0 !important; }
:host .tabulator .tabulator-placeholder .tabulator-placeholder-contents {
  color: var(--tk-muted) !important; font: 13px var(--tk-font) !important; }
.gain { color: var(--tk-gain); } .loss { color: var(--tk-loss); }
.strong { font-weight: 600; } .open { color: var(--tk-accent); } .over { color: var(--tk-muted); }
"""


_PATCHED_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: the key on the wire, what the header says, how a value is shown."""

    key: str
    title: str
    kind: Kind


def _column(key: str, title: str, kind: Kind) -> Column:
    return Column(key=key, title=title, kind=kind)


POSITIONS = (
    _column("symbol", "Symbol", "text"),
    _column("quantity", "Quantity", "quantity"),
    _column("unrealised_pnl", "P/L", "money"),
    _column("entry_price", "Entry", "price"),
    _column("price", "Price", "price"),
    _column("stop", "Stop", "price"),
    _column("target", "Target", "price"),
    _column("net", "Net", "status"),
    _column("entry_time", "Since (UTC)", "time"),
)
TRADES = (
    _column("exit_time", "Closed (UTC)", "time"),
    _column("symbol", "Symbol", "text"),
    _column("quantity", "Quantity", "quantity"),
    _column("entry_price", "Entry", "price"),
    _column("exit_price", "Exit", "price"),
    _column("pnl", "P/L", "money"),
    _column("return_percent", "Return", "percent"),
    _column("exit_reason", "Reason", "text"),
)
ORDERS = (
    _column("updated_at", "Updated (UTC)", "time"),
    _column("symbol", "Symbol", "text"),
    _column("side", "Side", "text"),
    _column("order_type", "Type", "text"),
    _column("quantity", "Quantity", "quantity"),
    _column("filled_quantity", "Filled", "quantity"),
    _column("average_price", "Price", "price"),
    _column("status", "Status", "status"),
    _column("reason", "Reason", "text"),
    _column("message", "Note", "text"),
)


def table_frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    """Return wire rows as a DataFrame with exactly `columns`, each in its type; times are UTC."""
    import pandas as pd

    chosen = list(rows)
    return pd.DataFrame(
        {c.key: _series([row.get(c.key) for row in chosen], c.kind) for c in columns}
    )


def _series(values: list[Any], kind: Kind) -> pd.Series[Any]:
    import pandas as pd

    if kind in ("text", "status"):
        words = ["" if v is None else str(v).replace("_", " ") for v in values]
        return pd.Series(words, dtype="object")
    if kind == "time":
        times = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601")
        return times.dt.tz_localize(None).astype("datetime64[ms]")
    return pd.Series(values, dtype=_TYPES[kind])


def table(columns: Sequence[Column], *, empty: str) -> Any:
    """Return an empty Tabulator for `columns`; it says `empty` while there are no rows.

    Columns share the width there is, but none gets less than 84 pixels.
    """
    import panel as pn

    aligned = {c.key: "left" if c.kind in ("text", "time", "status") else "right" for c in columns}
    return pn.widgets.Tabulator(
        table_frame([], columns),
        titles={c.key: c.title for c in columns},
        formatters={c.key: _formatter(c.kind) for c in columns if c.kind != "text"},
        widths={c.key: 124 for c in columns if c.kind == "time"},
        text_align=aligned,
        header_align=aligned,
        configuration={"placeholder": empty, "columnDefaults": {"minWidth": 84}},
        theme="simple",
        show_index=False,
        disabled=True,
        selectable=False,
        sortable=False,
        layout="fit_columns",
        margin=0,
        sizing_mode="stretch_both",
        stylesheets=[TABLE_STYLE],
    )


def fill(widget: Any, rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Show `rows`: patch cells where only values changed, replace the table where rows did."""
    wanted, shown = table_frame(rows, columns), widget.value
    if wanted.equals(shown):
        return
    same_rows = len(wanted) == len(shown) and wanted["symbol"].equals(shown["symbol"])
    if not same_rows or len(wanted) > _PATCHED_ROWS:
        widget.value = wanted
        return
    changes: dict[str, list[tuple[int, Any]]] = {}
    for name in wanted.columns:
        differs = ~((wanted[name] == shown[name]) | (wanted[name].isna() & shown[name].isna()))
        for row in differs[differs].index:
            changes.setdefault(name, []).append((int(row), wanted[name].iloc[row]))
    widget.patch(changes)


def _formatter(kind: Kind) -> Any:
    from bokeh.models.widgets.tables import HTMLTemplateFormatter

    templates = {
        "time": _TIME,
        "status": _STATUS,
        "price": _NUMBER.replace("MIN", _DIGITS).replace("MAX", _DIGITS),
        "quantity": _NUMBER.replace("MIN", "0").replace("MAX", "9"),
        "money": _SIGNED.replace("SUFFIX", ""),
        "percent": _SIGNED.replace("SUFFIX", " %"),
    }
    return HTMLTemplateFormatter(template=templates[kind])
