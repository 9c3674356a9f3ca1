"""One function that draws every result of research; results get it as their plotter."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args

from toolkit.errors import ConfigError
from toolkit.session.camera import photograph
from toolkit.views.charts.page import ThemeName
from toolkit.views.charts.picture import Picture

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from toolkit.research.backtest import BacktestRun
    from toolkit.research.sweeps.table import SweepTable

# By class name, so that drawing one result loads nothing of the others; the first kind of each
# is its main picture.
Maker = Callable[..., Any]


def picture(
    result: object, kind: str | None = None, *, theme: ThemeName = "auto", **options: Any
) -> Any:
    """Draw a result of research; `kind` None is its main picture, `kinds(result)` names all.

    `theme` is auto (as the page), light or dark; options are those of the kind, see
    docs/research/pictures.md. Raises ConfigError.
    """
    from toolkit.views.charts.theme import THEMES, apply_theme, follow_theme

    if theme not in get_args(ThemeName):
        allowed = list(get_args(ThemeName))
        raise _wrong("theme", theme, allowed)
    if kind == "report":
        from toolkit.session.reporting import report

        return report(result, theme=theme, **options)
    makers = _makers(result)
    chosen = kind or next(iter(makers))
    if chosen not in makers:
        raise _wrong("kind", chosen, list(makers))
    try:
        layout = makers[chosen](result, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise _wrong("options", sorted(options), _options(makers[chosen])) from error
    if theme == "auto":
        follow_theme(layout)
    else:
        apply_theme(layout, THEMES[theme])
    title = f"{type(result).__name__}: {chosen}"
    return Picture(layout, title=title, theme=theme, camera=photograph)


def kinds(result: object) -> tuple[str, ...]:
    """Name the pictures that a result has, the main one first; raises ConfigError."""
    return tuple(_makers(result))


def _makers(result: object) -> dict[str, Maker]:
    for known in type(result).__mro__:
        if known.__name__ in _PICTURES:
            return _PICTURES[known.__name__]
    raise ConfigError(
        f"a {type(result).__name__} has no picture; its table is .frame, its result .sentence",
        field="result",
        value=type(result).__name__,
        allowed=list(_PICTURES),
    )


def _run(
    run: BacktestRun,
    *,
    symbol: str | None = None,
    start: str | datetime | None = None,
    end: str | datetime | None = None,
    benchmark: bool = True,
    money: bool = True,
) -> Any:
    from toolkit.views.charts.runs import run_figure

    name = run.tape.known(symbol or run.tape.symbols[0])
    bars, trades = run.bars(name), run.trades[run.trades["symbol"] == name]
    inside = _between(bars["timestamp"], start, end)
    met = _between(trades["exit_time"], start, None) & _between(trades["entry_time"], None, end)
    return run_figure(
        bars=bars[inside].reset_index(drop=True),
        trades=trades[met],
        equity=run.equity,
        indicators=run.indicators(name)[inside.to_numpy()],
        money=money,
        benchmark=run.benchmark if benchmark else None,
        parameters=run.parameters,
        symbol=name,
    )


def _between(times: pd.Series[Any], start: Any, end: Any) -> pd.Series[bool]:
    """Say which times are from `start` on and before `end`; None is open."""
    import pandas as pd

    inside = times.notna()
    for moment, field in ((start, "start"), (end, "end")):
        if moment is None:
            continue
        try:
            edge = pd.to_datetime(moment, utc=True)
        except ValueError as error:
            raise _wrong(field, moment, ["a date or time such as 2026-01-02T15:00"]) from error
        inside &= times >= edge if field == "start" else times < edge
    return inside


def _money(run: BacktestRun, *, benchmark: bool = True) -> Any:
    from toolkit.views.charts.money import money_figure

    return money_figure(
        run.equity, benchmark=run.benchmark if benchmark else None, exposure=run.exposure
    )


def _heatmap(
    table: SweepTable, *, x: str | None = None, y: str | None = None, value: str = "sharpe"
) -> Any:
    from toolkit.views.charts.heatmap import heatmap_figure

    across, up = _swept(table, [x, y])
    return heatmap_figure(table.frame, across, up, value, best=_best(value))


def _slices(
    table: SweepTable,
    *,
    x: str | None = None,
    y: str | None = None,
    by: str | None = None,
    value: str = "sharpe",
    slider: bool = False,
) -> Any:
    from toolkit.views.charts.slices import slices_figure, slider_figure

    draw = slider_figure if slider else slices_figure
    across, up, third = _swept(table, [x, y, by])
    return draw(table.frame, across, up, third, value, best=_best(value))


def _slider(table: SweepTable, **options: Any) -> Any:
    return _slices(table, slider=True, **options)


def _swept(table: SweepTable, wanted: list[str | None]) -> list[str]:
    """Return full names of swept parameters; what is None is the next that is not yet taken."""
    from toolkit.core.parameters import Parameters

    names = list(table.grid.axes)
    if len(names) < len(wanted):
        raise _wrong("grid", ", ".join(names), [f"{len(wanted)} swept parameters or more"])
    chosen = [Parameters.info(name).name if name else None for name in wanted]
    if strange := [name for name in chosen if name and name not in names]:
        raise _wrong("parameter", strange[0], names)
    free = iter([name for name in names if name not in chosen])
    return [name or next(free) for name in chosen]


def _best(value: str) -> Any:
    from toolkit.research.scoring import LOWER_IS_BETTER

    return "lowest" if value in LOWER_IS_BETTER else "highest"


def _view(path: str, **columns: str) -> Maker:
    """Return a maker that calls `module:function` of the charts with what the result has.

    `columns` maps the function's arguments to attributes of the result.
    """
    module, _, name = path.partition(":")

    def make(result: Any, **options: Any) -> Any:
        values = {key: getattr(result, column) for key, column in columns.items()}
        return getattr(import_module(f"toolkit.views.charts.{module}"), name)(**values, **options)

    return make


def _part(name: str, kind: str) -> Maker:
    """Return a maker that draws a part of the result; raises ConfigError where it has none."""

    def make(result: Any, **options: Any) -> Any:
        part = getattr(result, name)
        if part is None:
            raise ConfigError(
                f"the bars were too few for {name.replace('_', ' ')}: there is nothing to draw",
                field="kind",
                value=kind,
            )
        return _makers(part)[kind](part, **options)

    return make


def _costs(check: Any) -> Any:
    from toolkit.views.charts.checks import costs_figure

    return costs_figure(
        check.frame,
        fee_bps=check.assumed.fee_bps,
        slippage_bps=check.assumed.slippage_bps,
        fee_break_even=check.fee_break_even,
        slippage_break_even=check.slippage_break_even,
    )


def _options(maker: Maker) -> list[str]:
    import inspect

    found = inspect.signature(maker).parameters.values()
    return [p.name for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _wrong(field: str, value: Any, allowed: list[str]) -> ConfigError:
    return ConfigError(
        f"{field} is {value!r}; allowed: {', '.join(allowed) or 'none'}",
        field=field,
        value=repr(value),
        allowed=allowed,
    )


_RUN: dict[str, Maker] = {
    "run": _run,
    "equity": _money,
    "trades": _view("trades:distribution_figure", trades="trades"),
    "excursions": _view(
        "trades:excursions_figure", excursions="excursions", parameters="parameters"
    ),
    "returns": _view("calendar:calendar_figure", returns="returns"),
}
_PICTURES: dict[str, dict[str, Maker]] = {
    "BacktestRun": _RUN,
    "SweepTable": {"heatmap": _heatmap, "slices": _slices, "slider": _slider},
    "WalkForward": {
        "lanes": _view("folds:lanes_figure", folds="frame", equity="equity"),
        "stability": _view("folds:stability_figure", folds="frame"),
    },
    "CombinatorialPurged": {
        "paths": _view("chances:paths_figure", paths="paths", figures="frame"),
    },
    "MonteCarlo": {"bands": _view("chances:bands_figure", bands="bands", figures="frame")},
    "Bootstrap": {"intervals": _view("chances:intervals_figure", figures="frame")},
    "Plateau": {"plateau": _view("plateau:plateau_figure", neighbours="frame", figure="metric")},
    "Validation": {
        "evidence": _view("evidence:evidence_figure", figures="frame"),
        "lanes": _part("walk_forward", "lanes"),
        "stability": _part("walk_forward", "stability"),
        "paths": _part("cross_validation", "paths"),
        "bands": _part("monte_carlo", "bands"),
        "intervals": _part("bootstrap", "intervals"),
        "plateau": _part("plateau", "plateau"),
        "equity": _part("run", "equity"),
        "heatmap": _part("table", "heatmap"),
    },
    "Look": {kind: _part("run", kind) for kind in _RUN},
    "ParityReport": {
        "causes": _view("parity:causes_figure", causes="causes"),
        "pairs": _view("parity:pairs_figure", pairs="frame"),
    },
    "CostsCheck": {"costs": _costs},
    "DataCheck": {"findings": _view("checks:findings_figure", findings="frame")},
    "WarmupCheck": {"warmup": _view("checks:warmup_figure", settled="frame", loaded="loaded")},
}
