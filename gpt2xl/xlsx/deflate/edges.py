"""What stands before each row's first number: the end of the row before, and the row's own beginning.

That is the same for all rows but for a few bytes, such as the row's number. What is the same is copied from the row
before it, where that is near enough; the rest are literals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.xlsx.deflate.codes import FARTHEST, LITERALS, LONGEST, SHORTEST, Block, length_symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpt2xl.xlsx.numbers import Array


class Edges:
    """The text before each row's first number; ``lengths`` [rows] (int64) are its bytes."""

    def __init__(self, opens: Sequence[bytes], close: bytes) -> None:
        self._first = opens[0]
        texts = [close + each for each in opens[1:]]
        self.lengths = np.array([len(each) for each in (opens[0], *texts)])
        self._prefix = _common_prefix(texts)
        backwards = [text[: -len(text) - 1 + len(self._prefix) : -1] for text in texts]
        self._suffix = _common_prefix(backwards)[::-1]
        middles = [text[len(self._prefix) : len(text) - len(self._suffix)] for text in texts]
        width = max(map(len, middles), default=0)
        padded = b"".join(each.ljust(width, b"\x00") for each in middles)
        self._middles = np.frombuffer(padded, np.uint8).reshape(len(texts), width)
        self._back: Array = np.zeros((len(texts), 2), np.int64)
        self._near: Array = np.zeros(len(texts), np.bool_)

    def place(self, begins: Array) -> None:
        """Say where in the XML the texts begin [rows], before `count` and `codes`."""
        self._back[:, 0] = np.diff(begins)
        self._back[:, 1] = np.diff(begins + self.lengths)
        self._near = np.all(self._back <= FARTHEST, axis=1)
        self._near[:1] = False  # the first row's is not preceded by the end of one

    def count(self) -> Array:
        """How often each of the `LITERALS` symbols will occur in `codes`."""
        near = np.count_nonzero(self._near)
        total = np.bincount(self._middles.ravel(), minlength=LITERALS)
        total[0] = 0
        total += _bytes_counted(self._first)
        for text in filter(None, (self._prefix, self._suffix)):
            total[length_symbol(len(text))[0]] += near
            total += _bytes_counted(text) * (len(self._near) - near)
        return total

    def codes(self, block: Block) -> list[tuple[Array, Array]]:
        """Codes, with for each the row that it is to stand before."""
        near, far = np.flatnonzero(self._near), np.flatnonzero(~self._near)
        result = [(np.zeros(len(self._first), np.int64), block.spelt(self._first))]
        main = np.zeros((len(self._middles), self._middles.shape[1] + 2), np.uint64)
        main[:, 1:-1] = block.literals[self._middles]
        for text, column in ((self._prefix, 0), (self._suffix, -1)):
            if text:
                main[near, column] = block.matches(block.length(len(text)), self._back[near, column])
        result.append((np.repeat(far + 1, len(self._prefix)), np.tile(block.spelt(self._prefix), len(far))))
        result.append((np.repeat(np.arange(len(main)) + 1, main.shape[1]), main.ravel()))
        result.append((np.repeat(far + 1, len(self._suffix)), np.tile(block.spelt(self._suffix), len(far))))
        return result


def _common_prefix(texts: Sequence[bytes]) -> bytes:
    """What all texts begin with, as far as a match can cover it; nothing if that is too short for one."""
    least, most = min(texts, default=b""), max(texts, default=b"")
    same = next(
        (place for place, (one, other) in enumerate(zip(least, most, strict=False)) if one != other), len(least)
    )
    return least[:same][:LONGEST] if same >= SHORTEST else b""


def _bytes_counted(text: bytes) -> Array:
    return np.bincount(np.frombuffer(text, np.uint8), minlength=LITERALS)
