"""What stands before each row's first number: the end of the row before, and the row's own beginning.

That is the same for all rows but for some of it, such as the row's number and labels. What is the same is copied from
the row before it, where that is near enough; the rest are literals.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.xlsx.deflate.codes import FARTHEST, LITERALS, LONGEST, SHORTEST, Block, length_symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpt2xl.xlsx.numbers import Array

# What differs between two rows without labels: the row's number. Longer, it is worth a look at the tags inside.
_LONG = 24
_TAGS = re.compile(rb"(?<=>)|(?=<)")


class Edges:
    """The text before each row's first number; ``lengths`` [rows] (int64) are its bytes."""

    def __init__(self, opens: Sequence[bytes], close: bytes) -> None:
        self._first = opens[0]
        texts = [close + each for each in opens[1:]]
        self.lengths = np.array([len(each) for each in (opens[0], *texts)])
        self._parts = list(_parts(texts))
        self._near: Array = np.zeros(len(texts), np.bool_)

    def place(self, begins: Array) -> None:
        """Say where in the XML the texts begin [rows], before `count` and `codes`."""
        places = begins[1:]
        self._near = np.diff(begins) <= FARTHEST
        for part in self._parts:
            if isinstance(part, _Same):
                part.back[1:] = np.diff(places)
                self._near &= part.back <= FARTHEST
            places = places + part.lengths
        self._near[:1] = False  # the first row's is not preceded by the end of one

    def count(self) -> Array:
        """How often each of the `LITERALS` symbols will occur in `codes`."""
        near = int(np.count_nonzero(self._near))
        total = np.bincount(np.frombuffer(self._first, np.uint8), minlength=LITERALS)
        for part in self._parts:
            total += part.count(near, len(self._near) - near)
        return total

    def codes(self, block: Block) -> list[tuple[Array, Array]]:
        """Codes, with for each the row that it is to stand before."""
        result = [(np.zeros(len(self._first), np.int64), block.spelt(self._first))]
        for part in self._parts:
            result += part.codes(block, self._near)
        return result


class _Same:
    """A part that is the same for all rows, of a length that a match can cover."""

    def __init__(self, text: bytes, rows: int) -> None:
        self._text = text
        self.lengths = len(text)
        self.back: Array = np.zeros(rows, np.int64)  # how far away the same part of the row before is

    def count(self, near: int, far: int) -> Array:
        total = np.bincount(np.frombuffer(self._text, np.uint8), minlength=LITERALS) * far
        total[length_symbol(len(self._text))[0]] += near
        return total

    def codes(self, block: Block, near: Array) -> Iterator[tuple[Array, Array]]:
        copied, spelt = np.flatnonzero(near), np.flatnonzero(~near)
        yield copied + 1, block.matches(block.length(len(self._text)), self.back[copied])
        yield np.repeat(spelt + 1, len(self._text)), np.tile(block.spelt(self._text), len(spelt))


class _Different:
    """A part that the rows have each their own of."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.lengths = np.array([len(text) for text in texts])
        width = max(map(len, texts))
        padded = b"".join(text.ljust(width, b"\x00") for text in texts)
        self._padded = np.frombuffer(padded, np.uint8).reshape(len(texts), width)

    def count(self, near: int, far: int) -> Array:  # noqa: ARG002 - they are spelt near and far
        total = np.bincount(self._padded.ravel(), minlength=LITERALS)
        total[0] = 0
        return total

    def codes(self, block: Block, near: Array) -> Iterator[tuple[Array, Array]]:  # noqa: ARG002
        rows, width = self._padded.shape
        yield np.repeat(np.arange(rows) + 1, width), block.literals[self._padded].ravel()


def _parts(texts: Sequence[bytes]) -> Iterator[_Same | _Different]:
    """The texts in parts."""
    if not texts:
        return
    prefix = _common_prefix(texts)
    suffix = _common_prefix([text[: len(prefix) - 1 if prefix else None : -1] for text in texts])[::-1]
    middles = [text[len(prefix) : len(text) - len(suffix)] for text in texts]
    columns = [[text] for text in middles]
    if max(map(len, middles)) > _LONG:
        cut = [_TAGS.split(text) for text in middles]
        if len(set(map(len, cut))) == 1:
            columns = cut
    yield from _same(prefix, len(texts))
    by_column = list(zip(*columns, strict=True))
    for same, run in groupby(by_column, key=lambda column: len(set(column)) == 1):
        if same:
            yield from _same(b"".join(column[0] for column in run), len(texts))
        else:
            yield _Different([b"".join(row) for row in zip(*run, strict=True)])
    yield from _same(suffix, len(texts))


def _same(text: bytes, rows: int) -> Iterator[_Same | _Different]:
    """The same text for all rows, in parts that a match can cover."""
    for begin in range(0, len(text), LONGEST):
        part = text[begin : begin + LONGEST]
        yield _Same(part, rows) if len(part) >= SHORTEST else _Different([part] * rows)


def _common_prefix(texts: Sequence[bytes]) -> bytes:
    """What all texts begin with."""
    least, most = min(texts), max(texts)
    same = next(
        (place for place, (one, other) in enumerate(zip(least, most, strict=False)) if one != other), len(least)
    )
    return least[:same]
