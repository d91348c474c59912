"""Conversions between the kinds of value, as operators and scalar parameters make them.

Rules: ECMA-376 part 1, 18.17.2.6 (types) and Microsoft's descriptions of "#VALUE!": a text that spells a number is
that number, a truth value is 0 or 1, a blank is 0, "" or FALSE. Conversions return the converted array and
the errors beside it: None, or a byte a cell that is 0 for no error and the error's code plus 1 otherwise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, BOOL, ERROR, NUMBER, TEXT
from gpt2xl.formula.datetext import text_date, text_time
from gpt2xl.formula.values import ERRORS, MISSING, NA, VALUE, Bytes, Floats, Objects, TextPool, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Errors = Bytes | None

_NUMBER = re.compile(
    r"""\s*(?P<open>\()?\s*(?P<sign>[-+])?\s*(?P<money>[$€£])?\s*(?P<sign2>[-+])?
        (?P<digits>\d{1,3}(?:,\d{3,})+(?:\.\d*)?|\d+\.?\d*|\.\d+)(?P<power>[eE][+-]?\d+)?
        \s*(?P<percent>[%€])?\s*(?P<close>\))?\s*""",
    re.VERBOSE | re.ASCII,  # a no-break space is no space here, and digits of other scripts are none
)
_MIXED = re.compile(r" *(-?)([0-9]{1,15}) ([0-9]{1,15})/([0-9]{1,15}) *")


def text_to_number(text: str, epoch: int = 0) -> float | None:
    """The number a text spells ("1", " 1e3 ", "1,234.5", "12%", "$5", "(3)", "2 3/4", "2020-01-31"), or None.

    `epoch` is the day from which dates count: 0, or 1462 in a book that counts from 1904.
    """
    match = _NUMBER.fullmatch(text)
    if match is None or bool(match["open"]) != bool(match["close"]) or (match["sign"] and match["sign2"]):
        if (mixed := _MIXED.fullmatch(text)) and int(mixed[4]):
            size = int(mixed[2]) + int(mixed[3]) / int(mixed[4])
            return -size if mixed[1] else size
        found = text_date(text)
        return text_time(text) if found is None else found - epoch
    number = float(match["digits"].replace(",", "") + (match["power"] or ""))
    if match["percent"] == "%":
        number /= 100
    if not np.isfinite(number):
        return None
    return -number if match["open"] or "-" in (match["sign"], match["sign2"]) else number


def number_to_text(number: float) -> str:
    """A number as `&` writes it: 15 significant digits, the General format without a column's width."""
    if number == 0:
        return "0"
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    digits, exponent = f"{number:.14e}".split("e")
    power = int(exponent)
    sign = "-" if digits.startswith("-") else ""
    figures = digits.lstrip("-").replace(".", "").rstrip("0")
    if (-20 < power < 0 and len(figures) - power <= 21) or 0 <= power <= 20:
        if power < 0:
            return f"{sign}0.{'0' * (-power - 1)}{figures}"
        if len(figures) <= power + 1:
            return sign + figures + "0" * (power + 1 - len(figures))
        return f"{sign}{figures[: power + 1]}.{figures[power + 1 :]}"
    mantissa = figures[0] + ("." + figures[1:] if len(figures) > 1 else "")
    return f"{sign}{mantissa}E{'-' if power < 0 else '+'}{abs(power):02d}"


def errors_of(value: Value) -> Errors:
    """The errors among the cells."""
    if value.kind is None:
        return None
    where = value.kind == ERROR
    if not where.any():
        return None
    return np.where(where, value.num + 1, 0).astype(np.uint8)


def merge(first: Errors, second: Errors) -> Errors:
    """Both operands' errors; the first one's count before the second one's."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(first != 0, first, second)


def numbers(pool: TextPool, value: Value) -> tuple[Floats, Errors]:
    """Every cell as a number."""
    kind = value.kind
    num = value.num
    if kind is None:
        return num, None
    if num.dtype == np.bool_:
        return num.astype(np.float64), None
    errors = errors_of(value)
    texts = value.mask(TEXT)
    if texts.any():
        num = num.copy()
        index, place = np.unique(num[texts], return_inverse=True)
        read = [text_to_number(text, pool.epoch) for text in pool.get(index).tolist()]
        num[texts] = np.array([0.0 if number is None else number for number in read])[place]
        bad = np.array([number is None for number in read])[place]
        if bad.any():
            found = np.zeros(num.shape, np.uint8)
            found[texts] = np.where(bad, VALUE.code + 1, 0)
            errors = merge(errors, found)
    if errors is not None:
        num = np.where(errors != 0, 0.0, num)
    return num, errors


def strict_numbers(pool: TextPool, value: Value) -> tuple[Floats, Errors]:
    """Every cell as a number, but a truth value is `#VALUE!`, and an argument left out `#N/A`."""
    num, errors = numbers(pool, value)
    return num, merge(errors, _unfit(value))


def strict_texts(pool: TextPool, value: Value) -> tuple[Objects, Errors]:
    """Every cell as a text, but a truth value is `#VALUE!`, and an argument left out `#N/A`."""
    found, errors = texts(pool, value)
    return found, merge(errors, _unfit(value))


def _unfit(value: Value) -> Errors:
    """What strict functions refuse."""
    if value is MISSING:
        return np.full((1, 1, 1), NA.code + 1, np.uint8)
    if value.kind is None or not (value.kind == BOOL).any():
        return None
    return np.where(value.kinds == BOOL, VALUE.code + 1, 0).astype(np.uint8)


def dates(pool: TextPool, value: Value) -> tuple[Floats, Errors]:
    """Every cell as a day of the calendar that begins in 1900, whichever the book counts by."""
    num, errors = numbers(pool, value)
    return num + pool.epoch, errors


def booleans(pool: TextPool, value: Value) -> tuple[NDArray[np.bool_], Errors]:
    """Every cell as a truth value; the texts "TRUE" and "FALSE" are read, other texts are `#VALUE!`."""
    if value.num.dtype == np.bool_:
        return value.num, None
    if value.kind is None:
        return value.num != 0, None
    errors = errors_of(value)
    result = value.num != 0
    texts = value.mask(TEXT)
    if texts.any():
        words = [text.upper() for text in pool.get(value.num[texts]).tolist()]
        result[texts] = [word == "TRUE" for word in words]
        found = np.zeros(result.shape, np.uint8)
        found[texts] = [0 if word in ("TRUE", "FALSE") else VALUE.code + 1 for word in words]
        errors = merge(errors, found if found.any() else None)
    return result, errors


def texts(pool: TextPool, value: Value) -> tuple[Objects, Errors]:
    """Every cell as a text."""
    if value.kind is None:
        flat = [number_to_text(number) for number in value.num.ravel().tolist()]
    else:
        kinds = value.kinds.ravel().tolist()
        flat = [text_of(pool, number, kind) for number, kind in zip(value.num.ravel().tolist(), kinds, strict=True)]
    result = np.empty(len(flat), object)
    result[:] = flat
    return result.reshape(value.num.shape), errors_of(value)


def text_of(pool: TextPool, num: float, kind: int) -> str:
    """One cell as a text; an error is "" here, as it is carried beside."""
    if kind == TEXT:
        return pool.text(num)
    if kind == NUMBER:
        return number_to_text(num)
    if kind == BOOL:
        return "TRUE" if num else "FALSE"
    return ""


def with_errors(num: NDArray[Any], kind: Bytes | None, errors: Errors) -> Value:
    """A result whose cells are errors where `errors` says so."""
    if errors is None:
        return Value(num, kind)
    shape = np.broadcast_shapes(num.shape, errors.shape)
    where = np.broadcast_to(errors != 0, shape)
    result = np.where(where, errors.astype(np.float64) - 1, num)
    kinds = np.where(where, ERROR, NUMBER if kind is None else kind).astype(np.uint8)
    return Value(result, kinds)


def from_texts(pool: TextPool, result: Objects, errors: Errors = None) -> Value:
    """A result of strings; numbers, truth values and `ExcelError`s among them keep their kind."""
    flat = result.ravel().tolist()
    num = np.empty(len(flat), np.float64)
    kind = np.full(len(flat), TEXT, np.uint8)
    for index, item in enumerate(flat):
        if isinstance(item, str):
            if len(item) > 32_767:
                num[index], kind[index] = VALUE.code, ERROR
            else:
                num[index] = pool.add(item)
        elif isinstance(item, bool):
            num[index], kind[index] = item, BOOL
        elif item in ERRORS:
            num[index], kind[index] = item.code, ERROR
        else:
            num[index], kind[index] = item, NUMBER
    return with_errors(num.reshape(result.shape), kind.reshape(result.shape), errors)


def blanks_as_zero(value: Value) -> Value:
    """What a formula's cell shows: a blank result is the number 0."""
    if value.kind is None or not (value.kind == BLANK).any():
        return value
    return Value(value.num, np.where(value.kind == BLANK, NUMBER, value.kind).astype(np.uint8))


def guarded(compute: Callable[[], Any], errors: Errors = None) -> Value:
    """A numeric result; what is not finite becomes `#NUM!`.

    Evaluation runs with numpy's overflow, division and invalid flags raising, so that the check costs
    nothing as long as all is well.
    """
    try:
        num = compute()
    except FloatingPointError:
        with np.errstate(all="ignore"):
            num = np.asarray(compute())
        finite = np.isfinite(num)
        if not finite.all():
            errors = merge(errors, np.where(finite, 0, 6).astype(np.uint8))
            num = np.where(finite, num, 0.0)
    return Value(num) if errors is None else with_errors(num, None, errors)
