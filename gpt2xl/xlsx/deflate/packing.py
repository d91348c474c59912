"""Bits put one after another, of all words at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.xlsx.deflate.scratch import SCRATCH
from gpt2xl.xlsx.deflate.text import BLOCK

if TYPE_CHECKING:
    from gpt2xl.xlsx.numbers import Array

_ONE = np.uint64(1)
_SIX = np.uint64(6)
_BITS = np.uint64(63)


def pack(words: Array, bits: Array, places: Array, codes: Array) -> bytes:
    """The lowest `bits` (0 to 64) of each of `words`, with `codes` between them, up to a whole byte.

    `codes` [n] (`code << 6 | bits`) go before the words at `places` [n], in their order where there are several.
    `words` and `bits` are uint64; bits above the lowest ones are 0.
    """
    order = np.argsort(places, kind="stable")
    places, codes = places[order], codes[order]
    sizes = codes & _BITS
    begins, gaps = SCRATCH.words(len(words)), SCRATCH.words(len(words))
    np.cumsum(bits, out=begins)
    np.subtract(begins, bits, out=begins)
    between = begins[places] + np.cumsum(sizes) - sizes
    gaps[:] = 0
    np.add.at(gaps, places, sizes)
    np.cumsum(gaps, out=gaps)
    np.add(begins, gaps, out=begins)
    end = int(begins[-1] + bits[-1])
    target = SCRATCH.words(end // 64 + 2)
    target[:] = 0
    for begin in range(0, len(words), BLOCK):
        _put(target, begins[begin : begin + BLOCK], words[begin : begin + BLOCK])
    _put(target, between, codes >> _SIX)
    return target.view(np.uint8)[: (end + 7) // 8].tobytes()


def _put(target: Array, begins: Array, words: Array) -> None:
    """Put words into `target` (uint64), each from the bit on that `begins` says, ascending.

    Words do not overlap, so what begins in the same 64 bits is put together by adding, for all at once by a running
    sum, whatever that overflows; only the last of it can go beyond them.
    """
    with SCRATCH.frame():
        place, shift, sums = (SCRATCH.words(len(words)) for _ in range(3))
        np.right_shift(begins, _SIX, out=place)
        np.bitwise_and(begins, _BITS, out=shift)
        np.left_shift(words, shift, out=sums)
        np.cumsum(sums, out=sums)
        last = np.append(np.flatnonzero(place[1:] != place[:-1]), len(words) - 1)
        some_sums, some_shifts, rest = (SCRATCH.words(len(last)) for _ in range(3))
        np.take(sums, last, out=some_sums, mode="clip")
        np.take(shift, last, out=some_shifts, mode="clip")
        np.take(words, last, out=rest, mode="clip")
        np.right_shift(rest, _ONE, out=rest)
        np.bitwise_xor(some_shifts, _BITS, out=some_shifts)
        np.right_shift(rest, some_shifts, out=rest)
        places = some_shifts.view(np.int64)
        np.take(place.view(np.int64), last, out=places, mode="clip")
        np.subtract(some_sums[1:], some_sums[:-1], out=sums[1 : len(last)])
        sums[0] = some_sums[0]
        target[places] += sums[: len(last)]
        places += 1
        target[places] += rest
