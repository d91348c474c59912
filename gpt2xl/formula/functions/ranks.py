"""Places in sorted numbers (ECMA-376 part 1, 18.17.7; those with EXC, INC, EQ and AVG from Microsoft's pages)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpt2xl.formula import coerce
from gpt2xl.formula.coerce import merge
from gpt2xl.formula.functions.ranges import by_lane, sample, upwards, wrong
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import Context, alias, whole
from gpt2xl.formula.values import NA, NUM, Value


def _ranked(context: Context, value: Value, which: Value, place: Any) -> Value:
    """A place in the sorted numbers for each cell of `which`: `place(k, n)` from 0, out of range `#NUM!`."""
    found = sample(context, value)
    num = upwards(found)
    num = np.where(np.isinf(num), 0.0, num)
    k, errors = coerce.numbers(context.pool, which)
    size = found.count.reshape(-1, 1, 1)
    own = None if found.errors is None else found.errors.reshape(-1, 1, 1)
    index, fraction, outside = place(k, size)
    errors = merge(merge(own, errors), wrong(outside, NUM))
    last = num.shape[1] - 1
    low = np.clip(index, 0, max(last, 0)).astype(np.intp)
    high = np.clip(index + 1, 0, max(last, 0)).astype(np.intp)
    lanes = np.arange(max(len(num), len(low))).reshape(-1, 1, 1) if len(num) > 1 else 0
    result = num[lanes, low]
    if fraction is not None:
        result = result + fraction * (np.where(fraction > 0, num[lanes, high], result) - result)
    return Value(result) if errors is None else coerce.with_errors(result, None, errors)


@whole("SMALL", "Av", "scalars")
def small(context: Context, value: Value, which: Value) -> Value:
    """SMALL(array, k) (ECMA-376, 18.17.7)."""
    return _ranked(context, value, which, lambda k, n: (np.trunc(k) - 1, None, (np.trunc(k) < 1) | (np.trunc(k) > n)))


@whole("LARGE", "Av", "scalars")
def large(context: Context, value: Value, which: Value) -> Value:
    """LARGE(array, k) (ECMA-376, 18.17.7)."""
    return _ranked(context, value, which, lambda k, n: (n - np.trunc(k), None, (np.trunc(k) < 1) | (np.trunc(k) > n)))


def _between(position: Any) -> tuple[Any, Any]:
    index = np.floor(position)
    return index, position - index


@whole("PERCENTILE", "Av", "scalars")
def percentile(context: Context, value: Value, which: Value) -> Value:
    """PERCENTILE(array, k): k from 0 to 1, between neighbours in proportion (ECMA-376, 18.17.7)."""
    return _ranked(context, value, which, lambda k, n: (*_between(k * (n - 1)), (k < 0) | (k > 1) | (n == 0)))


@whole("QUARTILE", "Av", "scalars")
def quartile(context: Context, value: Value, which: Value) -> Value:
    """QUARTILE(array, quart) (ECMA-376, 18.17.7)."""
    return _ranked(
        context,
        value,
        which,
        lambda k, n: (*_between(np.trunc(k) / 4 * (n - 1)), (np.trunc(k) < 0) | (np.trunc(k) > 4) | (n == 0)),
    )


alias("PERCENTILE.INC", "PERCENTILE")
alias("QUARTILE.INC", "QUARTILE")


@whole("RANK", "vRv?", "scalars")
def rank(context: Context, sought: Value, value: Value, direction: Value | None = None) -> Value:
    """RANK(number, range, [order]): downwards unless order is not 0; `#N/A` for a number not there
    (ECMA-376, 18.17.7)."""
    found = sample(context, value)
    if direction is not None:
        sought, direction = align(sought, direction)
    num, errors = coerce.numbers(context.pool, sought)
    ascending: Any = False
    if direction is not None:
        order, more = coerce.numbers(context.pool, direction)
        ascending, errors = order != 0, merge(errors, more)
    own = None if found.errors is None else found.errors.reshape(-1, 1, 1)
    if len(found.num) == 1:
        keys = np.sort(found.num[0] if found.valid is None else found.num[0][found.valid[0]])
        left, right = np.searchsorted(keys, num, "left"), np.searchsorted(keys, num, "right")
        below, above = left, len(keys) - right
        missing = left == right
    else:
        cells = num.reshape(len(num), -1, 1)
        rows = found.num[:, np.newaxis, :]
        counts = True if found.valid is None else found.valid[:, np.newaxis, :]
        shape = (max(len(num), len(found.num)), *num.shape[1:])
        below = ((rows < cells) & counts).sum(axis=2).reshape(shape)
        above = ((rows > cells) & counts).sum(axis=2).reshape(shape)
        missing = ~((rows == cells) & counts).any(axis=2).reshape(shape)
    errors = merge(merge(own, errors), wrong(missing, NA))
    result = np.where(ascending, below, above) + 1.0
    return Value(result) if errors is None else coerce.with_errors(result, None, errors)


alias("RANK.EQ", "RANK")


@whole("PERCENTILE.EXC", "Av", "scalars")
def percentile_exc(context: Context, value: Value, which: Value) -> Value:
    """PERCENTILE.EXC(array, k): k between 1/(n+1) and n/(n+1) (Microsoft, PERCENTILE.EXC)."""
    return _ranked(context, value, which, _exclusive)


@whole("QUARTILE.EXC", "Av", "scalars")
def quartile_exc(context: Context, value: Value, which: Value) -> Value:
    """QUARTILE.EXC(array, quart) (Microsoft, QUARTILE.EXC)."""
    return _ranked(context, value, which, lambda k, n: _exclusive(np.trunc(k) / 4, n))


def _exclusive(k: Any, n: Any) -> tuple[Any, Any, Any]:
    position = k * (n + 1) - 1
    return (*_between(position), (position < 0) | (position > n - 1) | (k <= 0) | (k >= 1))


def _percentrank(name: str, exclusive: bool) -> None:
    def apply(context: Context, value: Value, sought: Value, digits: Value | None = None) -> Value:
        found = sample(context, value)
        numbers, errors = coerce.numbers(context.pool, sought)
        places, more = (np.full((1, 1, 1), 3.0), None) if digits is None else coerce.numbers(context.pool, digits)
        errors = merge(None if found.errors is None else found.errors.reshape(-1, 1, 1), errors)
        errors = merge(errors, None if more is None else more[:, :1, :1])
        rows, counts = upwards(found), found.count.astype(int)
        result = np.full((max(len(rows), len(numbers)), *numbers.shape[1:]), np.nan)
        for place in np.ndindex(result.shape):
            own = place[0] if len(rows) > 1 else 0
            number = float(numbers[place[0] if len(numbers) > 1 else 0][place[1:]])
            row, count = rows[own][: counts[own]], counts[own]
            if count and row[0] <= number <= row[-1]:
                below = int(np.searchsorted(row, number, "left"))
                at = float(below)
                if row[below] != number:
                    at = below - 1 + (number - row[below - 1]) / (row[below] - row[below - 1])
                share = (at + 1) / (count + 1) if exclusive else at / (count - 1) if count > 1 else 1.0
                scale = 10.0 ** np.clip(np.trunc(places.flat[0]), 1, 300)
                result[place] = np.floor(share * scale + 1e-9) / scale
        missing = wrong(np.isnan(result), NA)
        bad = merge(errors, merge(missing, wrong(places[:, :1, :1] < 1, NUM)))
        num = np.where(np.isnan(result), 0.0, result)
        return Value(num) if bad is None else coerce.with_errors(num, None, bad)

    apply.__doc__ = f"{name}(array, x, [significance]): the share of the numbers below x (Microsoft, {name})."
    whole(name, "Avv?", "scalars")(apply)


_percentrank("PERCENTRANK.INC", False)
_percentrank("PERCENTRANK.EXC", True)
alias("PERCENTRANK", "PERCENTRANK.INC")


@whole("RANK.AVG", "vRv?", "scalars")
def rank_avg(context: Context, sought: Value, value: Value, direction: Value | None = None) -> Value:
    """RANK.AVG(number, range, [order]): equal numbers share the mean of their places (Microsoft, RANK.AVG)."""
    if direction is not None:
        sought, direction = align(sought, direction)
    first = rank(context, sought, value, direction)
    found = sample(context, value)
    num, _ = coerce.numbers(context.pool, sought)
    counts = np.ones(found.num.shape, bool) if found.valid is None else found.valid
    same = ((found.num[:, np.newaxis, :] == num.reshape(len(num), -1, 1)) & counts[:, np.newaxis, :]).sum(axis=2)
    shift = np.maximum(same.reshape(-1, *num.shape[1:]) - 1, 0) / 2
    return Value(first.num + np.where(first.kinds == 0, shift, 0.0), first.kind)


@whole("TRIMMEAN", "An")
def trimmean(context: Context, value: Value, share: Value) -> Value:
    """TRIMMEAN(array, percent): the mean without a share of the smallest and the largest (ECMA-376, 18.17.7)."""
    found = sample(context, value)
    num, errors = coerce.numbers(context.pool, share)
    result = []
    rows, counts = upwards(found), found.count
    for lane in range(max(len(rows), len(num))):
        row, count = rows[lane if len(rows) > 1 else 0], int(counts[lane if len(rows) > 1 else 0])
        part = float(num[lane if len(num) > 1 else 0].flat[0])
        cut = int(count * part / 2 + 1e-9)
        result.append(float(row[cut : count - cut].mean()) if 0 <= part < 1 and count else np.nan)
    return by_lane(result, merge(found.errors, None if errors is None else errors[:, 0, 0]))
