"""Matrices (ECMA-376 part 1, 18.17.7: MDETERM, MINVERSE, MMULT; MUNIT from Microsoft's page)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

import numpy as np

from gpt2xl.a1 import NUMBER
from gpt2xl.formula import coerce
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions.ranges import by_lane, first_error, flat, wrong
from gpt2xl.formula.registry import Context, whole
from gpt2xl.formula.values import NUM, VALUE, Floats, Unread, Value


@whole("MMULT", "aa", "product")
def mmult(context: Context, left: Value, right: Value) -> Value:
    """MMULT(array1, array2): `#VALUE!` for blanks, texts, truth values or sizes that do not fit (ECMA-376, 18.17.7)."""
    errors: Errors = None
    for value in (left, right):
        if value.kind is not None:
            errors = merge(errors, first_error(value))
            errors = merge(errors, wrong(value.kinds.reshape(value.shape[0], -1).any(axis=1), VALUE))
    if left.shape[2] != right.shape[1]:
        errors = merge(errors, np.full(1, VALUE.code + 1, np.uint8))
        return coerce.with_errors(np.zeros((1, 1, 1)), None, None if errors is None else errors.reshape(-1, 1, 1))
    if errors is not None and errors.all():
        return coerce.with_errors(np.zeros((1, 1, 1)), None, errors.reshape(-1, 1, 1))
    with np.errstate(all="ignore"):
        num = _product(left, right)
    finite = np.isfinite(num)
    found = None if errors is None else errors.reshape(-1, 1, 1)
    if not finite.all():
        found = merge(found, np.where(finite, 0, NUM.code + 1).astype(np.uint8))
    return Value(num) if found is None else coerce.with_errors(np.where(finite, num, 0.0), None, found)


def _product(left: Value, right: Value) -> Floats:
    """The products of all lanes' matrices."""
    right_num = right.num
    if isinstance(left, Unread) and len(right_num) == 1:
        num = np.empty((1, left.rows, right.shape[2]))
        for begin, rows in left.parts():
            np.matmul(rows, right_num[0], out=num[0, begin : begin + len(rows)])
        return num
    left_num = left.num
    if len(left_num) == len(right_num) == 1:
        product: Floats = np.matmul(left_num[0], right_num[0])[np.newaxis]
    else:
        product = np.matmul(left_num, right_num)
    return product


def _squares(value: Value) -> tuple[Floats, Errors]:
    """Each lane's matrix, and the errors of those that are none of numbers alone, or not square."""
    lanes, rows, columns = value.num.shape
    if rows != columns:
        return np.eye(1)[np.newaxis], wrong(np.ones(lanes, bool), VALUE)
    bad = flat(value.kinds != NUMBER).any(axis=1)
    num = value.num if not bad.any() else np.where(bad.reshape(-1, 1, 1), np.eye(rows), value.num)
    return num, merge(first_error(value), wrong(bad, VALUE))


@whole("MDETERM", "a")
def mdeterm(context: Context, value: Value) -> Value:
    """MDETERM(array) (ECMA-376, 18.17.7)."""
    num, errors = _squares(value)
    return by_lane(np.linalg.det(num), errors)


@whole("MINVERSE", "a", "array")
def minverse(context: Context, value: Value) -> Value:
    """MINVERSE(array): `#NUM!` for a matrix without one (ECMA-376, 18.17.7)."""
    num, errors = _squares(value)
    result = np.zeros(num.shape)
    singular = np.zeros(len(num), bool)
    for lane, matrix in enumerate(num):
        try:
            result[lane] = np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            singular[lane] = True
    errors = merge(errors, wrong(singular, NUM))
    return Value(result) if errors is None else coerce.with_errors(result, None, errors.reshape(-1, 1, 1))


@whole("MUNIT", "v", "array")
def munit(context: Context, size: Value) -> Value:
    """MUNIT(dimension): ones on the diagonal (Microsoft, MUNIT)."""
    num, errors = coerce.numbers(context.pool, size)
    count = int(num.flat[0])
    if errors is not None or not 1 <= count <= 1024:
        return by_lane([0.0], merge(None if errors is None else errors[:, 0, 0], wrong([count < 1], VALUE)))
    return Value(np.eye(count)[np.newaxis])
