"""References to tables: what they say, and which cells they are."""

from __future__ import annotations

import pytest

from gpt2xl.a1 import Rect
from gpt2xl.errors import FormulaSyntaxError
from gpt2xl.formula import Book, Table, parse, survey, unparse
from gpt2xl.formula.structured import placed
from gpt2xl.formula.tree import ErrorValue, Reference, TableReference, Unsupported

SALES = Table("Sales", "S", Rect.parse("B2:D6"), 1, 1, ("Who", "Jan 'x", "Feb"))
BARE = Table("Bare", "S", Rect.parse("F1:F3"), 0, 0, ("Column1",))
TABLES = {"sales": SALES, "bare": BARE}


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("Sales[]", "B3:D5"),
        ("Sales[Who]", "B3:B5"),
        ("sales[[#Headers],[Feb]]", "D2"),
        ("Sales[#All]", "B2:D6"),
        ("Sales[[#Totals],[Who]:[Feb]]", "B6:D6"),
        ("Sales[[#Headers],[#Data],[Jan ''x]]", "C2:C5"),
        ("Sales[[#This Row],[Feb]]", "D4"),
        ("Sales[@Feb]", "D4"),
        ("Sales[[#This Row],Feb]", "D4"),
        ("Sales[[#Data], Who:[Feb]]", "B3:D5"),
        ("Sales[@]", "B4:D4"),
        ("Sales[[Feb]:[Who]]", "B3:D5"),
        ("Bare[Column1]", "F1:F3"),
        ("Sales", "B3:D5"),
    ],
)
def test_cells(text: str, cells: str) -> None:
    found = placed(parse(text), text, TABLES, 4)
    assert isinstance(found, Reference)
    assert (str(found.rect), found.sheet) == (cells, "S")


@pytest.mark.parametrize(("text", "error"), [("Sales[Apr]", "#REF!"), ("Bare[#Headers]", "#REF!")])
def test_what_the_table_has_not(text: str, error: str) -> None:
    found = placed(parse(text), text, TABLES, 4)
    assert isinstance(found, ErrorValue)
    assert found.error.text == error


def test_this_row_needs_a_row_of_the_table() -> None:
    tree = parse("Sales[[#This Row],[Who]]")
    assert isinstance(placed(tree, "", TABLES, 4), Reference)
    assert isinstance(placed(tree, "", TABLES, 2), ErrorValue)
    assert isinstance(placed(tree, "", TABLES, None), Unsupported)
    assert isinstance(placed(parse("Other[Who]"), "", TABLES, 4), Unsupported)


def test_text_and_back() -> None:
    node = parse("SUM(Sales[[#This Row],[Jan ''x]:[Feb]])*2")
    assert unparse(node) == "SUM(Sales[[#This Row],[Jan ''x]:[Feb]])*2"
    assert parse("Sales[[Who]]") == TableReference("Sales", (), "Who", "Who", "Sales[[Who]]")
    for text in ("Sales[[Who],[Feb]]", "Sales[[Who]:[Jan ''x]:[Feb]]", "Sales[[#Nothing],[Who]]"):
        with pytest.raises(FormulaSyntaxError):
            parse(text)


def test_rows_inside_and_outside_of_the_table() -> None:
    """Copies of one text: a row outside of the table is an error, the others are filled together."""
    book = Book()
    book.add_sheet("S").put(Rect.parse("B3:B5"), [[1], [2], [3]])
    book.add_table(SALES)
    for row in range(2, 7):
        book.add_formula("S", Rect.of(row, 8, 1, 1), "=Sales[[#This Row],[Who]]*10")
    values = [str(value) for (value,) in book.get("S", Rect.parse("H2:H6")).tolist()]
    assert values == ["#VALUE!", "10.0", "20.0", "30.0", "#VALUE!"]
    book.set("S", Rect.parse("B4"), 7)
    assert book.get("S", Rect.parse("H4")).item() == 70


def test_without_the_name_inside_of_the_table() -> None:
    """As XlsxWriter writes them: two tables side by side, and cells of each in the same row."""
    book = Book()
    book.add_sheet("S").put(
        Rect.parse("A1:D4"), [["V", "W", "V", "X"], [1, None, 5, None], [2, None, 6, None], [None] * 4]
    )
    book.add_table(Table("One", "S", Rect.parse("A1:B4"), 1, 1, ("V", "W")))
    book.add_table(Table("Two", "S", Rect.parse("C1:D4"), 1, 1, ("V", "X")))
    for row in (2, 3):
        book.add_formula("S", Rect.of(row, 2, 1, 1), "=[[#This Row],V]*2")
        book.add_formula("S", Rect.of(row, 4, 1, 1), "=[@V]*2")
    book.add_formula("S", Rect.parse("A4"), "=SUBTOTAL(109,[V])")
    book.add_formula("S", Rect.parse("B4"), "=SUM([])")
    book.add_formula("S", Rect.parse("C4:D4"), "=SUBTOTAL(109,[V])", "fill")
    assert book.get("S", Rect.parse("A2:D4")).tolist() == [[1, 2, 5, 10], [2, 4, 6, 12], [3, 9, 11, 11]]
    book.set("S", Rect.parse("C3"), 0)
    assert book.get("S", Rect.parse("D3:D4")).tolist() == [[0], [5]]


def test_without_the_name_outside_of_all_tables() -> None:
    book = Book()
    book.add_sheet("S").put(Rect.parse("A1"), 7)
    book.add_table(SALES)
    book.define("column", "[Who]")
    book.add_formula("S", Rect.parse("H3"), "=1+SUM([Who])")
    book.add_formula("S", Rect.parse("H4"), "=SUM(column)")
    book.add_formula("S", Rect.parse("H5"), "=A1*2")
    for cell in ("H3", "H4"):
        with pytest.raises(FormulaSyntaxError, match=r"`\[Who\]` names no table, and the formula stands in none"):
            book.get("S", Rect.parse(cell))
    assert book.get("S", Rect.parse("H5")).item() == 14
    assert [(str(item.rect), item.lacking) for item in survey(book)] == [
        ("H3", ("unreadable formula",)),
        ("H4", ("unreadable formula",)),
    ]


@pytest.mark.parametrize("text", ["[1]Sheet1!A1", "[Book.xlsx]S!A1", "[1]!name"])
def test_brackets_of_another_workbook(text: str) -> None:
    assert isinstance(parse(text), Unsupported)
