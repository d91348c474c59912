"""Sums, counts and statistics (ECMA-376 part 1, 18.17.7, where paragraphs are in the order of the names)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

from typing import Any

import numpy as np

from gpt2xl.a1 import BLANK, NUMBER, TEXT
from gpt2xl.formula import coerce
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions.ranges import (
    Sample,
    by_lane,
    first_error,
    flat,
    is_scalar,
    joined,
    sample,
    upwards,
    wrong,
)
from gpt2xl.formula.registry import Context, alias, whole
from gpt2xl.formula.values import DIV0, NA, NUM, VALUE, Value


@whole("SUM", "r*")
def sum_(context: Context, *arguments: Value) -> Value:
    """SUM(number1, ...) (ECMA-376, 18.17.7)."""
    if len(arguments) == 1 and arguments[0].kind is None:
        try:
            return Value(np.add.reduce(flat(arguments[0].num), axis=1).reshape(-1, 1, 1))
        except FloatingPointError:
            pass
    total: Any = 0.0
    errors: Errors = None
    with np.errstate(all="ignore"):
        for value in arguments:
            part = sample(context, value)
            total = total + part.filled(0.0).sum(axis=1)
            errors = merge(errors, part.errors)
    return by_lane(total, errors)


@whole("SUMSQ", "r*")
def sumsq(context: Context, *arguments: Value) -> Value:
    """SUMSQ(number1, ...) (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    num = found.filled(0.0)
    with np.errstate(all="ignore"):
        return by_lane(np.einsum("ln,ln->l", num, num), found.errors)


@whole("PRODUCT", "r*")
def product(context: Context, *arguments: Value) -> Value:
    """PRODUCT(number1, ...): 0 where there is no number (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    with np.errstate(all="ignore"):
        return by_lane(np.where(found.count == 0, 0.0, found.filled(1.0).prod(axis=1)), found.errors)


def _extreme(name: str, source: str, ufunc: np.ufunc, worst: float) -> None:
    def apply(context: Context, *arguments: Value) -> Value:
        if len(arguments) == 1 and arguments[0].kind is None:
            return Value(ufunc.reduce(arguments[0].num, axis=(1, 2), keepdims=True))
        found = joined(context, arguments)
        num = ufunc.reduce(found.filled(worst), axis=1, initial=worst)
        return by_lane(np.where(np.isinf(num), 0.0, num), found.errors)

    apply.__doc__ = f"{name}(number1, ...): 0 where there is no number ({source})."
    whole(name, "r*")(apply)


_extreme("MAX", "ECMA-376, 18.17.7", np.maximum, -np.inf)
_extreme("MIN", "ECMA-376, 18.17.7", np.minimum, np.inf)


@whole("COUNT", "r*")
def count(context: Context, *arguments: Value) -> Value:
    """COUNT(value1, ...): numbers; an error is not one (ECMA-376, 18.17.7)."""
    total: Any = 0.0
    for value in arguments:
        if is_scalar(value) and value.kind is not None:
            _, errors = coerce.numbers(context.pool, value)
            good = np.ones(value.num.shape, bool) if errors is None else np.broadcast_to(errors == 0, value.num.shape)
            total = total + flat(good).sum(axis=1)
        else:
            total = total + (value.num[0].size if value.kind is None else flat(value.mask(NUMBER)).sum(axis=1))
    return by_lane(total, None)


@whole("COUNTA", "r*")
def counta(context: Context, *arguments: Value) -> Value:
    """COUNTA(value1, ...): all that is not blank (ECMA-376, 18.17.7)."""
    total: Any = 0.0
    for value in arguments:
        if is_scalar(value):
            total = total + 1.0
        else:
            total = total + (value.num[0].size if value.kind is None else flat(~value.mask(BLANK)).sum(axis=1))
    return by_lane(total, None)


@whole("COUNTBLANK", "r")
def countblank(context: Context, value: Value) -> Value:
    """COUNTBLANK(range): blanks and empty texts (ECMA-376, 18.17.7)."""
    kinds = value.kinds
    return by_lane(flat((kinds == BLANK) | ((kinds == TEXT) & (value.num == 0))).sum(axis=1) + value.beyond, None)


@whole("AVERAGE", "r*")
def average(context: Context, *arguments: Value) -> Value:
    """AVERAGE(number1, ...): `#DIV/0!` where there is no number (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    with np.errstate(all="ignore"):
        mean, errors = _mean(found)
    return by_lane(mean, merge(found.errors, errors))


def _mean(found: Sample) -> tuple[Any, Errors]:
    """The mean of each lane; none at all is `#DIV/0!`."""
    size = found.count
    return found.filled(0.0).sum(axis=1) / np.maximum(size, 1), wrong(size == 0, DIV0)


def _squares(found: Sample) -> Any:
    """The sum of squared distances from the mean, in two passes."""
    mean, _ = _mean(found)
    distance = found.num - mean[:, np.newaxis]
    if found.valid is not None:
        distance = np.where(found.valid, distance, 0.0)
    return np.einsum("ln,ln->l", distance, distance)


def _spread(name: str, source: str, less: int, root: bool) -> None:
    def apply(context: Context, *arguments: Value) -> Value:
        found = joined(context, arguments)
        with np.errstate(all="ignore"):
            size = found.count - less
            result = _squares(found) / np.maximum(size, 1)
            result = np.sqrt(result) if root else result
        return by_lane(result, merge(found.errors, wrong(size <= 0, DIV0)))

    apply.__doc__ = f"{name}(number1, ...): divides by n{' - 1' if less else ''} ({source})."
    whole(name, "r*")(apply)


_spread("VAR", "ECMA-376, 18.17.7", 1, False)
_spread("VARP", "ECMA-376, 18.17.7", 0, False)
_spread("STDEV", "ECMA-376, 18.17.7", 1, True)
_spread("STDEVP", "ECMA-376, 18.17.7", 0, True)
for _new, _old in (("VAR.S", "VAR"), ("VAR.P", "VARP"), ("STDEV.S", "STDEV"), ("STDEV.P", "STDEVP")):
    alias(_new, _old)


@whole("DEVSQ", "r*")
def devsq(context: Context, *arguments: Value) -> Value:
    """DEVSQ(number1, ...) (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    with np.errstate(all="ignore"):
        return by_lane(_squares(found), merge(found.errors, wrong(found.count == 0, NUM)))


@whole("AVEDEV", "r*")
def avedev(context: Context, *arguments: Value) -> Value:
    """AVEDEV(number1, ...) (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    with np.errstate(all="ignore"):
        mean, _ = _mean(found)
        distance = np.abs(found.num - mean[:, np.newaxis])
        distance = distance if found.valid is None else np.where(found.valid, distance, 0.0)
        return by_lane(
            distance.sum(axis=1) / np.maximum(found.count, 1), merge(found.errors, wrong(found.count == 0, NUM))
        )


@whole("GEOMEAN", "r*")
def geomean(context: Context, *arguments: Value) -> Value:
    """GEOMEAN(number1, ...): positive numbers only (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    with np.errstate(all="ignore"):
        logs = np.log(found.filled(1.0)).sum(axis=1)
        errors = merge(found.errors, wrong((found.filled(1.0) <= 0).any(axis=1) | (found.count == 0), NUM))
        return by_lane(np.exp(logs / np.maximum(found.count, 1)), errors)


@whole("HARMEAN", "r*")
def harmean(context: Context, *arguments: Value) -> Value:
    """HARMEAN(number1, ...): positive numbers only (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    with np.errstate(all="ignore"):
        inverse = np.where(True if found.valid is None else found.valid, 1.0 / found.filled(1.0), 0.0).sum(axis=1)
        errors = merge(found.errors, wrong((found.filled(1.0) <= 0).any(axis=1) | (found.count == 0), NUM))
        return by_lane(found.count / inverse, errors)


@whole("MEDIAN", "r*")
def median(context: Context, *arguments: Value) -> Value:
    """MEDIAN(number1, ...) (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    size = found.count.astype(np.intp)
    errors = merge(found.errors, wrong(size == 0, NUM))
    if not size.all():
        size = np.maximum(size, 1)
    num = upwards(found)
    num = np.where(np.isinf(num), 0.0, num)
    lanes = np.arange(len(num))
    return by_lane((num[lanes, (size - 1) // 2] + num[lanes, size // 2]) / 2, errors)


@whole("MODE", "r*")
def mode(context: Context, *arguments: Value) -> Value:
    """MODE(number1, ...): the first of the most frequent; `#N/A` where none comes twice (ECMA-376, 18.17.7)."""
    found = joined(context, arguments)
    result, none = [], []
    for lane, cells in enumerate(found.num):
        row = cells if found.valid is None else cells[found.valid[lane]]
        unique, first, times = np.unique(row, return_index=True, return_counts=True)
        if not len(unique) or times.max() < 2:
            result.append(0.0)
            none.append(True)
            continue
        best = np.flatnonzero(times == times.max())
        result.append(float(unique[best[first[best].argmin()]]))
        none.append(False)
    return by_lane(result, merge(found.errors, wrong(none, NA)))


alias("MODE.SNGL", "MODE")


@whole("SUMPRODUCT", "a*")
def sumproduct(context: Context, *arguments: Value) -> Value:
    """SUMPRODUCT(array1, ...): what is no number counts as 0; sizes must agree (ECMA-376, 18.17.7)."""
    if len({value.num.shape[1:] for value in arguments}) > 1:
        return by_lane(np.zeros(1), np.full(1, VALUE.code + 1, np.uint8))
    errors: Errors = None
    factors = []
    for value in arguments:
        errors = merge(errors, first_error(value))
        factors.append(flat(value.num if value.kind is None else np.where(value.kinds == NUMBER, value.num, 0.0)))
    with np.errstate(all="ignore"):
        if len(factors) == 1:
            total = factors[0].sum(axis=1)
        else:
            while len(factors) > 2:
                factors[-2:] = [factors[-2] * factors[-1]]
            total = np.einsum("ln,ln->l", *np.broadcast_arrays(*factors))
    return by_lane(total, errors)


def _pairs(name: str, source: str, combine: Any) -> None:
    def apply(context: Context, first: Value, second: Value) -> Value:
        errors = merge(first_error(first), first_error(second))
        if first.num[0].size != second.num[0].size:
            return by_lane(np.zeros(1), np.full(1, NA.code + 1, np.uint8))
        both = flat(first.kinds == NUMBER) & flat(second.kinds == NUMBER)
        with np.errstate(all="ignore"):
            return by_lane(np.where(both, combine(flat(first.num), flat(second.num)), 0.0).sum(axis=1), errors)

    apply.__doc__ = f"{name}(array_x, array_y): pairs of numbers only ({source})."
    whole(name, "aa")(apply)


_pairs("SUMX2MY2", "ECMA-376, 18.17.7", lambda x, y: x * x - y * y)
_pairs("SUMX2PY2", "ECMA-376, 18.17.7", lambda x, y: x * x + y * y)
_pairs("SUMXMY2", "ECMA-376, 18.17.7", lambda x, y: (x - y) ** 2)
