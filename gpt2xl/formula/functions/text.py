"""Text (ECMA-376 part 1, 18.17.7, where paragraphs are in the order of the names).

Texts come as sequences of the units that the book counts: UTF-16 code units as in Excel, or code points.
"""

from __future__ import annotations

import numpy as np

from gpt2xl.a1 import BOOL, TEXT
from gpt2xl.formula import coerce, values
from gpt2xl.formula.functions.ranges import first_error, wrong
from gpt2xl.formula.functions.search import wildcard_place
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import FUNCTIONS, Context, Function, join_units, per_cell, whole
from gpt2xl.formula.values import VALUE, ExcelError, Value

_MOST = 32_767


@per_cell("LEN", "t", units=True)
def len_(text: str) -> float:
    """LEN(text) (ECMA-376, 18.17.7)."""
    return float(len(text))


@per_cell("LEFT", "tn?", units=True)
def left(text: str, count: float = 1) -> str | ExcelError:
    """LEFT(text, [count]) (ECMA-376, 18.17.7)."""
    return text[: int(count)] if count >= 0 else VALUE


@per_cell("RIGHT", "tn?", units=True)
def right(text: str, count: float = 1) -> str | ExcelError:
    """RIGHT(text, [count]) (ECMA-376, 18.17.7)."""
    return text[max(0, len(text) - int(count)) :] if count >= 0 else VALUE


@per_cell("MID", "tnn", units=True)
def mid(text: str, start: float, count: float) -> str | ExcelError:
    """MID(text, start, count) (ECMA-376, 18.17.7)."""
    if start < 1 or count < 0:
        return VALUE
    first = int(start) - 1
    return text[first : first + int(count)]


@per_cell("REPLACE", "tnnt", units=True)
def replace(text: str, start: float, count: float, new: str) -> str | ExcelError:
    """REPLACE(text, start, count, new) (ECMA-376, 18.17.7)."""
    if start < 1 or count < 0:
        return VALUE
    first = int(start) - 1
    return text[:first] + new + text[first + int(count) :]


@per_cell("FIND", "ttn?", units=True)
def find(sought: str, text: str, start: float = 1) -> float | ExcelError:
    """FIND(sought, text, [start]): with case, no wildcards (ECMA-376, 18.17.7)."""
    if not 1 <= int(start) <= len(text) + 1:
        return VALUE
    place = text.find(sought, int(start) - 1)
    return VALUE if place < 0 else place + 1.0


@per_cell("SEARCH", "ttn?", units=True)
def search(sought: str, text: str, start: float = 1) -> float | ExcelError:
    """SEARCH(sought, text, [start]): without case, with wildcards (ECMA-376, 18.17.7)."""
    if not 1 <= int(start) <= len(text) + 1:
        return VALUE
    place = wildcard_place(sought, text, int(start) - 1)
    return VALUE if place < 0 else place + 1.0


@per_cell("SUBSTITUTE", "tttn?")
def substitute(text: str, old: str, new: str, which: float | None = None) -> str | ExcelError:
    """SUBSTITUTE(text, old, new, [which]) (ECMA-376, 18.17.7)."""
    if which is None:
        found = text.count(old) if old else 0
        return VALUE if len(text) + found * (len(new) - len(old)) > _MOST else text.replace(old, new) if found else text
    if which < 1:
        return VALUE
    place = -1
    for _ in range(int(which)):
        place = text.find(old, place + 1 if place < 0 else place + len(old)) if old else -1
        if place < 0:
            return text
    return text[:place] + new + text[place + len(old) :]


@per_cell("REPT", "tn")
def rept(text: str, count: float) -> str | ExcelError:
    """REPT(text, count) (ECMA-376, 18.17.7)."""
    if count < 0 or len(text) * int(count) > _MOST:
        return VALUE
    return text * int(count) if text else ""


@per_cell("LOWER", "t")
def lower(text: str) -> str:
    """LOWER(text) (ECMA-376, 18.17.7)."""
    return text.lower()


@per_cell("UPPER", "t")
def upper(text: str) -> str:
    """UPPER(text) (ECMA-376, 18.17.7)."""
    return text.upper()


@per_cell("PROPER", "t")
def proper(text: str) -> str:
    """PROPER(text): every letter after something else than a letter in capitals (ECMA-376, 18.17.7)."""
    result, inside = "", False
    for letter in text:
        result += letter.lower() if inside else letter.upper()
        inside = letter.isalpha()
    return result


@per_cell("TRIM", "t")
def trim(text: str) -> str:
    """TRIM(text): ASCII spaces at the ends, and all but one between words (ECMA-376, 18.17.7)."""
    return " ".join(word for word in text.split(" ") if word)


@per_cell("CLEAN", "t")
def clean(text: str) -> str:
    """CLEAN(text): without the characters below 32 (ECMA-376, 18.17.7)."""
    return "".join(letter for letter in text if letter >= " ")


@per_cell("EXACT", "tt")
def exact(first: str, second: str) -> bool:
    """EXACT(text1, text2): with case (ECMA-376, 18.17.7)."""
    return first == second


def _exact_texts(context: Context, first: Value, second: Value) -> Value:
    """EXACT of texts alone: each string is kept once, so two are equal where their indices are."""
    first, second = align(first, second)
    if bool((first.kinds == TEXT).all()) and bool((second.kinds == TEXT).all()):
        return Value(first.num == second.num, values.BOOLS)
    return _exact_by_cell(context, first, second)


_EXACT = FUNCTIONS["EXACT"]
assert isinstance(_EXACT, Function)
_exact_by_cell = _EXACT.apply
FUNCTIONS["EXACT"] = Function("EXACT", _EXACT.signature, _exact_texts, _EXACT.shape)


@per_cell("CHAR", "n")
def char(number: float) -> str | ExcelError:
    """CHAR(number): the character of Windows-1252 (ECMA-376, 18.17.7)."""
    if not 1 <= number < 256:
        return VALUE
    code = int(number)
    return bytes([code]).decode("cp1252", "replace") if code not in _UNUSED else chr(code)


_UNUSED = (0x81, 0x8D, 0x8F, 0x90, 0x9D)


@per_cell("CODE", "t")
def code(text: str) -> float | ExcelError:
    """CODE(text): the first character's number in Windows-1252, 63 (`?`) for others (ECMA-376, 18.17.7)."""
    if not text:
        return VALUE
    if ord(text[0]) in _UNUSED:
        return float(ord(text[0]))
    return float(text[0].encode("cp1252", "replace")[0])


@per_cell("UNICODE", "t")
def unicode(text: str) -> float | ExcelError:
    """UNICODE(text): the first character's code point; half a surrogate pair is `#VALUE!` (Microsoft, UNICODE)."""
    if not text or "\ud800" <= text[0] <= "\udfff":
        return VALUE
    return float(ord(text[0]))


@per_cell("UNICHAR", "n")
def unichar(number: float) -> str | ExcelError:
    """UNICHAR(number): `#VALUE!` for 0 and beyond Unicode, `#N/A` for surrogates (Microsoft, UNICHAR)."""
    point = int(number)
    if not 1 <= point <= 0x10FFFF:
        return VALUE
    return values.NA if 0xD800 <= point <= 0xDFFF else chr(point)


@whole("VALUE", "v", "cells")
def value(context: Context, text: Value) -> Value:
    """VALUE(text): a truth value is `#VALUE!` (ECMA-376, 18.17.7)."""
    num, errors = coerce.numbers(context.pool, text)
    if text.kind is not None:
        errors = coerce.merge(errors, wrong(text.kinds == BOOL, VALUE))
    return Value(num) if errors is None else coerce.with_errors(num, None, errors)


@per_cell("CONCATENATE", "t*")
def concatenate(*texts: str) -> str:
    """CONCATENATE(text1, ...) (ECMA-376, 18.17.7)."""
    return "".join(texts)


@whole("CONCAT", "r*")
def concat(context: Context, *arguments: Value) -> Value:
    """CONCAT(text1, ...): all cells of ranges, row by row (Microsoft, CONCAT)."""
    return _joined(context, [""], [False], arguments, None)


@whole("TEXTJOIN", "vvr*")
def textjoin(context: Context, between: Value, skip: Value, *arguments: Value) -> Value:
    """TEXTJOIN(delimiter, ignore_empty, text1, ...) (Microsoft, TEXTJOIN)."""
    marks, errors = coerce.texts(context.pool, between)
    empty, more = coerce.booleans(context.pool, skip)
    errors = coerce.merge(errors, more)
    lanes = np.zeros(max(len(value.num) for value in (between, skip, *arguments)))
    found = None if errors is None else errors[:, 0, 0] + lanes.astype(np.uint8)
    firsts = [np.broadcast_to(array[:, 0, 0], lanes.shape).tolist() for array in (marks, empty)]
    return _joined(context, firsts[0], firsts[1], arguments, found)


def _joined(
    context: Context, between: list[str], skip: list[bool], arguments: tuple[Value, ...], errors: coerce.Errors
) -> Value:
    """The texts of all cells with something between them, lane by lane."""
    lanes = max(len(between), *(len(argument.num) for argument in arguments))
    between, skip = between * (lanes // len(between)), skip * (lanes // len(skip))
    words: list[list[str]] = [[] for _ in range(lanes)]
    for argument in arguments:
        errors = coerce.merge(errors, first_error(argument))
        texts, _ = coerce.texts(context.pool, argument)
        rows = texts.reshape(len(texts), -1).tolist()
        for lane in range(lanes):
            words[lane] += rows[lane if len(rows) > 1 else 0]
    result = np.empty(lanes, object)
    result[:] = [
        _join(mark, [word for word in row if word or not empty])
        for mark, empty, row in zip(between, skip, words, strict=True)
    ]
    found = None if errors is None else errors.reshape(-1, 1, 1)
    return coerce.from_texts(context.pool, result.reshape(-1, 1, 1), found)


def _join(mark: str, words: list[str]) -> str | ExcelError:
    """The words with a mark between them; `#VALUE!` where that is more than a cell holds, before it is made."""
    size = sum(map(len, words)) + len(mark) * max(0, len(words) - 1)
    return VALUE if size > _MOST else join_units(mark.join(words))
