"""The symbols of a deflate block (RFC 1951): their Huffman codes, its header.

Codes are in the order in which their bits are written, lowest first.
"""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx.compiled import Whole, inner
from gpt2xl.xlsx.numbers import Array

END = 256  # the symbol that ends a block
SHORTEST, LONGEST = 3, 258  # bytes that a match covers
FARTHEST = 32768  # bytes that a match goes back
LITERALS, DISTANCES = 286, 30
LONGEST_CODE = 15

# 3.2.5: how many bits follow each symbol, and for each distance symbol the least distance.
LITERAL_EXTRA = np.array([0] * 265 + [(symbol - 261) // 4 for symbol in range(265, 285)] + [0])
DISTANCE_EXTRA = np.array([0, 0, *(n // 2 for n in range(DISTANCES - 2))])
DISTANCE_BASE = 1 + np.concatenate(([0], np.cumsum(1 << DISTANCE_EXTRA)[:-1]))

_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])  # 3.2.7
_DYNAMIC = 0b100  # a block with codes of its own, and not the last
_LONGEST_META = 7


def _length_symbol(length: int) -> tuple[int, int]:
    """Of a match of 3 to 258 bytes: the symbol, and the extra bits (3.2.5)."""
    if length == LONGEST:
        return 285, 0
    rest = length - SHORTEST
    extra = max(rest.bit_length() - 3, 0)
    return 257 + 4 * extra + (rest >> extra), rest & ((1 << extra) - 1)


# By the bytes that a match covers: [LONGEST + 1, 2], its symbol and extra bits; and by the bytes that it goes back.
LENGTHS = np.array([(0, 0)] * SHORTEST + [_length_symbol(length) for length in range(SHORTEST, LONGEST + 1)])
DISTANCE_SYMBOLS = np.repeat(np.arange(DISTANCES), 1 << DISTANCE_EXTRA)
DISTANCE_SYMBOLS = np.concatenate(([0], DISTANCE_SYMBOLS))


@inner
def code_lengths(counts: Array, limit: Whole) -> Array:
    """The lengths of Huffman's codes for so many of each symbol, `limit` at most; 0 where there are none.

    There are two symbols at least. Too long codes get shorter when the counts become more alike.
    """
    symbols = len(counts)
    weights = np.zeros(2 * symbols, np.int64)
    weights[:symbols] = counts
    parents, alone = np.zeros(2 * symbols, np.int64), np.zeros(symbols, np.int64)
    lengths = np.zeros(symbols, np.int64)
    while True:
        trees = 0
        for symbol in range(symbols):
            if weights[symbol]:
                alone[trees] = symbol
                trees += 1
        top = symbols
        while trees > 1:
            weights[top] = 0
            for _ in range(2):  # join the two lightest
                lightest = 0
                for place in range(1, trees):
                    if weights[alone[place]] < weights[alone[lightest]]:
                        lightest = place
                weights[top] += weights[alone[lightest]]
                parents[alone[lightest]] = top
                trees -= 1
                alone[lightest] = alone[trees]
            alone[trees] = top
            trees += 1
            top += 1
        for symbol in range(symbols):
            lengths[symbol] = 0
            node = symbol if weights[symbol] else top - 1
            while node != top - 1:
                node = parents[node]
                lengths[symbol] += 1
        if lengths.max() <= limit:
            return lengths
        for symbol in range(symbols):
            if weights[symbol]:
                weights[symbol] = weights[symbol] // 2 + 1


@inner
def codes(lengths: Array) -> Array:
    """The canonical codes of these lengths (3.2.2)."""
    result = np.zeros(len(lengths), np.int64)
    code = 0
    for length in range(1, LONGEST_CODE + 1):
        code <<= 1
        for symbol in range(len(lengths)):
            if lengths[symbol] == length:
                for bit in range(length):
                    result[symbol] |= (code >> bit & 1) << (length - 1 - bit)
                code += 1
    return result


@inner
def _header(literals: Array, distances: Array) -> Array:
    """The start of a block with codes of its own, up to its data, from the lengths of its codes (3.2.7)."""
    lengths = np.concatenate((literals, distances))
    runs = np.zeros((len(lengths), 3), np.int64)  # symbol, extra bits, how many
    counts = np.zeros(len(_ORDER), np.int64)
    used = place = 0
    while place < len(lengths):
        length, left = lengths[place], 1
        while place + left < len(lengths) and lengths[place + left] == length:
            left += 1
        place += left
        first = length > 0
        while left:
            symbol, rest, bits, step = length, 0, 0, 1
            if left >= 3 and not first:
                symbol, least, bits = (16, 3, 2) if length else (17, 3, 3) if left <= 10 else (18, 11, 7)
                step = min(left, least + (1 << bits) - 1)
                rest = step - least
            first = False
            runs[used, 0], runs[used, 1], runs[used, 2] = symbol, rest, bits
            counts[symbol] += 1
            used += 1
            left -= step
    meta_lengths = code_lengths(counts, _LONGEST_META)
    meta = codes(meta_lengths)
    metas = len(_ORDER)
    while meta_lengths[_ORDER[metas - 1]] == 0:
        metas -= 1
    parts = np.zeros((4 + metas + 2 * used, 2), np.int64)
    parts[0, 0], parts[0, 1] = _DYNAMIC, 3
    parts[1, 0], parts[1, 1] = len(literals) - 257, 5
    parts[2, 0], parts[2, 1] = len(distances) - 1, 5
    parts[3, 0], parts[3, 1] = metas - 4, 4
    for place in range(metas):
        parts[4 + place, 0], parts[4 + place, 1] = meta_lengths[_ORDER[place]], 3
    for run in range(used):
        part = 4 + metas + 2 * run
        parts[part, 0], parts[part, 1] = meta[runs[run, 0]], meta_lengths[runs[run, 0]]
        parts[part + 1, 0], parts[part + 1, 1] = runs[run, 1], runs[run, 2]
    return parts


@inner
def block_codes(literals: Array, distances: Array) -> tuple[Array, Array, Array, Array, Array]:
    """From how often symbols will occur, about: the block's header, [n, 2] values and bits; the codes of literals and
    lengths, and how many bits these have; the same of distances."""
    literal_bits, distance_bits = code_lengths(literals, LONGEST_CODE), code_lengths(distances, LONGEST_CODE)
    header = _header(literal_bits, distance_bits)
    return header, codes(literal_bits), literal_bits, codes(distance_bits), distance_bits
