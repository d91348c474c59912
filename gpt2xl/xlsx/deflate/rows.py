"""Rows of cells that hold nothing but numbers, deflated (RFC 1951).

A compressor finds out again and again that `</v></c><c><v>0.0` has been there before. Here that is known: each cell is
one match, with one of the cells just before it, that covers the separator and what the two numbers have in common; what
is left of the number are literals.

A row is written as text and deflated at once, while it is in the processor's cache, and without Python's lock from the
first row to the last. What codes are best is found out beforehand, from some of the rows.
"""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from gpt2xl.xlsx import shortest
from gpt2xl.xlsx.compiled import Whole, compiled, contents
from gpt2xl.xlsx.deflate import bits, codes, edges, matches, text
from gpt2xl.xlsx.deflate.codes import DISTANCE_EXTRA, FARTHEST, LITERAL_EXTRA, LONGEST, SHORTEST
from gpt2xl.xlsx.numbers import Array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FEWEST_CELLS = 4096
_NARROWEST_ROW = 32
_WORTH_IT = 1.2  # on a small piece, zlib takes so many times the bits
_SAMPLE = 4096  # cells, about, that tell what the others are like
_TOO_MANY_REPEATED = 0.1  # of the numbers in a row are those of the row before
_PIECE = 512  # cells that zlib is tried on
_ROOM = 1024  # words of the header
_SYNC = np.frombuffer(b"\x00\x00\xff\xff", np.uint8)  # of an empty stored block, all but its first bits
_NO_NUMBERS, _NO_DECIMALS = np.empty((0, 0), np.float32), np.empty(0, np.uint8)


class _Memory(threading.local):
    """Arrays to be used again: the system takes longer to hand out new pages than it takes to fill them."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def take(self, name: str, count: int, dtype: type[np.generic]) -> Array:
        found = self.arrays.get(name)
        if found is None or len(found) < count:
            found = self.arrays[name] = np.empty(count, dtype)
        return found[:count]


_MEMORY = _Memory()


def deflate_rows(
    values: Array, opens: Sequence[bytes], separator: bytes, close: bytes, near: int
) -> tuple[bytes, Array] | None:
    """Deflate `opens[i]`, row i's numbers with `separator` between them, and `close`, for all i.

    `values` are [len(opens), width] of float32, of which the shortest decimals are written, or of float64; each is
    compared with the `near` ones before it. The result is a block that refers to nothing before it, then an empty
    stored one, so that it ends with a whole byte; neither is the last block of a stream. With it comes the text
    (uint8), in memory that the thread's next call takes. None where a library does better: few cells, short or repeated
    numbers, odd separators. Raises `ValueError` for NaN and infinities.
    """
    rows, width = values.shape
    fits = SHORTEST <= len(separator) <= LONGEST - matches.HEAD - 1
    if not fits or values.size < _FEWEST_CELLS or width < _NARROWEST_ROW:
        return None
    markup, ends = _joined(opens)
    around = np.frombuffer(separator, np.uint8), np.frombuffer(close, np.uint8)
    most = len(markup) + rows * len(close) + values.size * (len(separator) + text.LONGEST_NUMBER)
    words = _MEMORY.take("words", most // 8 + 4, np.uint64)
    characters = words.view(np.uint8)
    some = _some(rows, width)
    times = -(-rows // len(some))
    size, starts, prices, counts, coded = _learn(
        *_numbers(values[some]), *_joined([opens[row] for row in some]), *around, near, words, times, markup,
    )  # fmt: skip
    if not size:
        raise ValueError("a cell cannot hold NaN or an infinity")
    repeated = np.count_nonzero(values[1:] == values[:-1]) > _TOO_MANY_REPEATED * values.size
    if repeated and size <= FARTHEST * len(some):
        return None
    ours = counts[0] @ (coded[2] + LITERAL_EXTRA) + counts[1] @ (coded[4] + DISTANCE_EXTRA)
    if _zlib_bits(characters, starts) < _WORTH_IT * ours / (times * len(starts)):
        return None
    # No code is longer than two bytes.
    out = _MEMORY.take("out", most // 2 + _ROOM, np.uint32)
    size, deflated = _write(*_numbers(values), markup, ends, *around, near, *prices, *coded, words, out)
    if not size:
        raise ValueError("a cell cannot hold NaN or an infinity")
    block = out.view(np.uint8)[: deflated + len(_SYNC)]
    block[deflated:] = _SYNC
    return block.tobytes(), characters[:size]


def _joined(opens: Sequence[bytes]) -> tuple[Array, Array]:
    """All of them together, and where each ends."""
    return np.frombuffer(b"".join(opens), np.uint8), np.cumsum([len(each) for each in opens])


def _some(rows: int, width: int) -> Array:
    """Rows that tell what the others are like, evenly spread."""
    count = min(max(_SAMPLE // width, 1), rows)
    return (2 * np.arange(count) + 1) * rows // (2 * count)


def _numbers(values: Array) -> tuple[Array, Array, int]:
    """float32 as they are, in memory that the thread's next call takes, others as their JSON; and the width."""
    if values.dtype == np.float32:
        numbers = _MEMORY.take("numbers", values.size, np.float32).reshape(values.shape)
        numbers[:] = values
        return numbers, _NO_DECIMALS, values.shape[1]
    decimals = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    if b"n" in decimals:  # null
        raise ValueError("a cell cannot hold NaN or an infinity")
    return _NO_NUMBERS, np.frombuffer(decimals, np.uint8), values.shape[1]


def _zlib_bits(characters: Array, starts: Array) -> float:
    """The bits that a cell takes if zlib compresses a piece from the middle as fast as it can."""
    first = max(len(starts) // 2 - _PIECE, 0)
    last = min(first + _PIECE, len(starts)) - 1
    piece = characters[starts[first] : starts[last]].tobytes()
    return 8 * len(zlib.compress(piece, 1)) / max(last - first, 1)


def _of_all(files: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`_learn` and `_write`, which call compiled functions of other `files`: the disk keeps them for these alone."""

    @compiled
    def learn(
        numbers: Array,
        decimals: Array,
        width: Whole,
        opens: Array,
        ends: Array,
        separator: Array,
        close: Array,
        near: Whole,
        words: Array,
        times: Whole,
        markup: Array,
    ) -> tuple[Whole, Array, tuple[Array, Array], tuple[Array, Array], tuple[Array, Array, Array, Array, Array]]:
        """From some rows, which stand for so many times as many, and all rows' `markup`: the size of their text, 0
        where there are NaN and infinities, and where its numbers are; prices, counts and codes."""
        files  # noqa: B018
        starts, sizes, heads, places, limits = matches.begin_cells(near, len(ends) * width)
        between = text.eights(separator)
        room = text.room_for(width)
        tokens, count = np.empty(len(opens) + len(close) * len(ends), np.int64), 0
        at, place, begin, begin_before, end_before, opening = 0, 0, 0, 0, 0, 0
        words[0] = 0
        for row in range(len(ends)):
            at = text.spell(words, at, opens[opening : ends[row]])
            count += edges.edge_tokens(words, begin, at, begin_before, end_before, tokens[count:])
            begin_before, end_before, opening = begin, at, ends[row]
            here = slice(row * width, near + (row + 1) * width)
            of_row = starts[here], sizes[here], heads[here]
            at, place = text.write_row(
                *(numbers, decimals, row, place, between, len(separator), words, at, near, *of_row, room)
            )
            if not at:
                break
            matches.see_row(words, near, *of_row, places[here], limits[here])
            begin = at
            at = text.spell(words, at, close)
        by_distance, by_kind, literals, distances = matches.survey(
            *(words, width, near, starts, sizes, heads, places, limits, len(separator)),
            *(min(near * (text.LONGEST_NUMBER + len(separator)), FARTHEST), times),
        )
        edges.count_tokens(tokens[:count], times, literals, distances)
        matches.allow_all(separator, markup, literals, distances)
        matches.allow_all(close, close, literals, distances)
        best = codes.block_codes(literals, distances)
        return at, starts[near:], (by_distance, by_kind), (literals, distances), best

    @compiled
    def write(
        numbers: Array,
        decimals: Array,
        width: Whole,
        opens: Array,
        ends: Array,
        separator: Array,
        close: Array,
        near: Whole,
        by_distance: Array,
        by_kind: Array,
        header: Array,
        literals: Array,
        literal_bits: Array,
        distances: Array,
        distance_bits: Array,
        words: Array,
        out: Array,
    ) -> tuple[Whole, Whole]:
        """The text into `words` and the block into `out` (uint32); returns how many bytes these have, 0 where there are
        NaN and infinities."""
        files  # noqa: B018
        cells = matches.begin_cells(near, width)
        chosen = np.empty(near + width, np.int64)
        of_row = cells[:3]
        of_codes = literals, literal_bits, distances, distance_bits
        of_matches = bits.codes_of_matches(by_distance, len(separator), *of_codes)
        between = text.eights(separator)
        room = text.room_for(width)
        tokens = np.empty(len(opens) + len(close), np.int64)
        at, place, begin, begin_before, end_before, opening = 0, 0, 0, 0, 0, 0
        words[0] = 0
        held, bits_held, packed = bits.put_parts(out, 0, 0, 0, header)
        for row in range(len(ends) + 1):
            if row < len(ends):
                at = text.spell(words, at, opens[opening : ends[row]])
            count = edges.edge_tokens(words, begin, at, begin_before, end_before, tokens)
            held, bits_held, packed = bits.put_tokens(out, held, bits_held, packed, tokens[:count], *of_codes)
            if row == len(ends):
                break
            begin_before, end_before, opening = begin, at, ends[row]
            at, place = text.write_row(
                *(numbers, decimals, row, place, between, len(separator), words, at, near, *of_row, room)
            )
            if not at:
                return 0, 0
            matches.see_row(words, near, *cells)
            starts, sizes, heads, places, limits = cells
            matches.choose(near, starts, heads, places, limits, by_distance, by_kind, chosen)
            held, bits_held, packed = bits.put_row(
                *(out, held, bits_held, packed, words, near, starts, sizes, chosen, separator),
                *(literals, literal_bits, *of_matches),
            )
            matches.keep_last(near, *cells)
            begin = at
            at = text.spell(words, at, close)
        return at, bits.put_end(out, held, bits_held, packed, literals, literal_bits)

    return learn, write


_learn, _write = _of_all(contents(shortest, bits, codes, edges, matches, text))
