"""How a result gets its pictures without knowing who draws them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.errors import ConfigError

Plotter = Callable[..., Any]
"""Called as `plotter(result, kind, **options)`; a `kind` of None is the result's main picture."""


def draw(plotter: Plotter | None, result: object, kind: str | None, **options: Any) -> Any:
    """Return the picture of a result; raises ConfigError where nobody draws it."""
    if plotter is None:
        raise ConfigError(
            f"this {type(result).__name__} has no plotter; results of tk.* bring one along, others"
            " take dataclasses.replace(result, plotter=toolkit.session.pictures.picture)",
            field="plotter",
            allowed="a function of (result, kind, **options)",
        )
    return plotter(result, kind, **options)
