"""Rows of cells that hold nothing but numbers, deflated (RFC 1951).

A compressor finds out again and again that `</v></c><c><v>0.0` has been there before. Here that is known: each cell is
one match, with one of the cells just before it, that covers the separator and what the two numbers have in common; what
is left of the number are literals.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.xlsx.deflate import matches
from gpt2xl.xlsx.deflate.codes import DISTANCE_EXTRA, FARTHEST, LITERAL_EXTRA, LONGEST, SHORTEST, block_codes
from gpt2xl.xlsx.deflate.edges import count_tokens, tokens_of_edges
from gpt2xl.xlsx.deflate.text import LONGEST_NUMBER

if TYPE_CHECKING:
    from gpt2xl.xlsx.deflate.text import Text

_FEWEST_CELLS = 4096
_NARROWEST_ROW = 32
_WORTH_IT = 1.2  # on a small piece, zlib takes so many times the bits
_SAMPLE = 32  # one cell in so many is counted
_TOO_MANY_REPEATED = 0.1  # of the numbers in a row are those of the row before
_PIECE = 512  # cells that zlib is tried on
_ROOM = 1024  # words of the header
_SYNC = b"\x00\x00\xff\xff"  # of an empty stored block, all but its first bits


def deflate_rows(text: Text, width: int, separator: bytes, near: int) -> bytes | None:
    """Deflate rows of `width` numbers; each is compared with the `near` ones before it.

    The result is a block that refers to nothing before it, then an empty stored one, so that it ends with a whole byte;
    neither is the last block of a stream. None where a library does better: few cells, short or repeated numbers, odd
    separators.
    """
    cells = len(text.starts)
    if not SHORTEST <= len(separator) <= LONGEST - matches.HEAD - 1 or cells < _FEWEST_CELLS or width < _NARROWEST_ROW:
        return None
    repeated = np.mean(text.heads[width:] == text.heads[:-width]) if cells > width else 0.0
    if repeated > _TOO_MANY_REPEATED and text.starts[width] <= FARTHEST:
        return None
    characters, between = text.characters, np.frombuffer(separator, np.uint8)
    farthest = min(near * (LONGEST_NUMBER + len(separator)), FARTHEST)
    tokens, ends_of_tokens = tokens_of_edges(characters, text.starts, text.sizes, width)
    places, limits, by_distance, by_kind, literals, distances = matches.survey(
        characters, width, near, text.starts, text.sizes, text.heads, between, farthest, _SAMPLE
    )
    count_tokens(tokens, literals, distances)
    header, codes, code_bits, backs, back_bits = block_codes(literals, distances)
    bits = literals @ (code_bits + LITERAL_EXTRA) + distances @ (back_bits + DISTANCE_EXTRA)
    if _zlib_bits(text) < _WORTH_IT * bits / cells:
        return None
    out = np.empty(text.size // 2 + _ROOM, np.uint32)  # no code is longer than two bytes
    # fmt: off
    size = matches.write(
        text.words, width, near, text.starts, text.sizes, text.heads, between, places, limits, by_distance, by_kind,
        tokens, ends_of_tokens, header, codes, code_bits, backs, back_bits, out,
    )
    # fmt: on
    return out.view(np.uint8)[:size].tobytes() + _SYNC


def _zlib_bits(text: Text) -> float:
    """The bits that a cell takes if zlib compresses a piece from the middle as fast as it can."""
    first = max(len(text.starts) // 2 - _PIECE, 0)
    last = min(first + _PIECE, len(text.starts)) - 1
    piece = text.characters[text.starts[first] : text.starts[last]].tobytes()
    return 8 * len(zlib.compress(piece, 1)) / max(last - first, 1)
