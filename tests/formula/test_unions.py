"""Unions of ranges: right where Excel takes them, refused where we do not know, never cut to their first area."""

from __future__ import annotations

from typing import Any

import pytest

from gpt2xl.a1 import Rect
from gpt2xl.errors import FormulaSyntaxError, UnsupportedFunction
from gpt2xl.formula import Book, ExcelError
from gpt2xl.formula.registry import FUNCTIONS, Special

CELLS = Rect.parse("Z50")


def value(formula: str, names: dict[str, str] | None = None, mode: str = "cell") -> Any:
    """A formula's value over A1:A6 = 1..6, B1:B6 = 10..60 and the flows -100, 60, 70 in C1:C2 and D1."""
    book = Book()
    sheet = book.add_sheet("S")
    sheet.put(Rect.parse("A1:B6"), [[row, 10 * row] for row in range(1, 7)])
    sheet.put(Rect.parse("C1:D2"), [[-100, 70], [60, "text"]])
    for name, refers_to in (names or {}).items():
        book.define(name, refers_to)
    book.add_formula("S", CELLS, formula, mode)
    found = book.get("S", CELLS).item()
    return found.text if isinstance(found, ExcelError) else found


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("SUM((A1:A3,A1:A3))", 12),
        ("COUNT((A1:A2,D1:D2),5)", 4),
        ("MODE((A2:A3,A2))", 2),
        ("IRR((C1:C2,D1))", 0.188819441731559),
        ("IRR((C1:C2,D1),0.2)", 0.188819441731559),
        ("NPV(0.1,(C1:C2,D1))", 11.2697220135237),
        ("LARGE((A1:A3,B1:B3),1)", 30),
        ("SMALL((B1:B3,A1:A3),2)", 2),
        ("RANK(20,(A1:A3,B1:B3))", 2),
        ("RANK.AVG(1,(A1:A3,A1),1)", 1.5),
        ("PERCENTILE((A1:A3,B1:B3),0.5)", 6.5),
        ("QUARTILE((A1:A3,B1:B3),2)", 6.5),
        ("TRIMMEAN((A1:A3,B1:B3),0.4)", 8.75),
        ("PERCENTRANK((A1:A3,B1:B3),10)", 0.6),
        ("FREQUENCY((A1:A3,B1:B3),5)", 3),
        ('TEXTJOIN(",",TRUE,(A1:A2,B1),A3)', "1,2,10,3"),
        ("CONCAT((B1:B2,A1))", "10201"),
        ("SUBTOTAL(9,(A1:A3,B1))", 16),
        ("INDEX((A1:A3,B1:B3),2,1,2)", 20),
        ("INDEX((A1:A3,B1:B3),2)", 2),
        ("INDEX((A1:A3,B1:B3),2,1,3)", "#REF!"),
        ("SUM(INDEX((A1:A3,B1:B3),0,1,2))", 60),
        ("ISREF((A1:A3,B1))", True),
        # One area is wanted.
        ("COUNTIF((A1:A3,B1:B3),1)", "#VALUE!"),
        ('SUMIF((A1:A3,B1:B3),">1")', "#VALUE!"),
        ("COUNTIFS((A1:A3,B1:B3,C1:C3),1)", "#VALUE!"),
        ("COUNTBLANK((A1:A3,B1))", "#VALUE!"),
        ("(A1:A3,B1)*2", "#VALUE!"),
        ("AND((A1:A3,B1)>0)", "#VALUE!"),
    ],
)
def test_as_excel_has_them(formula: str, expected: Any) -> None:
    found = value(formula)
    assert found == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    "formula",
    [
        "SUMPRODUCT((A1:A3,B1:B3))",
        "MATCH(10,(A1:A3,B1:B3),0)",
        "SUM(IF(A1,(A1:A3,B1:B3)))",
        "SUM(CHOOSE(1,(A1:A3,B1:B3),C1))",
        "ROWS((A1:A3,B1:B3))",
        "COLUMN((A1,B1))",
        "INDEX((A1:A3,B1:B3),2,1,A2)",
    ],
)
def test_refused(formula: str) -> None:
    with pytest.raises(UnsupportedFunction, match=r"the (union of ranges|INDEX with a computed area) in S!Z50"):
        value(formula)


def test_no_function_looks_at_the_first_area_only() -> None:
    """Every parameter that is a range: a union is taken whole, refused, or an error."""
    seen = 0
    for name, function in FUNCTIONS.items():
        signature = function.signature
        for place, letter in enumerate(signature.letters):
            if letter not in "ra" or isinstance(function, Special):
                continue
            seen += 1
            count = max(signature.least, place + 1)
            arguments = ["A1" if other != place else "(A1:A3,B1:B3)" for other in range(count)]
            try:
                assert value(f"{name}({','.join(arguments)})") == "#VALUE!"
            except UnsupportedFunction as refusal:
                assert refusal.function == "union of ranges"  # noqa: PT017 - either is right
    assert seen > 30


NAMES = {
    "two": "S!$A$1:$A$2,S!$B$1",
    "par": "(S!$A$1:$A$2,S!$B$1)",
    "spelt": "S!$A$1:$A$2~S!$B$1",
    "alias": "two",
    "more": "two,S!$B$2",
    "conv": '{"a",1;"b",2}',
    "double": "S!$A$1:$A$3*2",
}


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("SUM(two)", 13),
        ("SUM(par)", 13),
        ("COUNT(par)", 3),
        ("SUM(spelt,alias)", 26),
        ("SUM(more)", 33),
        ("MEDIAN(two)", 2),
        ("LARGE(alias,1)", 10),
        ("SUBTOTAL(9,two)", 13),
        ("INDEX(two,1,1,2)", 10),
        ("ISREF(two)", True),
        ("ISREF(conv)", False),
        ("two*2", "#VALUE!"),
        ("COUNTIF(two,1)", "#VALUE!"),
        # What is no reference.
        ("INDEX(conv,2,2)", 2),
        ("SUM(INDEX(conv,0,2))", 3),
        ("INDEX(double,3)", 6),
        ('VLOOKUP("b",conv,2,FALSE)', 2),
    ],
)
def test_names(formula: str, expected: Any) -> None:
    assert value(formula, NAMES) == expected


def test_a_name_counts_from_a1() -> None:
    """`beside`, in A3, is B3 and C4: relative references in a name are those of cell A1."""
    book = Book()
    book.add_sheet("S").put(Rect.parse("A1:Z60"), 1)
    book.define("beside", "S!B1,S!C2")
    book.sheet("S").put(Rect.parse("B3:C4"), [[10, 20], [30, 40]])
    book.add_formula("S", Rect.parse("A3"), "SUM(beside)")
    assert book.get("S", Rect.parse("A3")).item() == 50
    book.set("S", Rect.parse("C4"), 0)
    assert book.get("S", Rect.parse("A3")).item() == 10


def test_only_names_do_without_brackets() -> None:
    with pytest.raises(FormulaSyntaxError):
        value("A1,B1")
