"""TEXT and its number formats (ECMA-376 part 1, 18.8.31 and 18.17.7: DOLLAR, FIXED, TEXT)."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from decimal import Context as Digits
from functools import lru_cache

import numpy as np

from gpt2xl.a1 import BOOL, TEXT
from gpt2xl.formula import coerce
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import Context, per_cell, whole
from gpt2xl.formula.values import VALUE, ExcelError, Value

_EXACT = Digits(prec=800)  # enough for every digit of any double, and 127 places
_PIECE = re.compile(
    r"""(?P<quoted>"[^"]*")|\\(?P<escaped>.)|_(?P<width>.)|\*(?P<fill>.)|(?P<general>general)|(?P<bracket>\[[^\]]*\])
      |(?P<ampm>am/pm|a/p)|(?P<date>y+|m+|d+|h+|s+(?:\.0+)?)|(?P<power>e[+-])|(?P<digit>[0\#?])
      |(?P<point>\.)|(?P<comma>,)|(?P<percent>%)|(?P<text>@)|(?P<other>.)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def format_number(number: float, pattern: str, epoch: int = 0) -> str | None:
    """A number in a format such as "#,##0.00", "0.0E+00" or "yyyy-mm-dd"; None if the format cannot show it.

    `epoch` is the day from which dates count: 0, or 1462 in a book that counts from 1904.
    """
    sections = _sections(pattern)
    if len(sections) > 1 and number < 0:
        section, number = sections[1], -number
    elif len(sections) > 2 and number == 0:
        section = sections[2]
    else:
        section = sections[0]
    pieces = _pieces(section)
    kinds = {kind for kind, _ in pieces}
    if "general" in kinds:
        return "".join(general(number) if kind == "general" else text for kind, text in pieces)
    if "date" in kinds or "ampm" in kinds:
        return None if "digit" in kinds else _date(number + epoch, pieces)
    if "digit" not in kinds:
        sign = "-" if number < 0 and len(sections) == 1 and pieces else ""
        return sign + "".join(general(abs(number)) if kind == "text" else text for kind, text in pieces)
    try:
        return _decimal(number, pieces)
    except InvalidOperation:  # hundreds of places
        return None


def general(number: float) -> str:
    """The format General: as many digits as eleven places hold, else six digits and a power of ten (ECMA-376 part 1,
    18.8.30)."""
    size = abs(number)
    if size == 0:
        return "0"
    decimals = 9 if size < 1 else max(0, 9 - int(math.log10(size)))
    plain = f"{size:.{decimals}f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    # A small number is written plainly only if that loses none of its digits.
    if size >= 1e11 or (size < 1e-4 and float(plain) != size):
        mantissa, power = f"{size:.5E}".split("E")
        mantissa = mantissa.rstrip("0").rstrip(".")
        plain = f"{mantissa}E{power[0]}{power[1:].zfill(2)}"
    return ("-" if number < 0 else "") + plain


@lru_cache(maxsize=256)
def _sections(pattern: str) -> list[str]:
    """The parts between semicolons outside quotes."""
    parts = [""]
    for match in _PIECE.finditer(pattern):
        if match.group() == ";":
            parts.append("")
        else:
            parts[-1] += match.group()
    return parts


@lru_cache(maxsize=256)
def _pieces(section: str) -> list[tuple[str, str]]:
    """Kind and text of each piece; literals have the kind "other"."""
    pieces = []
    for match in _PIECE.finditer(section):
        kind = match.lastgroup or "other"
        text = match.group()
        if kind == "quoted":
            kind, text = "other", text[1:-1]
        elif kind == "escaped":
            kind, text = "other", match["escaped"]
        elif kind == "width":
            kind, text = "other", " "
        elif kind == "fill" or (kind == "bracket" and not re.fullmatch(r"\[[hms]+\]", text, re.IGNORECASE)):
            continue
        elif kind == "bracket":
            kind = "date"
        pieces.append((kind, text))
    return pieces


def _decimal(number: float, pieces: list[tuple[str, str]]) -> str:
    """Digits into their places."""
    places = [index for index, (kind, _) in enumerate(pieces) if kind == "digit"]
    point = next((index for index, (kind, _) in enumerate(pieces) if kind == "point"), None)
    power = next((index for index, (kind, _) in enumerate(pieces) if kind == "power"), None)
    end = power if power is not None else len(pieces)
    whole = [index for index in places if index < (point if point is not None else end)]
    part = [index for index in places if point is not None and point < index < end]
    after = [index for index in places if index > end]
    last = whole[-1] if whole else -1
    commas = [index for index, (kind, _) in enumerate(pieces) if kind == "comma"]
    grouped = any(whole and whole[0] < index < last for index in commas)
    scale = sum(1 for index in commas if last < index < (point if point is not None else end) and whole)
    value = Decimal(repr(abs(number))) * 100 ** sum(kind == "percent" for kind, _ in pieces) / 1000**scale
    exponent = 0
    if power is not None:
        if value:
            exponent = value.adjusted() - (len(whole) - 1 if len(whole) > 1 else 0)
            exponent = value.adjusted() // len(whole) * len(whole) if len(whole) > 1 else exponent
        value = value.scaleb(-exponent)
        if value.quantize(Decimal(1).scaleb(-len(part)), ROUND_HALF_UP, _EXACT) >= Decimal(10) ** max(1, len(whole)):
            value, exponent = value.scaleb(-max(1, len(whole))), exponent + max(1, len(whole))
    rounded = value.quantize(Decimal(1).scaleb(-len(part)), ROUND_HALF_UP, _EXACT)
    figures, _, fraction = f"{rounded:f}".partition(".")
    figures = figures.lstrip("0")
    negative = number < 0 and rounded != 0
    out: dict[int, str] = {}
    for order, index in enumerate(reversed(whole)):
        digit = figures[len(figures) - 1 - order] if order < len(figures) else _empty(pieces[index][1])
        if grouped and order and order % 3 == 0 and digit.strip():
            digit += ","
        out[index] = digit
    if whole and len(figures) > len(whole):
        extra = figures[: len(figures) - len(whole)]
        if grouped:
            rest = len(whole)
            extra = "".join(
                letter + ("," if (rest + len(extra) - 1 - place) % 3 == 0 else "") for place, letter in enumerate(extra)
            )
        out[whole[0]] = extra + out[whole[0]]
    shown = len(fraction.rstrip("0"))
    for order, index in enumerate(part):
        out[index] = fraction[order] if order < shown or pieces[index][1] == "0" else _empty(pieces[index][1])
    digits = str(abs(exponent))
    for order, index in enumerate(reversed(after)):
        out[index] = digits[len(digits) - 1 - order] if order < len(digits) else _empty(pieces[index][1])
    if after and len(digits) > len(after):
        out[after[0]] = digits[: len(digits) - len(after)] + out[after[0]]
    text = ""
    for index, (kind, piece) in enumerate(pieces):
        if kind == "digit":
            text += out.get(index, "")
        elif kind == "power":
            text += piece[0].upper() + ("-" if exponent < 0 else "+" if piece[1] == "+" else "")
        elif kind == "point" and not whole and figures:
            text += figures + "."
        elif kind != "comma":
            text += piece
    return ("-" if negative else "") + text


def _empty(place: str) -> str:
    return {"0": "0", "?": " "}.get(place, "")


_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September"]
_MONTHS += ["October", "November", "December"]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _date(number: float, pieces: list[tuple[str, str]]) -> str | None:
    """A serial number as date and time."""
    if not 0 <= number < 2_958_466:
        return None
    fine = max((len(text.partition(".")[2]) for kind, text in pieces if kind == "date"), default=0)
    seconds = round(number * 86400, fine)
    days, rest = int(seconds // 86400), seconds % 86400
    day = date(1899, 12, 31) + timedelta(days) if days < 60 else date(1899, 12, 30) + timedelta(days)
    hour, minute, second = int(rest // 3600), int(rest % 3600 // 60), rest % 60
    half = any(kind == "ampm" for kind, _ in pieces)
    text, previous = "", ""
    for index, (kind, piece) in enumerate(pieces):
        if kind == "ampm":
            halves = ("AM", "PM") if "/" in piece and len(piece) == 5 else ("A", "P")
            text += halves[hour >= 12]
        elif kind != "date":
            text += piece
        else:
            letter, size = piece.lower()[0], len(piece)
            following = next((item.lower()[0] for what, item in pieces[index + 1 :] if what == "date"), "")
            if letter == "[":
                unit = {"h": 3600, "m": 60, "s": 1}[piece[1].lower()]
                text += str(int(seconds // unit)).zfill(size - 2)
                letter = piece[1].lower()
            elif letter == "y":
                text += f"{day.year:04d}" if size > 2 else f"{day.year % 100:02d}"
            elif letter == "m" and (previous == "h" or following == "s"):
                text += str(minute).zfill(min(size, 2))
            elif letter == "m":
                name = _MONTHS[day.month - 1]
                text += str(day.month).zfill(size) if size < 3 else {3: name[:3], 4: name}.get(size, name[:1])
            elif letter == "d":
                name = _DAYS[day.weekday()]
                text += str(day.day).zfill(size) if size < 3 else name[:3] if size == 3 else name
            elif letter == "h":
                text += str((hour % 12 or 12) if half else hour).zfill(min(size, 2))
            else:
                whole_size = len(piece.partition(".")[0])
                text += f"{second:0{fine + 3}.{fine}f}" if "." in piece else str(int(second)).zfill(min(whole_size, 2))
            previous = letter
    return text


@whole("TEXT", "vv", "cells")
def text(context: Context, value: Value, pattern: Value) -> Value:
    """TEXT(value, format) (ECMA-376, 18.17.7)."""
    value, pattern = align(value, pattern)
    patterns, pattern_errors = coerce.texts(context.pool, pattern)
    errors = coerce.merge(coerce.errors_of(value), pattern_errors)
    num, kind, patterns = np.broadcast_arrays(value.num.astype(np.float64), value.kinds, patterns)
    flat = [
        _shown(context, *cell)
        for cell in zip(num.ravel().tolist(), kind.ravel().tolist(), patterns.ravel().tolist(), strict=True)
    ]
    result = np.empty(len(flat), object)
    result[:] = flat
    return coerce.from_texts(context.pool, result.reshape(num.shape), errors)


def _shown(context: Context, number: float, kind: int, pattern: str) -> str | ExcelError:
    if kind == BOOL:
        return "TRUE" if number else "FALSE"
    if kind == TEXT:
        words = context.pool.text(number)
        read = coerce.text_to_number(words)
        if read is None:
            sections = _sections(pattern)
            section = sections[3] if len(sections) > 3 else next((part for part in sections if "@" in part), "@")
            return "".join(words if what == "text" else piece for what, piece in _pieces(section))
        number = read
    if pattern == "":
        return ""
    result = format_number(number, pattern, context.pool.epoch)
    return VALUE if result is None else result


@per_cell("FIXED", "nn?b")
def fixed(number: float, digits: float = 2.0, plain: bool = False) -> str | ExcelError:
    """FIXED(number, [digits], [no_commas]) (ECMA-376, 18.17.7)."""
    places = max(int(digits), -400)  # all digits of any number
    if places > 127:
        return VALUE
    rounded = Decimal(repr(number)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _EXACT)
    return f"{rounded:.{max(places, 0)}f}" if plain else f"{rounded:,.{max(places, 0)}f}"


@per_cell("DOLLAR", "nn?")
def dollar(number: float, digits: float = 2.0) -> str | ExcelError:
    """DOLLAR(number, [digits]) in the American form (ECMA-376, 18.17.7)."""
    shown = fixed(abs(number), digits)
    if isinstance(shown, ExcelError):
        return shown
    return f"(${shown})" if number < 0 else f"${shown}"
