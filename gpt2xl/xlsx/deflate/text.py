"""Numbers to the text of their cells, eight characters at a time."""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx import shortest
from gpt2xl.xlsx.compiled import Whole, inner
from gpt2xl.xlsx.numbers import Array

LONGEST_NUMBER = 24  # characters, such as -2.2250738585072014e-308

# With more zeros after the point, or more digits before it, a number has an exponent.
_MOST_ZEROS, _MOST_DIGITS = 4, 16
_PREFIXES = np.array(
    [
        [int.from_bytes(sign + b"0." + b"0" * zeros, "little") for zeros in range(_MOST_ZEROS + 1)]
        for sign in (b"", b"-")
    ],
    np.uint64,
)
_TENS = 10 ** np.arange(10)
_ZEROS = np.uint64(int.from_bytes(b"0" * 8, "little"))
_ONE, _THREE, _EIGHT, _REST, _WORD = (np.uint64(number) for number in (1, 3, 8, 63, 64))
_MINUS, _POINT, _DIGIT, _EXPONENT = (np.uint64(ord(character)) for character in "-.0e")
_COMMA, _BRACKET = ord(","), ord("]")


@inner
def _append(words: Array, at: Whole, characters: Whole, count: Whole) -> Whole:
    """Put up to eight characters, after which there are zeros, at `at`, which is the end; returns the new one."""
    shift, place = np.uint64(at & 7) << _THREE, at >> 3
    words[place] |= characters << shift
    words[place + 1] = (characters >> _ONE) >> (_REST - shift)
    return at + count


@inner
def _first(characters: Whole, count: Whole) -> Whole:
    """The first 1 to 8 of eight characters."""
    shift = _WORD - np.uint64(8 * count)
    return (characters << shift) >> shift


@inner
def _eight_digits(number: Whole) -> Whole:
    """A number below 10^8 as digits: by halves, quarters and eighths of a word at once."""
    half = number * 3518437209 >> 45  # divided by 10,000
    halves = half | (number - half * 10000) << 32
    quarter = (halves * 10486 >> 20) & 0x7F0000007F  # by 100
    quarters = quarter | (halves - quarter * 100) << 16
    eighth = (quarters * 103 >> 10) & 0x000F000F000F000F  # by 10
    return np.uint64(eighth | (quarters - eighth * 10) << 8) | _ZEROS


@inner
def _head(words: Array, start: Whole) -> Whole:
    """The eight characters from `start`."""
    shift, place = np.uint64(start & 7) << _THREE, start >> 3
    return np.int64(words[place] >> shift | (words[place + 1] << _ONE) << (_REST - shift))


@inner
def _figures(size: Whole) -> tuple[Whole, Whole, Whole, Whole, Whole]:
    """How many digits a whole number below 10^9 has, 1 at least; as characters: the first of them, the eight after it,
    the first eight, 0 after their end, and the ninth, 0 where there is none."""
    count = np.int64(1)
    for power in (10, 100, 1000, 10**4, 10**5, 10**6, 10**7, 10**8):
        count += np.int64(size >= power)
    nine = size * _TENS[9 - count]
    leading = nine * 1441151881 >> 57  # divided by 10^8
    rest = _eight_digits(nine - leading * 100_000_000)
    leading_digit = np.uint64(leading) + _DIGIT
    ninth = np.int64(count == 9)
    eight = _first(leading_digit | rest << _EIGHT, count - ninth)
    return count, leading_digit, rest, eight, (rest >> np.uint64(56)) * np.uint64(ninth)


@inner
def _begin_numbers(bits: Array, digits: Array, exponents: Array, firsts: Array, seconds: Array, sizes: Array) -> None:
    """The characters of numbers such as nearly all parameters, 0.0123 and the like: the first eight, 0 after their end,
    and up to eight more (int64), and how many there are; that is 0 for all others.

    No number's way through here differs from another's, so that compilers make one instruction of many.
    """
    for number in range(len(digits)):
        negative, size = np.int64(bits[number]) >> 31, abs(np.int64(digits[number]))
        count, _, _, eight, last = _figures(size)
        point = count + np.int64(exponents[number])
        usual = np.int64(point <= 0) & np.int64(point >= -_MOST_ZEROS) & np.int64(size > 0)
        point *= usual
        before = 2 - point + negative
        shift = np.uint64(8 * before)
        firsts[number] = np.int64(_PREFIXES[negative, -point] | eight << shift)
        seconds[number] = np.int64(eight >> (_WORD - shift) | last << shift)
        sizes[number] = (before + count) * usual


@inner
def _write_number(words: Array, at: Whole, negative: Whole, digits: Whole, exponent: Whole) -> Whole:
    """Any other number at `at`; returns its end."""
    count, leading_digit, rest, eight, last = _figures(digits)
    ninth = np.int64(count == 9)
    point = count + exponent
    if negative:
        at = _append(words, at, _MINUS, 1)
    if digits == 0:
        at = _append(words, at, _DIGIT, 1)
        if negative:  # as a double it is to be negative, too
            at = _append(words, at, _POINT | _DIGIT << _EIGHT, 2)
    elif 0 < point <= _MOST_DIGITS:
        whole = min(point, count - ninth)
        at = _append(words, at, _first(eight, whole), whole)
        if point < count:
            at = _append(words, at, _POINT, 1)
            if whole < 8:
                at = _append(words, at, eight >> np.uint64(8 * whole), count - ninth - whole)
        at = _append(words, at, last, ninth)
        for _ in range(exponent):
            at = _append(words, at, _DIGIT, 1)
    else:
        at = _append(words, at, leading_digit, 1)
        if count > 1:
            at = _append(words, at, _POINT, 1)
            at = _append(words, at, _first(rest, count - 1), count - 1)
        at = _append(words, at, _EXPONENT, 1)
        power = point - 1
        if power < 0:
            at = _append(words, at, _MINUS, 1)
            power = -power
        if power >= 10:
            at = _append(words, at, np.uint64(power // 10) + _DIGIT, 1)
        at = _append(words, at, np.uint64(power % 10) + _DIGIT, 1)
    return at


@inner
def spell(words: Array, at: Whole, text: Array) -> Whole:
    """Put `text` (uint8) at `at`, which is the end; returns the new one."""
    for character in text:
        at = _append(words, at, np.uint64(character), 1)
    return at


@inner
def eights(text: Array) -> Array:
    """`text` (uint8), eight characters a uint64."""
    words = np.zeros((len(text) + 7) // 8, np.uint64)
    for place in range(len(text)):
        words[place >> 3] |= np.uint64(text[place]) << np.uint64(8 * (place & 7))
    return words


@inner
def _append_all(words: Array, at: Whole, between: Array, count: Whole) -> Whole:
    """Put `count` characters, as `eights` gives them, at `at`; returns the new end."""
    for eight in range(len(between)):
        _append(words, at + 8 * eight, between[eight], 8)
    return at + count


@inner
def _write_numbers(
    bits: Array,
    digits: Array,
    exponents: Array,
    between: Array,
    separator: Whole,
    words: Array,
    at: Whole,
    first: Whole,
    starts: Array,
    sizes: Array,
    heads: Array,
    seconds: Array,
) -> Whole:
    """A row of numbers at `at`, from their bits (uint32), for the signs, digits and exponents; returns its end.

    Between two of them stands `between`, of `separator` characters, as `eights` gives it. From `first` on ``starts``,
    ``sizes`` and ``heads`` (int64) say where a number begins, how many characters it has, and its first eight, 0 after
    its end.
    """
    _begin_numbers(bits, digits, exponents, heads[first:], seconds, sizes[first:])
    for cell in range(first, len(starts)):
        if cell > first:
            at = _append_all(words, at, between, separator)
        starts[cell] = at
        number = cell - first
        if sizes[cell]:
            at = _append(words, at, np.uint64(heads[cell]), min(sizes[cell], 8))
            at = _append(words, at, np.uint64(seconds[number]), max(sizes[cell] - 8, 0))
        else:
            at = _write_number(
                words, at, np.int64(bits[number]) >> 31, abs(np.int64(digits[number])), np.int64(exponents[number])
            )
            heads[cell] = _head(words, starts[cell])
            sizes[cell] = at - starts[cell]
    return at


@inner
def _write_decimals(
    decimals: Array,
    place: Whole,
    between: Array,
    separator: Whole,
    words: Array,
    at: Whole,
    first: Whole,
    starts: Array,
    sizes: Array,
    heads: Array,
) -> tuple[Whole, Whole]:
    """The same, from their JSON (uint8), where the row begins at `place`; returns its end there, too."""
    for cell in range(first, len(starts)):
        if cell > first:
            at = _append_all(words, at, between, separator)
        starts[cell] = at
        while decimals[place] != _COMMA and decimals[place] != _BRACKET:
            at = _append(words, at, np.uint64(decimals[place]), 1)
            place += 1
        place += 1
        sizes[cell] = at - starts[cell]
        heads[cell] = _head(words, starts[cell])
    return at, place


@inner
def write_row(
    numbers: Array,
    decimals: Array,
    row: Whole,
    place: Whole,
    between: Array,
    separator: Whole,
    words: Array,
    at: Whole,
    first: Whole,
    starts: Array,
    sizes: Array,
    heads: Array,
    room: tuple[Array, Array, Array, Array],
) -> tuple[Whole, Whole]:
    """A row of numbers at `at`, of `numbers` (float32) or, where there are any, of `decimals`; `room` is what
    `room_for` gives. Returns its end, 0 where there are NaN and infinities, and where its decimals end.
    """
    if len(decimals):
        # Behind the row before there is a comma, and before all an opening bracket; then another one.
        return _write_decimals(decimals, place + 2, between, separator, words, at, first, starts, sizes, heads)
    digits, exponents, left, seconds = room
    bits = numbers[row].view(np.uint32)
    if not shortest.shortest(numbers[row], bits, digits, exponents, left):
        return 0, place
    at = _write_numbers(bits, digits, exponents, between, separator, words, at, first, starts, sizes, heads, seconds)
    return at, place


@inner
def room_for(width: Whole) -> tuple[Array, Array, Array, Array]:
    """Arrays for what is found out of a row of numbers before it is written."""
    digits, exponents, left = np.empty(width, np.int32), np.empty(width, np.int8), np.empty(width, np.bool_)
    return digits, exponents, left, np.empty(width, np.int64)
