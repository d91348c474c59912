"""The symbols of a deflate block (RFC 1951): their Huffman codes, its header.

Codes travel through arrays as uint64 `code << 6 | bits`, the code in the order in which its bits are written, lowest
first: at most 58 bits each. `bits` says how many.
"""

from __future__ import annotations

import heapq
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpt2xl.xlsx.numbers import Array

END = 256  # the symbol that ends a block
SHORTEST, LONGEST = 3, 258  # bytes that a match covers
FARTHEST = 32768  # bytes that a match goes back
LITERALS = 286
DISTANCES = 30

_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)  # 3.2.7
_BITS = np.uint64(63)
_SIX = np.uint64(6)

# 3.2.5: how many bits follow each symbol, and for each distance symbol the least distance.
LITERAL_EXTRA = np.array([0] * 265 + [(symbol - 261) // 4 for symbol in range(265, 285)] + [0])
DISTANCE_EXTRA = np.array([0, 0, *(n // 2 for n in range(DISTANCES - 2))])
DISTANCE_BASE = 1 + np.concatenate(([0], np.cumsum(1 << DISTANCE_EXTRA)[:-1]))


def length_symbol(length: int) -> tuple[int, int, int]:
    """Of a match of 3 to 258 bytes: the symbol, the extra bits and how many these are (3.2.5)."""
    if length == LONGEST:
        return 285, 0, 0
    rest = length - 3
    extra = max(rest.bit_length() - 3, 0)
    return 257 + 4 * extra + (rest >> extra), rest & ((1 << extra) - 1), extra


def distance_symbols(distances: Array) -> Array:
    """The symbols of distances from 1 to 32768, as int64."""
    return np.searchsorted(DISTANCE_BASE, distances, side="right") - 1


def code_lengths(counts: Sequence[int], limit: int) -> list[int]:
    """How many bits each symbol's Huffman code has, 0 where the count is; at most `limit`.

    Where a code would be too long, rare symbols are taken for less rare until it is not; that is a hair above the
    optimum, for symbols that hardly occur.
    """
    total = sum(counts)
    while True:
        least = max(total >> limit, 1)
        heap: list[tuple[int, int, tuple[int, ...]]] = [
            (max(count, least), symbol, (symbol,)) for symbol, count in enumerate(counts) if count
        ]
        heapq.heapify(heap)
        lengths = [0] * len(counts)
        order = len(counts)
        while len(heap) > 1:
            first, second = heapq.heappop(heap), heap[0]
            members = first[2] + second[2]
            for symbol in members:
                lengths[symbol] += 1
            heapq.heapreplace(heap, (first[0] + second[0], order, members))
            order += 1
        if max(lengths) <= limit:
            return lengths
        counts = [count and count // 2 + least for count in counts]
        total = sum(counts)


def codes(lengths: Sequence[int]) -> Array:
    """The canonical codes of these lengths (3.2.2), as `code << 6 | bits`."""
    result = [0] * len(lengths)
    code = longest = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - longest
        longest = length
        result[symbol] = int(f"{code:0{length}b}"[::-1], 2) << 6 | length
        code += 1
    return np.array(result, np.uint64)


def header(literals: Sequence[int], distances: Sequence[int]) -> list[int]:
    """The start of a dynamic block that is not the last one, up to its data, from the code lengths (3.2.7)."""
    runs: list[tuple[int, int, int]] = []  # symbol, extra bits, how many
    for length, same in groupby((*literals, *distances)):
        count = len(list(same))
        if length:
            runs.append((length, 0, 0))
            count -= 1
        while count >= 3:
            symbol, least, bits = (16, 3, 2) if length else (17, 3, 3) if count <= 10 else (18, 11, 7)
            step = min(count, least + (1 << bits) - 1)
            runs.append((symbol, step - least, bits))
            count -= step
        runs.extend([(length, 0, 0)] * count)
    counts = [0] * 19
    for symbol, _, _ in runs:
        counts[symbol] += 1
    lengths = code_lengths(counts, 7)
    used = max(place for place, symbol in enumerate(_ORDER) if lengths[symbol]) + 1
    meta = codes(lengths).tolist()
    parts = [_part(0b100, 3), _part(len(literals) - 257, 5), _part(len(distances) - 1, 5), _part(used - 4, 4)]
    parts += [_part(lengths[symbol], 3) for symbol in _ORDER[:used]]
    for symbol, rest, bits in runs:
        parts += [meta[symbol], _part(rest, bits)]
    return parts


def _part(value: int, bits: int) -> int:
    return value << 6 | bits


class Block:
    """The codes of one dynamic block."""

    def __init__(self, literals: Array, distances: Array) -> None:
        """From how often each of the `LITERALS` and `DISTANCES` symbols will occur, about: what has 0 has no code."""
        # 14 bits at most, so that four literals fit in a uint64 with their number of bits.
        lengths = code_lengths(literals.tolist(), 14), code_lengths(distances.tolist(), 15)
        self.header = np.array(header(*lengths), np.uint64)
        self.literals = codes(lengths[0])  # [LITERALS]
        self.distances = codes(lengths[1])  # [DISTANCES]

    def spelt(self, text: bytes) -> Array:
        """The codes of literals."""
        return self.literals[np.frombuffer(text, np.uint8)]

    def length(self, length: int) -> Array:
        """The code of a match's length, with its extra bits."""
        symbol, rest, extra = length_symbol(length)
        return join(self.literals[symbol], np.array(_part(rest, extra), np.uint64))

    def matches(self, length: Array, distances: Array) -> Array:
        """The codes of matches: `length` is code, `distances` are bytes."""
        symbols = distance_symbols(distances)
        rest = (distances - DISTANCE_BASE[symbols]) << 6 | DISTANCE_EXTRA[symbols]
        return join(length, join(self.distances[symbols], rest.astype(np.uint64)))


def join(first: Array, second: Array, out: Array | None = None) -> Array:
    """Two codes as one, at most 58 bits together; in `out` if that is given."""
    joined: Array = np.left_shift(second >> _SIX, (first & _BITS) + _SIX, out=out)
    joined |= first
    joined += second & _BITS
    return joined
