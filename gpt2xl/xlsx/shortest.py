"""The shortest decimals of float32 numbers, and the doubles that these are read as.

For most numbers the decimals needed follow from the binary exponent: where 10^-s is at most the distance of
neighbouring float32, the multiple of 10^-s nearest to the number is nearer to it than to its neighbours. It is tried
with one and two decimals fewer, for many numbers at once. Of the others, those with still fewer digits among them, the
shortest decimals are found as in Giulietti 2020, "The Schubfach way to render doubles".

A whole number below 2^53 divided by 10^s, s up to 22, is the double nearest to the quotient (Clinger 1990, "How to read
floating point numbers accurately", fast path).
"""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx.compiled import Whole, compiled
from gpt2xl.xlsx.numbers import Array

_LOWEST, _HIGHEST = -31, 46  # powers of ten that are needed
_EXACT = 22  # the highest power of ten that is a double


def _scaled_power(exponent: int) -> int:
    """Ten to the power of `exponent`, scaled to 64 bits, rounded up (section 9.8 of the paper)."""
    scaled: int = 10**exponent << 256 if exponent >= 0 else (1 << 256) // 10**-exponent
    return (scaled >> scaled.bit_length() - 64) + 1


_POWERS = [_scaled_power(exponent) for exponent in range(_LOWEST, _HIGHEST + 1)]
_UPPER = np.array([power >> 32 for power in _POWERS])
_LOWER = np.array([power & 0xFFFFFFFF for power in _POWERS])
_TENS = 10.0 ** np.arange(_EXACT + 1)

# By the exponent's eight bits: the decimals whose unit is at most the distance of neighbours, 2^(exponent - 150), and
# the powers of ten for these, one and two decimals fewer; NaN where there would be none, or too many.
_DECIMALS = np.ceil(np.log10(2.0) * (150 - np.arange(256.0))).astype(np.int64)
_SCALES = np.full((3, 256), np.nan)
for _fewer in range(3):
    _usual = (_DECIMALS >= 2) & (_DECIMALS <= _EXACT)
    _SCALES[_fewer, _usual] = _TENS[_DECIMALS[_usual] - _fewer]


@compiled
def _rounded_to_odd(upper: Whole, lower: Whole, factor: Whole) -> Whole:
    """The product of a scaled power and `factor` (below 2^31), without its lowest 64 bits, odd if these are not 0."""
    product = upper * factor + (lower * factor >> 32)
    return product >> 32 | ((product & 0xFFFFFFFF) > 1)


@compiled
def _shortest(bits: Whole) -> tuple[Whole, Whole]:
    """The digits d (up to nine, the last not 0) and the exponent k of d·10^k, from a positive number's bits.

    Every condition is a number: which way it goes is random, and processors guess badly.
    """
    fraction, exponent = bits & 0x7FFFFF, bits >> 23
    normal = np.int64(exponent > 0)
    mantissa, power = fraction | normal << 23, exponent - 149 - normal
    # Below a power of two neighbours are half as far away.
    nearer_below = np.int64(fraction == 0) & np.int64(exponent > 1)
    ten = (power * 1262611 - nearer_below * 524031) >> 22  # the floor of log10(2^power), or of log10(3/4·2^power)
    shift = power + ((-ten * 1741647) >> 19) + 1  # 2 to the power of log2(10^-ten), its floor
    upper, lower = _UPPER[-ten - _LOWEST], _LOWER[-ten - _LOWEST]
    # The number and the borders of what rounds to it, times four, in units of 10^ten.
    number = _rounded_to_odd(upper, lower, 4 * mantissa << shift)
    odd = mantissa & 1
    least = _rounded_to_odd(upper, lower, (4 * mantissa - 2 + nearer_below) << shift) + odd
    most = _rounded_to_odd(upper, lower, (4 * mantissa + 2) << shift) - odd
    digits = number >> 2
    fewer = digits * 0xCCCCCCCD >> 35  # a tenth
    below, above = np.int64(least <= 40 * fewer), np.int64(40 * fewer + 40 <= most)
    one_fewer = below ^ above
    below_long, above_long = np.int64(least <= 4 * digits), np.int64(4 * digits + 4 <= most)
    only_one = below_long ^ above_long
    nearer_above = np.int64(number > 4 * digits + 2 - (digits & 1))
    digits += only_one & above_long | (1 - only_one) & nearer_above
    digits += one_fewer * (fewer + above - digits)
    ten += one_fewer
    if one_fewer:
        fewer = digits * 0xCCCCCCCD >> 35
        while fewer * 10 == digits:
            digits, ten = fewer, ten + 1
            fewer = digits * 0xCCCCCCCD >> 35
    return digits, ten


@compiled
def _few_at_once(numbers: Array, bits: Array, digits: Array, exponents: Array, left: Array) -> None:
    """Digits with their sign (int32) and exponents (int8) of those that are not `left` (bool) for `_shortest`.

    No number's way through here differs from another's, so that compilers make one instruction of many.
    """
    for place in range(len(numbers)):
        number = np.float64(numbers[place])
        exponent = (bits[place] >> 23) & 255
        usual, one, two = _SCALES[0, exponent], _SCALES[1, exponent], _SCALES[2, exponent]
        all_digits, less_one, less_two = np.rint(number * usual), np.rint(number * one), np.rint(number * two)
        suffices = np.float32(all_digits / usual) == numbers[place]
        one_suffices = np.float32(less_one / one) == numbers[place]
        two_suffice = np.float32(less_two / two) == numbers[place]
        digits[place] = np.int32(less_one if one_suffices else all_digits) if suffices else 0
        exponents[place] = one_suffices - _DECIMALS[exponent]
        left[place] = not suffices or two_suffice


@compiled
def shortest(numbers: Array, bits: Array, digits: Array, exponents: Array, left: Array) -> bool:
    """From numbers (float32), and their `bits` (uint32), to the digits and exponents of their shortest decimals.

    ``digits`` (int32) have the number's sign, ``exponents`` are int8, ``left`` (bool) are for intermediate results.
    False, and nothing of use, where a number is none (NaN or infinite).
    """
    _few_at_once(numbers, bits, digits, exponents, left)
    for place in range(len(numbers)):
        if left[place]:
            number = np.int64(bits[place])
            size = number & 0x7FFFFFFF
            if size >= 0x7F800000:
                return False
            found, exponents[place] = _shortest(size) if size else (0, 0)
            digits[place] = -found if number >> 31 else found
    return True


@compiled
def as_doubles(numbers: Array, bits: Array, digits: Array, exponents: Array, left: Array, doubles: Array) -> bool:
    """From numbers and their bits to the doubles nearest to their shortest decimals; False where some stay NaN.

    These are not one quotient or product of two doubles. The other arrays are for intermediate results.
    """
    if not shortest(numbers, bits, digits, exponents, left):
        doubles[:] = np.nan
        return False
    complete = True
    for place in range(len(numbers)):
        exponent = np.int64(exponents[place])
        if -_EXACT <= exponent <= 0:
            doubles[place] = digits[place] / _TENS[-exponent]
        elif 0 < exponent <= _EXACT:
            doubles[place] = digits[place] * _TENS[exponent]
        else:
            doubles[place] = np.nan
            complete = False
        if not digits[place]:
            doubles[place] = np.float64(numbers[place])  # with the sign of 0
    return complete
