"""Numbers in base 2, 8, 10 and 16 as ten digits in two's complement (ECMA-376 part 1, 18.17.7: BIN2DEC to OCT2HEX)."""

from __future__ import annotations

from gpt2xl.formula.registry import per_cell
from gpt2xl.formula.values import NUM, ExcelError

_BASES = {"BIN": 2, "OCT": 8, "HEX": 16}
_DIGITS = 10


def _read(text: str, base: int) -> int | None:
    """The number of at most ten digits, the first of which says the sign where all ten are there."""
    if len(text) > _DIGITS or not all(digit in "0123456789ABCDEF"[:base] for digit in text.upper()):
        return None
    number = int(text, base) if text else 0
    half = base**_DIGITS // 2
    return number - 2 * half if number >= half else number


def _written(number: int, base: int, places: int | None) -> str | ExcelError:
    half = base**_DIGITS // 2
    if not -half <= number < half or not (places is None or 1 <= places <= _DIGITS):
        return NUM
    rest = number % (2 * half)
    text = ""
    while rest:
        rest, digit = divmod(rest, base)
        text = "0123456789ABCDEF"[digit] + text
    text = text or "0"
    if places is None or number < 0:
        return text
    return text.zfill(places) if len(text) <= places else NUM


def _conversion(source: str, target: str) -> None:
    def from_text(text: str, places: float | None = None) -> str | float | ExcelError:
        number = _read(text, _BASES[source])
        if number is None:
            return NUM
        if target == "DEC":
            return float(number)
        if places is not None and places < 0:
            return NUM
        return _written(number, _BASES[target], None if places is None else int(places))

    def from_number(number: float, places: float | None = None) -> str | ExcelError:
        if places is not None and places < 0:
            return NUM
        return _written(int(number), _BASES[target], None if places is None else int(places))

    name = f"{source}2{target}"
    function = from_number if source == "DEC" else from_text
    function.__doc__ = f"{name}(number{'' if target == 'DEC' else ', [places]'}) (ECMA-376, 18.17.7)."
    letter = "s" if source == "DEC" else "u"
    per_cell(name, letter if target == "DEC" else f"{letter}s?")(function)


for _source in ("BIN", "DEC", "HEX", "OCT"):
    for _target in ("BIN", "DEC", "HEX", "OCT"):
        if _source != _target:
            _conversion(_source, _target)
