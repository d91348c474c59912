"""Operators over values, cell by cell.

Arrays meet as in Excel's array formulas: a single row, column or cell is repeated to the other's size, and where
two sizes do not fit, the cells beyond the smaller one are `#N/A` (ECMA-376 part 1, 18.17.2.7).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, BOOL, ERROR, NUMBER, TEXT
from gpt2xl.formula import coerce
from gpt2xl.formula.coerce import Errors, merge, with_errors
from gpt2xl.formula.values import BOOLS, DIV0, NA, NUM, TextPool, Value, collated

if TYPE_CHECKING:
    from numpy.typing import NDArray

Operation = Callable[[TextPool, Value, Value], Value]


def align(*values: Value) -> list[Value]:
    """The values padded with `#N/A` so that numpy can broadcast them."""
    rows = max(value.num.shape[1] for value in values)
    columns = max(value.num.shape[2] for value in values)
    return [pad(value, rows, columns) for value in values]


def pad(value: Value, rows: int, columns: int) -> Value:
    """The value with `#N/A` beyond its own rows and columns; single ones stay as they are."""
    lanes, have_rows, have_columns = value.num.shape
    rows = have_rows if have_rows == 1 else rows
    columns = have_columns if have_columns == 1 else columns
    if (have_rows, have_columns) == (rows, columns):
        return value
    num = np.full((lanes, rows, columns), float(NA.code))
    kind = np.full((lanes, rows, columns), ERROR, np.uint8)
    num[:, :have_rows, :have_columns] = value.num[:, :rows, :columns]
    kind[:, :have_rows, :have_columns] = value.kinds[:, :rows, :columns]
    return Value(num, kind, value.ranged)


def _arithmetic(compute: Callable[[Any, Any], Any]) -> Operation:
    """An operator on numbers; numpy alone where both sides are pure numbers and the result is finite."""

    def apply(pool: TextPool, left: Value, right: Value) -> Value:
        if left.kind is None and right.kind is None:
            try:
                return Value(compute(left.num, right.num))
            except (FloatingPointError, ValueError):
                pass
        left, right = align(left, right)
        a, left_errors = coerce.numbers(pool, left)
        b, right_errors = coerce.numbers(pool, right)
        errors = merge(left_errors, right_errors)
        if compute is np.divide:
            zero = b == 0
            if zero.any():
                errors = merge(errors, np.where(zero, DIV0.code + 1, 0).astype(np.uint8))
                b = np.where(zero, 1.0, b)
        return coerce.guarded(lambda: compute(a, b), errors)

    return apply


def settled(value: Value, operand: Value) -> Value:
    """A sum or a difference at the end of a formula, 0 where it is nothing beside the operand but for rounding, as in
    Excel (Microsoft, "Floating-point arithmetic may give inaccurate results in Excel")."""
    if value.num.size == operand.num.size == 1 and abs(value.num.item()) > _CRUMB * abs(operand.num.item()):
        return value
    if value.kind is not None or operand.kind is not None:
        numbers = (value.kinds == NUMBER) & (operand.kinds == NUMBER) if value.shape == operand.shape else None
    else:
        numbers = np.True_
    if numbers is None:
        return value
    crumbs = numbers & (value.num != 0) & (np.abs(value.num) <= _CRUMB * np.abs(operand.num))
    return Value(np.where(crumbs, 0.0, value.num), value.kind) if crumbs.any() else value


_CRUMB = 2.0**-48  # of an operand


def power(pool: TextPool, left: Value, right: Value) -> Value:
    """`x^y`: 0^0 and an even root of a negative number are `#NUM!`, 0 to a negative power is `#DIV/0!`; an odd root of
    a negative number, such as (-8)^(1/3), is real as in Excel."""
    if left.kind is None and right.kind is None and right.num.size == 1 and right.num.item() > 0:
        try:
            return Value(np.power(left.num, right.num))
        except (FloatingPointError, ValueError):
            pass
    left, right = align(left, right)
    base, left_errors = coerce.numbers(pool, left)
    exponent, right_errors = coerce.numbers(pool, right)
    errors = merge(left_errors, right_errors)
    zero = (base == 0) & (exponent <= 0)
    if zero.any():
        found = np.where(zero, np.where(exponent == 0, NUM.code + 1, DIV0.code + 1), 0).astype(np.uint8)
        errors = merge(errors, found)
        base = np.where(zero, 1.0, base)
    odd = (base < 0) & _odd_root(exponent)
    if odd.any():
        return coerce.guarded(lambda: np.where(odd, -1.0, 1.0) * np.power(np.where(odd, -base, base), exponent), errors)
    return coerce.guarded(lambda: np.power(base, exponent), errors)


def _odd_root(exponent: Any) -> Any:
    """Where an exponent is one part of an odd whole number larger than 1, as nearly as a double can be."""
    with np.errstate(all="ignore"):
        parts = np.rint(1.0 / exponent)
        return (np.abs(parts) > 1) & (np.abs(parts) % 2 == 1) & (exponent == 1.0 / parts)


def concatenate(pool: TextPool, left: Value, right: Value) -> Value:
    """`x & y`."""
    left, right = align(left, right)
    a, left_errors = coerce.texts(pool, left)
    b, right_errors = coerce.texts(pool, right)
    return coerce.from_texts(pool, np.asarray(a + b, object), merge(left_errors, right_errors))


def _comparison(compute: Callable[[Any, Any], Any], compare: Callable[[Any, Any], Any]) -> Operation:
    """A comparison; numbers come before texts, texts before truth values, and texts compare without case."""

    def apply(pool: TextPool, left: Value, right: Value) -> Value:
        if left.kind is None and right.kind is None:
            try:
                return Value(compute(*_at_15_digits(left.num, right.num)), BOOLS)
            except ValueError:
                pass
        left, right = align(left, right)
        errors = merge(coerce.errors_of(left), coerce.errors_of(right))
        result = compare(order(pool, left, right, ordered=compute not in (np.equal, np.not_equal)), 0)
        return Value(result, BOOLS) if errors is None else with_errors(result, BOOLS, errors)

    return apply


def _at_15_digits(left: Any, right: Any) -> tuple[Any, Any]:
    """Two sides of a comparison as Excel has them: 0.1+0.2 equals 0.3, since their first 15 digits are the same."""
    if left.size == right.size == 1:  # most comparisons are of single cells, and take a microsecond
        one, other = left.item(), right.item()
        if one == other or abs(one - other) > _CLOSE * abs(other):
            return left, right
    with np.errstate(all="ignore"):
        apart = np.abs(left - right)
        close = (apart != 0) & (apart <= _CLOSE * np.abs(right))
    if not close.any():
        return left, right
    left, right = (np.array(np.broadcast_to(side, close.shape)) for side in (left, right))
    for side in (left, right):
        side[close] = [float(f"{number:.14e}") for number in side[close].tolist()]
    return left, right


_CLOSE = 1e-14  # numbers that are further apart, by their size, differ in one of 15 digits
_RANKS = np.array([0, 0, 1, 2, 3], np.int8)  # by kind: numbers (and blanks), texts, truth values, errors


def order(pool: TextPool, left: Value, right: Value, *, ordered: bool = True) -> NDArray[np.int8]:
    """-1, 0 or 1 for each pair of cells; with `ordered` False any value but 0 may stand for unequal texts."""
    kinds = left.kinds, right.kinds
    first, second = _RANKS[_unblank(*kinds)], _RANKS[_unblank(*kinds[::-1])]
    a, b = left.num, right.num
    result: NDArray[np.int8] = np.sign(first - second).astype(np.int8)
    if a.dtype == np.bool_ or b.dtype == np.bool_:
        a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = _at_15_digits(a, b)
    plain = (first == second) & (first != 1)
    result = np.where(plain, (a > b).astype(np.int8) - (a < b).astype(np.int8), result)
    both = (first == 1) & (second == 1)
    if both.any():
        # A blank beside a text is the empty text, whose index is 0, as a blank's number is.
        a, b = np.broadcast_arrays(a, b)
        x, y = pool.folded(a[both]), pool.folded(b[both])
        signs = (x != y).astype(np.int8)
        if ordered and signs.any():
            unequal = signs != 0
            signs[unequal] = [
                1 if collated(one) > collated(other) else -1
                for one, other in zip(pool.get(x[unequal]).tolist(), pool.get(y[unequal]).tolist(), strict=True)
            ]
        result[both] = signs
    return result


def _unblank(kind: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The kinds with each blank taken as the empty value of its partner's kind."""
    blank = kind == BLANK
    if not blank.any():
        return kind
    return np.where(blank & ((other == TEXT) | (other == BOOL)), other, kind).astype(np.uint8)


BINARY: dict[str, Operation] = {
    "+": _arithmetic(np.add),
    "-": _arithmetic(np.subtract),
    "*": _arithmetic(np.multiply),
    "/": _arithmetic(np.divide),
    "^": power,
    "&": concatenate,
    "=": _comparison(np.equal, operator.eq),
    "<>": _comparison(np.not_equal, operator.ne),
    "<": _comparison(np.less, operator.lt),
    "<=": _comparison(np.less_equal, operator.le),
    ">": _comparison(np.greater, operator.gt),
    ">=": _comparison(np.greater_equal, operator.ge),
}


def negate(pool: TextPool, value: Value) -> Value:
    """`-x`."""
    if value.kind is None:
        return Value(np.negative(value.num))
    num, errors = coerce.numbers(pool, value)
    return with_errors(-num, None, errors)


def percent(pool: TextPool, value: Value) -> Value:
    """`x%`."""
    num, errors = coerce.numbers(pool, value)
    return with_errors(num / 100, None, errors)


def select(mask: NDArray[np.bool_], errors: Errors, yes: Value, no: Value) -> Value:
    """`yes` where the mask holds, else `no`; errors of the condition win."""
    if errors is None and yes.kind is None and no.kind is None:
        try:
            return Value(np.where(mask, yes.num, no.num))
        except ValueError:
            pass
    condition = Value(mask, BOOLS) if errors is None else with_errors(mask, BOOLS, errors)
    condition, yes, no = align(condition, yes, no)
    truth = condition.num != 0
    num = np.where(truth, yes.num, no.num)
    kind = np.where(truth, yes.kinds, no.kinds)
    if condition.kind is not BOOLS:
        wrong = np.broadcast_to(condition.kinds == ERROR, num.shape)
        num = np.where(wrong, condition.num, num)
        kind = np.where(wrong, ERROR, kind).astype(np.uint8)
    if yes.num.dtype == np.bool_ and no.num.dtype == np.bool_:
        num = num.astype(np.float64)
    return Value(num, kind)
