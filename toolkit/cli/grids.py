"""`--grid NAME=A,B,C`: what a sweep varies, as typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import typer

from toolkit.cli import console
from toolkit.core.parameters import FieldInfo, Parameters
from toolkit.errors import ConfigError

MOST = 200_000  # values of one parameter

GridOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="NAME=A,B",
        help="Values of a parameter, ema_period=5,9,20; a range, ema_period=5:50 or 5:50:5;"
        " repeatable.",
    ),
]


def grid_of(assignments: Sequence[str] | None) -> dict[str, Any]:
    """Read `name=a,b,c`, `name=low:high` and `name=low:high:step`; raises ConfigError."""
    grid: dict[str, Any] = {}
    for assignment in assignments or ():
        name, equals, text = assignment.partition("=")
        if not equals or not text.strip():
            raise _wrong(assignment)
        info = Parameters.info(name.strip())
        if info.name in grid:
            raise ConfigError(
                f"--grid {info.name}: given twice; write all values in one", field="--grid"
            )
        grid[info.name] = _values(info, text, assignment)
    if not grid:
        raise ConfigError(
            "nothing to vary; add --grid NAME=A,B, as in --grid ema_period=5,9,20",
            field="--grid",
            allowed="NAME=A,B",
        )
    return grid


def _values(info: FieldInfo, text: str, assignment: str) -> Any:
    if ":" not in text:
        return [info.check(console.value_of(part.strip(), info.kind)) for part in text.split(",")]
    try:
        low, high, *step = [float(part) for part in text.split(":")]
    except ValueError:
        raise _wrong(assignment) from None
    ends = (info.check(low), info.check(high))
    if not step:
        return ends
    if len(step) > 1 or not step[0] > 0.0 or high < low or (high - low) / step[0] > MOST:
        raise _wrong(assignment)
    steps = np.arange(int((high - low) / step[0] + 1e-9) + 1)
    return [info.check(round(float(low + at * step[0]), 10)) for at in steps]


def _wrong(assignment: str) -> ConfigError:
    allowed = "NAME=A,B,C or NAME=LOW:HIGH or NAME=LOW:HIGH:STEP"
    return ConfigError(
        f"--grid {assignment}: write {allowed}", field="--grid", value=assignment, allowed=allowed
    )
