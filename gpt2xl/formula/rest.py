"""Arithmetic over whole columns and rows: what it makes of the blank cells beyond those in use.

A whole column is cut to the cells in use. That is all of it for `SUM(A:A)`, but `--(A:A="")` is 1 in every one of a
million blank rows. All these rows are alike, so that one of them is computed (the rest), and added to the others as
often as there are such rows where it counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import BLANK, ERROR, NUMBER, TEXT
from gpt2xl.errors import UnsupportedFunction
from gpt2xl.formula.code import Code, SingleLanes, check_cells
from gpt2xl.formula.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

# To these 0 is nothing, nor is anything but a number and an error; to those only the latter.
_ADDING = frozenset({"SUM", "SUMPRODUCT", "SUMSQ"})
_SAMPLING = frozenset({"AVERAGE", "COUNT", "LARGE", "MAX", "MEDIAN", "MIN", "SMALL"})


def blanks(rows: int, columns: int) -> Value:
    """Blank cells of a reference."""
    return Value(np.zeros((1, rows, columns)), np.full((1, 1, 1), BLANK, np.uint8), True)


def completed(name: str, codes: list[Code], rests: list[Code | None], most: int) -> Callable[[], list[Value]]:
    """What computes the arguments of a function in full, of which `rests` are the rest of those that are cut.

    Raises `UnsupportedFunction` for rests that are not all alike.
    """
    for code, rest in zip(codes, rests, strict=True):
        if rest is not None and not _fits(code, rest):
            raise UnsupportedFunction("array arithmetic over whole columns or rows beside others")

    def run() -> list[Value]:
        found = [code.run() for code in codes]
        cut = [
            None if rest is None or not _is_cut(code, value) else rest.run()
            for code, rest, value in zip(codes, rests, found, strict=True)
        ]
        if _is_nothing(name, found, cut):
            return [value if rest is None else _ranged(value) for value, rest in zip(found, cut, strict=True)]
        return [
            value if rest is None else _extended(value, rest, code.beyond, most)
            for code, value, rest in zip(codes, found, cut, strict=True)
        ]

    return run


def _fits(code: Code, rest: Code) -> bool:
    """Whether the cells beyond are all alike, or all there."""
    rows, columns = code.beyond
    if rows and columns:
        return False
    return rest.rows in (1, rows) if rows else rest.columns in (1, columns)


def _is_cut(code: Code, value: Value) -> bool:
    """Whether a value is the cut one, and not another that IF or CHOOSE has taken in its place."""
    return value.shape[1] == code.rows if code.beyond[0] else value.shape[2] == code.columns


def _is_nothing(name: str, found: list[Value], cut: list[Value | None]) -> bool:
    """Whether a function gives the same without the rest."""
    rests = [rest for rest in cut if rest is not None]
    if all((rest.kinds == BLANK).all() for rest in rests):
        return True
    if name == "CONCAT" or (name == "TEXTJOIN" and found[1].num.all() and not found[1].mask(TEXT).any()):
        return all(((rest.kinds == TEXT) & (rest.num == 0)).all() for rest in rests)  # empty texts, left out
    if name not in _ADDING | _SAMPLING or any((rest.kinds == ERROR).any() for rest in rests):
        return False
    nothing = [((rest.kinds != NUMBER) | ((rest.num == 0) & (name in _ADDING))).all() for rest in rests]
    # A product needs one factor only, as long as all are equally long.
    return any(nothing) and len(rests) == len(cut) if name == "SUMPRODUCT" else all(nothing)


def _ranged(value: Value) -> Value:
    """The value as one of many cells, even where only one of them is in use."""
    if value.ranged:
        return value
    return Value(value.num, value.kind, True)


def _extended(value: Value, rest: Value, beyond: tuple[int, int], most: int) -> Value:
    """The value with the rest behind it, as often as there are cells beyond."""
    lanes = max(value.shape[0], rest.shape[0])
    if lanes > 1:
        raise SingleLanes
    axis = 1 if beyond[0] else 2
    shape = [1, *value.shape[1:]]
    check_cells(shape[1] + beyond[0], shape[2] + beyond[1], most)
    shape[axis] = max(beyond)
    num = np.concatenate([value.num, np.broadcast_to(rest.num, shape)], axis=axis)
    if value.kind is None and rest.kind is None:
        return Value(num, None, True)
    return Value(num, np.concatenate([value.kinds, np.broadcast_to(rest.kinds, shape)], axis=axis), True)
