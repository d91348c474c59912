"""After any sequence of edits every value is what a fresh recalculation gives, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2xl.a1 import Rect, cell_name
from gpt2xl.formula import Book, ExcelError

ROWS, COLUMNS = 6, 4  # inputs
WIDTH = 8  # columns of formulas, to the right of the inputs

_values = st.one_of(
    st.floats(-1e6, 1e6).map(lambda number: round(number, 3)),
    st.integers(0, 6).map(float),
    st.sampled_from(["", "a", "B", "7", True, False, None, ExcelError("#N/A"), ExcelError("#DIV/0!")]),
)

TEMPLATES = [
    "={0}+{1}",
    "={0}*{1}-{0}",
    "={0}/{1}",
    "={0}&{1}",
    "=IF({0}>{1},{0},{1})",
    "=IFERROR({0}/{1},-1)",
    "=SUM({2})",
    "=MAX({2})+{0}",
    "=AVERAGE({2})",
    "=COUNTIF({2},{0})",
    "=MATCH({0},{3},0)",
    "=INDEX({2},1,1)+{1}",
    "=SUMPRODUCT({2},{2})",
    "=LEN({0})",
    "=VARP({2})",
    "=AND({2})",
    "=EXP({0}/1000)",
    "=LOOKUP({0},{3})",
    "=SUM($A$1:{0})",
]


@st.composite
def books(draw: st.DrawFn) -> tuple[list[list[Any]], list[tuple[Rect, str, str]]]:
    """Inputs and formulas; a formula reads inputs and formulas in columns to its left, so that nothing is circular."""
    inputs = draw(st.lists(st.lists(_values, min_size=COLUMNS, max_size=COLUMNS), min_size=ROWS, max_size=ROWS))
    formulas = []
    for column in range(COLUMNS + 1, COLUMNS + 1 + WIDTH):
        row = 1
        while row <= ROWS:
            height = draw(st.integers(1, ROWS + 1 - row))

            def cell(column: int = column) -> str:
                dollars = draw(st.sampled_from([("", ""), ("$", ""), ("", "$"), ("$", "$")]))
                name = cell_name(draw(st.integers(1, ROWS)), draw(st.integers(1, column - 1)))
                letters, digits = name.rstrip("0123456789"), name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
                return f"{dollars[0]}{letters}{dollars[1]}{digits}"

            def area(column: int = column) -> str:
                top, left = draw(st.integers(1, ROWS)), draw(st.integers(1, column - 1))
                bottom, right = draw(st.integers(top, ROWS)), draw(st.integers(left, column - 1))
                return f"{cell_name(top, left)}:{cell_name(bottom, right)}"

            line_column = draw(st.integers(1, column - 1))
            line = f"{cell_name(1, line_column)}:{cell_name(ROWS, line_column)}"
            text = draw(st.sampled_from(TEMPLATES)).format(cell(), cell(), area(), line)
            mode = draw(st.sampled_from(["fill", "array"])) if height > 1 else "cell"
            formulas.append((Rect.of(row, column, height, 1), text, mode))
            row += height
    return inputs, formulas


def made(inputs: list[list[Any]], formulas: list[tuple[Rect, str, str]], characters: str = "utf16") -> Book:
    book = Book(characters)
    book.add_sheet("S").put(Rect.of(1, 1, ROWS, COLUMNS), inputs)
    for rect, text, mode in formulas:
        book.add_formula("S", rect, text, mode)
    return book


WHOLE = Rect.of(1, 1, ROWS, COLUMNS + WIDTH)


@settings(max_examples=100, deadline=None)
@given(books(), st.lists(st.tuples(st.integers(1, ROWS), st.integers(1, COLUMNS), _values, st.booleans()), max_size=6))
def test_edits_equal_a_fresh_recalculation(
    book: tuple[list[list[Any]], list[tuple[Rect, str, str]]], edits: list[tuple[int, int, Any, bool]]
) -> None:
    inputs, formulas = book
    edited = made(inputs, formulas)
    edited.recalculate()
    now = [list(row) for row in inputs]
    for row, column, value, look in edits:
        edited.set("S", Rect.of(row, column, 1, 1), value)
        now[row - 1][column - 1] = value
        if look:
            edited.get("S", Rect.of(row, COLUMNS + 3, 1, 1))
    fresh = made(now, formulas)
    left, right = edited.get("S", WHOLE), fresh.get("S", WHOLE)
    assert left.equals(right), (left.tolist(), right.tolist())


@settings(max_examples=60, deadline=None)
@given(books())
def test_fills_equal_their_cells_one_by_one(book: tuple[list[list[Any]], list[tuple[Rect, str, str]]]) -> None:
    """Lanes give what each cell's own formula gives when it is compiled alone."""
    inputs, formulas = book
    together = made(inputs, formulas)
    alone = made(inputs, [])
    for rect, text, mode in formulas:
        if mode == "fill":
            cut = made(inputs, [(rect, text, mode)])
            for row in range(1, rect.height):
                cut.remove_formulas("S", rect.cell(row - 1, 0))
                (_, _, copied, _), *_ = cut.formulas()
                alone.add_formula("S", rect.cell(row, 0), copied, "cell")
            alone.add_formula("S", rect.cell(0, 0), text, "cell")
        else:
            alone.add_formula("S", rect, text, mode)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpt2xl.formula.book.rectangles", list)  # no grouping
        alone.graph()
    left, right = together.get("S", WHOLE), alone.get("S", WHOLE)
    assert left.equals(right), (left.tolist(), right.tolist())
