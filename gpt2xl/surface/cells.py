"""Single cells, and blocks of what the engine has computed, for the writer of sheets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from openpyxl.worksheet.cell_range import CellRange
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.a1 import BLANK, TEXT, Rect, cell_name, quote_sheet
from gpt2xl.formula import Book
from gpt2xl.plan.plan import Formula
from gpt2xl.xlsx import Array, Block

# What thousands of single cells have in common.
_NO_NUMBER, _IS_TEXT = np.zeros((1, 1)), np.full((1, 1), TEXT, np.uint8)


def text(row: int, column: int, words: str, style: int) -> Block:
    """A cell with words."""
    return Block(Rect(row, column, row, column), _NO_NUMBER, _IS_TEXT, _alone(words), style)


@lru_cache(4096)
def _alone(words: str) -> Array:
    """[1, 1]: most headings of a block are those of the others too."""
    return np.array([[words]], object)


def blank(rect: Rect, style: int) -> Block:
    """Cells with nothing but a format."""
    return Block(rect, np.zeros(rect.shape), np.full(rect.shape, BLANK, dtype=np.uint8), style=style)


@dataclass(frozen=True, slots=True)
class Computed:
    """A formula's cells, with the values that `book` will have for them."""

    formula: Formula
    book: Book
    sheet: str
    style: int

    @property
    def rect(self) -> Rect:
        return self.formula.rect

    def block(self) -> Block:
        formula = self.formula
        values = self.book.get(self.sheet, formula.rect)
        return Block(formula.rect, values.num, values.kind, values.text, self.style, formula.text, formula.mode)


class Cells:
    """The cells of a sheet, those with formulas computed when they are asked for; once, after which they are gone.

    `count` is how many there are, `constant` says that none has a formula.
    """

    def __init__(self, parts: Iterable[Block | Computed]) -> None:
        self._parts = deque(parts)
        self.count = sum(part.rect.size for part in self._parts)
        self.constant = not any(isinstance(part, Computed) for part in self._parts)

    def __iter__(self) -> Iterator[Block]:
        while self._parts:
            part = self._parts.popleft()
            yield part.block() if isinstance(part, Computed) else part


def stored(rect: Rect, book: Book, sheet: str, style: int) -> Block:
    """Cells without formulas as `book` holds them."""
    held = book.sheet(sheet).held(rect)
    if held is not None:
        return Block(rect, held, style=style)
    values = book.sheet(sheet).take(rect)
    return Block(rect, values.num, values.kind, values.text, style)


def link(worksheet: Worksheet, row: int, column: int, sheet: str, ref: str) -> None:
    """Make a cell lead to another cell of the workbook."""
    worksheet.cell(row, column).hyperlink = Hyperlink(
        ref=cell_name(row, column), location=f"{quote_sheet(sheet)}!{ref}"
    )


def merge(worksheet: Worksheet, rect: Rect) -> None:
    """Merge the cells of a rectangle, which no other meets.

    openpyxl's own call compares it with all others, and makes cells of a format of their own, where ours come later.
    """
    worksheet.merged_cells.ranges.add(CellRange(str(rect)))
