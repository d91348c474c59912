"""Columns, cells, rectangles, kinds of value and the limits of the format.

Rows and columns are counted from 1, as in a spreadsheet. Limits: Microsoft, "Excel specifications and
limits"; kinds of value and error texts: ECMA-376 part 1, 18.18.11 (ST_CellType) and 18.17.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from gpt2xl.errors import LimitError, WorkbookError

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_CELL_TEXT = 32_767
MAX_FORMULA_TEXT = 8_192
MAX_NESTING = 64
MAX_ARGUMENTS = 255
MAX_SHEET_NAME = 31

# Kinds of cell value. NUMBER is 0 so that "all numbers" is `not kind.any()`.
NUMBER, BLANK, TEXT, BOOL, ERROR = range(5)

# An error value is stored as the index of its text: ECMA-376 part 1, 18.17.3, #GETTING_DATA, and what Excel has had
# since (Microsoft, ERROR.TYPE, whose numbers are these plus 1).
ERROR_TEXTS = (
    *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"),
    *("#SPILL!", "#CONNECT!", "#BLOCKED!", "#UNKNOWN!", "#FIELD!", "#CALC!"),
)

_CELL = re.compile(r"\$?([A-Za-z]{1,3})\$?([1-9][0-9]{0,6})")


@lru_cache(maxsize=MAX_COLUMNS)
def column_letters(column: int) -> str:
    """1 -> "A", 28 -> "AB", 16384 -> "XFD"."""
    if not 1 <= column <= MAX_COLUMNS:
        raise LimitError(f"column {column} is outside Excel's 1 to {MAX_COLUMNS}")
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


@lru_cache(maxsize=MAX_COLUMNS)
def column_number(letters: str) -> int:
    """ "A" -> 1, "xfd" -> 16384; raises `WorkbookError` where `letters` names no column."""
    number = 0
    for letter in letters.upper():
        if not "A" <= letter <= "Z":
            raise WorkbookError(f"`{letters}` names no column")
        number = number * 26 + ord(letter) - 64
    if not 1 <= number <= MAX_COLUMNS:
        raise WorkbookError(f"column `{letters}` is beyond Excel's last column XFD")
    return number


@dataclass(frozen=True, slots=True, order=True)
class Rect:
    """A rectangle of cells on one sheet: first and last row, first and last column, all included."""

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not (1 <= self.top <= self.bottom <= MAX_ROWS and 1 <= self.left <= self.right <= MAX_COLUMNS):
            raise LimitError(
                f"rows {self.top} to {self.bottom}, columns {self.left} to {self.right} do not fit Excel's "
                f"{MAX_ROWS:,} rows and {MAX_COLUMNS:,} columns"
            )

    @classmethod
    def of(cls, top: int, left: int, height: int, width: int) -> Rect:
        """The rectangle of `height` x `width` cells whose first cell is at (`top`, `left`)."""
        return cls(top, left, top + height - 1, left + width - 1)

    @classmethod
    def parse(cls, text: str) -> Rect:
        """ "B2", "$B$2:D5" -> Rect; raises `WorkbookError` for anything else."""
        first, colon, last = text.partition(":")
        top, left = parse_cell(first)
        bottom, right = parse_cell(last) if colon else (top, left)
        return cls(min(top, bottom), min(left, right), max(top, bottom), max(left, right))

    @property
    def height(self) -> int:
        return self.bottom - self.top + 1

    @property
    def width(self) -> int:
        return self.right - self.left + 1

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def size(self) -> int:
        return self.height * self.width

    def intersects(self, other: Rect) -> bool:
        return (
            self.top <= other.bottom
            and other.top <= self.bottom
            and self.left <= other.right
            and other.left <= self.right
        )

    def contains(self, other: Rect) -> bool:
        return (
            self.top <= other.top
            and other.bottom <= self.bottom
            and self.left <= other.left
            and other.right <= self.right
        )

    def around(self, other: Rect) -> Rect:
        """The smallest rectangle with all cells of both."""
        return Rect(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def cell(self, row: int, column: int) -> Rect:
        """The single cell at (`row`, `column`) counted from 0 inside this rectangle."""
        return Rect.of(self.top + row, self.left + column, 1, 1)

    def part(self, row: int, column: int, height: int, width: int) -> Rect:
        """The `height` x `width` part that begins at (`row`, `column`), counted from 0 inside this rectangle."""
        return Rect.of(self.top + row, self.left + column, height, width)

    def without(self, hole: Rect) -> list[Rect]:
        """What is left of this rectangle outside of `hole`, in at most four parts."""
        if not self.intersects(hole):
            return [self]
        parts = []
        top, bottom = max(self.top, hole.top), min(self.bottom, hole.bottom)
        if self.top < top:
            parts.append(Rect(self.top, self.left, top - 1, self.right))
        if self.left < hole.left:
            parts.append(Rect(top, self.left, bottom, hole.left - 1))
        if hole.right < self.right:
            parts.append(Rect(top, hole.right + 1, bottom, self.right))
        if bottom < self.bottom:
            parts.append(Rect(bottom + 1, self.left, self.bottom, self.right))
        return parts

    def __str__(self) -> str:
        first = cell_name(self.top, self.left)
        return first if self.size == 1 else f"{first}:{cell_name(self.bottom, self.right)}"

    @property
    def absolute(self) -> str:
        first = f"${column_letters(self.left)}${self.top}"
        return first if self.size == 1 else f"{first}:${column_letters(self.right)}${self.bottom}"


def cell_name(row: int, column: int) -> str:
    """(2, 28) -> "AB2"."""
    return f"{column_letters(column)}{row}"


def parse_cell(text: str) -> tuple[int, int]:
    """ "AB2" or "$AB$2" -> (2, 28); raises `WorkbookError` for anything else."""
    match = _CELL.fullmatch(text)
    if not match or int(match[2]) > MAX_ROWS:
        raise WorkbookError(f"`{text[:40]}` is no cell reference")
    return int(match[2]), column_number(match[1].upper())


def quote_sheet(name: str) -> str:
    """The sheet name as it stands before `!` in a formula, in quotes where the grammar asks for them."""
    plain = re.fullmatch(r"[A-Za-z_\u0080-\uffff][\w.\u0080-\uffff]*", name)
    looks_like_cell = re.fullmatch(r"[A-Za-z]{1,3}[0-9]+|[Rr][0-9]*[Cc][0-9]*|[Rr]|[Cc]|(?i:true|false)", name)
    if plain and not looks_like_cell:
        return name
    return "'" + name.replace("'", "''") + "'"
