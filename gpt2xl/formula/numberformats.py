"""Number formats: a number as text (ECMA-376 part 1, 18.8.30 and 18.8.31)."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from decimal import Context as Digits
from fractions import Fraction
from functools import lru_cache

from gpt2xl.errors import UnsupportedFunction
from gpt2xl.formula.datetext import LAST, parts

EXACT = Digits(prec=800)  # enough for every digit of any double, and 127 places
_PIECE = re.compile(
    r"""(?P<quoted>"[^"]*")|\\(?P<escaped>.)|_(?P<width>.)|\*(?P<fill>.)|(?P<general>general)|(?P<bracket>\[[^\]]*\])
      |(?P<ampm>am/pm|a/p)|(?P<date>y+|m+|d+|h+|s+(?:\.0+)?|e+(?![-+]))|(?P<power>e[+-])|(?P<digit>[0\#?])
      |(?P<point>\.)|(?P<comma>,)|(?P<percent>%)|(?P<slash>/)|(?P<text>@)|(?P<other>.)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ELAPSED = re.compile(r"\[[hms]+\]", re.IGNORECASE)
_COLOUR = re.compile(r"\[(black|blue|cyan|green|magenta|red|white|yellow|color ?\d+)\]", re.IGNORECASE)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?[0-9.]+(?:e[-+]?[0-9]+)?)\]", re.IGNORECASE)
_MONEY = re.compile(r"\[\$([^\]-]*)(?:-([0-9a-f]{1,4}))?\]", re.IGNORECASE)
# By the places' signs and other pieces' kinds: perhaps a whole number and something between, then the fraction.
_FRACTION = re.compile(r"[oq]*?(?:(?P<whole>[0#?]+)[o]+)?(?P<top>[0#?]+)s(?P<bottom>[0-9#?]+)o*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "<>": operator.ne,
}  # fmt: skip
_LANGUAGE, _ENGLISH = 0x3FF, 0x09  # bits of a locale's number, and what they are in all kinds of English

_Pieces = list[tuple[str, str]]


def format_number(number: float, pattern: str, epoch: int = 0) -> str | None:
    """A number in a format such as "#,##0.00", "0.0E+00", "# ?/?" or "yyyy-mm-dd"; None if the format cannot show it.

    `epoch` is the day from which dates count: 0, or 1462 in a book that counts from 1904. Raises `UnsupportedFunction`
    for a format that is shown otherwise in other languages, or by rules that are not written down.
    """
    sections = _sections(pattern)
    section, number, alone = _chosen(sections, number, pattern)
    pieces = _pieces(section)
    kinds = {kind for kind, _ in pieces}
    if "general" in kinds:
        return "".join(general(number) if kind == "general" else text for kind, text in pieces)
    if "date" in kinds or "ampm" in kinds:
        return None if "digit" in kinds else _date(number + epoch, pieces)
    if "digit" not in kinds:
        sign = "-" if number < 0 and alone and pieces else ""
        return sign + "".join(general(abs(number)) if kind == "text" else text for kind, text in pieces)
    fraction = _fraction(number, pieces)
    if fraction is not None:
        return fraction
    try:
        return _decimal(number, pieces)
    except InvalidOperation:  # hundreds of places
        return None


def format_text(text: str, pattern: str) -> str:
    """A text in a number format: its fourth section, or the one with an @ in it."""
    sections = _sections(pattern)
    section = sections[3] if len(sections) > 3 else next((part for part in sections if "@" in part), "@")
    return "".join(text if kind == "text" else piece for kind, piece in _pieces(section))


def shown_digits(number: float) -> Decimal:
    """The size of a number with the 15 significant digits that Excel shows (Specifications and limits)."""
    return Decimal(f"{abs(number):.14e}")


def _chosen(sections: list[str], number: float, pattern: str) -> tuple[str, float, bool]:
    """The section that shows a number, the number without the sign that its section stands for, and whether the
    section stands for all numbers."""
    conditions = [_CONDITION.search(section) for section in sections[:2]]
    if any(conditions):
        # What a section says beside its condition about the sign is not written down.
        if number >= 0 and conditions[0]:
            for section, condition in zip(sections, conditions, strict=False):
                if condition is None:  # of three sections the second is for negative numbers, of two for the others
                    if len(sections) == 2:
                        return section, number, False
                elif _COMPARE[condition[1]](number, float(condition[2])):
                    return section, number, False
            if len(sections) > 2:
                return sections[2], number, False
        raise UnsupportedFunction(f"number format `{pattern}`")
    if len(sections) > 1 and number < 0:
        return sections[1], -number, False
    if len(sections) > 2 and number == 0:
        return sections[2], number, False
    return sections[0], number, len(sections) == 1


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
def _pieces(section: str) -> _Pieces:
    """Kind and text of each piece; literals have the kind "other"."""
    pieces, foreign = [], False
    for match in _PIECE.finditer(section):
        kind = match.lastgroup or "other"
        text = match.group()
        if kind == "quoted":
            kind, text = "other", text[1:-1]
        elif kind == "escaped":
            kind, text = "other", match["escaped"]
        elif kind == "width":
            kind, text = "other", " "
        elif kind == "fill" or (kind == "bracket" and (_COLOUR.fullmatch(text) or _CONDITION.fullmatch(text))):
            continue
        elif kind == "bracket" and _ELAPSED.fullmatch(text):
            kind = "date"
        elif kind == "bracket" and (money := _MONEY.fullmatch(text)):
            foreign = foreign or int(money[2] or "9", 16) & _LANGUAGE != _ENGLISH
            kind, text = "other", money[1]
        elif kind == "bracket":
            raise UnsupportedFunction(f"number format `{section}`")
        if foreign and (kind == "ampm" or (kind == "date" and text[0] in "mMdD" and len(text) > 2)):
            raise UnsupportedFunction(f"number format `{section}`")  # names of months and days
        pieces.append((kind, text))
    return pieces


def _decimal(number: float, pieces: _Pieces) -> str:
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
    behind = max(part, default=end)
    while (behind := behind + 1) in commas:  # those behind the last digit divide by a thousand each, too
        scale += 1
    value = shown_digits(number) * 100 ** sum(kind == "percent" for kind, _ in pieces) / 1000**scale
    exponent = 0
    if power is not None:
        if value:
            exponent = value.adjusted() - (len(whole) - 1 if len(whole) > 1 else 0)
            exponent = value.adjusted() // len(whole) * len(whole) if len(whole) > 1 else exponent
        value = value.scaleb(-exponent)
        if value.quantize(Decimal(1).scaleb(-len(part)), ROUND_HALF_UP, EXACT) >= Decimal(10) ** max(1, len(whole)):
            value, exponent = value.scaleb(-max(1, len(whole))), exponent + max(1, len(whole))
    rounded = value.quantize(Decimal(1).scaleb(-len(part)), ROUND_HALF_UP, EXACT)
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


def _fraction(number: float, pieces: _Pieces) -> str | None:
    """A number as a whole one and a fraction; None where the format has no fraction."""
    signs = "".join(text if kind == "digit" or re.fullmatch("[1-9]", text) else kind[0] for kind, text in pieces)
    match = _FRACTION.fullmatch(signs)
    if match is None:
        return None
    begin, (top, bottom) = match.start("top"), (match["top"], match["bottom"])
    value = Fraction(shown_digits(number))
    whole = int(value) if match["whole"] else 0
    if bottom.strip("0#?"):
        below = int(bottom)
        over = int((value - whole) * below + Fraction(1, 2))
    else:
        nearest = (value - whole).limit_denominator(10 ** len(bottom) - 1)
        over, below = nearest.numerator, nearest.denominator
    if match["whole"] and over >= below:
        whole, over = whole + 1, over - below
    words = _figures(whole, match["whole"] or "", fill=bool(match["whole"]) and not over)
    between = "".join(text for _, text in pieces[match.end("whole") : begin]) if match["whole"] else ""
    before = "".join(text for _, text in pieces[: match.start("whole") if match["whole"] else begin])
    after = "".join(text for _, text in pieces[match.end("bottom") :])
    if match["whole"] and not over and "0" not in top:
        shown = " " * (len(top) + 1 + len(bottom))
    elif bottom.strip("0#?"):
        shown = f"{_figures(over, top)}/{bottom}"
    else:
        width = len(bottom) if "?" in bottom else 0
        shown = f"{_figures(over, top)}/{str(below).zfill(len(bottom) if '0' in bottom else 0):{width}}"
    sign = "-" if number < 0 and (whole or over) else ""
    return f"{sign}{before}{words}{between}{shown}{after}"


def _figures(number: int, places: str, *, fill: bool = False) -> str:
    """The digits of a number in as many places, at least one of them where it is to `fill` them."""
    digits = str(number) if number or fill or "0" in places else ""
    missing = places[: max(0, len(places) - len(digits))]
    return "".join(_empty(place) for place in missing) + digits


def _empty(place: str) -> str:
    return {"0": "0", "?": " "}.get(place, "")


_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September"]
_MONTHS += ["October", "November", "December"]
_DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]


def _date(number: float, pieces: _Pieces) -> str | None:
    """A serial number as date and time."""
    if not 0 <= number < LAST + 1:
        return None
    fine = max((len(text.partition(".")[2]) for kind, text in pieces if kind == "date"), default=0)
    seconds = round(number * 86400, fine)
    days, rest = int(seconds // 86400), seconds % 86400
    found = parts(days)
    if found is None:  # the last day's last moment is rounded to the day after it
        return None
    year, month, day = found
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
            elif letter in "ye":
                text += f"{year:04d}" if size > 2 or letter == "e" else f"{year % 100:02d}"
            elif letter == "m" and (previous == "h" or following == "s"):
                text += str(minute).zfill(min(size, 2))
            elif letter == "m":
                name = _MONTHS[month - 1]
                text += str(month).zfill(size) if size < 3 else {3: name[:3], 4: name}.get(size, name[:1])
            elif letter == "d":
                name = _DAYS[(days - 1) % 7]
                text += str(day).zfill(size) if size < 3 else name[:3] if size == 3 else name
            elif letter == "h":
                text += str((hour % 12 or 12) if half else hour).zfill(min(size, 2))
            else:
                whole_size = len(piece.partition(".")[0])
                text += f"{second:0{fine + 3}.{fine}f}" if "." in piece else str(int(second)).zfill(min(whole_size, 2))
            previous = letter
    return text
