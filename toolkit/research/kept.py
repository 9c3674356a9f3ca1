"""A function whose last results are kept, asked by several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Remembers the last `most` results; who asks first computes, the others wait for it."""

    def __init__(self, compute: Callable[..., T], *, most: int) -> None:
        self._compute, self._most = compute, most
        self._lock = threading.Lock()
        self._slots: OrderedDict[Hashable, _Slot[T]] = OrderedDict()

    def __call__(self, *key: Hashable) -> T:
        """Return the result for `key`; what the function raises is not kept."""
        with self._lock:
            slot = self._slots.pop(key, None) or _Slot()
            self._slots[key] = slot
            if len(self._slots) > self._most:
                self._slots.popitem(last=False)
        with slot.lock:
            if not slot.result:
                slot.result.append(self._compute(*key))
            return slot.result[0]


class _Slot(Generic[T]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.result: list[T] = []
