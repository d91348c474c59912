"""Where a sheet keeps its cells is nothing that one sees: in its block, in tiles, apart, in memory of somebody else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2xl.a1 import BLANK, NUMBER, TEXT, Rect
from gpt2xl.formula import Book
from gpt2xl.formula.grid import Grid
from gpt2xl.formula.values import TextPool

# Rows and columns near each other, and some so far away that a block would mostly be empty.
ROWS = st.integers(1, 40) | st.integers(30_000, 30_020)
COLUMNS = st.integers(1, 40) | st.integers(600, 620)
RECTS = st.builds(Rect.of, ROWS, COLUMNS, st.integers(1, 40), st.integers(1, 40))
VALUES = st.floats(-1e6, 1e6).map(lambda value: value + 0.0) | st.text(max_size=3)
STEPS = st.lists(
    st.tuples(st.just("put"), RECTS, VALUES)
    | st.tuples(st.just("hold"), RECTS, st.floats(-1e6, 1e6))
    | st.tuples(st.just("set_apart"), RECTS, st.none())
    | st.tuples(st.just("take"), RECTS, st.none()),
    max_size=12,
)


def cells(rect: Rect) -> list[tuple[int, int]]:
    return [(row, column) for row in range(rect.top, rect.bottom + 1) for column in range(rect.left, rect.right + 1)]


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_as_cells_one_by_one(steps: list[tuple[str, Rect, float | str | None]]) -> None:
    grid, known = Grid("S", TextPool()), dict[tuple[int, int], float | str]()
    for what, rect, value in [*steps, ("take", Rect(1, 1, 60, 60), None)]:
        if what == "put":
            grid.put(rect, value)
        elif what == "hold":
            grid.hold(rect, np.full(rect.shape, value, np.float64))
        elif what == "set_apart":
            grid.set_apart(rect)
        else:
            taken = [value for row in grid.take(rect).tolist() for value in row]
            assert taken == [known.get(cell) for cell in cells(rect)]
        if value is not None:
            known |= dict.fromkeys(cells(rect), value)


def test_what_lies_apart_is_a_view_and_takes_its_room_only() -> None:
    grid = Grid("S", TextPool())
    grid.put(Rect(1, 1, 1, 1), "title")
    column, row = Rect(10, 9, 50_009, 9), Rect(200, 900, 215, 1667)
    for rect in (column, row):
        grid.set_apart(rect)
        grid.put(rect, np.arange(float(rect.size)).reshape(rect.shape))
    assert grid.num.size < 1000
    for rect in (column, row):
        num, kind, live = grid.window(rect.top, rect.left, rect.bottom, rect.right)
        assert live
        assert not kind.any()
        num[0, 0] = -1.0
        assert grid.take(rect.cell(0, 0)).item() == -1.0
    beside = grid.take(Rect(199, 899, 200, 901))
    assert beside.kind is not None
    np.testing.assert_array_equal(beside.kind, [[BLANK] * 3, [BLANK, NUMBER, NUMBER]])
    version = grid.version
    grid.put(row.cell(1, 1), "word")
    assert grid.version > version
    assert grid.take(row.cell(1, 1)).tolist() == [["word"]]
    assert [grid.pool.get(np.array([place])).item() for place in sorted(grid.texts())] == ["title", "word"]


def test_a_few_cells_are_not_worth_it() -> None:
    grid = Grid("S", TextPool())
    grid.set_apart(Rect(2, 2, 4, 4))  # small, and near
    grid.set_apart(Rect(900_000, 2, 900_001, 4))  # small
    grid.put(Rect(2, 2, 4, 4), 1.0)
    assert grid.num.shape >= (4, 4)


@pytest.mark.parametrize("mode", ["fill", "array"])
def test_formulas_write_and_read_there(mode: str) -> None:
    book = Book()
    grid = book.add_sheet("S")
    far = Rect(5, 2000, 1004, 2001)
    grid.put(Rect(1, 1, 1, 1), 2.0)
    grid.set_apart(far)
    book.add_formula("S", far, "ROW()*$A$1" if mode == "fill" else "ROW(5:1004)*A1*{1,1}", mode)
    book.add_formula("S", Rect(2, 1, 2, 1), "SUM(BXX5:BXY1004)", "cell")
    book.recalculate()
    assert book.get("S", Rect(2, 1, 2, 1)).item() == 4 * sum(range(5, 1005))
    book.set("S", Rect(1, 1, 1, 1), "x")
    assert book.get("S", far).kind is not None
    book.set("S", Rect(1, 1, 1, 1), 3.0)
    assert book.get("S", Rect(2, 1, 2, 1)).item() == 6 * sum(range(5, 1005))
    assert (book.get("S", far).kind, TEXT in grid.window(5, 2000, 9, 2001)[1]) == (None, False)


def test_what_is_held_covers_what_is_apart() -> None:
    """As a band of labels in a file reaches below the parameters beside them: these are not to be copied."""
    grid = Grid("S", TextPool())
    grid.put(Rect(300, 1000, 700, 1004), 1.0)
    values = np.arange(40_000.0).reshape(400, 100)
    place = Rect(301, 1003, 700, 1102)
    grid.hold(place, values)
    num, _, live = grid.window(place.top, place.left, place.bottom, place.right)
    assert live
    assert np.shares_memory(num, values)
    np.testing.assert_array_equal(grid.take(Rect(301, 1002, 301, 1004)).num, [[1.0, 0.0, 1.0]])
    grid.put(Rect(301, 1002, 301, 1004), 7.0)
    np.testing.assert_array_equal(grid.take(Rect(301, 1002, 301, 1005)).num, [[7.0, 7.0, 7.0, 2.0]])
    assert values[0, 0] == 0.0
