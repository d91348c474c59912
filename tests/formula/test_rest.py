"""Arithmetic over whole columns and rows: the blank cells beyond those in use count as Excel counts them."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from gpt2xl.a1 import Rect
from gpt2xl.errors import UnsupportedFunction
from gpt2xl.formula import Book

ROWS = 1_048_576
HERE = Rect.parse("Z9")


def book() -> Book:
    """A1:A5 = 2, 4 ... 10, B1:B3 = x, y, x, and a criterion in D1."""
    made = Book()
    sheet = made.add_sheet("S")
    sheet.put(Rect.parse("A1:A5"), [[2], [4], [6], [8], [10]])
    sheet.put(Rect.parse("B1:B3"), [["x"], ["y"], ["x"]])
    sheet.put(Rect.parse("D1"), "x")
    return made


def value(formula: str) -> Any:
    made = book()
    mode = "array" if formula.startswith("{") else "cell"
    made.add_formula("S", HERE, formula.strip("{}") if mode == "array" else formula, mode)
    return made.get("S", HERE).item()


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ('SUMPRODUCT(--(A:A=""))', ROWS - 5),
        ("SUMPRODUCT(--(A:A<5))", ROWS - 3),
        ("SUMPRODUCT(-(A:A<5))", 3 - ROWS),
        ('SUMPRODUCT(--(1:1=""))', 16_384 - 3),
        ('SUMPRODUCT((A:C="")*1)', 3 * ROWS - 8),
        ('SUMPRODUCT(--(A2:E1048576=""))', 5 * (ROWS - 1) - 6),
        ('SUMPRODUCT(--(everything=""))', ROWS - 5),
        ("{=SUM(A:A*1%)}", 0.3),
        ("{=COUNT(A:A*1)}", ROWS),
        ("{=AVERAGE(A:A*1)}", 30 / ROWS),
        ('{=SUM(IF(A:A="",1,0))}', ROWS - 5),
        ("{=SUM(ROW(A:A))}", ROWS * (ROWS + 1) / 2),
        ("SUMPRODUCT((A:A<>\"\")*ROW(A:A))", 15),
        ("ROWS(A:A*1)", ROWS),
        # What IF takes in place of a whole column has no rest.
        ("{=SUM(IF(D1=1,A:A,5))}", 5),
        ("SUMPRODUCT(A:A*SUM(A:A))", 900),
    ],
)  # fmt: skip
def test_blank_rows_count(formula: str, expected: float) -> None:
    made = book()
    made.define("everything", "S!$A:$A")
    made.add_formula("S", HERE, formula.strip("{}"), "array" if formula.startswith("{") else "cell")
    assert made.get("S", HERE).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "formula",
    [
        'SUMPRODUCT((B:B="x")*A:A)',
        'SUMPRODUCT(--(B:B="x"),A:A)',
        'SUMPRODUCT(--(A:A=""),--(B:B=""))',
        'SUMPRODUCT(--(A:A=""),B:B)',
        'SUMPRODUCT(--(A:A=""),A1:A9)',
        "SUMPRODUCT(1/(A:A+1))",
        "SUMPRODUCT(A:A/COUNTIF(D1:D3,A:A))",
        "SUMPRODUCT(1/A:A)",
        "SUMPRODUCT(LEN(B:B))",
        "MATCH(0,INDEX(A:A*1,0),0)",
        'LOOKUP(2,1/(A:A<>""),A:A)',
        '{=MAX(IF(B:B="x",A:A))}',
        '{=MIN(IF(B:B="x",A:A))}',
        '{=MATCH(1,(A:A=6)*(B:B="x"),0)}',
        '{=VLOOKUP("y",CHOOSE({1,2},B:B,A:A),2,0)}',
        '{=SMALL(IF(B:B="x",ROW(B:B)),2)}',
        "{=SMALL(A:A+1,2)}",
        "{=STDEV(A:A*1)}",
        '{=TEXTJOIN(",",TRUE,IF(A:A>4,B:B,""))}',
        '{=CONCAT(IF(A:A>2,B:B,""))}',
        "{=AND(A:A>1)}",
        "{=SUM(A:A*TRANSPOSE(A1:A3))}",
        "{=SUM(A:A+INDEX(A:A,3))}",
        '{=SUM(1*(A:A=SUMIF(A:A,">9")))}',
        "{=SUM(IFERROR(1/A:A,7))}",
    ],
)
def test_as_with_every_row(formula: str) -> None:
    """What is not written as a whole column, and has no more than 4 million cells, is computed cell by cell."""
    spelt = formula
    for column in "AB":
        spelt = spelt.replace(f"{column}:{column}", f"{column}1:{column}{ROWS}")
    found, expected = value(formula), value(spelt)
    assert found == (pytest.approx(expected, rel=1e-9) if isinstance(expected, float) else expected)


def test_filled_cells_that_differ_in_what_blanks_are() -> None:
    made = book()
    made.sheet("S").put(Rect.parse("D1:D4"), [["x"], [2], [None], [0]])
    made.add_formula("S", Rect.parse("E1:E4"), "SUMPRODUCT(--(A:A=D1))", "fill")
    assert made.get("S", Rect.parse("E1:E4")).tolist() == [[0], [1], [ROWS - 5], [ROWS - 5]]
    made.set("S", Rect.parse("A7:A8"), [[2], [0]])
    assert made.get("S", Rect.parse("E1:E4")).tolist() == [[0], [2], [ROWS - 6], [ROWS - 6]]


@pytest.mark.parametrize("formula", ["SUMPRODUCT((A:A<5)*(A1:A3>0))", "SUMPRODUCT(--(A:A=1:1))"])
def test_refused(formula: str) -> None:
    with pytest.raises(UnsupportedFunction, match="array arithmetic over whole columns or rows beside others in S!Z9"):
        value(formula)


@pytest.mark.parametrize("formula", ["SUM(A:A)", "COUNTIF(A:A,4)", 'SUMIFS(A:A,B:B,"x")', "SUMPRODUCT(A:A,A:A)"])
def test_what_has_no_arithmetic_reads_the_cells_in_use_only(formula: str) -> None:
    made = book()
    for row in range(1, 301):
        made.add_formula("S", Rect.of(row, 27 + row % 7, 1, 1), f"{formula}+{row}")
    began = perf_counter()
    made.recalculate()
    assert perf_counter() - began < 2  # a million rows each would take ten times as long
