"""float32 numbers as decimals: the shortest that read back as the same float32, as doubles, exactly and fast.

A workbook's cells hold decimals and its formulas compute with the doubles nearest to them. For most numbers the
decimals needed follow from the binary exponent: where 10^-s is at most the distance of neighbouring float32, the
multiple of 10^-s nearest to the number is nearer to it than to its neighbours. It is tried with ever fewer decimals
while that still reads back as the same float32. A whole number below 2^53 divided by 10^s, s up to 22, is the double
nearest to the quotient (Clinger 1990, "How to read floating point numbers accurately", fast path).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import orjson
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gpt2xl.xlsx.numbers import Rows

_MOST_DECIMALS = 22
# Numbers that are looked at together: what fits a processor's cache.
_AT_A_TIME = 16_384
_A_THREADS_SHARE = 1 << 18

_TENS = 10.0 ** np.arange(_MOST_DECIMALS + 1)
# By the exponent's eight bits: the decimals whose unit is at most the distance of neighbours, 2^(exponent - 150).
_DECIMALS = np.ceil(np.log10(2.0) * (150 - np.arange(256.0))).astype(np.intp)
_FEWEST = 1
# Up to so many decimals fewer are tried with all numbers: picking some of them takes as long.
_ALL = 3


def _scales(fewer: int) -> NDArray[np.float64]:
    """By the exponent's eight bits: 10^s for so many fewer decimals s, NaN where there are too few or too many."""
    usual = (np.maximum(_FEWEST, fewer) <= _DECIMALS) & (_DECIMALS <= _MOST_DECIMALS)
    return np.where(usual, _TENS[np.where(usual, _DECIMALS - fewer, 0)], np.nan)


_SCALES = [_scales(fewer) for fewer in range(_MOST_DECIMALS)]


class Doubles:
    """The cells of a matrix of float32 or float64, as the doubles that a reader makes of its decimals.

    With ``keep`` all of them, once wanted, are kept until `forget`: for the one matrix that several formulas read.
    """

    def __init__(self, values: Rows, *, keep: bool = False) -> None:
        self._values = values
        self._keep = keep
        self._kept: NDArray[np.float64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float64]:
        if not self._keep:
            return self._read(part)
        if self._kept is None:
            self._kept = self._read(np.s_[:, :])
        return self._kept[part]

    def forget(self) -> None:
        """Give the memory back."""
        self._kept = None

    def _read(self, part: tuple[slice, slice]) -> NDArray[np.float64]:
        rows, columns = part
        first, last, _ = rows.indices(self.shape[0])
        doubles = np.empty((last - first, len(range(self.shape[1])[columns])))

        def fill(begin: int, end: int) -> None:
            values = self._values[first + begin : first + end][:, columns]
            if values.dtype == np.float64:
                doubles[begin:end] = values
            else:
                as_written(values, doubles[begin:end])

        step = max(1, _A_THREADS_SHARE // self.shape[1])
        begins = range(0, len(doubles), step)
        if len(begins) <= 1:
            fill(0, len(doubles))
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(lambda begin: fill(begin, min(begin + step, len(doubles))), begins))
        return doubles


def as_written(values: NDArray[np.float32], out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """float32 of any shape -> the doubles of their shortest decimals, in `out` (contiguous) where that is given."""
    doubles = np.empty(values.shape) if out is None else out
    numbers, flat = np.ascontiguousarray(values).reshape(-1), doubles.reshape(-1)
    for start in range(0, numbers.size, _AT_A_TIME):
        _read_back(numbers[start : start + _AT_A_TIME], flat[start : start + _AT_A_TIME])
    return doubles


def _read_back(numbers: NDArray[np.float32], doubles: NDArray[np.float64]) -> None:
    exponents = (numbers.view(np.uint32) >> 23).astype(np.intp)
    exponents &= 255
    exact = numbers.astype(np.float64)
    scale, tried = np.empty_like(exact), np.empty_like(exact)
    _nearest(exact, exponents, 0, scale, doubles)
    shorter: NDArray[np.bool_] = np.ones(numbers.shape, np.bool_)
    for fewer in range(1, _ALL):
        _nearest(exact, exponents, fewer, scale, tried)
        shorter &= tried.astype(np.float32) == numbers
        doubles[...] = np.where(shorter, tried, doubles)
    places = np.flatnonzero(shorter)
    for fewer in range(_ALL, _MOST_DECIMALS):
        scales = _SCALES[fewer][exponents[places]]
        some = np.rint(exact[places] * scales) / scales
        same = some.astype(np.float32) == numbers[places]
        places = places[same]
        if not places.size:
            break
        doubles[places] = some[same]
    # Zeros, numbers too large or too small for the tables, and powers of two, whose lower neighbour is nearer.
    places = np.flatnonzero(doubles.astype(np.float32) != numbers)
    if places.size:
        text = orjson.dumps(numbers[places], option=orjson.OPT_SERIALIZE_NUMPY)
        doubles[places] = orjson.loads(text)


def _nearest(
    exact: NDArray[np.float64],
    exponents: NDArray[np.intp],
    fewer: int,
    scale: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    """The nearest decimals with `fewer` decimals than always suffice, in `result`; `scale` is overwritten."""
    _SCALES[fewer].take(exponents, out=scale, mode="clip")
    np.multiply(exact, scale, out=result)
    np.rint(result, out=result)
    np.divide(result, scale, out=result)
