"""Runs of cells of plain numbers, parsed in one go."""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx.compiled import Whole, compiled
from gpt2xl.xlsx.numbers import Array

_ZERO, _NINE, _MINUS, _PLUS, _POINT, _SMALL_E, _E = b"09-+.eE"
CLOSE = b"</v></c>"
_SMALLEST_CELL = len(CLOSE + b"<c><v>0")  # bytes
_EXACT = 22  # the highest power of ten that is a double
_TENS = 10.0 ** np.arange(_EXACT + 1)
_LARGEST = 1 << 53  # whole numbers up to it are doubles
_MOST_DIGITS = 18  # that fit in 64 bits


class RunReader:
    """Reads the runs of one sheet into one array, so that rows below each other are a matrix without a copy."""

    def __init__(self, size: int) -> None:
        """`size` is how many bytes the sheet's part has."""
        # As much as there can be; the system has memory only for what is filled.
        self._numbers = np.empty(size // _SMALLEST_CELL + 1)
        self._filled = 0

    def has_one_of(self, three: bytes, data: bytes) -> bool:
        """Whether one of three bytes occurs; each by itself takes Python as long."""
        return _has_one_of(np.frombuffer(data, np.uint8), *three)

    def read(self, data: bytes, begin: int, end: int, separator: bytes) -> tuple[Array, int]:
        """The numbers (float64) from `begin` on with `separator` between them, and where the last one's cell ends.

        There may be none. The separator begins with what closes a cell.
        """
        if self._filled + (end - begin) // _SMALLEST_CELL + 1 > len(self._numbers):
            return self._numbers[:0], begin
        between = np.frombuffer(separator, np.uint8)
        filled, stop = _read_numbers(
            np.frombuffer(data, np.uint8), begin, end, between, between[: len(CLOSE)], self._numbers, self._filled
        )
        found = self._numbers[self._filled : filled]
        self._filled = filled
        return found, stop


@compiled
def _read_numbers(
    data: Array, begin: Whole, end: Whole, separator: Array, close: Array, numbers: Array, at: Whole
) -> tuple[Whole, Whole]:
    """Numbers with `separator` between them and `close` after the last, from `begin` on, into `numbers` from `at` on.

    Returns where the next one would be put, and where in `data` the end of the last one is. It stops before what is no
    number as JSON has them or is not one quotient or product of two doubles, which is exact (Clinger 1990, "How to read
    floating point numbers accurately", fast path), and where another text follows. The separator begins with `close`.
    """
    done: Whole = begin
    place: Whole = begin
    while True:
        negative = place < end and data[place] == _MINUS
        place += negative
        first = place
        digits: Whole = 0
        exponent: Whole = 0
        while place < end and _ZERO <= data[place] <= _NINE:
            digits = 10 * digits + data[place] - _ZERO
            place += 1
        count = place - first
        if count == 0 or (count > 1 and data[first] == _ZERO):
            break
        if place < end and data[place] == _POINT:
            place += 1
            first = place
            while place < end and _ZERO <= data[place] <= _NINE:
                digits = 10 * digits + data[place] - _ZERO
                place += 1
            exponent = first - place
            if exponent == 0:
                break
            count -= exponent
        if count > _MOST_DIGITS or digits > _LARGEST:
            break
        if place < end and (data[place] == _SMALL_E or data[place] == _E):
            place += 1
            below = place < end and data[place] == _MINUS
            place += below or (place < end and data[place] == _PLUS)
            first = place
            power: Whole = 0
            while place < end and _ZERO <= data[place] <= _NINE and place - first < 4:
                power = 10 * power + data[place] - _ZERO
                place += 1
            if place == first:
                break
            exponent += -power if below else power
        if not -_EXACT <= exponent <= _EXACT:
            break
        number = digits / _TENS[-exponent] if exponent < 0 else digits * _TENS[exponent]
        another = _stands_at(data, place, end, separator)
        if not another and not _stands_at(data, place, end, close):
            break
        numbers[at] = -number if negative else number
        at += 1
        done = place + len(close)
        if not another:
            break
        place += len(separator)
    return at, done


@compiled
def _stands_at(data: Array, place: Whole, end: Whole, text: Array) -> bool:
    if place + len(text) > end:
        return False
    for character in range(len(text)):  # noqa: SIM110 - in a compiled loop, a generator is slow
        if data[place + character] != text[character]:
            return False
    return True


@compiled
def _has_one_of(data: Array, one: Whole, two: Whole, three: Whole) -> bool:
    found = False
    for place in range(len(data)):
        found |= (data[place] == one) | (data[place] == two) | (data[place] == three)
    return found
