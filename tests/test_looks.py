"""What stands in cells can be read: no title, name, link or sentence is cut off by its neighbour or its row's height.

Widths are estimated: on average a letter of Calibri is no wider than a digit of the default font, in which Excel
counts columns (ECMA-376 part 1, 18.3.1.13).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from checkpoints import random_checkpoint
from openpyxl.cell.cell import Cell
from openpyxl.worksheet.worksheet import Worksheet

import gpt2xl

OPTIONS = (
    {"corrupted": "cab", "loss": True, "generate": 2},
    {"solution": True},
    {"plain": True},
)
LETTER = 0.92
BOLD = 1.08


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: next(iter(options)))
def test_texts_are_not_cut(options: dict[str, object], tmp_path: Path) -> None:
    random_checkpoint(tmp_path / "model", n_layer=2, n_head=2, n_embd=4, n_positions=8, vocab="letters")
    gpt2xl.build("abc", tmp_path / "book.xlsx", model=tmp_path / "model", max_tokens=8, max_chars=8, **options)
    book = openpyxl.load_workbook(tmp_path / "book.xlsx", data_only=True)
    assert [said for sheet in book.worksheets for said in cut(sheet)] == []


def cut(sheet: Worksheet) -> Iterator[str]:
    """Every text of a sheet that is not seen in full, with what it needs and what it has."""
    widths = {}
    usual = sheet.sheet_format.defaultColWidth or 8.43  # Excel's own
    for dimension in sheet.column_dimensions.values():
        if dimension.min is not None:
            widths |= dict.fromkeys(range(dimension.min, dimension.max + 1), dimension.width)
    merged = {(rect.min_row, rect.min_col): rect.max_col for rect in sheet.merged_cells.ranges}
    for row in sheet.iter_rows():
        taken = {cell.column for cell in row if cell.value not in (None, "")}
        for cell in row:
            if not isinstance(cell.value, str) or _may_be_cut(cell):
                continue
            last = merged.get((cell.row, cell.column), cell.column)
            if cell.alignment.horizontal != "center" and not cell.alignment.wrap_text and last == cell.column:
                while last + 1 not in taken and last < cell.column + 40:
                    last += 1
            room = sum(widths.get(column, usual) for column in range(cell.column, last + 1))
            lines = 1
            if cell.alignment.wrap_text:
                height = sheet.row_dimensions[cell.row].height or 15.0
                lines = max(1, int(height / (cell.font.sz * 1.2)))
            if (needed := math.ceil(_length(cell) / room)) > lines:
                yield f"{sheet.title}!{cell.coordinate} needs {needed} lines of {room} and has {lines}: {cell.value!r}"


def _may_be_cut(cell: Cell) -> bool:
    """Formulas, which are read in full where their cells are, sources, and tokens of any length in their table."""
    of_source = cell.font.i and cell.font.sz == 8
    token = cell.parent.title == "Vocabulary" and cell.row > 12
    return cell.font.name == "Consolas" or of_source or token or bool(cell.alignment.shrink_to_fit)


def _length(cell: Cell) -> float:
    """How long the text is, in the digits of the default font."""
    return len(str(cell.value)) * LETTER * cell.font.sz / 11 * (BOLD if cell.font.b else 1)
