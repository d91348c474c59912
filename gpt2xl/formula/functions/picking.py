"""Cells by their places, lane by lane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpt2xl.formula import coerce
from gpt2xl.formula.coerce import Errors
from gpt2xl.formula.values import Unread, Value


def pick(source: Value, lane: Any, row: Any, column: Any, errors: Errors) -> Value:
    """The cells of [lanes, rows, columns] at these places; where there is an error the place is not looked at."""
    if source.shape[0] == 1:
        lane = 0
    num = source.pick(row, column) if isinstance(source, Unread) else source.num[lane, row, column]
    kind = None if source.kind is None else source.kinds[lane, row, column]
    if errors is None:
        return Value(num, kind, True)
    return coerce.with_errors(num, kind, errors)


def lane_numbers(lanes: int, *arrays: NDArray[Any]) -> NDArray[np.intp]:
    """[n, 1, 1]: the lane of each, for as many as there are in all of these."""
    return np.arange(max(lanes, *(len(array) for array in arrays))).reshape(-1, 1, 1)
