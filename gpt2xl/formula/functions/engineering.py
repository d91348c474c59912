"""Bits and ways to write numbers (Microsoft's pages of ARABIC, BASE, BITAND and the others; ECMA-376 for ROMAN)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import BOOL
from gpt2xl.formula import coerce, values
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import Context, per_cell, whole
from gpt2xl.formula.values import NUM, VALUE, ExcelError, Value

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 1 << 48
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROMAN = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}


def _bits(name: str, combine: Callable[[int, int], int]) -> None:
    def apply(first: float, second: float) -> float | ExcelError:
        if any(number < 0 or number >= _MOST or number != int(number) for number in (first, second)):
            return NUM
        return float(combine(int(first), int(second)))

    apply.__doc__ = f"{name}(number1, number2): whole numbers below 2^48 (Microsoft, {name})."
    per_cell(name, "nn")(apply)


_bits("BITAND", lambda first, second: first & second)
_bits("BITOR", lambda first, second: first | second)
_bits("BITXOR", lambda first, second: first ^ second)


def _shift(name: str, sign: int) -> None:
    def apply(number: float, by: float) -> float | ExcelError:
        places = sign * int(by)
        if number < 0 or number >= _MOST or number != int(number) or abs(places) > 53:
            return NUM
        result = int(number) << places if places >= 0 else int(number) >> -places
        return float(result) if result < _MOST else NUM

    apply.__doc__ = f"{name}(number, places) (Microsoft, {name})."
    per_cell(name, "nn")(apply)


_shift("BITLSHIFT", 1)
_shift("BITRSHIFT", -1)


@per_cell("BASE", "nnn?")
def base(number: float, radix: float, least: float = 0) -> str | ExcelError:
    """BASE(number, radix, [min_length]) (Microsoft, BASE)."""
    rest, by = int(number), int(radix)
    if not (0 <= number < 1 << 53 and 2 <= by <= 36 and 0 <= least <= 255):
        return NUM
    text = ""
    while rest:
        rest, digit = divmod(rest, by)
        text = _DIGITS[digit] + text
    return (text or "0").zfill(int(least))


@per_cell("DECIMAL", "tn")
def decimal(text: str, radix: float) -> float | ExcelError:
    """DECIMAL(text, radix) (Microsoft, DECIMAL)."""
    by, number = int(radix), 0
    if not 2 <= by <= 36:
        return NUM
    for letter in text.strip().upper():
        digit = _DIGITS.find(letter)
        if not 0 <= digit < by:
            return NUM
        number = number * by + digit
    return float(number)


# Each form of ROMAN may subtract more than the one before: its new pairs of letters.
_PAIRS = (
    ("CM", "CD", "XC", "XL", "IX", "IV"),
    ("LM", "LD", "VC", "VL"),
    ("XM", "XD", "IC", "IL"),
    ("VM", "VD"),
    ("IM", "ID"),
)


@whole("ROMAN", "vv?", "cells")
def roman(context: Context, value: Value, form: Value | None = None) -> Value:
    """ROMAN(number, [form]): 0 to 3999; form 0 or TRUE is the classic one, 4 or FALSE the shortest
    (ECMA-376, 18.17.7)."""
    value, form = align(value, values.number(0.0) if form is None else form)
    numbers, errors = coerce.numbers(context.pool, value)
    forms, more = coerce.numbers(context.pool, form)
    forms = np.where(form.kinds == BOOL, 4 - 4 * forms, forms)
    pairs = np.broadcast_arrays(numbers, forms)
    result = np.empty(pairs[0].size, object)
    result[:] = [_roman(*pair) for pair in zip(*(array.ravel().tolist() for array in pairs), strict=True)]
    return coerce.from_texts(context.pool, result.reshape(pairs[0].shape), coerce.merge(errors, more))


def _roman(number: float, form: float) -> str | ExcelError:
    rest, shortest = int(number), int(form)
    if not (0 <= rest <= 3999 and 0 <= shortest <= 4):
        return VALUE
    words = [*_ROMAN, *(pair for pairs in _PAIRS[: shortest + 1] for pair in pairs)]
    text = ""
    for worth, word in sorted(((int(_arabic(word)), word) for word in words), reverse=True):
        text += word * (rest // worth)
        rest %= worth
    return text


@per_cell("ARABIC", "t")
def arabic(text: str) -> float | ExcelError:
    """ARABIC(text) (Microsoft, ARABIC)."""
    word = text.strip().upper()
    sign = -1.0 if word.startswith("-") else 1.0
    letters = word.removeprefix("-")
    return VALUE if set(letters) - {*_ROMAN} else sign * _arabic(letters)


def _arabic(letters: str) -> float:
    """The number of roman letters: one before a larger one is subtracted."""
    values = [_ROMAN[letter] for letter in letters]
    pairs = zip(values, [*values, 0][1:], strict=True)
    return float(sum(-value if value < following else value for value, following in pairs))


@per_cell("NUMBERVALUE", "tt?t")
def numbervalue(text: str, point: str = ".", group: str = ",") -> float | ExcelError:
    """NUMBERVALUE(text, [decimal], [group]) (Microsoft, NUMBERVALUE)."""
    if not point or point[0] == group[:1]:
        return VALUE
    text = text.replace(" ", "")
    figures = text.rstrip("%")  # each of these divides by a hundred
    whole, mark, part = figures.partition(point[0])
    plain = (whole.replace(group[0], "") if group else whole) + ("." if mark else "") + part
    if not plain:
        return 0.0
    number = coerce.text_to_number(plain)
    return VALUE if number is None else number / 100.0 ** (len(text) - len(figures))
