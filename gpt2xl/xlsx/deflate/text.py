"""The text of an array of numbers, as arrays: where each number stands, and its characters by eights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpt2xl.xlsx.deflate.scratch import SCRATCH
from gpt2xl.xlsx.numbers import Array

LONGEST_NUMBER = 24  # such as -2.2250738585072014e-308
BLOCK = 65536  # numbers at a time: few enough for the processor's caches, many enough not to wait for Python
CHARACTERS = b"0123456789e+\0-.\0"  # by their low four bits, e for a colon; no number has the two that are 0

_COMMA, _BRACKET = b",["
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_AFTER = np.array([(1 << 64) - 1 >> 8 * left if left < 8 else 0 for left in range(LONGEST_NUMBER + 1)], np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Numbers, row by row, in memory of the current frame of `SCRATCH`.

    ``characters`` (uint8) are the text, ``words`` (uint64) too, eight to a word, the first uppermost; ``starts`` and
    ``sizes`` [count] (int64) say where a number begins in the text and how many characters it has. The e of an exponent
    is a colon: like this the low four bits tell all characters of numbers apart.
    """

    characters: Array
    words: Array
    starts: Array
    sizes: Array

    def nibbles(self, at: Array, left: Array | None = None) -> Array:
        """The low four bits of each of the eight characters from each place in `at` (int64), the first uppermost.

        They are in the low half of uint64s, in the current frame, and 15 each from the `left`-th (0 to 24) on.
        """
        found = SCRATCH.words(len(at))
        with SCRATCH.frame():
            word, other, shift = SCRATCH.integers(len(at)), SCRATCH.words(len(at)), SCRATCH.words(len(at))
            np.right_shift(at, 3, out=word)
            np.take(self.words, word, out=found, mode="clip")
            np.take(self.words[1:], word, out=other, mode="clip")
            np.bitwise_and(at, 7, out=shift.view(np.int64))
            np.left_shift(shift, 3, out=shift)
            np.left_shift(found, shift, out=found)
            np.bitwise_xor(shift, 63, out=shift)  # 63 minus it, and 1 more below: by 64 bits a word cannot be shifted
            np.right_shift(other, 1, out=other)
            np.right_shift(other, shift, out=other)
            np.bitwise_or(found, other, out=found)
            if left is not None:
                np.take(_AFTER, left, out=other, mode="clip")
                np.bitwise_or(found, other, out=found)
            np.bitwise_and(found, _NIBBLES, out=found)
            for bits, mask in ((4, 0x00FF00FF00FF00FF), (8, 0x0000FFFF0000FFFF), (16, 0xFFFFFFFF)):
                np.right_shift(found, bits, out=other)
                np.bitwise_or(found, other, out=found)
                np.bitwise_and(found, mask, out=found)
        return found


def find_numbers(text: bytes, rows: int) -> Numbers:
    """Find the numbers in `text`, which is orjson's of a [rows, width] array without the outermost brackets.

    Raises `ValueError` if the rows are not as many, or not of the same width.
    """
    room = -(-len(text) // 8) + LONGEST_NUMBER // 8 + 1
    characters, words = SCRATCH.bytes(8 * room), SCRATCH.words(room)
    characters[: len(text)] = np.frombuffer(text.replace(b"e", b":"), np.uint8)
    characters[len(text)] = _COMMA
    characters[len(text) + 1 :] = 0
    words[:] = characters.view(">u8")
    commas = np.concatenate([_find_commas(characters, at) for at in range(0, len(characters), 8 * BLOCK)])
    count = len(commas)
    width, left = divmod(count, max(rows, 1))
    starts, sizes = SCRATCH.integers(count), SCRATCH.integers(count)
    starts[0] = 0
    np.add(commas[:-1], 1, out=starts[1:])
    starts[width::width] += 1
    np.subtract(commas, starts, out=sizes)
    sizes[width - 1 : -1 : width] -= 1
    end_of_row = starts[width - 1] + sizes[width - 1] if rows > 1 else -1
    if not rows or left or text.find(b"]") != end_of_row or np.any(characters[starts[width::width] - 1] != _BRACKET):
        raise ValueError(f"the numbers are not {rows} rows of the same width")
    return Numbers(characters, words, starts, sizes)


def _find_commas(characters: Array, begin: int) -> Array:
    """Where commas are among the 8 * `BLOCK` characters from `begin`, as int64, ascending.

    Of eight characters most often one is a comma, or none: which one follows from the lowest bit that is set in what a
    comparison gives for the eight, much faster than from a look at each.
    """
    characters = characters[begin : begin + 8 * BLOCK]
    with SCRATCH.frame():
        same = SCRATCH.bytes(len(characters)).view(np.bool_)
        np.equal(characters, _COMMA, out=same)
        eights = same.view("<u8")
        where = np.flatnonzero(eights)
        marks = eights[where]
        found = np.empty(0, np.int64)
        while len(where):
            rest, lowest, as_float = (SCRATCH.words(len(where)) for _ in range(3))
            np.subtract(marks, 1, out=rest)
            np.bitwise_and(marks, rest, out=rest)
            np.bitwise_xor(marks, rest, out=lowest)
            as_float.view(np.float64)[:] = lowest
            places = as_float.view(np.int64)
            np.right_shift(places, 52, out=places)
            places += 8 * begin - 1023
            places >>= 3
            np.left_shift(where, 3, out=lowest.view(np.int64))
            places += lowest.view(np.int64)
            found = np.insert(found, np.searchsorted(found, places), places) if len(found) else places.copy()
            more = np.flatnonzero(rest)
            where, marks = where[more], rest[more]
        return found
