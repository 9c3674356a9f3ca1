"""Compiling takes seconds the first time; it counts for no test."""

from __future__ import annotations

import pytest

from toolkit.loadtest.latency import compiled_bucket_of
from toolkit.loadtest.receiver import compile_all


@pytest.fixture(scope="session", autouse=True)
def compiled_kernel() -> None:
    compile_all()
    compiled_bucket_of(1)
