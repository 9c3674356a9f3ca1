"""A result as one HTML file for screen, phone and paper: figures, pictures, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from toolkit.views.charts.frames import words
from toolkit.views.charts.page import ThemeName, page_html, slot

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 1000
DECIMALS = {"pnl": 2, "fees": 2, "cost": 2, "_percent": 3, "price": 4, "sharpe": 2}

_STYLE = """
:root { background: var(--tk-page); }
body { background: var(--tk-page); }
main { margin: 0 auto; max-width: 1040px; padding: 28px 20px 48px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 0 0 8px; }
p { margin: 6px 0 0; }
.lede { margin: 4px 0 16px; }
.lede, .note, footer { color: var(--tk-muted); overflow-wrap: anywhere; }
.note, footer { font-size: 13px; }
.verdict { margin: 18px 0; padding: 12px 16px; border-radius: 8px; background: var(--tk-surface);
  border: 1px solid var(--tk-line); border-left: 4px solid var(--tk-warning); }
.verdict.good { border-left-color: var(--tk-gain); }
.verdict strong { display: block; }
.verdict ul { margin: 6px 0 0; padding-left: 20px; color: var(--tk-muted); }
.figures { display: grid; gap: 12px; margin: 18px 0;
  grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); }
.figure, section { background: var(--tk-surface); border: 1px solid var(--tk-line);
  border-radius: 8px; }
.figure { padding: 10px 14px; }
.figure b { display: block; font-size: 21px; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.figure span { color: var(--tk-muted); font-size: 13px; }
.gain { color: var(--tk-gain); } .loss { color: var(--tk-loss); }
section { margin: 0 0 16px; padding: 14px 16px; }
.columns { columns: 320px; column-gap: 16px; margin: 0 0 16px; }
.columns section { break-inside: avoid; }
.wide { overflow-x: auto; max-height: 640px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px 4px 0; text-align: left; border-bottom: 1px solid var(--tk-grid);
  vertical-align: top; }
th { color: var(--tk-muted); font-weight: 500; }
thead th { position: sticky; top: 0; background: var(--tk-surface); }
.wide th, .wide td { white-space: nowrap; }
td.number, th.number { text-align: right; }
td.changed { font-weight: 600; }
td { overflow-wrap: anywhere; }
footer { margin: 18px 0 0; }
@media (max-width: 600px) { main { padding: 16px 10px 32px; } section { padding: 12px 8px; }
  .figures { grid-template-columns: repeat(2, 1fr); gap: 8px; } }
@media print { :root, body { background: none; }
  /* As wide as on the screen, for no canvas is painted anew for paper. */
  main { zoom: 0.7; width: 1000px; max-width: none; padding: 0; }
  section, .figure, .verdict { break-inside: avoid; }
  section.long { break-inside: auto; } .wide { max-height: none; overflow: visible; }
  h2 { break-after: avoid; } thead { display: table-header-group; } tr { break-inside: avoid; }
  @page { margin: 12mm; } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number in large type; `sign` colours it: above 0 as a gain, below as a loss."""

    name: str
    value: str
    sign: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict: one sentence, its reasons, and whether it is good news."""

    sentence: str
    reasons: Sequence[str] = ()
    good: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One card: a picture (Bokeh layout), or facts by name, or a table; a note beneath."""

    heading: str
    picture: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    table: pd.DataFrame | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is on the page, from top to bottom."""

    title: str
    lede: str
    judgement: Judgement | None
    figures: Sequence[Figure]
    sections: Sequence[Section]
    footer: str

    def html(self, *, theme: ThemeName = "auto") -> str:
        """Return the page; nothing on it asks for anything from elsewhere."""
        pictures = {
            f"picture-{i}": section.picture
            for i, section in enumerate(self.sections)
            if section.picture is not None
        }
        body = (
            f"<main><header><h1>{escape(self.title)}</h1>"
            f'<p class="lede">{escape(self.lede)}</p></header>'
            f"{_judgement(self.judgement)}{_figures(self.figures)}{self._sections()}"
            f"<footer>{escape(self.footer)}</footer></main>"
        )
        return page_html(body, pictures, title=self.title, theme=theme, style=_STYLE)

    def _sections(self) -> str:
        parts: list[str] = []
        facts = [s for s in self.sections if s.facts]
        for i, section in enumerate(self.sections):
            if section.facts:
                if section is facts[0]:
                    parts.append(f'<div class="columns">{"".join(map(_facts, facts))}</div>')
                continue
            parts.append(_card(section, slot(f"picture-{i}") if section.picture else ""))
        return "".join(parts)


def _judgement(judgement: Judgement | None) -> str:
    if judgement is None:
        return ""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in judgement.reasons)
    listed = f"<ul>{reasons}</ul>" if reasons else ""
    good = " good" if judgement.good else ""
    return f'<div class="verdict{good}"><strong>{escape(judgement.sentence)}</strong>{listed}</div>'


def _figures(figures: Sequence[Figure]) -> str:
    shown = []
    for figure in figures:
        colour = ' class="gain"' if figure.sign > 0 else ' class="loss"' if figure.sign < 0 else ""
        shown.append(
            f'<div class="figure"><b{colour}>{escape(figure.value)}</b>'
            f"<span>{escape(figure.name)}</span></div>"
        )
    return f'<div class="figures">{"".join(shown)}</div>' if shown else ""


def _card(section: Section, picture: str) -> str:
    table, kind = "", ""
    if section.table is not None:
        table, kind = _table(section.table), ' class="long"'
    return (
        f"<section{kind}><h2>{escape(section.heading)}</h2>{picture}{table}{_note(section.note)}"
        "</section>"
    )


def _facts(section: Section) -> str:
    rows = []
    for name, value in section.facts.items():
        marked = ' class="changed"' if name in section.changed else ""
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td{marked}>{escape(shown(value))}</td></tr>'
        )
    return (
        f"<section><h2>{escape(section.heading)}</h2><table>{''.join(rows)}</table>"
        f"{_note(section.note)}</section>"
    )


def _note(note: str) -> str:
    return f'<p class="note">{escape(note)}</p>' if note else ""


def _table(frame: pd.DataFrame) -> str:
    names = [str(name) for name in frame]
    numbers = [bool(kind.kind in "fiu") for kind in frame.dtypes]
    classes = [' class="number"' if number else "" for number in numbers]
    head = "".join(
        f"<th{c}>{escape(words(str(name)))}</th>" for name, c in zip(frame, classes, strict=True)
    )
    rows = []
    for row in frame.head(MOST_ROWS).itertuples(index=False):
        cells = (
            f"<td{c}>{escape(_cell(name, value))}</td>"
            for name, value, c in zip(names, row, classes, strict=True)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = len(frame) - MOST_ROWS
    rest = _note(f"{more:,} more rows are left out here.") if more > 0 else ""
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{rest}"
    )


def _cell(name: str, value: Any) -> str:
    """Return a value of a table's column in that column's decimals."""
    decimals = next((d for end, d in DECIMALS.items() if name.endswith(end)), None)
    if decimals is None or not isinstance(value, float) or not math.isfinite(value):
        return shown(value)
    return f"{value:,.{decimals}f}"


def shown(value: Any) -> str:
    """Return a value as a report writes it: times in UTC, a dash for what is not known."""
    if isinstance(value, datetime) and value != value:  # noqa: PLR0124 - NaT is a datetime
        return "\N{EN DASH}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return "\N{EN DASH}"
        if math.isinf(value):
            return "∞"
        return f"{value:,.6g}" if abs(value) < 1000.0 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
