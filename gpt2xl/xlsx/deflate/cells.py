"""Cells to bits: each is a match and those characters of its number that the match leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.xlsx.deflate.codes import DISTANCES, LITERALS, Block, distance_symbols, join, length_symbol
from gpt2xl.xlsx.deflate.matches import COVERED, KIND_BITS
from gpt2xl.xlsx.deflate.scratch import SCRATCH
from gpt2xl.xlsx.deflate.text import BLOCK, CHARACTERS, Numbers

if TYPE_CHECKING:
    from gpt2xl.xlsx.numbers import Array

_KIND = (1 << KIND_BITS) - 1
_SIX = np.uint64(6)
_BITS = np.uint64(63)
_FIT = 14  # characters on average, up to which few cells take more than 64 bits
_BY_NIBBLE = np.frombuffer(CHARACTERS, np.uint8)


def count_cells(numbers: Numbers, matches: Array, separator: int, step: int) -> tuple[Array, Array]:
    """How often the `LITERALS` and the `DISTANCES` symbols occur in every `step`-th cell, of which are `matches`.

    Each symbol that another cell may need is there once at least.
    """
    kinds = matches & _KIND
    distances = matches >> KIND_BITS
    literals = np.zeros(LITERALS, np.int64)
    for covered, count in zip(COVERED, np.bincount(kinds[distances > 0], minlength=len(COVERED)).tolist(), strict=True):
        literals[length_symbol(separator + covered)[0]] += count + 1
    at = numbers.starts[::step] + (kinds >> 1)
    # The next match takes as many characters, on average, as this one.
    left = np.maximum(numbers.sizes[::step] - np.array(COVERED)[kinds], 0)
    while left.any():
        nibbles = numbers.nibbles(at, left).astype(np.uint32).view(np.uint8)
        for each in (nibbles & 15, nibbles >> 4):
            np.add.at(literals, _BY_NIBBLE, np.bincount(each, minlength=len(_BY_NIBBLE)))
        at += 8
        left = np.maximum(left - 8, 0)
    literals[_BY_NIBBLE] += 1
    literals[0] = 0
    symbols = distance_symbols(distances[distances > 0])
    return literals, np.bincount(symbols, minlength=DISTANCES) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Bits of cells, in `per_cell` words each, and codes that are to stand before some of the cells.

    ``words`` (uint64) and ``bits`` (uint64, up to 64) [count * per_cell + 1], the last one of no bits, are in memory of
    the current frame of `SCRATCH`; ``before`` are cells and codes.
    """

    words: Array
    bits: Array
    per_cell: int
    before: list[tuple[Array, Array]]


class CellCoder:
    """How cells are coded in one block; the separators of those that have no match are left out."""

    def __init__(self, numbers: Numbers, matches: Array, block: Block, separator: int) -> None:
        self._numbers = numbers
        self._matches = matches
        self._lengths = np.array([block.length(separator + covered) for covered in COVERED])
        distances = np.arange(1, int(matches.max() >> KIND_BITS) + 1)
        self._distances = np.concatenate(([np.uint64(0)], block.matches(np.zeros(1, np.uint64), distances)))
        ones = block.literals[_BY_NIBBLE]
        twos = join(ones[:, np.newaxis], ones[np.newaxis, :]).ravel()
        self._fours = SCRATCH.words(len(twos) ** 2)
        join(twos[:, np.newaxis], twos[np.newaxis, :], self._fours.reshape(len(twos), len(twos)))

    def all(self) -> Coded:
        """All cells."""
        count = len(self._matches)
        per_cell = 1 if self._numbers.sizes.mean() <= _FIT else 2
        words, bits = SCRATCH.words(count * per_cell + 1), SCRATCH.words(count * per_cell + 1)
        words[:] = bits[:] = 0
        before = []
        for begin in range(0, count, BLOCK):
            cells = slice(begin, begin + BLOCK)
            mine = (each[:-1].reshape(count, per_cell)[cells] for each in (words, bits))
            with SCRATCH.frame():
                long = self._code(cells, *mine) + begin
                pieces = self._pieces(long)
                before.append((np.repeat(long, len(pieces)), np.stack(pieces, axis=1).ravel()))
        return Coded(words, bits, per_cell, before)

    def _code(self, cells: slice, words: Array, bits: Array) -> Array:
        """Put the bits of cells into `words` and how many they are into `bits`; returns which have too many.

        Takes memory of the current frame.
        """
        matches = self._matches[cells]
        count = len(matches)
        at, left, codes = SCRATCH.integers(count), SCRATCH.integers(count), SCRATCH.words(count)
        word, size = SCRATCH.words(count), SCRATCH.words(count)
        np.bitwise_and(matches, _KIND, out=at)
        np.take(self._lengths, at, out=size, mode="clip")
        np.right_shift(size, _SIX, out=word)
        np.bitwise_and(size, _BITS, out=size)
        np.right_shift(matches, KIND_BITS, out=left)
        np.take(self._distances, left, out=codes, mode="clip")
        _append(word, size, codes)
        alone = np.flatnonzero(left == 0)
        word[alone] = size[alone] = 0
        np.right_shift(at, 1, out=at)
        self._where(cells, at, left)
        for codes in self._literals(at, left):
            _append(word, size, codes)
        words[:, 0], bits[:, 0] = word, size
        for done in range(8, int(left.max()), 8):
            rest = np.flatnonzero(left > done)
            word, size = words[rest, -1], bits[rest, -1]
            for codes in self._literals(at[rest] + done, left[rest] - done):
                _append(word, size, codes)
            words[rest, -1], bits[rest, -1] = word, size
        long = np.unique(np.flatnonzero(bits > 64) // bits.shape[1])
        words[long] = bits[long] = 0
        return long

    def _where(self, cells: slice, at: Array, left: Array) -> None:
        """From how many characters matches cover, `at`, to where others begin; how many there are goes to `left`."""
        np.subtract(self._numbers.sizes[cells], at, out=left)
        np.add(self._numbers.starts[cells], at, out=at)
        following = self._matches[cells.start + 1 : cells.stop + 1] & 1
        left[: len(following)] -= following

    def _literals(self, at: Array, left: Array) -> tuple[Array, Array]:
        """The codes of up to four characters, and of up to four more, of `left` from `at`; in the current frame."""
        codes = SCRATCH.words(len(at)), SCRATCH.words(len(at))
        with SCRATCH.frame():
            nibbles, places = self._numbers.nibbles(at, left).view(np.int64), SCRATCH.integers(len(at))
            np.right_shift(nibbles, 16, out=places)
            np.take(self._fours, places, out=codes[0], mode="clip")
            np.bitwise_and(nibbles, 0xFFFF, out=places)
            np.take(self._fours, places, out=codes[1], mode="clip")
        return codes

    def _pieces(self, cells: Array) -> list[Array]:
        """The codes of some cells one by one, partly in the current frame."""
        matches = self._matches[cells]
        tokens = join(self._lengths[matches & _KIND], self._distances[matches >> KIND_BITS])
        tokens[matches == 0] = 0
        at = (matches & _KIND) >> 1
        left = self._numbers.sizes[cells] - at
        at += self._numbers.starts[cells]
        following = cells + 1 < len(self._matches)
        left[following] -= self._matches[cells[following] + 1] & 1
        result = [tokens]
        for done in range(0, int(left.max(initial=0)), 8):
            result += self._literals(at + done, np.maximum(left - done, 0))
        return result


def _append(word: Array, bits: Array, codes: Array) -> None:
    """Put `codes` behind the `bits` lowest ones of `word`."""
    with SCRATCH.frame():
        part = SCRATCH.words(len(codes))
        np.right_shift(codes, _SIX, out=part)
        np.left_shift(part, bits, out=part)
        np.bitwise_or(word, part, out=word)
        np.bitwise_and(codes, _BITS, out=part)
        np.add(bits, part, out=bits)
