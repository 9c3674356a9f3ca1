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
    from toolkit.research.backtest import BacktestRun
    from toolkit.research.sweeps.table import SweepTable

# By class name, so that drawing one result loads nothing of the others; the first kind of each
# is its main picture. A value is a function below or `module:function` of views.
Maker = Callable[..., Any]


def picture(
    result: object, kind: str | None = None, *, theme: ThemeName = "auto", **options: Any
) -> Picture:
    """Draw a result of research; `kind` None is its main picture, `kinds(result)` names all.

    `theme` is auto (as the page), light or dark; options are those of the kind, see
    docs/research/pictures.md. Raises ConfigError.
    """
    from toolkit.views.charts.theme import THEMES, apply_theme, follow_theme

    if theme not in get_args(ThemeName):
        allowed = list(get_args(ThemeName))
        raise _wrong("theme", theme, allowed)
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
    raise _wrong("result", type(result).__name__, list(_PICTURES))


def _run(run: BacktestRun, *, symbol: str | None = None, benchmark: bool = True) -> Any:
    from toolkit.views.charts.runs import run_figure

    name = run.tape.known(symbol or run.tape.symbols[0])
    return run_figure(
        bars=run.bars(name),
        trades=run.trades[run.trades["symbol"] == name],
        equity=run.equity,
        indicators=run.indicators(name),
        benchmark=run.benchmark if benchmark else None,
        parameters=run.parameters,
        symbol=name,
    )


def _money(run: BacktestRun, *, benchmark: bool = True) -> Any:
    from toolkit.views.charts.money import money_figure

    return money_figure(
        run.equity, benchmark=run.benchmark if benchmark else None, exposure=run.exposure
    )


def _heatmap(
    table: SweepTable, *, x: str | None = None, y: str | None = None, value: str = "sharpe"
) -> Any:
    from toolkit.views.charts.heatmap import heatmap_figure

    names = list(table.grid.axes)
    across = x or next(name for name in names if name != y)
    up = y or next(name for name in names if name != across)
    return heatmap_figure(table.frame, across, up, value, best=_best(value))


def _best(value: str) -> Any:
    from toolkit.research.sweeps.table import LOWER_IS_BETTER

    return "lowest" if value in LOWER_IS_BETTER else "highest"


def _view(path: str, **columns: str) -> Maker:
    """Return a maker that calls a function of views with frames of the result, loaded late."""
    module, _, name = path.partition(":")

    def make(result: Any, **options: Any) -> Any:
        values = {key: getattr(result, column) for key, column in columns.items()}
        return getattr(import_module(f"toolkit.views.charts.{module}"), name)(**values, **options)

    return make


def _options(maker: Maker) -> list[str]:
    import inspect

    found = inspect.signature(maker).parameters.values()
    return [p.name for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _wrong(field: str, value: Any, allowed: list[str]) -> ConfigError:
    return ConfigError(
        f"{field} is {value!r}; allowed: {', '.join(allowed)}",
        field=field,
        value=repr(value),
        allowed=allowed,
    )


_PICTURES: dict[str, dict[str, Maker]] = {
    "BacktestRun": {"run": _run, "equity": _money},
    "SweepTable": {"heatmap": _heatmap},
}
