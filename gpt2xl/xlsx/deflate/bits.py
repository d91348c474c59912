"""The bits of chosen matches and of what they leave of numbers (RFC 1951, 3.2.3), put one after another."""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx.compiled import Whole, inner
from gpt2xl.xlsx.deflate.codes import (
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    DISTANCE_SYMBOLS,
    END,
    LENGTHS,
    LITERAL_EXTRA,
)
from gpt2xl.xlsx.deflate.edges import TOKEN_LENGTH
from gpt2xl.xlsx.deflate.matches import COVERED, KIND_BITS, KINDS, LETTERS
from gpt2xl.xlsx.numbers import Array

_NIBBLES, _ONES = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_ONE, _THREE, _SIX, _REST = (np.uint64(number) for number in (1, 3, 6, 63))
_FROM = np.uint64((1 << 64) - 2)  # shifted by n - 1 bits, all from the n-th on: none from the 64th
_BLANK = 15  # the four bits of no character


@inner
def _put(out: Array, held: Whole, bits: Whole, at: Whole, code: Whole, length: Whole) -> tuple[Whole, Whole, Whole]:
    """Put up to 32 bits behind those that are held, fewer than 32; whole words of 32 bits go to `out`."""
    held |= code << bits
    bits += length
    out[at] = held & 0xFFFFFFFF
    whole = bits >> 5
    return held >> (whole << 5), bits & 31, at + whole


@inner
def _put_two(
    out: Array, held: Whole, bits: Whole, at: Whole, code: Whole, length: Whole, other: Whole, other_length: Whole
) -> tuple[Whole, Whole, Whole]:
    if length + other_length <= 32:
        return _put(out, held, bits, at, code | other << length, length + other_length)
    held, bits, at = _put(out, held, bits, at, code, length)
    return _put(out, held, bits, at, other, other_length)


@inner
def codes_of_matches(
    by_distance: Array,
    separator: Whole,
    literals: Array,
    literal_bits: Array,
    distances: Array,
    distance_bits: Array,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """The codes of whole kinds, distances and pairs of characters, and how many bits these have."""
    kinds, kind_bits = np.zeros(KINDS, np.int64), np.zeros(KINDS, np.int64)
    for kind in range(KINDS):
        symbol, rest = LENGTHS[separator + COVERED[kind]]
        kinds[kind] = literals[symbol] | rest << literal_bits[symbol]
        kind_bits[kind] = literal_bits[symbol] + LITERAL_EXTRA[symbol]
    backs, back_bits = np.zeros(len(by_distance), np.int64), np.zeros(len(by_distance), np.int64)
    for distance in range(1, len(by_distance) - 1):
        symbol = DISTANCE_SYMBOLS[distance]
        backs[distance] = distances[symbol] | (distance - DISTANCE_BASE[symbol]) << distance_bits[symbol]
        back_bits[distance] = distance_bits[symbol] + DISTANCE_EXTRA[symbol]
    # Two characters at once, by the four bits that tell those of numbers apart; one that is left out has no bits.
    ones, one_bits = np.zeros(_BLANK + 1, np.int64), np.zeros(_BLANK + 1, np.int64)
    for character in LETTERS:
        four = 10 if character == LETTERS[10] else character & 15
        ones[four], one_bits[four] = literals[character], literal_bits[character]
    pairs, pair_bits = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for pair in range(256):
        pairs[pair] = ones[pair & 15] | ones[pair >> 4] << one_bits[pair & 15]
        pair_bits[pair] = one_bits[pair & 15] + one_bits[pair >> 4]
    return kinds, kind_bits, backs, back_bits, pairs, pair_bits


@inner
def put_parts(out: Array, held: Whole, bits: Whole, at: Whole, parts: Array) -> tuple[Whole, Whole, Whole]:
    """Put values ([n, 2], with their numbers of bits) behind what is held; returns what is held, its bits, and where
    in `out` (uint32) it belongs."""
    for part in range(len(parts)):
        held, bits, at = _put(out, held, bits, at, parts[part, 0], parts[part, 1])
    return held, bits, at


@inner
def put_tokens(
    out: Array,
    held: Whole,
    bits: Whole,
    at: Whole,
    tokens: Array,
    literals: Array,
    literal_bits: Array,
    distances: Array,
    distance_bits: Array,
) -> tuple[Whole, Whole, Whole]:
    """The same of an edge's tokens."""
    for token in tokens:
        length, distance = token >> TOKEN_LENGTH, token & (1 << TOKEN_LENGTH) - 1
        if length:
            symbol, rest = LENGTHS[length]
            code = literals[symbol] | rest << literal_bits[symbol]
            held, bits, at = _put(out, held, bits, at, code, literal_bits[symbol] + LITERAL_EXTRA[symbol])
            symbol = DISTANCE_SYMBOLS[distance]
            code = distances[symbol] | (distance - DISTANCE_BASE[symbol]) << distance_bits[symbol]
            held, bits, at = _put(out, held, bits, at, code, distance_bits[symbol] + DISTANCE_EXTRA[symbol])
        else:
            held, bits, at = _put(out, held, bits, at, literals[distance], literal_bits[distance])
    return held, bits, at


@inner
def put_row(
    out: Array,
    held: Whole,
    bits: Whole,
    at: Whole,
    words: Array,
    near: Whole,
    starts: Array,
    sizes: Array,
    matches: Array,
    separator: Array,
    literals: Array,
    literal_bits: Array,
    kinds: Array,
    kind_bits: Array,
    backs: Array,
    back_bits: Array,
    pairs: Array,
    pair_bits: Array,
) -> tuple[Whole, Whole, Whole]:
    """The same of the numbers of a row, the cells from `near` on."""
    for cell in range(near, len(starts)):
        match = matches[cell]
        kind, distance = match & (1 << KIND_BITS) - 1, match >> KIND_BITS
        if match:
            held, bits, at = _put_two(
                out, held, bits, at, kinds[kind], kind_bits[kind], backs[distance], back_bits[distance]
            )
        elif cell > near:
            for character in separator:
                held, bits, at = _put(out, held, bits, at, literals[character], literal_bits[character])
        left_out = matches[cell + 1] & 1 if cell + 1 < len(starts) else 0
        left: Whole = sizes[cell] - (kind >> 1) - left_out
        begin = starts[cell] + (kind >> 1)
        while left > 0:
            shift = np.uint64(begin & 7) << _THREE
            eight = words[begin >> 3] >> shift | (words[(begin >> 3) + 1] << _ONE) << (_REST - shift)
            # The low four bits of each, of e five more; from the end on all four.
            end = _FROM << np.uint64(8 * min(left, 8) - 1)
            fours = np.int64(eight & _NIBBLES & ~end) + 5 * np.int64(eight >> _SIX & _ONES & ~end)
            fours |= np.int64(end & _NIBBLES)
            twos = fours | fours >> 4
            one, other = twos & 255, twos >> 16 & 255
            held, bits, at = _put_two(out, held, bits, at, pairs[one], pair_bits[one], pairs[other], pair_bits[other])
            one, other = twos >> 32 & 255, twos >> 48 & 255
            held, bits, at = _put_two(out, held, bits, at, pairs[one], pair_bits[one], pairs[other], pair_bits[other])
            begin += 8
            left -= 8
    return held, bits, at


@inner
def put_end(out: Array, held: Whole, bits: Whole, at: Whole, literals: Array, literal_bits: Array) -> Whole:
    """The block's end, and what says that an empty stored one follows; returns how many bytes there are in all."""
    held, bits, at = _put(out, held, bits, at, literals[END], literal_bits[END])
    held, bits, at = _put(out, held, bits, at, 0, 3)
    out[at] = held
    return 4 * at + (bits + 7 >> 3)
