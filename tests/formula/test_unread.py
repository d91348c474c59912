"""Large matrices that are read as they are wanted: the same results as from cells, and no more read than needed."""

from __future__ import annotations

import numpy as np
import pytest

from gpt2xl.a1 import Rect
from gpt2xl.formula import Book, grid, values
from gpt2xl.formula.values import Floats

RANDOM = np.random.default_rng(0)
MATRIX = RANDOM.standard_normal((400, 30))
FORMULAS = {
    "product": (Rect.of(1, 1, 400, 2), "MMULT(Matrix!A1:AD400,Vectors!A1:B30)"),
    "other side": (Rect.of(1, 1, 2, 30), "MMULT(TRANSPOSE(Vectors!D1:E400),Matrix!A1:AD400)"),
    "rows": (Rect.of(1, 1, 3, 30), "INDEX(Matrix!A1:AD400,{3;400;3},COLUMN(A1:AD1))"),
    "one": (Rect.of(1, 1, 1, 1), "INDEX(Matrix!A1:AD400,17,29)"),
    "many": (Rect.of(1, 1, 400, 1), "INDEX(Matrix!A1:AD400,ROW(A1:A400),2)"),
    "a row": (Rect.of(1, 1, 1, 30), "INDEX(Matrix!A1:AD400,7,0)"),
    "none": (Rect.of(1, 1, 1, 1), "INDEX(Matrix!A1:AD400,401,1)"),
    "sum": (Rect.of(1, 1, 1, 1), "SUM(Matrix!A1:AD400)"),
    "added": (Rect.of(1, 1, 400, 30), "Matrix!A1:AD400+1"),
    "does not fit": (Rect.of(1, 1, 1, 1), "MMULT(Matrix!A1:AD400,Vectors!A1:B29)"),
}


class Elsewhere:
    """Numbers that count how many of them are read."""

    read = 0

    def __getitem__(self, part: tuple[slice, slice]) -> Floats:
        found = MATRIX[part]
        self.read += found.size
        return found.copy()


def book(held: object | None) -> Book:
    made = Book()
    sheet = made.add_sheet("Matrix")
    if held is None:
        sheet.put(Rect.of(1, 1, 400, 30), MATRIX)
    else:
        sheet.hold(Rect.of(1, 1, 400, 30), held)  # type: ignore[arg-type]
    made.add_sheet("Vectors").put(Rect.of(1, 1, 400, 5), np.arange(2000.0).reshape(400, 5) / 100)
    return made


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("mode", ["array", "fill"])
def test_as_from_cells(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "_LARGE", 1)
    monkeypatch.setattr(values, "_AT_A_TIME", 1000)
    rect, text = FORMULAS[name]
    results = []
    for made in (book(Elsewhere()), book(None)):
        made.add_sheet("Result")
        made.add_formula("Result", rect, text, mode if rect.size > 1 else "cell")
        results.append(made.get("Result", rect))
    ours, theirs = results
    np.testing.assert_allclose(ours.num, theirs.num, rtol=1e-12)
    assert (ours.kind is None) == (theirs.kind is None)
    if ours.kind is not None and theirs.kind is not None:
        np.testing.assert_array_equal(ours.kind, theirs.kind)


@pytest.mark.parametrize(("name", "most"), [("product", 12_000), ("rows", 60), ("one", 30), ("a row", 30)])
def test_no_more_is_read_than_wanted(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "_LARGE", 1)
    rect, text = FORMULAS[name]
    elsewhere = Elsewhere()
    made = book(elsewhere)
    made.add_sheet("Result")
    made.add_formula("Result", rect, text, "array")
    made.get("Result", rect)
    assert elsewhere.read == most
