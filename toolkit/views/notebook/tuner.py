"""`tuner`: change the parameters of a running bot from a notebook."""

from __future__ import annotations

from typing import Any

from toolkit.views.feed import Client
from toolkit.views.notebook.extras import notebook_packages


def tuner(client: Client) -> Any:
    """Return a form with every parameter, Apply and Reset, and what the bot confirmed.

    It follows changes that others make. `stop()` keeps the form out of use, `close()` removes
    it. Raises ConfigError where ipywidgets is missing.
    """
    with notebook_packages():
        from toolkit.views.notebook.tuner_panel import TunerPanel

    return TunerPanel(client)
