"""float32 numbers as the doubles that a reader makes of their shortest decimals.

A workbook's cells hold decimals and its formulas compute with the doubles nearest to them.
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

# Numbers that are looked at together: what fits a processor's cache.
_AT_A_TIME = 16_384
_A_THREADS_SHARE = 1 << 18


class Doubles:
    """The cells of a matrix of float32 or float64, as the doubles that a reader makes of its decimals."""

    def __init__(self, values: Rows) -> None:
        self._values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float64]:
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
    from gpt2xl.xlsx.shortest import as_doubles  # which takes its time to import

    doubles = np.empty(values.shape) if out is None else out
    numbers, flat = np.ascontiguousarray(values).reshape(-1), doubles.reshape(-1)
    digits, exponents = np.empty(_AT_A_TIME, np.int32), np.empty(_AT_A_TIME, np.int8)
    left, some = np.empty(_AT_A_TIME, np.bool_), np.empty(_AT_A_TIME, np.float32)
    for start in range(0, numbers.size, _AT_A_TIME):
        part = flat[start : start + _AT_A_TIME]
        now = some[: part.size]
        now[:] = numbers[start : start + _AT_A_TIME]
        if not as_doubles(now, now.view(np.uint32), digits, exponents, left, part):
            # Too large or too small for the way that is fast.
            places = np.flatnonzero(np.isnan(part))
            part[places] = orjson.loads(orjson.dumps(now[places], option=orjson.OPT_SERIALIZE_NUMPY))
    return doubles
