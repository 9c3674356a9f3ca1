"""Times, amounts and identifiers as Alpaca writes them."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation

from toolkit.core.report import rfc3339

Micros = int
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CENT = Decimal("0.01")
FINEST = Decimal("0.000000001")


def micros(seconds: float) -> Micros:
    """Return a length in microseconds."""
    return round(seconds * SECOND)


def micros_of(moment: datetime) -> Micros:
    """Return microseconds of the epoch; a naive time is UTC, as at Alpaca."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def moment_of(at: Micros) -> datetime:
    """Return a UTC-aware datetime."""
    return _EPOCH + timedelta(microseconds=at)


def stamp(at: Micros) -> str:
    """Return RFC 3339 in UTC."""
    return rfc3339(moment_of(at))


def parse_moment(text: str) -> Micros:
    """Read RFC 3339 or a plain date (midnight UTC); raises ValueError."""
    text = text.strip().replace(" ", "+")  # an unescaped + in a query
    if len(text) == len("2026-01-05"):
        day = date.fromisoformat(text)
        return micros_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return micros_of(datetime.fromisoformat(text))


def decimal_of(value: object) -> Decimal:
    """Read a JSON number or string exactly as it is written; raises ValueError."""
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is no number")
    return number


def text(number: Decimal) -> str:
    """Return plain digits without trailing zeros."""
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def maybe(number: Decimal | None) -> str | None:
    """Return `text`, or None for nothing."""
    return None if number is None else text(number)


def cents(number: Decimal) -> Decimal:
    """Round money to the cent."""
    return number.quantize(_CENT, ROUND_HALF_UP)


def floor_quantity(number: Decimal) -> Decimal:
    """Cut a quantity to nine decimals."""
    return number.quantize(FINEST, ROUND_DOWN)


def is_whole(number: Decimal) -> bool:
    """Whether a quantity is in whole units."""
    return number == number.to_integral_value()


class Identifiers:
    """UUIDs that repeat themselves for a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"identifiers {seed}")

    def __call__(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def identifier_of(name: str) -> str:
    """Return the UUID that always stands for this name."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.exchange.toolkit"))
