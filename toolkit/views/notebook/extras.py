"""Packages that only some views need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import ConfigError


@contextmanager
def notebook_packages() -> Iterator[None]:
    """Turn a missing package into a ConfigError that says how to install it."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"this needs the package {error.name}; "
            "install it with: pip install 'stochrsi-toolkit[notebook]'",
            field="package",
            value=error.name,
        ) from error
