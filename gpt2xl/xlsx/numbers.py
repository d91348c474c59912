"""Arrays of numbers to decimal text, in C: shortest text that reads back as the same float64 or float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson

Array = np.ndarray[Any, np.dtype[Any]]


def number_rows(values: Array) -> list[bytes]:
    """[height, width] -> for each row its numbers, joined by commas.

    Raises `ValueError` for what a cell cannot hold (NaN, infinities): whoever computed it made a mistake.
    """
    if values.size == 1 and values.dtype == np.float64:  # most blocks are one cell, and numpy is slow at that
        return [number(values.item())]
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a cell cannot hold NaN or an infinity")
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
    # Whole numbers go without ".0": ids and masks are half as long then.
    text = text.replace(b".0,", b",").replace(b".0]", b"]").removesuffix(b".0")
    return text.split(b"],[")


def number(value: float) -> bytes:
    """One number, as `number_rows` writes it."""
    if not math.isfinite(value):
        raise ValueError("a cell cannot hold NaN or an infinity")
    return orjson.dumps(float(value)).removesuffix(b".0")
