"""Sheets, names, recalculation: what others build on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpt2xl.a1 import Rect
from gpt2xl.errors import (
    CircularReference,
    FormulaError,
    FormulaSyntaxError,
    NameNotFound,
    UnsupportedFunction,
    WorkbookError,
)
from gpt2xl.formula import Array, Book, ExcelError
from gpt2xl.formula.survey import Uncomputed, survey


def rect(text: str) -> Rect:
    return Rect.parse(text)


def small(cells: dict[str, Any] | None = None, characters: str = "utf16") -> Book:
    book = Book(characters)
    sheet = book.add_sheet("S")
    for place, values in (cells or {}).items():
        sheet.put(rect(place), values)
    return book


def value(formula: str, cells: dict[str, Any] | None = None, characters: str = "utf16") -> Any:
    book = small(cells, characters)
    book.add_formula("S", rect("Z50"), formula, "cell")
    return book.get("S", rect("Z50")).item()


def array(formula: str, size: str, cells: dict[str, Any] | None = None) -> list[list[Any]]:
    book = small(cells)
    place = Rect(50, 26, 50 + rect(size).height - 1, 26 + rect(size).width - 1)
    book.add_formula("S", place, formula, "array")
    return [
        [item.text if isinstance(item, ExcelError) else item for item in row] for row in book.get("S", place).tolist()
    ]


class TestValues:
    def test_put_and_take(self) -> None:
        book = small()
        sheet = book.sheet("s")
        sheet.put(rect("A1:B2"), [[1, "x"], [True, None]])
        sheet.put(rect("C1"), ExcelError("#N/A"))
        sheet.put(rect("D1:D3"), [1, 2, 3])
        sheet.put(rect("E1:F3"), 7)
        sheet.put(rect("G1:G2"), np.array([[np.inf], [2.0]], np.float32))
        taken = sheet.take(rect("A1:G3"))
        assert taken.tolist() == [
            [1, "x", ExcelError("#N/A"), 1, 7, 7, ExcelError("#NUM!")],
            [True, None, None, 2, 7, 7, 2],
            [None, None, None, 3, 7, 7, None],
        ]
        assert sheet.take(rect("D1:D3")).kind is None
        with pytest.raises(ValueError, match="do not fit"):
            sheet.put(rect("A1:B2"), [1, 2, 3])
        with pytest.raises(TypeError):
            sheet.put(rect("A1"), object())

    def test_arrays_travel(self) -> None:
        book = small({"A1:B1": [["a", 2]]})
        sheet = book.sheet("S")
        sheet.put(rect("A5:B5"), sheet.take(rect("A1:B1")))
        assert sheet.take(rect("A5:B5")).tolist() == [["a", 2]]
        assert sheet.take(rect("A5:B5")).equals(sheet.take(rect("A1:B1")))
        assert not Array.of([[1.0]]).equals(Array.of([["1"]]))

    def test_a_taken_array_is_a_copy(self) -> None:
        sheet = small({"A1:B2": np.ones((2, 2))}).sheet("S")
        sheet.take(rect("A1:B2")).num[...] = 5
        assert sheet.take(rect("A1")).item() == 1

    def test_far_apart_cells_take_little_memory(self) -> None:
        book = small({"A1": 1, "XFD1048576": 2, "M500000": "text"})
        assert book.sheet("S").num.size == 0
        book.add_formula("S", rect("B1"), "=A1+XFD1048576+LEN(M500000)", "cell")
        assert book.get("S", rect("B1")).item() == 7
        book.add_formula("S", rect("C1"), "=SUM(XFD:XFD)", "cell")
        assert book.get("S", rect("C1")).item() == 2
        assert book.sheet("S").take(rect("XFC1048575:XFD1048576")).tolist() == [[None, None], [None, 2]]

    def test_growth_keeps_plans_right(self) -> None:
        book = small({"A1": 1})
        book.add_formula("S", rect("B1"), "=A1*2", "cell")
        assert book.get("S", rect("B1")).item() == 2
        book.set("S", rect("A5000:AZ5000"), 1.0)
        book.set("S", rect("A1"), 4)
        assert book.get("S", rect("B1")).item() == 8

    def test_parameters_reach_mmult_without_a_copy(self) -> None:
        book = small({"B5:D8": np.arange(12.0).reshape(4, 3)})
        sheet = book.sheet("S")
        num, _, live = sheet.window(5, 2, 8, 4)
        assert live
        assert np.shares_memory(num, sheet.num)


class TestNames:
    def test_resolve(self) -> None:
        book = small()
        book.add_sheet("Block 0")
        book.define("h.0.ln_1", "'Block 0'!$C$5:$BN$20")
        book.define("again", "H.0.LN_1")
        book.define("sum", "SUM(S!$A$1:$A$3)")
        assert book.resolve("again") == ("Block 0", rect("C5:BN20"))
        assert book.resolve("'block 0'!A1:B2") == ("Block 0", rect("A1:B2"))
        assert book.resolve("$B$2") == ("S", rect("B2"))
        for wrong in ("nothing", "sum", "1+1", "Nowhere!A1", "((", "A1+"):
            with pytest.raises(NameNotFound):
                book.resolve(wrong)

    def test_local_names_come_first(self) -> None:
        book = small({"A1": 1, "A2": 2})
        book.add_sheet("Other")
        book.define("here", "S!$A$1")
        book.define("HERE", "S!$A$2", sheet="Other")
        book.add_formula("S", rect("B1"), "=here", "cell")
        book.add_formula("Other", rect("B1"), "=Here+S!Here", "cell")
        assert book.get("S", rect("B1")).item() == 1
        assert book.get("Other", rect("B1")).item() == 3
        assert sorted(book.names()) == [("HERE", "S!$A$2", "Other"), ("here", "S!$A$1", None)]

    def test_names_may_be_formulas_and_relative(self) -> None:
        book = small({"A1:A3": [1, 2, 3]})
        book.define("total", "SUM(S!$A$1:$A$3)")
        book.define("left", "S!A1")
        book.define("doubled", "S!$A$1:$A$3*2")
        book.add_formula("S", rect("B1:B3"), "=left+total", "fill")
        book.add_formula("S", rect("C1"), "=SUM(doubled)", "cell")
        # A relative name counts from A1: seen from B1 it is B1 itself.
        with pytest.raises(CircularReference):
            book.get("S", rect("B1:B3"))
        assert book.get("S", rect("C1")).item() == 12

    def test_a_name_that_needs_itself(self) -> None:
        book = small()
        book.define("a", "b+1")
        book.define("b", "a+1")
        book.add_formula("S", rect("A1"), "=a", "cell")
        with pytest.raises(CircularReference, match="a -> b -> a"):
            book.get("S", rect("A1"))

    def test_redefinition_changes_what_formulas_read(self) -> None:
        book = small({"A1": 1, "A2": 2})
        book.define("x", "S!$A$1")
        book.add_formula("S", rect("B1"), "=x", "cell")
        assert book.get("S", rect("B1")).item() == 1
        book.define("x", "S!$A$2")
        book.recalculate(everything=True)
        assert book.get("S", rect("B1")).item() == 2

    def test_sheets(self) -> None:
        book = small()
        with pytest.raises(WorkbookError):
            book.add_sheet("s")
        with pytest.raises(NameNotFound, match="no sheet named X"):
            book.sheet("X")
        assert book.sheets() == ["S"]


class TestFormulas:
    def test_ordinary_formulas_intersect(self) -> None:
        book = small({"A1:A3": [1, 2, 3], "B1:D1": [10, 20, 30]})
        book.add_formula("S", rect("F1:F4"), "=$A$1:$A$3+1", "fill")
        book.add_formula("S", rect("B7:E7"), "=$B$1:$D$1", "fill")
        book.add_formula("S", rect("G2"), "=A1:D1+A1:A3", "cell")
        assert book.get("S", rect("F1:F4")).tolist() == [[2], [3], [4], [ExcelError("#VALUE!")]]
        assert book.get("S", rect("B7:E7")).tolist() == [[10, 20, 30, ExcelError("#VALUE!")]]
        assert book.get("S", rect("G2")).item() == ExcelError("#VALUE!")

    def test_array_arguments_in_ordinary_formulas(self) -> None:
        cells = {"A1:A3": [1, 2, 3], "B1:B3": [4, 5, 6]}
        assert value("=SUMPRODUCT(A1:A3*B1:B3)", cells) == 32
        assert value("=SUM(A1:A3*B1:B3)", cells) == ExcelError("#VALUE!")
        assert value("=MATCH(10,A1:A3*B1:B3,0)", cells) == 2
        assert value("=INDEX(A1:A3*B1:B3,3)", cells) == 18
        assert value("=SUM(LEN({1,22,333}))") == 6
        assert value("=LOOKUP(2,1/(A1:A3<3),B1:B3)", cells) == 5

    @pytest.mark.parametrize(
        ("formula", "size", "expected"),
        [
            ("=1", "A1:B2", [[1, 1], [1, 1]]),
            ("={1,2}", "A1:C2", [[1, 2, "#N/A"], [1, 2, "#N/A"]]),
            ("={1;2}", "A1:B3", [[1, 1], [2, 2], ["#N/A", "#N/A"]]),
            ("={1,2;3,4}", "A1:A1", [[1]]),
            ("={1,2;3,4}", "A1:C3", [[1, 2, "#N/A"], [3, 4, "#N/A"], ["#N/A", "#N/A", "#N/A"]]),
            ("={1,2}+{10;20}", "A1:B2", [[11, 12], [21, 22]]),
            ("={1,2,3}+{10,20}", "A1:C1", [[11, 22, "#N/A"]]),
            ("={1,2;3,4}+{10,20,30}", "A1:C2", [[11, 22, "#N/A"], [13, 24, "#N/A"]]),
            ("=ROW()", "A1:B2", [[50, 50], [51, 51]]),
            ("=COLUMN()", "A1:B2", [[26, 27], [26, 27]]),
            ("=IF({TRUE,FALSE},{1,2},{3,4})", "A1:B1", [[1, 4]]),
            ("=IF({TRUE;FALSE},1/0,2)", "A1:A2", [["#DIV/0!"], [2]]),
            ("=IFERROR({1,#N/A},0)", "A1:B1", [[1, 0]]),
            ("=A1:A2", "A1:A2", [[0], [0]]),
            ('=A1:A2&"x"', "A1:A2", [["x"], ["x"]]),
        ],
    )
    def test_arrays_fit_their_cells(self, formula: str, size: str, expected: list[list[Any]]) -> None:
        assert array(formula, size) == expected

    def test_fills_are_relative(self) -> None:
        book = small({"A1:C4": np.arange(12.0).reshape(4, 3)})
        book.add_formula("S", rect("E1:G4"), "=A1*10+$A1+A$1", "fill")
        book.add_formula("S", rect("H1:H4"), "=SUM($A1:$C1)", "fill")
        book.add_formula("S", rect("I1:J3"), "=SUM(A1:B2)", "fill")
        book.add_formula("S", rect("K1:K4"), "=SUM(A$1:A1)", "fill")
        grid = np.arange(12.0).reshape(4, 3)
        assert np.array_equal(book.get("S", rect("E1:G4")).num, grid * 10 + grid[:, :1] + grid[:1])
        assert np.array_equal(book.get("S", rect("H1:H4")).num, grid.sum(axis=1, keepdims=True))
        windows = np.lib.stride_tricks.sliding_window_view(grid, (2, 2)).sum(axis=(2, 3))
        assert np.array_equal(book.get("S", rect("I1:J3")).num, windows)
        assert np.array_equal(book.get("S", rect("K1:K4")).num, np.cumsum(grid[:, :1], axis=0))

    def test_lookups_in_lanes(self) -> None:
        table = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0]])
        book = small({"A1:B3": table, "D1:D4": [5, 2, 0, 3]})
        for column, formula in enumerate(
            [
                "=MATCH(D1,$A$1:$A$3)",
                "=MATCH(D1,$A$1:$A$3,0)",
                "=VLOOKUP(D1,$A$1:$B$3,2)",
                "=LOOKUP(D1,$A$1:$A$3,$B$1:$B$3)",
                "=INDEX($A$1:$B$3,D1,2)",
                "=SUM(INDEX($A$1:$B$3,MIN(D1,3),0))",
                '=COUNTIF($A$1:$A$3,">"&D1)',
                "=SMALL($A$1:$A$3,MAX(1,MIN(3,D1)))",
                "=SUMPRODUCT(($A$1:$A$3>D1)*$B$1:$B$3)",
                '=IF(D1>2,"big",D1)',
            ]
        ):
            lanes = Rect.of(1, 6 + column, 4, 1)
            book.add_formula("S", lanes, formula, "fill")
            filled = book.get("S", lanes).tolist()
            for row in range(4):
                single = small({"A1:B3": table, "D1:D4": [5, 2, 0, 3]})
                here = rect(f"Z{row + 1}")
                single.add_formula("S", here, formula.replace("D1", f"D{row + 1}"), "cell")
                assert single.get("S", here).item() == filled[row][0], (formula, row)

    def test_large_fills_are_computed_in_pieces(self) -> None:
        book = small({"A1:A3000": np.arange(3000.0).reshape(-1, 1)})
        book.add_formula("S", rect("B1:B3000"), "=SUMPRODUCT(($A$1:$A$3000<A1)*1)", "fill")
        assert np.array_equal(book.get("S", rect("B1:B3000")).num, np.arange(3000.0).reshape(-1, 1))

    def test_formulas_are_listed_as_added(self) -> None:
        book = small()
        book.add_formula("S", rect("A1"), "=1+1", "cell")
        book.add_formula("S", rect("B1:C2"), "=$A$1", "array")
        book.add_formula("S", rect("D1:D9"), "=A1", "fill")
        assert list(book.formulas()) == [
            ("S", rect("A1"), "=1+1", "cell"),
            ("S", rect("B1:C2"), "=$A$1", "array"),
            ("S", rect("D1:D9"), "=A1", "fill"),
        ]
        book.set("S", rect("D4:D5"), 0)
        assert list(book.formulas())[2:] == [("S", rect("D1:D3"), "=A1", "fill"), ("S", rect("D6:D9"), "=A6", "fill")]
        with pytest.raises(FormulaError, match="part of the array"):
            book.set("S", rect("B1"), 1)
        book.set("S", rect("A1"), 5)
        assert book.get("S", rect("B1:D1")).tolist() == [[5, 5, 5]]
        book.add_formula("S", rect("A1"), "=2", "cell")
        book.add_formula("S", rect("A1"), "=3", "cell")
        assert book.get("S", rect("A1")).item() == 3

    def test_misuse(self) -> None:
        book = small()
        with pytest.raises(FormulaSyntaxError):
            book.add_formula("S", rect("A1"), "=1+", "cell")
        with pytest.raises(ValueError, match="one cell"):
            book.add_formula("S", rect("A1:A2"), "=1", "cell")
        with pytest.raises(ValueError, match="mode"):
            book.add_formula("S", rect("A1"), "=1", "spill")
        with pytest.raises(ValueError, match="characters"):
            Book("bytes")

    def test_empty_arguments_and_missing_names(self) -> None:
        assert value("=IF(TRUE,,5)") == 0
        assert value("=nowhere") == ExcelError("#NAME?")
        assert value("=Nowhere!A1") == ExcelError("#REF!")
        assert value("=SIN()") == ExcelError("#VALUE!")


class TestCharacters:
    SMILE = "a\U0001f600b"

    def test_excel_counts_utf16_units(self) -> None:
        cells = {"A1": self.SMILE}
        assert value("=LEN(A1)", cells) == 4
        assert value("=MID(A1,2,2)", cells) == "\U0001f600"
        assert value("=UNICODE(MID(A1,2,2))", cells) == 0x1F600
        assert value("=UNICODE(MID(A1,2,1))", cells) == ExcelError("#VALUE!")
        assert value("=MID(A1,2,1)&MID(A1,3,1)", cells) == "\ud83d\ude00"
        assert value("=LEN(MID(A1,2,1)&MID(A1,3,1))", cells) == 2
        assert value('=FIND("b",A1)', cells) == 4
        assert value("=RIGHT(A1,1)", cells) == "b"
        assert value('=REPLACE(A1,2,2,"-")', cells) == "a-b"
        assert value("=LEFT(A1,3)", cells) == "a\U0001f600"

    def test_libreoffice_counts_code_points(self) -> None:
        cells = {"A1": self.SMILE}
        assert value("=LEN(A1)", cells, "codepoints") == 3
        assert value("=MID(A1,2,1)", cells, "codepoints") == "\U0001f600"
        assert value("=UNICODE(MID(A1,2,1))", cells, "codepoints") == 0x1F600
        assert value('=FIND("b",A1)', cells, "codepoints") == 3


class TestRecalculation:
    def test_only_what_depends_is_computed(self) -> None:
        book = small({"A1": 1, "A2": 2})
        for number, text in enumerate(["=A1", "=A2*1", "=B1+B2", "=A2*2"], 1):
            book.add_formula("S", rect(f"B{number}"), text, "cell")
        book.recalculate()
        assert not book.stale("S", rect("B1:B4"))
        book.set("S", rect("A1"), 10)
        assert [book.stale("S", rect(f"B{row}")) for row in range(1, 5)] == [True, False, True, False]
        assert book.get("S", rect("B1")).item() == 10
        assert [book.stale("S", rect(f"B{row}")) for row in range(1, 5)] == [False, False, True, False]
        assert book.get("S", rect("B3")).item() == 12

    def test_loaded_values_are_trusted_until_an_edit(self) -> None:
        book = small({"A1": 1, "B1": 99, "C1": 98})
        book.add_formula("S", rect("B1"), "=A1+1", "cell")
        book.add_formula("S", rect("C1"), "=B1+1", "cell")
        book.mark_fresh()
        assert book.get("S", rect("C1")).item() == 98
        book.set("S", rect("A1"), 2)
        assert book.get("S", rect("C1")).item() == 4
        book.sheet("S").put(rect("B1"), 50)
        book.recalculate()
        assert book.get("S", rect("B1")).item() == 50
        book.recalculate(everything=True)
        assert book.get("S", rect("B1")).item() == 3

    def test_freshness_survives_new_formulas(self) -> None:
        book = small({"A1": 1, "B1": 99})
        book.add_formula("S", rect("B1"), "=A1", "cell")
        book.mark_fresh()
        book.add_formula("S", rect("C1"), "=B1", "cell")
        assert book.get("S", rect("C1")).item() == 99

    def test_chains_run_in_order(self) -> None:
        book = small({"A1:A200": np.ones((200, 1))})
        book.add_formula("S", rect("B1"), "=A1", "cell")
        book.add_formula("S", rect("B2:B200"), "=B1+A2", "fill")
        book.add_formula("S", rect("C1:C199"), "=C2+A1", "fill")
        book.add_formula("S", rect("C200"), "=A200", "cell")
        assert book.get("S", rect("B200")).item() == 200
        assert book.get("S", rect("C1")).item() == 200
        book.set("S", rect("A100"), 5)
        assert book.get("S", rect("B99:B100")).tolist() == [[99], [104]]
        assert book.get("S", rect("C1")).item() == 204

    def test_groups_that_are_circular_only_as_groups(self) -> None:
        book = small({"A1": 1})
        for row in range(2, 60):
            book.add_formula("S", rect(f"A{row}"), f"=B{row - 1}+1", "cell")
            book.add_formula("S", rect(f"B{row}"), f"=A{row}*2", "cell")
        book.add_formula("S", rect("B1"), "=A1*2", "cell")
        expected = 1.0
        for _ in range(2, 60):
            expected = expected * 2 + 1
        assert book.get("S", rect("A59")).item() == expected

    def test_blocks_and_scalars_in_rounds(self) -> None:
        book = small({"C1:H1": np.array([[5.0, 3, 8, 1, 9, 2]])})
        for row in range(2, 7):
            book.add_formula("S", rect(f"A{row}"), f"=MIN(C{row - 1}:H{row - 1})", "cell")
            book.add_formula("S", rect(f"B{row}"), f"=MATCH(A{row},C{row - 1}:H{row - 1},0)", "cell")
            book.add_formula(
                "S", rect(f"C{row}:H{row}"), f"=IF(COLUMN(C1:H1)-2=B{row},99,C{row - 1}:H{row - 1})", "array"
            )
        assert book.get("S", rect("A2:A6")).tolist() == [[1], [2], [3], [5], [8]]

    def test_cells_of_one_level_are_computed_together(self) -> None:
        book = small({"B1:J1": np.ones((1, 9))})
        book.add_formula("S", rect("B2:J10"), "=B1*2", "fill")
        assert (book.get("S", rect("B10:J10")).num == 512).all()
        assert len(book.graph().units) == 9

    def test_two_dimensional_chains(self) -> None:
        book = small({"A1:J1": np.ones((1, 10)), "A2:A10": np.ones((9, 1))})
        book.add_formula("S", rect("B2:J10"), "=A2+B1", "fill")
        from math import comb

        assert book.get("S", rect("J10")).item() == comb(18, 9)

    def test_true_circles_have_a_path(self) -> None:
        book = small()
        book.add_formula("S", rect("A1"), "=B1", "cell")
        book.add_formula("S", rect("B1"), "=C1+1", "cell")
        book.add_formula("S", rect("C1"), "=A1", "cell")
        book.add_formula("S", rect("D1"), "=1", "cell")
        book.add_formula("S", rect("E1:E2"), "=E2:E3", "array")
        assert book.get("S", rect("D1")).item() == 1
        with pytest.raises(CircularReference) as caught:
            book.get("S", rect("A1"))
        assert caught.value.path[0] == caught.value.path[-1]
        assert set(caught.value.path) == {"S!A1", "S!B1", "S!C1"}
        with pytest.raises(CircularReference):
            book.get("S", rect("E1"))

    def test_where_a_reference_lies_is_no_circle(self) -> None:
        book = small()
        book.add_formula("S", rect("B3"), "=ROW(B3)+COLUMN(B3)+ROWS(A1:B9)", "cell")
        assert book.get("S", rect("B3")).item() == 14

    def test_unsupported_functions_are_named(self) -> None:
        book = small()
        book.add_formula("S", rect("A1"), "=1+FOURIER(2)", "cell")
        book.add_formula("S", rect("A2"), "=A1", "cell")
        book.add_formula("S", rect("A3"), "=3", "cell")
        with pytest.raises(UnsupportedFunction) as caught:
            book.get("S", rect("A2"))
        assert (caught.value.function, caught.value.sheet, caught.value.ref) == ("FOURIER", "S", "A1")
        with pytest.raises(UnsupportedFunction):
            book.recalculate()
        assert survey(book) == [Uncomputed("S", rect("A1"), ("FOURIER",)), Uncomputed("S", rect("A2"), ())]
        assert [book.stale("S", rect(f"A{row}")) for row in (1, 2, 3)] == [True, True, False]
        book.add_formula("S", rect("B1"), "=SUM(S:T!A1)", "cell")
        with pytest.raises(UnsupportedFunction, match="3-D reference"):
            book.get("S", rect("B1"))

    @pytest.mark.parametrize(
        ("formula", "value"),
        [
            ("=0.1+0.2-0.3", 0.0),
            ("=1.333+1.225-1.333-1.225", 0.0),
            ("=(0.1+0.2-0.3)*1", 2**-54),
            ("=1E-20-3E-20", -2e-20),
            ("=1-0.99999999999", 1e-11),
            ("=SUM(A1:A2)-A3", 0.0),
        ],
    )
    def test_what_the_last_addition_cancels_is_0(self, formula: str, value: float) -> None:
        book = small({"A1:A3": [0.1, 0.2, 0.3]})
        book.add_formula("S", rect("C1"), formula, "cell")
        assert book.get("S", rect("C1")).item() == pytest.approx(value, rel=1e-4, abs=0)
        book.add_formula("S", rect("E1:E3"), "=A1:A3+0.2-{0.3;0.4;9}", "array")
        assert [book.get("S", rect(f"E{row}")).item() for row in (1, 2, 3)] == [0.0, 0.0, pytest.approx(-8.5)]

    @pytest.mark.parametrize("pattern", ["[$-407]mmmm", "[$-40C]dddd", "[DBNum1]0", "[>10]0", "[<0]0;0"])
    def test_number_formats_that_other_rules_show_are_refused(self, pattern: str) -> None:
        book = small({"A1": [-5]})
        book.add_formula("S", rect("B1"), f'=TEXT(A1+45000*(LEN("{pattern}")>9),"{pattern}")', "cell")
        with pytest.raises(UnsupportedFunction, match=r"number format `.*` in S!B1"):
            book.get("S", rect("B1"))
        assert [(item.rect, *item.lacking) for item in survey(book)] == [(rect("B1"), f"number format `{pattern}`")]

    def test_whole_columns_follow_the_cells_in_use(self) -> None:
        book = small({"A1:A3": [1, 2, 3]})
        book.add_formula("S", rect("C1"), "=SUM(A:A)+ROWS(A:A)", "cell")
        book.add_formula("S", rect("C2"), "=SUM(INDEX(A:A,2):INDEX(A:A,3))", "cell")
        assert book.get("S", rect("C1")).item() == 6 + 1048576
        assert book.get("S", rect("C2")).item() == 5
        book.set("S", rect("A5000"), 10)
        assert book.get("S", rect("C1")).item() == 16 + 1048576

    def test_texts_that_nothing_holds_are_forgotten(self) -> None:
        book = small({"A1": "first"})
        book.add_formula("S", rect("B1"), '=A1&"!"', "cell")
        book.get("S", rect("B1"))
        book.set("S", rect("A1"), "second")
        book.get("S", rect("B1"))
        before = len(book.pool)
        book._sweep()
        assert len(book.pool) < before
        book.set("S", rect("A1"), "third")
        assert book.get("S", rect("B1")).item() == "third!"

    def test_no_python_error_becomes_a_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from gpt2xl.formula import registry

        def broken(*_: object) -> object:
            raise ZeroDivisionError("a mistake of ours")

        function = registry.FUNCTIONS["SIN"]
        assert isinstance(function, registry.Function)
        monkeypatch.setitem(
            registry.FUNCTIONS,
            "SIN",
            registry.Function("SIN", function.signature, broken, function.shape),  # type: ignore[arg-type]
        )
        with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
            value("=SIN(1)")

    def test_a_tiny_rate_loses_no_digits(self) -> None:
        # 100 x ((1 + r)^12 - 1) / r, by its series in r; powers of 1 + r alone keep four digits.
        assert value("=FV(1E-12,12,-100)") == pytest.approx(100 * (12 + 66e-12), rel=1e-15)
        assert value("=RATE(12,-100,PV(1E-9,12,-100))") == pytest.approx(1e-9, rel=1e-6)
