"""Ways to compile: cached on disk, free of the GIL, and never with reordered arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")


def _load_without_scipy() -> None:
    """Import what numba's first call would import, without scipy.

    It imports scipy only to see whether there is one: 15 MB and 0.2 s for products of matrices,
    of which there are none here. Code that has some gets scipy when it is compiled.
    """
    with suppress(ImportError, AttributeError):
        from numba.np import linalg

        look = linalg.ensure_blas
        linalg.ensure_blas = lambda: None
        try:
            import numba.np.arraymath  # noqa: F401
        finally:
            linalg.ensure_blas = look


_load_without_scipy()


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` with numba at its first call; the result is kept beside its file."""
    return cast("Callable[P, R]", njit(cache=True, nogil=True, error_model="numpy")(function))


def without_counts(function: Callable[P, R]) -> Callable[P, R]:
    """Compile as `compiled` does, without counting references, for what makes no array."""
    wrap = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
    return cast("Callable[P, R]", wrap(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a part of a function that is `without_counts`; it is cached as a part of it."""
    wrap = njit(
        nogil=True,
        error_model="numpy",
        _nrt=False,
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )
    return cast("Callable[P, R]", wrap(function))


def part(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a part of functions that are `compiled`; it is cached as a part of them."""
    return cast("Callable[P, R]", njit(nogil=True)(function))


def merged(function: Callable[P, R]) -> Callable[P, R]:
    """Write a function into the one that calls it, before anything is compiled."""
    return cast(
        "Callable[P, R]",
        njit(nogil=True, error_model="numpy", _nrt=False, inline="always")(function),
    )


def sealed(column: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to: to numba that is one type, whatever it was."""
    view = np.ascontiguousarray(column).view()
    view.setflags(write=False)
    return view
