"""TEXT, FIXED and DOLLAR (ECMA-376 part 1, 18.17.7)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from gpt2xl.a1 import BOOL, TEXT
from gpt2xl.formula import coerce
from gpt2xl.formula.numberformats import EXACT, format_number, format_text, shown_digits
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import Context, per_cell, whole
from gpt2xl.formula.values import VALUE, ExcelError, Value


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
            return format_text(words, pattern)
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
    rounded = shown_digits(number).copy_sign(Decimal(number)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, EXACT)
    return f"{rounded:.{max(places, 0)}f}" if plain else f"{rounded:,.{max(places, 0)}f}"


@per_cell("DOLLAR", "nn?")
def dollar(number: float, digits: float = 2.0) -> str | ExcelError:
    """DOLLAR(number, [digits]) in the American form (ECMA-376, 18.17.7)."""
    shown = fixed(abs(number), digits)
    if isinstance(shown, ExcelError):
        return shown
    return f"(${shown})" if number < 0 else f"${shown}"
