"""A formula filled over cells is computed for all of them at once: what each cell gives alone, for every function."""

from __future__ import annotations

import pytest
from random_formulas import COLUMNS, ROWS, Maker

from gpt2xl.a1 import Rect
from gpt2xl.formula import Book, ExcelError, parse, unparse
from gpt2xl.formula.tree import moved

FILLED = Rect.of(1, 14, ROWS, 1)


def book() -> Book:
    made = Book()
    grid = made.add_sheet("Data")
    for column, values in COLUMNS.items():
        cells = [[ExcelError(value) if isinstance(value, str) and value[0] == "#" else value] for value in values]
        grid.put(Rect.parse(f"{column}1:{column}{ROWS}"), cells)
    return made


def test_lanes_are_what_cells_are(monkeypatch: pytest.MonkeyPatch) -> None:
    unlike = []
    for seed in range(2_000):
        text = Maker(50_000 + seed).formula(seed % 3 + 1)
        together, alone = book(), book()
        together.add_formula("Data", FILLED, text, "fill")
        for row in range(ROWS):
            alone.add_formula("Data", FILLED.cell(row, 0), "=" + unparse(moved(parse(text), row, 0)), "cell")
        with monkeypatch.context() as patch:
            patch.setattr("gpt2xl.formula.formulas.rectangles", list)  # each by itself
            alone.graph()
        one, other = together.get("Data", FILLED).tolist(), alone.get("Data", FILLED).tolist()
        if one != other:
            unlike.append((text, one, other))
    assert unlike == []
