"""Rows of few cells, read many at a time: two regular expressions instead of several calls of expat's a cell.

What is taken are whole rows whose cells all look as Excel, LibreOffice, openpyxl and we write the usual kinds of them:
a number, a text, a truth value or an error, alone or as the result of an ordinary or of a shared formula. Anything else
(entities, the first cell of a shared formula, array formulas, attributes of other kinds) ends the stretch, and expat
reads on from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from gpt2xl.a1 import MAX_COLUMNS, MAX_ROWS, column_number
from gpt2xl.errors import WorkbookError
from gpt2xl.xlsx.numbers import parsed_numbers

if TYPE_CHECKING:
    from gpt2xl.xlsx.numbers import Array

# Rows of more cells are read faster as runs of numbers (`gpt2xl.xlsx.dense`).
_MOST_CELLS = 40

_TEXT = rb"[^<&\x00-\x1f]*+"
_PRESERVE = rb'(?: xml:space="preserve")?+'
_CELL = (
    rb'<c(?: r="[A-Z]{1,3}+[1-9][0-9]{0,6}+")?+(?: s="[0-9]++")?+'
    rb'(?:/>|(?: t="[A-Za-z]++")?+>(?:<f t="shared" si="[0-9]{1,9}+"/>|<f(?: aca="false")?+>[^<&\x00-\x1f]++</f>)?+'
    rb"(?:<v%b>%b</v>|<is><t%b>%b</t></is>)</c>)" % (_PRESERVE, _TEXT, _PRESERVE, _TEXT)
)
_ROW = rb'<row r="[1-9][0-9]{0,6}+"(?: [A-Za-z:0-9]++="[^"<>&]*+")*+>(?:%b){0,%d}+</row>' % (_CELL, _MOST_CELLS)
_ROWS = re.compile(rb"(?:%b)++" % _ROW)
# Of such rows: a row's number, or a cell's column, row, type, shared formula, formula and value.
_PARTS = re.compile(
    rb'<row r="([0-9]+)"|<c(?: r="([A-Z]+)([0-9]+)")?(?: s="[0-9]+")?'
    rb'(?:/>|(?: t="([A-Za-z]+)")?>(?:<f t="shared" si="([0-9]+)"/>|<f[^<>]*>([^<]+)</f>)?<(?:v|is><t)[^<>]*>([^<]*)<)'
)


@dataclass(slots=True)
class Cells:
    """What a stretch of rows holds. Rows and columns count from 1."""

    rows: list[int] = field(default_factory=list)  # of the numbers
    columns: list[int] = field(default_factory=list)
    numbers: Array | None = None  # None where there is none
    others: list[tuple[int, int, str, str]] = field(default_factory=list)  # row, column, attribute t, value
    shared: list[tuple[str, int, int, int]] = field(default_factory=list)  # si, row, first and last column
    formulas: list[tuple[int, int, str]] = field(default_factory=list)  # row, column, text
    last_row: int = 0


def read_rows(data: bytes, begin: int, end: int) -> tuple[Cells, int] | None:
    """The cells of the rows that begin at `begin`, and where these rows end; None if the first is of another kind."""
    found = _ROWS.match(data, begin, end)
    if found is None:
        return None
    try:
        cells = _cells(found[0])
    except (WorkbookError, UnicodeDecodeError):  # expat's handlers say what is wrong, and where
        return None
    return None if cells is None else (cells, found.end())


def _cells(markup: bytes) -> Cells | None:
    cells = Cells()
    rows, columns, shared = cells.rows, cells.columns, cells.shared
    decimals: list[bytes] = []
    here, row, column, run = b"", 0, 0, (b"", 0, 0, 0)
    for of_row, letters, in_row, kind, index, formula, value in _PARTS.findall(markup):
        if of_row:
            here, row, column = of_row, int(of_row), 0
            if row > MAX_ROWS:
                return None
            continue
        if letters:
            if in_row != here:
                return None
            column = _column(letters)
        else:
            column += 1
            if column > MAX_COLUMNS:
                return None
        if index:
            if run[0] == index and run[1] == row and run[3] == column - 1:
                run = (index, row, run[2], column)
                shared[-1] = (index.decode(), row, run[2], column)
            else:
                run = (index, row, column, column)
                shared.append((index.decode(), row, column, column))
        elif formula:
            cells.formulas.append((row, column, formula.decode()))
        if kind and kind != b"n":
            cells.others.append((row, column, kind.decode(), value.decode()))
        elif value:
            rows.append(row)
            columns.append(column)
            decimals.append(value)
    cells.last_row = row
    if decimals:
        cells.numbers = parsed_numbers(b",".join(decimals))
        if cells.numbers is None or len(cells.numbers) != len(decimals):
            return None
    return cells


@lru_cache(maxsize=1 << 12)
def _column(letters: bytes) -> int:
    return column_number(letters.decode())
