"""Value objects as JSON and back, without losing a digit or a microsecond."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import orjson

T = TypeVar("T")


def dump(value: Any) -> str:
    """Return a value object (dataclass, mapping, list, Decimal, datetime, enum) as JSON."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


def load(kind: type[T], text: str) -> T:
    """Return the value object of class `kind` that `dump` wrote; raises ValueError."""
    try:
        value: T = _typed(kind, orjson.loads(text))
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError(f"no {kind.__name__}: {text[:200]}") from error
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)  # a note of others, whatever it holds, must not stop a bot


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _typed(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, types.UnionType):
        (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        return tuple(_typed(typing.get_args(kind)[0], v) for v in value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _typed(hints[name], v) for name, v in value.items()})
    if kind is datetime:
        return datetime.fromisoformat(value)
    if isinstance(kind, type) and issubclass(kind, (Enum, Decimal, float)):
        return kind(value)
    return value


def parse(text: str) -> dict[str, Any]:
    """Return a mapping as it was dumped: plain JSON values."""
    value: dict[str, Any] = orjson.loads(text)
    return value
