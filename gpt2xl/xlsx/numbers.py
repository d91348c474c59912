"""Arrays of numbers to decimal text and back, in C: shortest text that reads back as the same float64 or float32."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson
import simdjson

Array = np.ndarray[Any, np.dtype[Any]]

_PARSER = threading.local()


class Rows(Protocol):
    """A matrix too large to be held: it gives some of its rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, rows: slice, /) -> Array: ...


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


@dataclass(frozen=True, slots=True, eq=False)
class NumberRows:
    """Rows of plain numbers between markup that is the same for all cells; a number before it is text.

    The markup of row i is ``opens[i]``, the numbers of ``values``[first + i] with ``separator`` between them,
    ``close``. Numbers that are kept elsewhere are read when they are wanted, by whoever wants them.
    """

    values: Array | Rows  # [rows, cells] float32 or float64
    opens: list[bytes]
    separator: bytes
    close: bytes
    first: int = 0

    def read(self) -> Array:
        """[rows, cells]: the numbers themselves."""
        return np.ascontiguousarray(self.values[self.first : self.first + len(self.opens)])

    def markup(self) -> bytes:
        """The rows as they stand in the part; raises `ValueError` for NaN and infinities."""
        text = orjson.dumps(self.read(), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
        if b"n" in text:  # null
            raise ValueError("a cell cannot hold NaN or an infinity")
        parts: list[bytes] = []
        for opening, row in zip(self.opens, text.split(b"],["), strict=True):
            parts += (opening, row.replace(b",", self.separator), self.close)
        return b"".join(parts)


def _parser() -> simdjson.Parser:
    """One parser a thread: it keeps its memory from one row to the next."""
    if not hasattr(_PARSER, "parser"):
        _PARSER.parser = simdjson.Parser()
    parser: simdjson.Parser = _PARSER.parser
    return parser


def parsed_numbers(numbers: bytes) -> Array | None:
    """Decimal numbers between commas as float64; None where one is no JSON number or is -0, which JSON's 0 is not."""
    if b"[" in numbers or b"{" in numbers:  # the parser would read what is nested, too
        return None
    try:
        parsed = _parser().parse(b"[" + numbers + b"]")
        assert isinstance(parsed, simdjson.Array)
        values: Array = np.frombuffer(parsed.as_buffer(of_type="d"))
    except (ValueError, TypeError, RuntimeError):  # what simdjson raises for bad, odd and huge numbers
        return None
    if np.count_nonzero(values) < len(values) and (b"-0," in numbers or numbers.endswith(b"-0")):
        return None
    return values
