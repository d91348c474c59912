"""Which of the cells just before it a cell is copied from: the one that makes for the fewest bits.

A match is an int64: its distance, 0 where there is none, above four bits for its kind. The kind is twice the
characters of the number that the match covers, 0 to 6, plus one if it begins with the last character of the number
before; the separator lies between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpt2xl.xlsx.deflate.codes import DISTANCE_EXTRA, DISTANCES, END, LITERAL_EXTRA, distance_symbols, length_symbol
from gpt2xl.xlsx.deflate.scratch import SCRATCH
from gpt2xl.xlsx.deflate.text import BLOCK, LONGEST_NUMBER, Numbers
from gpt2xl.xlsx.numbers import Array

KIND_BITS = 4
COVERED = tuple(kind // 2 + kind % 2 for kind in range(14))  # by kind: characters of numbers

_NEAR = 8  # cells before it that each is compared with
_AT_A_TIME = BLOCK // 2  # cells
_MOST = 6  # characters that are compared
_PRICE = 16  # bits below the price, in 1/16 bit, that are the match
_COMPARISON = 4  # bits of a comparison below the distance
_TOO_MUCH = 1 << 29
_NOWHERE = -(1 << 30)

# A head is a uint32: the low four bits of `_MOST` characters, the first uppermost, and five bits of 0. The exponent of
# the difference of two heads, as a float32, tells how many characters they have in common from the first on. By the
# size of a number, the bit that is set in any difference: before its last character, with which the next match may
# begin.
_STOPS = np.array([2 << 4 * (_MOST - min(max(size - 1, 0), _MOST)) for size in range(LONGEST_NUMBER + 1)], np.uint32)
_EXPONENT = 25  # the bit of a float32 from which on its exponent divided by 4 stands
_EXPONENT_OF_2 = 128 // 4  # of a difference in the lowest bit but one
_SAME_LAST = 3


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Bits to expect of a match's symbols, without the extra ones, and of a character that is in no match."""

    kinds: Array
    distances: Array  # [DISTANCES]
    character: float
    total: float  # bits of all that was counted

    @classmethod
    def guess(cls) -> Prices:
        """Before anything has been counted."""
        return cls(np.full(len(COVERED), 4.0), np.full(DISTANCES, 4.0), 3.5, 0.0)

    @classmethod
    def after(cls, literals: Array, distances: Array, separator: int) -> Prices:
        """After these many of the `LITERALS` and the `DISTANCES` symbols."""
        by_literal = np.log2(literals.sum() / np.maximum(literals, 1))
        by_distance = np.log2(distances.sum() / np.maximum(distances, 1))
        characters = literals[:END]
        return cls(
            by_literal[[length_symbol(separator + covered)[0] for covered in COVERED]],
            by_distance,
            float(by_literal[:END] @ characters / characters.sum()),
            float((by_literal + LITERAL_EXTRA) @ literals + (by_distance + DISTANCE_EXTRA) @ distances),
        )


class Candidates:
    """For each number the matches with the cells before it; in memory of the current frame of `SCRATCH`."""

    def __init__(self, numbers: Numbers, offsets: Array, width: int, separator: int) -> None:
        """`offsets` [count] (int64): where in the XML each cell's separator begins, which has `separator` bytes."""
        count = len(offsets)
        self._reach = _NEAR * (LONGEST_NUMBER + separator)
        self._kind_extra = np.array([length_symbol(separator + covered)[2] for covered in COVERED])
        self._heads, self._stops = SCRATCH.halves(_NEAR + count), SCRATCH.halves(count)
        self._lasts = SCRATCH.bytes(_NEAR + count)  # the last characters of the numbers before
        self._heads[:_NEAR] = self._lasts[:_NEAR] = 0
        for begin in range(0, count, BLOCK):
            block = slice(begin, begin + BLOCK)
            starts = numbers.starts[block]
            with SCRATCH.frame():
                heads = numbers.nibbles(starts)
                np.bitwise_and(heads, 0xFFFFFF00, out=heads)
                np.right_shift(heads, 3, out=heads)
                self._heads[_NEAR:][block] = heads
                np.take(_STOPS, numbers.sizes[block], out=self._stops[block], mode="clip")
                lasts = SCRATCH.integers(len(starts))
                np.subtract(starts, 2, out=lasts)
                np.take(numbers.characters, lasts, out=self._lasts[_NEAR:][block], mode="clip")
        # A row's first cell has no separator: nothing is near it.
        self._offsets = SCRATCH.halves(_NEAR + count).view(np.int32)
        self._offsets[:_NEAR] = _NOWHERE
        np.left_shift(offsets, _COMPARISON, out=self._offsets[_NEAR:], casting="unsafe")
        self._offsets[_NEAR::width] = _NOWHERE

    def cheapest(self, prices: Prices, step: int = 1) -> Array:
        """The cheapest match of each `step`-th cell, in the current frame."""
        table = self._table(prices)
        count = -(-len(self._stops) // step)
        matches = SCRATCH.integers(count)
        for begin in range(0, count, _AT_A_TIME):
            self._cheapest(matches[begin : begin + _AT_A_TIME], begin * step, step, table)
        return matches

    def _cheapest(self, matches: Array, begin: int, step: int, table: Array) -> None:
        """Put the cheapest matches of every `step`-th number from `begin` on into `matches`."""
        count = len(matches)
        end = begin + step * (count - 1) + 1
        now = slice(_NEAR + begin, _NEAR + end, step)
        heads, offsets, lasts = (
            _before(each, begin, step, count) for each in (self._heads, self._offsets, self._lasts)
        )
        with SCRATCH.frame():
            differ, distance = SCRATCH.halves(heads.size), SCRATCH.halves(heads.size)
            differ, distance = differ.reshape(heads.shape), distance.view(np.int32).reshape(heads.shape)
            same_last = SCRATCH.bytes(heads.size).view(np.bool_).reshape(heads.shape)
            places = SCRATCH.integers(heads.size).reshape(heads.shape)
            np.bitwise_xor(self._heads[now], heads, out=differ)
            np.bitwise_or(differ, self._stops[begin:end:step], out=differ)
            as_float = distance.view(np.float32)
            as_float[:] = differ
            comparison = differ.view(np.int32)
            np.right_shift(as_float.view(np.int32), _EXPONENT, out=comparison)
            np.equal(self._lasts[now], lasts, out=same_last)
            same = same_last.view(np.uint8)
            np.left_shift(same, _SAME_LAST, out=same)
            np.add(comparison, same, out=comparison)
            np.subtract(self._offsets[now], offsets, out=distance)
            np.add(distance, comparison, out=places)
            prices = distance
            np.take(table, places, out=prices, mode="clip")
            best = SCRATCH.halves(count).view(np.int32)
            np.minimum.reduce(prices, axis=0, out=best)
            best[best > _TOO_MUCH >> 1] = 0
            np.bitwise_and(best, (1 << _PRICE) - 1, out=best)
            matches[:] = best

    def _table(self, prices: Prices) -> Array:
        """The prices (int32), above matches, of comparisons: distance times 16, plus what the heads and the last
        characters say."""
        distances = np.arange(self._reach + 1)
        by_distance = _price(prices.distances + DISTANCE_EXTRA)[distance_symbols(distances)] + (distances << KIND_BITS)
        by_kind = _price(prices.kinds + self._kind_extra - prices.character * np.array(COVERED))
        by_kind += np.arange(len(COVERED))
        other, same = by_kind[::2][::-1], by_kind[1::2][::-1]
        # A float32 is rounded: what differs in the first character can appear to do so before it.
        other, same = np.append(other, other[-1]), np.append(same, same[-1])
        # The last character before is not always worth beginning with: another length may cost more.
        comparisons = np.concatenate((other, np.minimum(same, other)))
        table = np.full(_EXPONENT_OF_2 + 16 * (self._reach + 2), _TOO_MUCH, np.int32)
        table[_EXPONENT_OF_2:-16] = (by_distance[:, np.newaxis] + comparisons).ravel()
        table[: _EXPONENT_OF_2 + 16] = _TOO_MUCH
        return table


def _before(values: Array, begin: int, step: int, count: int) -> Array:
    """[_NEAR, count]: for every `step`-th value from `begin` + _NEAR on, those before it."""
    size = values.itemsize
    return np.ndarray((_NEAR, count), values.dtype, values, begin * size, (size, step * size))


def _price(bits: Array) -> Array:
    scaled: Array = np.rint(16 * bits).astype(np.int64)
    return scaled << _PRICE
