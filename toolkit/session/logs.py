"""Logs for people: warnings on stderr, and with one switch every step of the toolkit itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

VARIABLE = "TOOLKIT_DEBUG"
FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s"
TIMES = "%H:%M:%S"


def set_up_logging(*, debug: bool | None = None) -> None:
    """Write to stderr; `debug` None is as TOOLKIT_DEBUG says, and goes on to child processes.

    Other packages stay at warnings even then: their debug logs quote what is sent, tokens
    included.
    """
    if debug is None:
        debug = wants_debug(os.environ)
    logging.basicConfig(level=logging.WARNING, format=FORMAT, datefmt=TIMES)
    logging.getLogger("toolkit").setLevel(logging.DEBUG if debug else logging.NOTSET)
    if debug:
        os.environ[VARIABLE] = "1"


def wants_debug(environment: Mapping[str, str]) -> bool:
    """Tell whether the environment asks for debug logs."""
    return environment.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")
