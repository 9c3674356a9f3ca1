"""The result as one HTML file that needs nothing else: figures, plots, all trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from toolkit.loadtest import plots
from toolkit.loadtest.plots import Points
from toolkit.loadtest.result import Result, SideResult
from toolkit.loadtest.scenario import LIMIT_MS
from toolkit.loadtest.table import (
    columns,
    crowd_line,
    figures,
    headline,
    machine_line,
    milliseconds,
    number,
    title,
)
from toolkit.loadtest.trial import Sample, Trial
from toolkit.views.charts.theme import DARK, FONT, LIGHT

STYLE = """
body { margin: 0 auto; max-width: 1120px; padding: 28px 20px 48px; color: var(--tk-text);
  background: var(--tk-page); font: 15px/1.5 FONT; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 15px; margin: 0 0 6px; }
.rule, .machine { color: var(--tk-muted); margin: 4px 0 0; }
.headline { font-size: 26px; font-weight: 600; margin: 18px 0; color: var(--tk-accent); }
.cards { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); }
.card { background: var(--tk-surface); border: 1px solid var(--tk-line); border-radius: 8px;
  padding: 14px 16px; overflow-x: auto; }
.wide { margin: 0 0 16px; }
.cards + .wide { margin: 16px 0 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; border-bottom: 1px solid var(--tk-grid); }
th { color: var(--tk-muted); font-weight: 500; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--tk-muted); font: 11px FONT; } svg .label { font-size: 12px; }
svg .grid { stroke: var(--tk-line); stroke-width: 1; opacity: .7; }
svg .limit { stroke: var(--tk-loss); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg polyline { fill: none; stroke-width: 2; } svg circle { stroke-width: 2; }
.legend { margin: 0 0 4px; color: var(--tk-muted); font-size: 13px; }
.legend span { margin-right: 16px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px;
  margin-right: 6px; }
.note { color: var(--tk-muted); font-size: 13px; margin: 6px 0 0; }
.machine { font-size: 13px; margin-top: 18px; }
""".replace("FONT", FONT)

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99)


@dataclass(frozen=True, slots=True)
class _Line:
    """One curve of the plots: a name, a colour, and the trial it shows."""

    name: str
    colour: str
    trial: Trial


def page(result: Result) -> str:
    """Return the whole page."""
    lines = _lines(result)
    cards = [_latency(lines), _course(lines)]
    if result.baseline is not None and result.searched:
        cards.insert(0, _rates(result))
    if any(len(line.trial.samples) > 1 for line in lines):
        cards.append(_memory(lines))
    note = f'<p class="rule">{escape(crowd_line(result))}</p>' if result.quietly else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title(result))}</title><style>:root {{ {LIGHT.css()} }} "
        f"@media (prefers-color-scheme: dark) {{ :root {{ {DARK.css()} }} }} {STYLE}</style>"
        f"</head><body><h1>Load test of the streaming server</h1>"
        f'<p class="rule">{escape(title(result))}</p>{note}'
        f'<p class="headline">{escape(headline(result))}</p>'
        f'<div class="card wide">{_figures(result)}</div>'
        f'<div class="cards">{"".join(cards)}</div>'
        f'<div class="card wide"><h2>All trials</h2>{_trials(result)}</div>'
        f'<p class="machine">{escape(machine_line(result))}</p></body></html>'
    )


def _lines(result: Result) -> list[_Line]:
    names = columns(result)
    trials = [result.ours.best, result.baseline.best if result.baseline else None]
    colours = ["accent", "slow"]
    if result.quietly is not None:
        trials, colours = [result.quietly, result.ours.best], ["up", "down"]
    shown = zip(names, colours, trials, strict=False)
    return [_Line(name, colour, trial) for name, colour, trial in shown if trial is not None]


def _card(heading: str, series: Sequence[Points], drawing: str, note: str = "") -> str:
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<div class="card"><h2>{escape(heading)}</h2>{plots.legend(series)}{drawing}{below}</div>'
    )


def _rates(result: Result) -> str:
    names = columns(result)
    sides = [result.ours, result.baseline or SideResult(best=None)]
    series = []
    for name, colour, side in zip(names, ("accent", "slow"), sides, strict=True):
        shown = [trial for trial in side.trials if trial.p99_ms]
        series.append(
            Points(
                name=name,
                colour=colour,
                values=[(t.rate * result.scenario.fan_out, t.p99_ms or 0.0) for t in shown],
                joined=False,
                hollow=[not trial.held for trial in shown],
            )
        )
    values = [value for points in series for value in points.values]
    x = plots.log_axis("deliveries a second that were due", [a for a, _ in values], least=1.0)
    y = plots.log_axis("p99, ms", [*(b for _, b in values), LIMIT_MS], least=0.1)
    return _card(
        "Every rate that was tried",
        series,
        plots.plot(series, x=x, y=y, limit=LIMIT_MS),
        "Hollow: not held. A trial that cannot be held ends early.",
    )


def _latency(lines: Sequence[_Line]) -> str:
    series = [
        Points(
            name=line.name,
            colour=line.colour,
            values=[
                (1.0 / (1.0 - percent / 100.0), line.trial.latency.percentile(percent) or 0.0)
                for percent in PERCENTILES
            ],
        )
        for line in lines
    ]
    ticks = [(1.0 / (1.0 - p / 100.0), f"{p:g} %") for p in (50.0, 90.0, 99.0, 99.9, 99.99)]
    x = plots.Axis(label="of the deliveries", least=2.0, most=10_000.0, ticks=ticks, log=True)
    values = [b for points in series for _, b in points.values]
    y = plots.log_axis("took at most, ms", values, least=0.01)
    return _card("One-way latency", series, plots.plot(series, x=x, y=y, limit=LIMIT_MS))


def _course(lines: Sequence[_Line]) -> str:
    series = [
        Points(
            name=line.name,
            colour=line.colour,
            values=[(s.seconds, s.p99_ms) for s in line.trial.samples if s.p99_ms],
        )
        for line in lines
    ]
    values = [value for points in series for value in points.values]
    y = plots.log_axis("p99 of the last half second, ms", [b for _, b in values], least=0.01)
    x = _time_axis([line.trial.samples for line in lines])
    return _card("Latency over time", series, plots.plot(series, x=x, y=y, limit=LIMIT_MS))


def _memory(lines: Sequence[_Line]) -> str:
    series = [
        Points(
            name=line.name,
            colour=line.colour,
            values=[(s.seconds, s.rss / 2**20) for s in line.trial.samples],
        )
        for line in lines
    ]
    y = plots.linear_axis("resident memory, MB", [b for points in series for _, b in points.values])
    x = _time_axis([line.trial.samples for line in lines])
    return _card("Memory of the server", series, plots.plot(series, x=x, y=y))


def _time_axis(courses: Sequence[Sequence[Sample]]) -> plots.Axis:
    return plots.linear_axis("seconds", [s.seconds for course in courses for s in course])


def _figures(result: Result) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *columns(result)))
    rows = (
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in (name, *texts)) + "</tr>"
        for name, texts in figures(result)
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _trials(result: Result) -> str:
    names = ("", "published a second", "seconds", "deliveries a second", "p50, ms", "p99, ms", "")
    head = "".join(f"<th>{name}</th>" for name in names)
    sides = [("toolkit", result.ours), ("stock", result.baseline)]
    rows = [_trial_row(name, t) for name, side in sides if side is not None for t in side.trials]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _trial_row(name: str, trial: Trial) -> str:
    texts = (
        name,
        number(trial.rate),
        f"{trial.seconds:g}",
        number(trial.deliveries_per_s),
        milliseconds(trial.p50_ms),
        milliseconds(trial.p99_ms),
        trial.problem or "held",
    )
    return "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in texts) + "</tr>"
