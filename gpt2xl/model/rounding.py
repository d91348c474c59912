"""Numbers rounded to some significant decimal digits, exactly: as if each were written out and read again, but fast.

A number x is taken times 10^s, s such that the product has as many digits before the point as are asked for, is
rounded to a whole number n there, and n / 10^s is the double nearest to the decimal: n is below 2^53 and 10^s exact up
to s = 22 (Clinger 1990, "How to read floating point numbers accurately", fast path). The product is itself rounded, so
where it comes out next to a half its error is computed too (Dekker 1971, "A floating-point technique for extending the
available precision") and decides.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_DIGITS = 17  # as many tell every double from its neighbours
_FAST_DIGITS = 15  # 10^15 is below 2^53, 10^16 is not
_MOST_DECIMALS = 22
_TENS = 10.0 ** np.arange(_MOST_DECIMALS + 1)
# Numbers that are looked at together: what fits a processor's cache.
_AT_A_TIME = 16_384
_SPLITTER = 2.0**27 + 1
_NONE = 99


def rounded(values: NDArray[Any], digits: int) -> Floats:
    """The doubles nearest to `values` (float32 or float64, of any shape) written with `digits` significant digits.

    Halves go to the even digit, as in Python's and C's `%e`. With 17 digits every double stays what it is.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    doubles = np.empty(flat.size)
    for start in range(0, flat.size, _AT_A_TIME):
        doubles[start : start + _AT_A_TIME] = _rounded(flat[start : start + _AT_A_TIME].astype(np.float64), digits)
    return doubles.reshape(values.shape)


def _rounded(exact: Floats, digits: int) -> Floats:
    if digits >= MOST_DIGITS:
        return exact
    if digits > _FAST_DIGITS:
        return _one_by_one(exact, digits)
    decimals = _decimals(digits)[(exact.view(np.uint64) >> np.uint64(52)).astype(np.intp) & 2047]
    slow = decimals == _NONE
    decimals[slow] = 0
    scaled = exact * _TENS[decimals]
    # The table knows the binary exponent alone: where the number has a digit more, it takes a decimal less.
    longer = np.flatnonzero(np.abs(scaled) >= _TENS[digits])
    decimals[longer] -= 1
    slow |= decimals < 0
    decimals[slow] = 0
    scaled[longer] = exact[longer] * _TENS[decimals[longer]]
    whole = np.rint(scaled)
    rest = scaled - whole  # exact
    halves = np.flatnonzero((np.abs(np.abs(rest) - 0.5) <= np.abs(scaled) * 2.0**-53) & ~slow)
    if halves.size:
        whole[halves] = _nearest(exact[halves], _TENS[decimals[halves]], scaled[halves])
    result: Floats = whole / _TENS[decimals]
    places = np.flatnonzero(slow & (exact != 0))
    result[places] = _one_by_one(exact[places], digits)
    return np.copysign(result, exact)


def _nearest(numbers: Floats, tens: Floats, products: Floats) -> Floats:
    """numbers x tens to the nearest whole numbers, where `products`, the same as doubles, are next to a half."""
    below = np.floor(products)
    above_half = (products - below - 0.5) + _error(numbers, tens, products)
    to_even = np.where(below % 2 == 0, below, below + 1)
    return np.where(above_half == 0, to_even, np.where(above_half < 0, below, below + 1))


def _error(a: Floats, b: Floats, product: Floats) -> Floats:
    """What a x b is more than the double `product`, exactly."""
    a_high, b_high = _high(a), _high(b)
    a_low, b_low = a - a_high, b - b_high
    error: Floats = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return error


def _high(a: Floats) -> Floats:
    """The upper half of a double's bits."""
    spread = _SPLITTER * a
    return np.asarray(spread - (spread - a))


def _one_by_one(exact: Floats, digits: int) -> Floats:
    return np.array([float(f"{number:.{digits - 1}e}") for number in exact.tolist()], dtype=np.float64)


@cache
def _decimals(digits: int) -> NDArray[np.intp]:
    """By a double's eleven bits of exponent: how many decimals its least number takes, `_NONE` for too many or few."""
    powers = np.floor((np.arange(2048) - 1023) * np.log10(2.0)).astype(np.intp)
    decimals: NDArray[np.intp] = digits - 1 - powers
    decimals[(decimals < 0) | (decimals > _MOST_DECIMALS)] = _NONE
    decimals[0] = _NONE  # zero, and numbers below the normal range
    return decimals
