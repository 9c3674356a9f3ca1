"""One way to compile: cached on disk, free of the GIL, and never with reordered arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` with numba at its first call; the result is kept beside its file."""
    return cast("Callable[P, R]", njit(cache=True, nogil=True)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a leaf that other compiled functions call; it is cached as a part of them."""
    return cast("Callable[P, R]", njit(nogil=True)(function))
