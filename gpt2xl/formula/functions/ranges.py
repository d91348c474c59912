"""What functions over ranges share: which cells count, the first error, results lane by lane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import ERROR, NUMBER
from gpt2xl.formula import coerce
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.values import ExcelError, Floats, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpt2xl.formula.registry import Context


@dataclass(slots=True)
class Sample:
    """Numbers of one or more arguments: [lanes, n], which of them count (None: all), errors [lanes]."""

    num: Floats
    valid: NDArray[np.bool_] | None
    errors: Errors

    @property
    def count(self) -> Any:
        """How many numbers count, by lane."""
        if self.valid is None:
            return np.full(self.num.shape[0], self.num.shape[1], np.float64)
        return self.valid.sum(axis=1).astype(np.float64)

    def filled(self, with_what: float) -> Floats:
        """The numbers with another in the place of those that do not count."""
        return self.num if self.valid is None else np.where(self.valid, self.num, with_what)


def is_scalar(value: Value) -> bool:
    """Whether a value is one computed cell, whose text or truth value is converted to a number."""
    return not value.ranged and value.num.shape[1:] == (1, 1)


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """[lanes, rows, columns] -> [lanes, rows * columns], contiguous.

    The order in which numpy adds follows the strides: without a copy a cell computed with others would differ from the
    same cell computed alone.
    """
    return np.ascontiguousarray(array.reshape(array.shape[0], -1))


def first_error(value: Value) -> Errors:
    """For each lane the first error in reading order, as `coerce` keeps errors; shape [lanes]."""
    if value.kind is None:
        return None
    where = flat(value.mask(ERROR))
    if not where.any():
        return None
    place = where.argmax(axis=1)
    lanes = np.arange(len(where))
    return np.where(where[lanes, place], flat(value.num)[lanes, place] + 1, 0).astype(np.uint8)


def sample(context: Context, value: Value) -> Sample:
    """One argument's numbers: a single computed cell is converted, a range counts its numbers only."""
    if value.kind is None:
        return Sample(flat(value.num), None, None)
    if is_scalar(value):
        num, errors = coerce.numbers(context.pool, value)
        return Sample(flat(num), None, None if errors is None else np.broadcast_to(errors, num.shape)[:, 0, 0])
    valid = flat(value.mask(NUMBER))
    num = flat(value.num)
    return Sample(num, None if valid.all() else valid, first_error(value))


def joined(context: Context, arguments: tuple[Value, ...]) -> Sample:
    """All arguments' numbers side by side."""
    samples = [sample(context, value) for value in arguments]
    if len(samples) == 1:
        return samples[0]
    lanes = max(len(item.num) for item in samples)
    errors: Errors = None
    for item in samples:
        errors = merge(errors, item.errors)
    num = np.concatenate([np.broadcast_to(item.num, (lanes, item.num.shape[1])) for item in samples], axis=1)
    if all(item.valid is None for item in samples):
        return Sample(num, None, errors)
    valid = [np.ones(item.num.shape, bool) if item.valid is None else item.valid for item in samples]
    return Sample(
        num, np.concatenate([np.broadcast_to(part, (lanes, part.shape[1])) for part in valid], axis=1), errors
    )


def upwards(found: Sample) -> Floats:
    """Each lane's numbers upwards, those that do not count at the end."""
    return np.sort(found.filled(np.inf), axis=1)


def by_lane(num: Any, errors: Errors) -> Value:
    """One number for each lane; what is not finite is `#NUM!`."""
    num = np.asarray(num, np.float64).reshape(-1, 1, 1)
    finite = np.isfinite(num)
    found: Errors = None if errors is None else errors.reshape(-1, 1, 1)
    if not finite.all():
        found = merge(found, np.where(finite, 0, 6).astype(np.uint8))
        num = np.where(finite, num, 0.0)
    return Value(num) if found is None else coerce.with_errors(num, None, found)


def wrong(where: Any, what: ExcelError) -> Errors:
    """Errors of one kind where a condition holds."""
    where = np.asarray(where)
    return np.where(where, what.code + 1, 0).astype(np.uint8) if where.any() else None
