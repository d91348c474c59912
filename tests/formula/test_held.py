"""Numbers that a sheet does not hold itself: the same cells to every formula, not copied until they are written to."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gpt2xl.a1 import BLANK, MAX_ROWS, NUMBER, TEXT, Rect
from gpt2xl.errors import LimitError
from gpt2xl.formula import Book
from gpt2xl.formula.grid import Grid
from gpt2xl.formula.values import TextPool

PLACE = Rect(3, 2, 6, 4)  # B3:D6
VALUES = np.arange(12.0).reshape(4, 3) + 0.5


class Counted:
    """A matrix that counts the numbers asked of it."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values, self.asked = values, 0

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float64]:
        self.asked += self.values[part].size
        return self.values[part].copy()


@pytest.fixture
def grid() -> Grid:
    """A1 is 1, A3:A6 texts, B3:D6 held, E5 is 9."""
    grid = Grid("S", TextPool())
    grid.put(Rect(1, 1, 1, 1), 1.0)
    grid.put(Rect(3, 1, 6, 1), [["a"], ["b"], ["c"], ["d"]])
    grid.put(Rect(5, 5, 5, 5), 9.0)
    grid.hold(PLACE, Counted(VALUES))
    return grid


def test_all_and_parts(grid: Grid) -> None:
    np.testing.assert_array_equal(grid.take(PLACE).num, VALUES)
    assert grid.take(PLACE).kind is None
    np.testing.assert_array_equal(grid.take(Rect(4, 3, 5, 4)).num, VALUES[1:3, 1:])
    num, kind, live = grid.window(6, 4, 6, 4)
    assert (num.item(), kind.item(), live) == (11.5, NUMBER, False)


def test_with_what_is_beside(grid: Grid) -> None:
    around = grid.take(Rect(1, 1, 7, 5))
    assert around.kind is not None
    assert around.text is not None
    np.testing.assert_array_equal(around.num[2:6, 1:4], VALUES)
    expected = np.full((7, 5), BLANK)
    expected[2:6, 1:4] = expected[0, 0] = expected[4, 4] = NUMBER
    expected[2:6, 0] = TEXT
    np.testing.assert_array_equal(around.kind, expected)
    assert around.text[2:6, 0].tolist() == ["a", "b", "c", "d"]
    assert (around.num[0, 0], around.num[4, 4]) == (1, 9)
    np.testing.assert_array_equal(grid.take(Rect(5, 4, 5, 5)).num, [[8.5, 9.0]])


def test_cells_beside_stay_views_of_the_block(grid: Grid) -> None:
    assert grid.window(1, 1, 2, 1)[2]
    before = grid.window(3, 1, 6, 4)[0]
    before[:] = -1  # a copy
    np.testing.assert_array_equal(grid.take(PLACE).num, VALUES)
    assert grid.take(Rect(3, 1, 3, 1)).tolist() == [["a"]]


def test_two_side_by_side(grid: Grid) -> None:
    grid.hold(Rect(3, 6, 6, 7), Counted(VALUES[:, :2]))
    row = grid.take(Rect(5, 2, 5, 7))
    np.testing.assert_array_equal(row.num, [[6.5, 7.5, 8.5, 9.0, 6.5, 7.5]])
    assert (grid.used_rows, grid.used_columns) == (6, 7)


def test_a_write_copies_them(grid: Grid) -> None:
    grid.put(Rect(6, 4, 6, 4), 5.0)
    expected = VALUES.copy()
    expected[6 - PLACE.top, 4 - PLACE.left] = 5.0
    np.testing.assert_array_equal(grid.take(PLACE).num, expected)
    grid.put(PLACE, 7.0)
    np.testing.assert_array_equal(grid.take(PLACE).num, np.full(PLACE.shape, 7.0))


def test_holding_makes_views_stale(grid: Grid) -> None:
    version = grid.version
    grid.hold(Rect(9, 1, 9, 3), Counted(VALUES[:1]))
    assert grid.version > version
    assert grid.used_rows == 9


def test_many_on_one_sheet() -> None:
    grid = Grid("S", TextPool())
    expected = np.arange(80.0).reshape(40, 2)
    for row in range(40):
        grid.hold(Rect(row + 1, 1 + row % 2, row + 1, 2), Counted(expected[row : row + 1, row % 2 :]))
    expected[1::2, 0] = 0.0
    np.testing.assert_array_equal(grid.take(Rect(1, 1, 40, 2)).num, expected)
    np.testing.assert_array_equal(grid.take(Rect(31, 2, 33, 2)).num, expected[30:33, 1:])
    assert grid.take(Rect(41, 1, 41, 2)).kind is not None
    grid.put(Rect(8, 2, 8, 2), -1.0)
    grid.hold(Rect(41, 1, 41, 2), Counted(np.array([[5.0, 6.0]])))
    expected[7, 1] = -1.0
    np.testing.assert_array_equal(grid.take(Rect(1, 1, 41, 2)).num, [*expected.tolist(), [5.0, 6.0]])


def test_on_a_sheet_of_tiles() -> None:
    grid = Grid("S", TextPool())
    grid.put(Rect(1, 1, 1, 1), 3.0)
    grid.put(Rect(MAX_ROWS, 400, MAX_ROWS, 400), 4.0)  # too far away for one block
    held = Counted(np.arange(6.0).reshape(2, 3))
    grid.hold(Rect(1000, 2, 1001, 4), held)
    np.testing.assert_array_equal(grid.take(Rect(1000, 3, 1001, 5)).num, [[1, 2, 0], [4, 5, 0]])
    assert held.asked == 4
    with pytest.raises(LimitError, match="mostly empty"):
        grid.take(Rect(1, 1, MAX_ROWS, 400))


def test_formulas_read_it() -> None:
    book = Book()
    book.add_sheet("Weights")
    book.add_sheet("Model")
    held = Counted(np.arange(2000.0).reshape(500, 4))
    book.sheet("Weights").hold(Rect(2, 2, 501, 5), held)
    book.sheet("Model").put(Rect(1, 1, 1, 4), np.ones((1, 4)))
    book.define("w", "Weights!$B$2:$E$501")
    book.add_formula("Model", Rect(2, 1, 2, 1), "INDEX(w,7,3)", "cell")
    book.add_formula("Model", Rect(3, 1, 3, 1), "SUM(Weights!A1:F3)", "cell")
    book.recalculate()
    assert book.get("Model", Rect(2, 1, 2, 1)).item() == 26
    assert book.get("Model", Rect(3, 1, 3, 1)).item() == 28
    book.add_formula("Model", Rect(5, 1, 504, 1), "MMULT(w,TRANSPOSE(A1:D1))", "array")
    book.recalculate()
    np.testing.assert_array_equal(book.get("Model", Rect(5, 1, 504, 1)).num[:, 0], held.values.sum(axis=1))
