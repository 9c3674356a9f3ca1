"""`tuner`: change the parameters of a running bot from a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.core.parameters import Parameters
from toolkit.views.feed import Client
from toolkit.views.notebook.extras import notebook_packages

Tried = Callable[[Parameters, Callable[[str], None]], None]


def tuner(client: Client, *, tried: Tried | None = None) -> Any:
    """Return a form with every parameter, Apply and Reset, and what the bot confirmed.

    It follows changes that others make. `tried` is told every sound draft, with a function that
    shows what came of it, from any thread; it must not block. `stop()` keeps the form out of use,
    `close()` removes it. Raises ConfigError where ipywidgets is missing.
    """
    with notebook_packages():
        from toolkit.views.notebook.tuner_panel import TunerPanel

    return TunerPanel(client, tried=tried)
