"""One option for each field of `Costs`, for every command that trades on bars."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from toolkit.core.costs import Costs
from toolkit.errors import ConfigError

PANEL = "Costs"
SessionsOption = Annotated[
    str, typer.Option(help="When stocks trade: all, regular or extended.", rich_help_panel=PANEL)
]
FlatOption = Annotated[
    float,
    typer.Option(
        help="Sell stocks so many seconds before their session ends; 0: keep them.",
        rich_help_panel=PANEL,
    ),
]
_FLAGS = {
    "quoted_spread": "Pay half of the spread that a bar carries.",
    "targets_rest": "Targets rest as limit orders: no slippage, the maker's fee of crypto.",
}
_SPREADS = "symbol_spread_bps"
_VOLUME = "crypto_volume"


def with_costs(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of `Costs`; it is called with `costs` instead of them.

    The values are checked by Costs: ConfigError names the field and what is allowed.
    """

    @functools.wraps(command)
    def run(**arguments: Any) -> int:
        given = {name: arguments.pop(name) for name in options}
        return command(costs=costs_of(given), **arguments)

    options = _options()
    own = inspect.signature(command).parameters
    kept = [p for name, p in own.items() if name != "costs"]
    hints = typing.get_type_hints(command, include_extras=True)
    kept = [p.replace(annotation=hints[p.name]) for p in kept]
    signature = inspect.Signature([*kept, *options.values()], return_annotation=int)
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return run


def costs_of(given: Mapping[str, Any]) -> Costs:
    """Return costs from options; those that are None or empty are as usual."""
    named = {name: value for name, value in given.items() if value not in (None, [], ())}
    if _SPREADS in named:
        named[_SPREADS] = dict(_pair(text) for text in named[_SPREADS])
    volume = named.pop(_VOLUME, None)
    return Costs(**named) if volume is None else Costs.crypto(volume=volume, **named)


def _pair(text: str) -> tuple[str, float]:
    symbol, _, number = text.partition("=")
    try:
        return symbol, float(number)
    except ValueError:
        raise ConfigError(
            f"--symbol-spread-bps {text}: write SYMBOL=BPS, as in AAPL=0.5",
            field=_SPREADS,
            value=text,
            allowed="SYMBOL=BPS",
        ) from None


def _options() -> dict[str, inspect.Parameter]:
    found = {}
    for f in dataclasses.fields(Costs):
        kind: Any = float | None
        if f.name in _FLAGS:
            kind, about = bool | None, _FLAGS[f.name]
        elif f.name == _SPREADS:
            kind, about = list[str] | None, "Quoted spread of one symbol, AAPL=0.5; repeatable."
        else:
            about = _about(f.metadata["about"], f.metadata["unit"], f.default)
        found[f.name] = _parameter(f.name, kind, about)
    about = "Dollars of crypto traded in 30 days: sets both fees of crypto by their tier."
    found[_VOLUME] = _parameter(_VOLUME, float | None, about)
    return found


def _about(about: str, unit: str, default: Any) -> str:
    usual = f"{default:.9f}".rstrip("0").rstrip(".")
    return f"{about[0].upper()}{about[1:]}, in {unit}; default {usual}."


def _parameter(name: str, kind: Any, about: str) -> inspect.Parameter:
    option = typer.Option(help=about, show_default=False, rich_help_panel=PANEL)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )
