"""`tk.report`: a result of research as one HTML file that needs nothing else."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit._version import __version__
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError, StoreError
from toolkit.views.charts.page import ThemeName
from toolkit.views.charts.report import Figure, Judgement, Report, Section

if TYPE_CHECKING:
    from toolkit.research.backtest import BacktestRun

MOST_SYMBOLS = 6  # with a chart of their own
TITLES = {
    "SweepTable": "Sweep",
    "WalkForward": "Walk-forward",
    "CombinatorialPurged": "Cross-validation",
    "MonteCarlo": "The trades in other orders",
    "Look": "Hold-out",
    "ParityReport": "Parity of session and backtest",
    "CostsCheck": "Check of the costs",
    "DataCheck": "Check of the data",
    "WarmupCheck": "Check of the warm-up",
}
HEADINGS = {
    "equity": "Equity, drawdown, exposure",
    "trades": "What the trades returned",
    "excursions": "How far the trades went",
    "returns": "Returns in time",
    "evidence": "Tests",
    "lanes": "Walk-forward",
    "stability": "What every fold chose",
    "paths": "Cross-validated histories",
    "bands": "The trades in other orders and mixes",
    "intervals": "Histories made of pieces of the returns",
    "plateau": "The neighbourhood",
    "causes": "What each cause cost",
    "pairs": "Trades that differ",
    "stoch_rsi": "Parameters: StochRSI",
    "ema": "Parameters: EMA",
    "stochastic": "Parameters: Stochastic",
    "rules": "Parameters: rules",
    "risk": "Parameters: risk",
}


def report(
    result: Any, path: str | Path, *, theme: ThemeName = "auto", title: str | None = None
) -> Path:
    """Write figures, parameters, costs, data, verdict, pictures and trades to one HTML file.

    `result` is a BacktestRun or any other result with pictures. Raises ConfigError.
    """
    target = checked_report(path)
    from toolkit.research.backtest import BacktestRun

    made = _of_run(result) if isinstance(result, BacktestRun) else _of_other(result)
    if title is not None:
        made = dataclasses.replace(made, title=title)
    try:
        target.write_text(made.html(theme=theme), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {target}: {error.strerror or error}",
            field="path",
            value=str(path),
            allowed="a file in a folder that exists and has room",
        ) from error
    return target


def checked_report(path: str | Path) -> Path:
    """Return where a report will go; raises ConfigError where it cannot."""
    target = Path(path)
    allowed = "a file that ends in .html, in a folder that exists"
    if target.suffix.lower() not in {".html", ".htm"} or not target.parent.is_dir():
        raise ConfigError(
            f"cannot write a report to {str(path)!r}; allowed: {allowed}",
            field="path",
            value=str(path),
            allowed=allowed,
        )
    return target


def _of_run(run: BacktestRun) -> Report:
    tape, figures = run.tape, run.stats()
    start, end = figures["start"], figures["end"]
    names = ", ".join(tape.symbols)
    return Report(
        title=f"Backtest of {names}",
        lede=(
            f"{figures['bars']:,} bars of {_duration(tape.timeframe)}, {start:%Y-%m-%d %H:%M} to"
            f" {end:%Y-%m-%d %H:%M} UTC, {figures['start_equity']:,.2f} $ at the start"
        ),
        judgement=_judgement(run),
        figures=_figures(figures),
        sections=[*_pictures(run), *_facts(run), *_trades(run)],
        footer=_footer(),
    )


def _of_other(result: Any) -> Report:
    judgement = _weighed(result)
    frame = getattr(result, "frame", None)
    sections = [*_drawn(result), *_swept(result)]
    if frame is not None:
        named = frame.reset_index() if frame.index.name else frame
        sections.append(Section(heading="Figures", table=named))
    return Report(
        title=TITLES.get(type(result).__name__, type(result).__name__),
        lede="" if hasattr(result, "sentence") else repr(result).strip("<>"),
        judgement=judgement,
        figures=[],
        sections=sections,
        footer=_footer(),
    )


def _weighed(result: Any) -> Judgement | None:
    """Return the verdict of a sweep, or the sentence of any other result."""
    if hasattr(result, "verdict") and hasattr(result, "results"):
        try:
            result = result.verdict()
        except DataError as error:
            return Judgement(sentence=f"No verdict: {error.message}.")
    if not hasattr(result, "sentence"):
        return None
    good = getattr(result, "supported", getattr(result, "ok", False))
    return Judgement(sentence=result.sentence, good=bool(good))


def _drawn(result: Any) -> list[Section]:
    """Return every picture that there is, and a word in the place of one that cannot be drawn."""
    from toolkit.session.pictures import kinds, picture

    sections = []
    for kind in kinds(result):
        if kind == "slider":  # the slices say the same, on paper too
            continue
        heading = HEADINGS.get(kind, kind.replace("_", " ").capitalize())
        try:
            sections.append(Section(heading=heading, picture=picture(result, kind).layout))
        except ConfigError as error:
            sections.append(Section(heading=heading, note=error.message))
    return sections


def _swept(result: Any) -> list[Section]:
    """Return what was swept, with which costs and on which data, where the result has a sweep."""
    table = getattr(result, "table", result)
    if not hasattr(table, "grid"):
        return []
    axes = {name: ", ".join(map(str, values)) for name, values in table.grid.axes.items()}
    data = {name: _plain(value) for name, value in _fields(table.data).items()}
    costs = {name: _plain(value) for name, value in table.costs.to_dict().items()}
    return [
        Section(heading="Swept", facts=axes),
        Section(heading="Data", facts=data),
        Section(heading="Costs", facts=costs),
    ]


def _fields(value: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(value):
        return {}
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _judgement(run: BacktestRun) -> Judgement:
    """Return the verdict that the parameters bring along, or why there is none."""
    verdict = getattr(run.parameters, "verdict", None)
    if verdict is not None:
        return Judgement(
            sentence=verdict.sentence, reasons=verdict.reasons, good=bool(verdict.supported)
        )
    trades = run.score.metrics["trades"]
    reasons = [run.note] if run.note else []
    if 0 < trades < 30:
        reasons.append(f"{trades:.0f} trades are few: fewer than 30 say little")
    tried = _tried(run)
    if tried > 1:
        reasons.append(f"{tried:,} sets of parameters were tried on this data so far")
    reasons.append("tk.validate or toolkit validate weighs a set against all that was tried")
    return Judgement(
        sentence="No verdict: one run on data that was looked at says nothing about the next day.",
        reasons=reasons,
    )


def _tried(run: BacktestRun) -> int:
    """Return how many sets were ever tried on the run's data, 0 where that is not known."""
    from toolkit.research.store.trials import DataKey
    from toolkit.session.kept import run_store

    try:
        return run_store().trials.known(DataKey.of(run.tape)).count
    except StoreError:
        return 0


def _figures(figures: dict[str, Any]) -> list[Figure]:
    total, net = figures["total_return_percent"], figures["net_profit"]
    ratio = figures["sharpe"]
    return [
        Figure(name="return", value=f"{total:+.3f} %", sign=total),
        Figure(name="net profit of closed trades", value=f"{net:+,.2f} $", sign=net),
        Figure(name="Sharpe ratio, a year", value=_number(ratio)),
        Figure(name="deepest drawdown", value=f"{-figures['max_drawdown_percent']:.3f} %"),
        Figure(name="trades", value=f"{figures['trades']:,}"),
        Figure(name="won", value=_number(figures["win_rate_percent"], " %")),
        Figure(name="profit factor", value=_number(figures["profit_factor"])),
        Figure(name="time in the market", value=_number(figures["exposure_percent"], " %")),
        Figure(name="fees", value=f"{figures['fees']:,.2f} $"),
        Figure(name="open at the end", value=f"{figures['open_positions']:,}"),
    ]


def _pictures(run: BacktestRun) -> list[Section]:
    from toolkit.session.pictures import kinds, picture

    sections = []
    for kind in kinds(run):
        if kind == "run" or (run.trades.empty and kind in {"trades", "excursions"}):
            continue
        heading = HEADINGS.get(kind, kind.capitalize())
        sections.append(Section(heading=heading, picture=picture(run, kind).layout))
    for symbol in run.tape.symbols[:MOST_SYMBOLS]:
        drawn = picture(run, "run", symbol=symbol, money=False).layout
        sections.append(Section(heading=f"Trades of {symbol}", picture=drawn))
    return sections


def _facts(run: BacktestRun) -> list[Section]:
    tape, default = run.tape, Parameters()
    values = run.parameters.to_dict()
    changed = frozenset(name for name, value in values.items() if value != default[name])
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        groups.setdefault(name.partition(".")[0], {})[name] = value
    costs = run.costs.to_dict() if hasattr(run.costs, "to_dict") else dataclasses.asdict(run.costs)
    data = {
        "source": tape.source,
        "symbols": ", ".join(tape.symbols),
        "first bar": tape.span[0],
        "last bar": tape.span[1],
        "bars": len(tape.market.time),
        "timeframe": _duration(tape.timeframe),
        "feed": tape.feed,
        "adjustment": tape.adjustment,
        "fingerprint": tape.fingerprint,
    }
    note = "In bold: not the default." if changed else "All at their defaults."
    return [
        Section(heading="Data", facts=data),
        *(
            Section(heading=HEADINGS[group], facts=facts, changed=changed, note=note)
            for group, facts in groups.items()
        ),
        Section(heading="Costs", facts={name: _plain(value) for name, value in costs.items()}),
    ]


def _trades(run: BacktestRun) -> list[Section]:
    if run.trades.empty:
        return [Section(heading="Trades", note=run.note)]
    return [Section(heading="Trades", table=run.trades.iloc[::-1], note="The newest first; UTC.")]


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or "none"
    return value if isinstance(value, (bool, int, float, str, datetime)) else str(value)


def _number(value: float, unit: str = "") -> str:
    if value != value:  # noqa: PLR0124
        return "\N{EN DASH}"
    return "∞" if value == float("inf") else f"{value:,.2f}{unit}"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _footer() -> str:
    now = datetime.now(UTC)
    return (
        f"Made by stochrsi-toolkit {__version__} on {now:%Y-%m-%d %H:%M} UTC. A backtest is a"
        " story about the past; nothing here is investment advice."
    )
