"""After any sequence of edits every value is what a fresh recalculation gives, bit for bit."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2xl.a1 import Rect, cell_name
from gpt2xl.formula import Book, ExcelError, parse, unparse
from gpt2xl.formula.tree import moved

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
    "=COUNTIF(A:A,{0})",
    '=SUMIF({3},">1")',
    "=INDEX({2},0,1)",
    "=VLOOKUP({0},$A$1:$D$6,2,FALSE)",
    "=TEXTJOIN({0},TRUE,{2})",
    "=SUBTOTAL(9,{2})",
    "=SMALL({2},1)",
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


_edits = st.lists(
    st.tuples(st.integers(1, ROWS), st.integers(1, COLUMNS), _values, st.booleans()), min_size=1, max_size=6
)
SEQUENCES = 10


@settings(max_examples=100, deadline=None)
@given(books(), st.lists(_edits, min_size=SEQUENCES, max_size=SEQUENCES), st.randoms(use_true_random=False))
def test_edits_equal_a_fresh_recalculation(
    book: tuple[list[list[Any]], list[tuple[Rect, str, str]]],
    sequences: list[list[tuple[int, int, Any, bool]]],
    random: Random,
) -> None:
    """A hundred books, ten sequences of edits each: bit for bit what computing everything gives, in whatever order."""
    inputs, formulas = book
    edited, ordered, everything = (made(inputs, formulas) for _ in range(3))
    edited.recalculate()
    now = [list(row) for row in inputs]
    for edits in sequences:
        for row, column, value, look in edits:
            edited.set("S", Rect.of(row, column, 1, 1), value)
            now[row - 1][column - 1] = value
            if look:
                edited.get("S", Rect.of(row, COLUMNS + 3, 1, 1))
        last = list({(row, column): value for row, column, value, _ in edits}.items())
        for (row, column), value in random.sample(last, len(last)):
            ordered.set("S", Rect.of(row, column, 1, 1), value)
        everything.sheet("S").put(Rect.of(1, 1, ROWS, COLUMNS), now)
        everything.recalculate(everything=True)
        right = everything.get("S", WHOLE)
        for other in (edited, ordered):
            left = other.get("S", WHOLE)
            assert left.equals(right), (left.tolist(), right.tolist())
    assert edited.get("S", WHOLE).equals(made(now, formulas).get("S", WHOLE))


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
        patch.setattr("gpt2xl.formula.formulas.rectangles", list)  # no grouping
        alone.graph()
    left, right = together.get("S", WHOLE), alone.get("S", WHOLE)
    assert left.equals(right), (left.tolist(), right.tolist())


@pytest.mark.parametrize("area", ["A1:L1", "A1:A12", "A1:G9", "$A$1:A12", "$A1:L1"])
@pytest.mark.parametrize(
    "formula",
    ["SUM(#)", "SUMPRODUCT(#,#)", "SUMPRODUCT(#)", "SUMSQ(#)", "AVERAGE(#)", "VARP(#)", "STDEV(#)", "SUM(#*#)"],
)
def test_the_order_of_adding_is_the_same_in_a_fill_and_in_a_cell(formula: str, area: str) -> None:
    """Ranges long enough for numpy to add in several ways: down a column of formulas, along a row, and one by one."""
    numbers = np.random.default_rng(5).standard_normal((30, 24)) * 10.0 ** np.arange(24)
    text = "=" + formula.replace("#", area)
    for shape in ((15, 1), (1, 12)):
        fill = Rect.of(1, 30, *shape)
        together, alone = Book(), Book()
        for book in (together, alone):
            book.add_sheet("S").put(Rect.of(1, 1, *numbers.shape), numbers)
        together.add_formula("S", fill, text, "fill")
        for down in range(shape[0]):
            for right in range(shape[1]):
                alone.add_formula("S", fill.cell(down, right), f"={unparse(moved(parse(text), down, right))}", "cell")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gpt2xl.formula.formulas.rectangles", list)  # no grouping
            alone.graph()
        assert together.get("S", fill).equals(alone.get("S", fill))
