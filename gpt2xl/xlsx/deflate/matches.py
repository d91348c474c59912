"""Which of the cells just before it a cell is copied from.

A match is an integer: its distance, 0 where there is none, above four bits for its kind. The kind is twice the
characters of the number that the match covers, 0 to 6, plus one if it begins with the last character of the number
before; the separator lies between.
"""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx.compiled import Whole, inner
from gpt2xl.xlsx.deflate.codes import (
    DISTANCE_EXTRA,
    DISTANCE_SYMBOLS,
    DISTANCES,
    END,
    LENGTHS,
    LITERAL_EXTRA,
    LITERALS,
)
from gpt2xl.xlsx.numbers import Array

HEAD = 6  # first characters of a number that are compared with others'
KINDS = 2 * (HEAD + 1)
CHARACTERS = b"0123456789e+-."  # of numbers

KIND_BITS = 4  # bits of a match below the distance
COVERED = np.array([kind // 2 + kind % 2 for kind in range(KINDS)])  # characters of numbers
_PRICE = 24  # bits below the price, in 1/16 bit, that are the match
_NEVER = 1 << 20  # the price of what is too far away
_NOWHERE = -(1 << 30)
_HEAD = (1 << 8 * HEAD) - 1
_LAST = 56  # bits of a head below the last character of the number before
_MANTISSA, _BIAS = 52, 1023  # of a double
_GUESS = 64, 56  # the price of a symbol and of a character, before any are counted

LETTERS = np.frombuffer(CHARACTERS, np.uint8)


@inner
def begin_cells(near: Whole, count: Whole) -> tuple[Array, Array, Array, Array, Array]:
    """Arrays (int64) for `count` cells behind `near` that there are not: where numbers start, their sizes and heads,
    where those are that may be copied, and how many characters of each a match may cover."""
    cells = near + count
    starts, sizes, heads = np.zeros(cells, np.int64), np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    return starts, sizes, heads, np.full(cells, _NOWHERE), np.zeros(cells, np.int64)


@inner
def see_row(
    words: Array, begin: Whole, starts: Array, sizes: Array, heads: Array, places: Array, limits: Array
) -> None:
    """Set `places` and `limits` of a row's cells, the first of which is `begin`, up to the arrays' end; ``heads`` learn
    the last characters of the numbers before."""
    characters = words.view(np.uint8)
    places[begin] = _NOWHERE  # a row's first number has no separator before it
    for cell in range(begin + 1, len(starts)):
        # A number's last character is left to the match after it.
        limits[cell] = min(sizes[cell] - 1, HEAD)
        places[cell] = starts[cell]
        last = np.int64(characters[starts[cell - 1] + sizes[cell - 1] - 1])
        heads[cell] = heads[cell] & _HEAD | last << _LAST


@inner
def keep_last(near: Whole, starts: Array, sizes: Array, heads: Array, places: Array, limits: Array) -> None:
    """A row's last cells become those before the next one's."""
    for array in (starts, sizes, heads, places, limits):
        array[:near] = array[-near:].copy()


@inner
def choose(
    near: Whole,
    starts: Array,
    heads: Array,
    places: Array,
    limits: Array,
    by_distance: Array,
    by_kind: Array,
    matches: Array,
) -> None:
    """The cheapest match of each number of a row, the cells from `near` on, into `matches`; 0 where there is none.

    It is the least of many integers, not found by comparing: which one it is is random, and processors guess badly. And
    no cell's way through here differs from another's, so that compilers make one instruction of many.
    """
    farthest = len(by_distance) - 1
    matches[:] = _NEVER << _PRICE
    for back in range(1, near + 1):
        for cell in range(near + 1, len(starts)):
            distance = min(starts[cell] - places[cell - back], farthest)
            differ = heads[cell - back] ^ heads[cell]
            # The lowest bit that differs, as a double, tells its place by the exponent.
            bits = differ & _HEAD | 1 << 8 * limits[cell]
            same = (np.float64(bits & -bits).view(np.int64) >> _MANTISSA) - _BIAS >> 3
            kind = same << 1 | np.int64(differ >> _LAST == 0)
            price = by_distance[distance] + by_kind[kind]
            matches[cell] = min(matches[cell], price << _PRICE | distance << KIND_BITS | kind)
    for cell in range(len(matches)):
        matches[cell] = matches[cell] & (1 << _PRICE) - 1 if matches[cell] < _NEVER << _PRICE - 1 else 0


@inner
def _guess(farthest: Whole, separator: Whole) -> tuple[Array, Array]:
    """The prices of distances up to `farthest` and of kinds, before any are counted."""
    by_distance, by_kind = np.empty(farthest + 2, np.int64), np.empty(KINDS, np.int64)
    for distance in range(farthest + 1):
        by_distance[distance] = _GUESS[0] + 16 * DISTANCE_EXTRA[DISTANCE_SYMBOLS[distance]]
    by_distance[farthest + 1] = _NEVER
    for kind in range(KINDS):
        length = LENGTHS[separator + COVERED[kind], 0]
        by_kind[kind] = _GUESS[0] - _GUESS[1] * COVERED[kind] + 16 * LITERAL_EXTRA[length]
    return by_distance, by_kind


@inner
def _prices(literals: Array, distances: Array, separator: Whole, by_distance: Array, by_kind: Array) -> None:
    """Set the prices, in 1/16 bit, of distances and of kinds, less the characters that these cover, after so many
    symbols."""
    all_literals, all_distances = max(literals.sum(), 1), max(distances.sum(), 1)
    character = 0.0
    for count in literals[:END]:
        if count:
            character += count * np.log2(all_literals / count)
    character /= max(literals[:END].sum(), 1)
    for kind in range(KINDS):
        symbol = LENGTHS[separator + COVERED[kind], 0]
        bits = np.log2(all_literals / max(literals[symbol], 1)) + LITERAL_EXTRA[symbol]
        by_kind[kind] = np.int64(np.rint(16 * (bits - character * COVERED[kind])))
    for distance in range(1, len(by_distance) - 1):
        symbol = DISTANCE_SYMBOLS[distance]
        bits = np.log2(all_distances / max(distances[symbol], 1)) + DISTANCE_EXTRA[symbol]
        by_distance[distance] = np.int64(np.rint(16 * bits))


@inner
def _count(
    words: Array,
    near: Whole,
    starts: Array,
    sizes: Array,
    matches: Array,
    separator: Whole,
    times: Whole,
    literals: Array,
    distances: Array,
) -> None:
    """Add how often symbols occur in a row, so many times each."""
    characters = words.view(np.uint8)
    for cell in range(near, len(starts)):
        match = matches[cell]
        if match:
            literals[LENGTHS[separator + COVERED[match & (1 << KIND_BITS) - 1], 0]] += times
            distances[DISTANCE_SYMBOLS[match >> KIND_BITS]] += times
        elif cell > near:
            for character in characters[starts[cell] - separator : starts[cell]]:
                literals[character] += times
        begin = starts[cell] + ((match & (1 << KIND_BITS) - 1) >> 1)
        left_out = matches[cell + 1] & 1 if cell + 1 < len(starts) else 0
        for character in characters[begin : starts[cell] + sizes[cell] - left_out]:
            literals[character] += times


@inner
def survey(
    words: Array,
    width: Whole,
    near: Whole,
    starts: Array,
    sizes: Array,
    heads: Array,
    places: Array,
    limits: Array,
    separator: Whole,
    farthest: Whole,
    times: Whole,
) -> tuple[Array, Array, Array, Array]:
    """From some rows that stand for so many times as many: the prices of distances up to `farthest` and of kinds, and
    how many of all symbols of literals and lengths, and of distances, there will be, about, edges apart."""
    by_distance, by_kind = _guess(farthest, separator)
    literals, distances = np.zeros(LITERALS, np.int64), np.zeros(DISTANCES, np.int64)
    matches = np.empty(near + width, np.int64)
    for _ in range(2):  # by guessed prices, then by those that come of it
        literals[:] = 0
        distances[:] = 0
        for first in range(0, len(starts) - near, width):
            row = slice(first, first + near + width)
            choose(near, starts[row], heads[row], places[row], limits[row], by_distance, by_kind, matches)
            _count(words, near, starts[row], sizes[row], matches, separator, times, literals, distances)
        _prices(literals, distances, separator, by_distance, by_kind)
    return by_distance, by_kind, literals, distances


@inner
def allow_all(separator: Array, markup: Array, literals: Array, distances: Array) -> None:
    """Count each symbol that may be needed once at least: all characters of numbers and of `markup`."""
    literals[END:] = np.maximum(literals[END:], 1)
    distances[:] = np.maximum(distances, 1)
    for characters in (LETTERS, separator, markup):
        for character in characters:
            literals[character] = max(literals[character], 1)
