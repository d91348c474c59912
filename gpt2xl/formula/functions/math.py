"""Mathematics (ECMA-376 part 1, 18.17.7, where paragraphs are in the order of the names)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpt2xl.a1 import BLANK
from gpt2xl.formula import coerce, operators
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions.ranges import by_lane, flat, wrong
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


def _inverse(name: str, function: Any, most: float = np.inf) -> None:
    """One over a function, `#DIV/0!` where that is 0, `#NUM!` for angles from `most` on."""

    def apply(x: Numbers) -> Numbers:
        large = wrong(np.abs(x) >= most, NUM)
        with np.errstate(all="ignore"):
            below = np.asarray(function(x))
        zero = wrong(below == 0, DIV0)
        return 1.0 / np.where(below == 0, 1.0, below), merge(large, zero)

    apply.__doc__ = f"{name}(number) (Microsoft, {name})."
    elementwise(name, "n")(apply)


_inverse("SEC", np.cos, _LARGEST_ANGLE)
_inverse("CSC", np.sin, _LARGEST_ANGLE)
_inverse("COT", np.tan, _LARGEST_ANGLE)
_inverse("SECH", np.cosh)
_inverse("CSCH", np.sinh)
_inverse("COTH", np.tanh)
_simple("ACOT", "Microsoft, ACOT", lambda x: math.pi / 2 - np.arctan(x))
_simple("ACOTH", "Microsoft, ACOTH", lambda x: np.arctanh(1.0 / np.where(np.abs(x) > 1, x, np.nan)))

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
    return _each(lambda a, b: combinations(int(a), int(b)) if 0 <= int(b) <= int(a) else math.nan, n, k)


@elementwise("COMBINA", "nn")
def combina(n: Numbers, k: Numbers) -> Numbers:
    """COMBINA(number, chosen): with repetitions (Microsoft, COMBINA)."""
    return _each(_repeated, n, k)


def _repeated(first: float, second: float) -> float:
    n, k = int(first), int(second)
    if n < 0 or k < 0 or (n == 0 and k > 0):
        return math.nan
    return combinations(n + k - 1, k) if n else 1.0


def combinations(n: int, k: int) -> float:
    """Ways to choose k of n; infinite beyond the largest double, where 1,030 or more are left out and taken."""
    if min(k, n - k) >= 1030:  # at least 2^1030
        return math.inf
    try:
        return float(math.comb(n, k))
    except OverflowError:
        return math.inf


@elementwise("PERMUTATIONA", "nn")
def permutationa(n: Numbers, k: Numbers) -> Numbers:
    """PERMUTATIONA(number, chosen): with repetitions (Microsoft, PERMUTATIONA)."""
    return _each(lambda a, b: _power(int(a), int(b)) if int(a) >= 0 and int(b) >= 0 else math.nan, n, k)


def _power(base: int, exponent: int) -> float:
    try:
        return float(base) ** exponent
    except OverflowError:
        return math.inf


@elementwise("FACTDOUBLE", "s")
def factdouble(x: Numbers) -> Numbers:
    """FACTDOUBLE(number): of every second number (ECMA-376, 18.17.7)."""
    return _each(lambda n: math.nan if not -1 <= int(n) <= 300 else float(math.prod(range(int(n), 0, -2))), x)


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


alias("ERFC.PRECISE", "ERFC")
alias("GAMMALN.PRECISE", "GAMMALN")


@whole("MULTINOMIAL", "r*")
def multinomial(context: Context, *arguments: Value) -> Value:
    """MULTINOMIAL(number1, ...): ways to part as many things as the numbers add up to (ECMA-376, 18.17.7)."""
    return _integers(context, arguments, _ways)


def _ways(*counts: int) -> float:
    ways, total = 1.0, 0
    for count in counts:
        total += count
        ways *= combinations(total, count)
    return ways
