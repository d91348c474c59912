"""The cells that the cases of data/cases.txt look at, the same for every witness."""

from __future__ import annotations

from pathlib import Path

from gpt2xl.a1 import Rect
from gpt2xl.formula import Book, ExcelError

CELLS: dict[str, list[list[object]]] = {
    "A1": [[3], [-1.5], [0], [2.25], [100], [7]],
    "B1": [["apple"], ["Banana"], ["cherry"], ["10"], [None], [True]],
    "C1": [[True], [False], [ExcelError("#N/A")], [ExcelError("#DIV/0!")], [None], ["x"]],
    "D1": [[1], [3], [5], [7], [9], [11], [13], [15]],
    "E1": [["a"], ["c"], ["e"], ["g"], ["i"], ["k"], ["m"], ["o"]],
    "F1": [[1, 2], [3, 4], [5, 6], [7, 8]],
}
OTHER: list[list[object]] = [[10, 20], [30, 40]]
NAMES = {"box": "Data!$A$1", "table": "Data!$F$1:$G$4"}
HERE = Path(__file__).parent
FIRST_ROW = 101  # formulas stand below, so that no row meets the data's
COLUMN = 26


def book(characters: str = "utf16") -> Book:
    """The cells in a book of ours."""
    result = Book(characters)
    data, other = result.add_sheet("Data"), result.add_sheet("Other")
    for place, cells in CELLS.items():
        corner = Rect.parse(place)
        data.put(Rect.of(corner.top, corner.left, len(cells), len(cells[0])), cells)
    other.put(Rect.parse("A1:B2"), OTHER)
    for name, refers_to in NAMES.items():
        result.define(name, refers_to)
    return result


def cases() -> list[str]:
    """The formulas of data/cases.txt."""
    lines = (HERE / "data" / "cases.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def place(number: int) -> Rect:
    """Where the case stands: 3 x 3 cells, of which an ordinary formula takes the first."""
    return Rect.of(FIRST_ROW + 4 * number, COLUMN, 3, 3)
