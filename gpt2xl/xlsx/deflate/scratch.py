"""Memory for intermediate results that is used again: the system takes longer to hand out new pages than numpy to fill
them, and lets one thread at a time have them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpt2xl.xlsx.numbers import Array

_LINE = 64  # bytes


class Scratch(threading.local):
    """A stack of arrays; each thread has its own. What is in an array is lost when the `frame` it was made in ends."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._top = 0

    @contextmanager
    def frame(self, room: int = 0) -> Iterator[None]:
        """Give back, at the end, what is taken inside; in the outermost frame with `room` bytes for all."""
        top = self._top
        if not top and len(self._memory) < room:
            self._memory = np.empty(room, np.uint8)
        self._top = top + _LINE
        try:
            yield
        finally:
            self._top = top

    def integers(self, count: int) -> Array:
        """[count] of int64."""
        return self.bytes(8 * count).view(np.int64)

    def words(self, count: int) -> Array:
        """[count] of uint64."""
        return self.bytes(8 * count).view(np.uint64)

    def halves(self, count: int) -> Array:
        """[count] of uint32."""
        return self.bytes(4 * count).view(np.uint32)

    def bytes(self, count: int) -> Array:
        """[count] of uint8."""
        begin = self._top
        end = begin + count
        if end > len(self._memory):
            return np.empty(count, np.uint8)
        self._top = -(-end // _LINE) * _LINE
        return self._memory[begin:end]


SCRATCH = Scratch()
