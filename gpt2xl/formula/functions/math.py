"""Mathematics (ECMA-376 part 1, 18.17.7, where paragraphs are in the order of the names)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpt2xl.a1 import BLANK
from gpt2xl.formula import coerce, operators
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions.ranges import by_lane, first_error, flat, wrong
from gpt2xl.formula.registry import Context, alias, elementwise, whole
from gpt2xl.formula.values import DIV0, NUM, VALUE, Value

Numbers = Any  # arrays of numbers, and pairs of them with their errors
_LARGEST_ANGLE = 2.0**27  # Excel gives #NUM! for the circular functions from here on


def _simple(name: str, source: str, function: Any) -> None:
    def apply(x: Numbers) -> Numbers:
        return function(x)

    apply.__doc__ = f"{name}(number) ({source})."
    elementwise(name, "n")(apply)


_simple("ABS", "ECMA-376, 18.17.7", np.abs)
_simple("ACOS", "ECMA-376, 18.17.7", np.arccos)
_simple("ACOSH", "ECMA-376, 18.17.7", np.arccosh)
_simple("ASIN", "ECMA-376, 18.17.7", np.arcsin)
_simple("ASINH", "ECMA-376, 18.17.7", np.arcsinh)
_simple("ATAN", "ECMA-376, 18.17.7", np.arctan)
_simple("ATANH", "ECMA-376, 18.17.7", np.arctanh)
_simple("COSH", "ECMA-376, 18.17.7", np.cosh)
_simple("DEGREES", "ECMA-376, 18.17.7", np.degrees)
_simple("EXP", "ECMA-376, 18.17.7", np.exp)
_simple("INT", "ECMA-376, 18.17.7", np.floor)
_simple("LN", "ECMA-376, 18.17.7", np.log)
_simple("LOG10", "ECMA-376, 18.17.7", np.log10)
_simple("RADIANS", "ECMA-376, 18.17.7", np.radians)
_simple("SIGN", "ECMA-376, 18.17.7", np.sign)
_simple("SINH", "ECMA-376, 18.17.7", np.sinh)
_simple("SQRT", "ECMA-376, 18.17.7", np.sqrt)
_simple("TANH", "ECMA-376, 18.17.7", np.tanh)


def _circular(name: str, source: str, function: Any) -> None:
    def apply(x: Numbers) -> Numbers:
        large = wrong(np.abs(x) >= _LARGEST_ANGLE, NUM)
        return function(x) if large is None else (function(x), large)

    apply.__doc__ = f"{name}(angle) ({source})."
    elementwise(name, "n")(apply)


_circular("COS", "ECMA-376, 18.17.7", np.cos)
_circular("SIN", "ECMA-376, 18.17.7", np.sin)
_circular("TAN", "ECMA-376, 18.17.7", np.tan)


@elementwise("ATAN2", "nn")
def atan2(x: Numbers, y: Numbers) -> Numbers:
    """ATAN2(x, y): note the order; ATAN2(0, 0) is `#DIV/0!` (ECMA-376, 18.17.7)."""
    return np.arctan2(y, x), wrong((x == 0) & (y == 0), DIV0)


@whole("PI", "")
def pi(context: Context) -> Value:
    """PI() (ECMA-376, 18.17.7)."""
    return Value(np.full((1, 1, 1), math.pi))


@elementwise("LOG", "nn?")
def log(x: Numbers, base: Numbers = 10.0) -> Numbers:
    """LOG(number, [base]) (ECMA-376, 18.17.7)."""
    if isinstance(base, float):
        return np.log10(x)
    errors = wrong(base == 1, DIV0)
    with np.errstate(all="ignore"):
        result = np.where(base == 10, np.log10(x), np.log(x) / np.log(base))
        result = np.where(base == 2, np.log2(x), result)
    return np.where((x > 0) & (base > 0), result, np.nan), errors


@elementwise("MOD", "nn")
def mod(x: Numbers, divisor: Numbers) -> Numbers:
    """MOD(number, divisor): the sign of the divisor; 0 divides nothing (ECMA-376, 18.17.7)."""
    zero = wrong(divisor == 0, DIV0)
    if zero is None:
        return np.mod(x, divisor)
    return np.mod(x, np.where(divisor == 0, 1.0, divisor)), zero


@elementwise("QUOTIENT", "ss")
def quotient(x: Numbers, divisor: Numbers) -> Numbers:
    """QUOTIENT(number, divisor) (ECMA-376, 18.17.7)."""
    zero = wrong(divisor == 0, DIV0)
    return np.trunc(x / np.where(divisor == 0, 1.0, divisor)), zero


@whole("POWER", "vv", "cells")
def power(context: Context, base: Value, exponent: Value) -> Value:
    """POWER(number, power), as `^` (ECMA-376, 18.17.7)."""
    return operators.power(context.pool, base, exponent)


def _scaled(x: Numbers, digits: Numbers, rounding: Any) -> Numbers:
    """Round the decimal that a number shows with 15 digits, not the double beneath it: ROUND(2.675, 2) is 2.68."""
    x, digits = np.broadcast_arrays(x, np.trunc(digits))
    scale = 10.0 ** np.clip(np.abs(digits), 0, 308)
    with np.errstate(all="ignore"):
        shifted = np.where(digits >= 0, x * scale, x / scale)
        near = _fifteen(shifted)
        result = rounding(near)
        result = np.where(digits >= 0, result / scale, result * scale)
    result = np.where(digits < -308, 0.0, result)
    return np.where((np.abs(x) >= 1e15) & (digits >= 0) | ~np.isfinite(shifted), x, result)


def _fifteen(x: Numbers) -> Numbers:
    """The nearest integer or half where a number is within 15 digits of it."""
    twice = np.rint(x * 2)
    close = np.abs(x * 2 - twice) <= np.abs(twice) * 2e-15
    return np.where(close, twice / 2, x)


def _half_away(x: Numbers) -> Numbers:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _away(x: Numbers) -> Numbers:
    return np.copysign(np.ceil(np.abs(x)), x)


@elementwise("ROUND", "nn")
def round_(x: Numbers, digits: Numbers) -> Numbers:
    """ROUND(number, digits): halves away from zero (ECMA-376, 18.17.7)."""
    return _scaled(x, digits, _half_away)


@elementwise("ROUNDDOWN", "nn")
def rounddown(x: Numbers, digits: Numbers) -> Numbers:
    """ROUNDDOWN(number, digits): towards zero (ECMA-376, 18.17.7)."""
    return _scaled(x, digits, np.trunc)


@elementwise("ROUNDUP", "nn")
def roundup(x: Numbers, digits: Numbers) -> Numbers:
    """ROUNDUP(number, digits): away from zero (ECMA-376, 18.17.7)."""
    return _scaled(x, digits, _away)


@elementwise("TRUNC", "nn?")
def trunc(x: Numbers, digits: Numbers = 0.0) -> Numbers:
    """TRUNC(number, [digits]) (ECMA-376, 18.17.7)."""
    return np.trunc(x) if isinstance(digits, float) else _scaled(x, digits, np.trunc)


@elementwise("EVEN", "n")
def even(x: Numbers) -> Numbers:
    """EVEN(number): the next even integer away from zero (ECMA-376, 18.17.7)."""
    return np.copysign(2 * np.ceil(np.abs(x) / 2), x)


@elementwise("ODD", "n")
def odd(x: Numbers) -> Numbers:
    """ODD(number): the next odd integer away from zero (ECMA-376, 18.17.7)."""
    return np.copysign(np.maximum(2 * np.ceil((np.abs(x) - 1) / 2) + 1, 1), x)


def _multiple(x: Numbers, step: Numbers, towards: Any) -> Numbers:
    with np.errstate(all="ignore"):
        ratio = x / np.where(step == 0, 1.0, step)
        near = np.rint(ratio)
        ratio = np.where(np.abs(ratio - near) <= np.abs(near) * 1e-15, near, ratio)
        return np.where(step == 0, 0.0, towards(ratio) * step)


@elementwise("CEILING", "nn")
def ceiling(x: Numbers, step: Numbers) -> Numbers:
    """CEILING(number, significance): `#NUM!` for a positive number and a negative step (ECMA-376, 18.17.7)."""
    return _multiple(x, step, np.ceil), wrong((x > 0) & (step < 0), NUM)


@elementwise("FLOOR", "nn")
def floor(x: Numbers, step: Numbers) -> Numbers:
    """FLOOR(number, significance): `#NUM!` as CEILING; a step of 0 is `#DIV/0!` (ECMA-376, 18.17.7)."""
    errors = merge(wrong((x > 0) & (step < 0), NUM), wrong((step == 0) & (x != 0), DIV0))
    return _multiple(x, step, np.floor), errors


@elementwise("MROUND", "ss")
def mround(x: Numbers, step: Numbers) -> Numbers:
    """MROUND(number, multiple): both of one sign (ECMA-376, 18.17.7)."""
    return _multiple(x, step, _half_away), wrong(x * step < 0, NUM)


def _each(function: Any, *arrays: Any) -> Any:
    """A Python function over arrays of numbers; what it cannot compute is not a number."""
    arrays = np.broadcast_arrays(*arrays)
    result = np.empty(arrays[0].size)
    for place, cell in enumerate(zip(*(array.ravel().tolist() for array in arrays), strict=True)):
        result[place] = function(*cell)
    return result.reshape(arrays[0].shape)


@elementwise("ERF", "ss?")
def erf(lower: Numbers, upper: Numbers = None) -> Numbers:
    """ERF(lower, [upper]) (ECMA-376, 18.17.7)."""
    first = _each(math.erf, lower)
    return first if upper is None else _each(math.erf, upper) - first


alias("ERF.PRECISE", "ERF")


@elementwise("ERFC", "s")
def erfc(x: Numbers) -> Numbers:
    """ERFC(number) (ECMA-376, 18.17.7)."""
    return _each(math.erfc, x)


@elementwise("FACT", "n")
def fact(x: Numbers) -> Numbers:
    """FACT(number): up to 170 (ECMA-376, 18.17.7)."""
    return _each(lambda n: math.nan if not 0 <= n < 171 else float(math.factorial(int(n))), x)


@elementwise("SQRTPI", "n")
def sqrtpi(x: Numbers) -> Numbers:
    """SQRTPI(number): the square root of pi times it (ECMA-376, 18.17.7)."""
    return np.sqrt(x * math.pi)


@elementwise("COMBIN", "nn")
def combin(n: Numbers, k: Numbers) -> Numbers:
    """COMBIN(number, chosen) (ECMA-376, 18.17.7)."""
    return _each(lambda a, b: float(math.comb(int(a), int(b))) if 0 <= int(b) <= int(a) else math.nan, n, k)


@elementwise("GAMMALN", "n")
def gammaln(x: Numbers) -> Numbers:
    """GAMMALN(x) (ECMA-376, 18.17.7)."""
    return _each(lambda n: math.lgamma(n) if n > 0 else math.nan, x)


@whole("GCD", "r*")
def gcd(context: Context, *arguments: Value) -> Value:
    """GCD(number1, ...): texts are numbers or `#VALUE!`, truth values `#VALUE!` (ECMA-376, 18.17.7)."""
    return _integers(context, arguments, math.gcd)


@whole("LCM", "r*")
def lcm(context: Context, *arguments: Value) -> Value:
    """LCM(number1, ...): as GCD; a blank in a range is 0 (ECMA-376, 18.17.7)."""
    return _integers(context, arguments, math.lcm)


def _integers(context: Context, arguments: tuple[Value, ...], function: Any) -> Value:
    """A function of whole numbers; single blank cells do not count, and below 2^53 everything is."""
    errors: Errors = None
    lanes = max(len(value.num) for value in arguments)
    numbers: list[list[float]] = [[] for _ in range(lanes)]
    for value in arguments:
        num, found = coerce.strict_numbers(context.pool, value)
        if found is not None:
            rows = np.broadcast_to(found, num.shape).reshape(len(num), -1)
            errors = merge(errors, rows[np.arange(len(rows)), (rows != 0).argmax(axis=1)])
        single = value.num.shape[1:] == (1, 1)
        valid = flat((value.kinds != BLANK) | (not single))
        for lane in range(lanes):
            own = lane if len(num) > 1 else 0
            numbers[lane] += flat(num)[own][valid[own]].tolist()
    errors = merge(errors, wrong([not lane for lane in numbers], VALUE))
    errors = merge(errors, wrong([any(not 0 <= n < 2**53 for n in lane) for lane in numbers], NUM))
    result = [function(*(int(n) for n in lane)) if all(0 <= n < 2**53 for n in lane) else 0 for lane in numbers]
    return by_lane([float(n) if n < 2**53 else math.nan for n in result], errors)


@whole("MMULT", "aa", "array")
def mmult(context: Context, left: Value, right: Value) -> Value:
    """MMULT(array1, array2): `#VALUE!` for blanks, texts, truth values or sizes that do not fit (ECMA-376, 18.17.7)."""
    errors: Errors = None
    for value in (left, right):
        if value.kind is not None:
            errors = merge(errors, first_error(value))
            errors = merge(errors, wrong(value.kinds.reshape(len(value.num), -1).any(axis=1), VALUE))
    if left.num.shape[2] != right.num.shape[1]:
        errors = merge(errors, np.full(1, VALUE.code + 1, np.uint8))
        return coerce.with_errors(np.zeros((1, 1, 1)), None, None if errors is None else errors.reshape(-1, 1, 1))
    if errors is not None and errors.all():
        return coerce.with_errors(np.zeros((1, 1, 1)), None, errors.reshape(-1, 1, 1))
    with np.errstate(all="ignore"):
        if len(left.num) == len(right.num) == 1:
            num = np.matmul(left.num[0], right.num[0])[np.newaxis]
        else:
            num = np.matmul(left.num, right.num)
    finite = np.isfinite(num)
    found = None if errors is None else errors.reshape(-1, 1, 1)
    if not finite.all():
        found = merge(found, np.where(finite, 0, NUM.code + 1).astype(np.uint8))
    return Value(num) if found is None else coerce.with_errors(np.where(finite, num, 0.0), None, found)


def _square(value: Value) -> Errors:
    errors = merge(first_error(value), None)
    bad = value.num.shape[1] != value.num.shape[2] or bool(value.kinds.any())
    return merge(errors, wrong(np.full(len(value.num), bad), VALUE))


@whole("MDETERM", "a")
def mdeterm(context: Context, value: Value) -> Value:
    """MDETERM(array) (ECMA-376, 18.17.7)."""
    errors = _square(value)
    return by_lane(np.linalg.det(value.num) if errors is None else np.zeros(len(value.num)), errors)


@whole("MINVERSE", "a", "array")
def minverse(context: Context, value: Value) -> Value:
    """MINVERSE(array): `#NUM!` for a matrix without one (ECMA-376, 18.17.7)."""
    errors = _square(value)
    if errors is None:
        try:
            return Value(np.linalg.inv(value.num))
        except np.linalg.LinAlgError:
            errors = wrong(np.ones(len(value.num), bool), NUM)
    return by_lane(np.zeros(len(value.num)), errors)
