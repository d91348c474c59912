"""Rows of cells that hold nothing but numbers, deflated (RFC 1951) from the numbers alone.

A compressor finds out again and again that `</v></c><c><v>0.0` has been there before. Here that is known: each cell is
one match, with one of the cells just before it, that covers the separator and what the two numbers have in common; what
is left of the number are literals. So all cells are coded at once, by array operations that let other threads run, and
their XML is never made.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.xlsx.deflate.cells import CellCoder, count_cells
from gpt2xl.xlsx.deflate.codes import END, FARTHEST, LITERALS, LONGEST, SHORTEST, Block
from gpt2xl.xlsx.deflate.edges import Edges
from gpt2xl.xlsx.deflate.matches import COVERED, Candidates, Prices
from gpt2xl.xlsx.deflate.packing import pack
from gpt2xl.xlsx.deflate.scratch import SCRATCH
from gpt2xl.xlsx.deflate.text import LONGEST_NUMBER, Numbers, find_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpt2xl.xlsx.numbers import Array

_FEWEST_CELLS = 4096
_NARROWEST_ROW = 32
_EDGE = 64  # bits that a row's beginning and end take, about, more than if zlib compresses them
_SHORTEST_NUMBERS = 6  # characters, on average, with the comma
_FARTHEST_OFFSET = 1 << 25  # bytes of XML
_TOO_MANY_REPEATED = 0.1  # of the numbers in a row are those of the row before
_WORTH_IT = 1.2  # on a small piece, zlib takes so many times the bits
_SAMPLE = 32  # one cell in so many is counted
_PIECE = 512  # cells that zlib is tried on
_ROOM, _ROOM_A_BYTE = 8 << 20, 10  # bytes of memory for intermediate results, besides those a byte of numbers
_STORED = 3  # bits of 0: a stored block that is not the last one
_SYNC = b"\x00\x00\xff\xff"  # the rest of it: it is empty


def deflate_rows(numbers: bytes, opens: Sequence[bytes], separator: bytes, close: bytes) -> bytes | None:
    """Deflate `opens[i]`, row i's numbers with `separator` between them, and `close`, for all i.

    `numbers` is what orjson writes for a [len(opens), width] array, without the outermost brackets. The result is a
    block that refers to nothing before it, then an empty stored one, so that it ends with a whole byte; neither is the
    last block of a stream. None where a library does better: few cells, short or repeated numbers, odd separators.
    Raises `ValueError` if the numbers are not as many rows of the same width.
    """
    if (
        sys.byteorder != "little"
        or not SHORTEST <= len(separator) <= LONGEST - max(COVERED)
        or len(numbers) < _FEWEST_CELLS * _SHORTEST_NUMBERS
    ):
        return None
    with SCRATCH.frame(_ROOM + _ROOM_A_BYTE * len(numbers)):
        found = find_numbers(numbers, len(opens))
        count = len(found.starts)
        width = count // len(opens)
        if count < _FEWEST_CELLS or width < _NARROWEST_ROW or len(numbers) < count * _SHORTEST_NUMBERS:
            return None
        if found.sizes.max() > LONGEST_NUMBER or b"n" in numbers:  # null
            return None
        edges = Edges(opens, close)
        offsets = _offsets(found, edges, len(separator))
        if offsets[-1] > _FARTHEST_OFFSET:
            return None
        candidates = Candidates(found, offsets, width, len(separator))
        sample = candidates.cheapest(Prices.guess(), _SAMPLE)
        prices = Prices.after(*count_cells(found, sample, len(separator), _SAMPLE), len(separator))
        if offsets[width - 1] <= FARTHEST and _repeated(found, width) > _TOO_MANY_REPEATED:
            return None
        bits = prices.total / len(sample) + _EDGE / width
        if _zlib_bits(numbers, found, separator) < bits * _WORTH_IT:
            return None
        matches = candidates.cheapest(prices)
        return _code(found, edges, matches, separator, close)


def _offsets(numbers: Numbers, edges: Edges, separator: int) -> Array:
    """Where in the XML what stands before each number begins [count] (int64); `edges` learn where theirs do."""
    width = len(numbers.starts) // len(edges.lengths)
    lengths, offsets = SCRATCH.integers(len(numbers.starts)), SCRATCH.integers(len(numbers.starts))
    lengths[:] = separator
    lengths[::width] = edges.lengths
    lengths += numbers.sizes
    np.cumsum(lengths, out=offsets)
    offsets -= lengths
    edges.place(offsets[::width])
    return offsets


def _repeated(numbers: Numbers, width: int) -> float:
    """The share of numbers that end as the one a row before does, in a sample."""
    ends = []
    for some in (slice(width, None, _SAMPLE), slice(None, -width, _SAMPLE)):
        sizes = np.minimum(numbers.sizes[some], 8)
        ends.append(numbers.nibbles(numbers.starts[some] + numbers.sizes[some] - sizes, sizes))
    return float(np.mean(ends[0] == ends[1])) if len(ends[0]) else 0.0


def _zlib_bits(text: bytes, numbers: Numbers, separator: bytes) -> float:
    """The bits that a cell takes if zlib compresses a piece from the middle as fast as it can."""
    first = max(len(numbers.starts) // 2 - _PIECE, 0)
    last = min(first + _PIECE, len(numbers.starts)) - 1
    piece = text[numbers.starts[first] : numbers.starts[last] + numbers.sizes[last]]
    piece = piece.replace(b"],[", b",").replace(b",", separator)
    return 8 * len(zlib.compress(piece, 1)) / (last - first + 1)


def _code(numbers: Numbers, edges: Edges, matches: Array, separator: bytes, close: bytes) -> bytes:
    """The block and what follows it, with these `matches`."""
    count = len(matches)
    width = count // len(edges.lengths)
    alone = np.flatnonzero(matches == 0)
    alone = alone[alone % width > 0]
    literals, distances = count_cells(numbers, matches[::_SAMPLE], len(separator), _SAMPLE)
    spelt = separator * len(alone) + close
    literals = literals * _SAMPLE + edges.count() + np.bincount(np.frombuffer(spelt, np.uint8), minlength=LITERALS)
    literals[END] = 1
    block = Block(literals, distances)
    coded = CellCoder(numbers, matches, block, len(separator)).all()
    end = np.concatenate((block.spelt(close), [block.literals[END], np.uint64(_STORED)]))
    before = [
        (np.zeros(len(block.header), np.int64), block.header),
        *((rows * width, codes) for rows, codes in edges.codes(block)),
        (np.repeat(alone, len(separator)), np.tile(block.spelt(separator), len(alone))),
        *coded.before,
        (np.full(len(end), count), end),
    ]
    cells, codes = (np.concatenate(each) for each in zip(*before, strict=True))
    return pack(coded.words, coded.bits, cells * coded.per_cell, codes) + _SYNC
