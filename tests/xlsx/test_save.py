from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.styles import Font
from validators import ooxml_errors, saved_by_gnumeric, saved_by_libreoffice
from xlsx_helpers import MAIN, PackageMaker, read, values, worksheet

from gpt2xl.a1 import BLANK, BOOL, ERROR, NUMBER, TEXT, Rect, cell_name, parse_cell
from gpt2xl.errors import OutputError, WorkbookError
from gpt2xl.xlsx import Block, open_package, style_id, write_workbook
from gpt2xl.xlsx.splice import splice

if TYPE_CHECKING:
    from pathlib import Path

    from gpt2xl.xlsx.locate import Value


def change(ref: str, value: float | str | bool | None) -> tuple[Rect, Any, Any, Any]:
    """One changed cell, as `Package.save` takes it."""
    kind = TEXT if isinstance(value, str) else BOOL if isinstance(value, bool) else NUMBER
    kind = BLANK if value is None else kind
    text = np.array([[value]], dtype=object) if kind == TEXT else None
    num = np.array([[0.0 if value is None or kind == TEXT else float(value)]])
    return Rect.parse(ref), num, np.array([[kind]], dtype=np.uint8), text


def spliced(xml: str, **cells: Value) -> str:
    rows: dict[int, dict[int, Value]] = {}
    for ref, value in cells.items():
        row, column = parse_cell(ref)
        rows.setdefault(row, {})[column] = value
    return splice(xml.encode(), rows).decode()


def number(value: float) -> Value:
    return NUMBER, value, None


def text(value: str) -> Value:
    return TEXT, 0.0, value


def test_only_the_cell_changes() -> None:
    xml = worksheet(
        "<!-- a > b --><row r='1' x='>'  ><c r = 'A1'  s='2' t='s' ><v>7</v ></c>\n"
        '<c r="B1" s="1" t="str" vm="3"><f aca="false" x=">">A1&amp;"x"</f><v>old</v><extLst><ext/></extLst></c>'
        '<c r="C1"/><c r="D1" t="e"><f>1/0</f><v>#DIV/0!</v></c><c r="E1" t="str"><v>inside</v></c></row>'
    )
    rows = "</row>"
    done = spliced(
        xml, A1=text(" new"), B1=text("r&"), C1=(BOOL, 1.0, None), D1=(BLANK, 0.0, None), E1=text("still inside")
    )
    expected = (
        xml.replace(
            "<c r = 'A1'  s='2' t='s' ><v>7</v ></c>",
            "<c r = 'A1'  s='2' t=\"inlineStr\"><is><t xml:space=\"preserve\"> new</t></is></c>",
        )
        .replace(
            '<c r="B1" s="1" t="str" vm="3"><f aca="false" x=">">A1&amp;"x"</f><v>old</v>',
            '<c r="B1" s="1" t="str"><f aca="false" x=">">A1&amp;"x"</f><v>r&amp;</v>',
        )
        .replace('<c r="C1"/>', '<c r="C1" t="b"><v>1</v></c>')
        .replace('<c r="D1" t="e"><f>1/0</f><v>#DIV/0!</v></c>', '<c r="D1"><f>1/0</f></c>')
        .replace("<v>inside</v>", "<v>still inside</v>")
    )
    assert rows in done
    assert done == expected


@pytest.mark.parametrize(
    ("rows", "cells", "expected"),
    [
        ("", {"B2": number(1)}, '<row r="2"><c r="B2"><v>1</v></c></row>'),
        (
            '<row r="2"/><row r="4"></row>',
            {"A1": number(1), "A2": number(2), "B2": number(3), "A3": number(4), "A4": number(5), "A5": number(6)},
            (
                '<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="A2"><v>2</v></c><c r="B2"><v>3</v></c></row>'
                '<row r="3"><c r="A3"><v>4</v></c></row><row r="4"><c r="A4"><v>5</v></c></row>'
                '<row r="5"><c r="A5"><v>6</v></c></row>'
            ),
        ),
        (
            '<row r="1"><c r="B1"><v>0</v></c><c r="D1"/></row>',
            {"A1": number(1), "C1": (ERROR, 6.0, None), "E1": number(5), "F1": number(-0.5)},
            (
                '<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>0</v></c><c r="C1" t="e"><v>#N/A</v></c><c r="D1"/>'
                '<c r="E1"><v>5</v></c><c r="F1"><v>-0.5</v></c></row>'
            ),
        ),
        (
            "<row><c><v>1</v></c><c s='1'/></row><row><c><f>A1</f></c></row>",
            {"B1": number(2), "D1": number(4), "A2": number(3)},
            (
                "<row><c><v>1</v></c><c s='1'><v>2</v></c><c r=\"D1\"><v>4</v></c></row>"
                "<row><c><f>A1</f><v>3</v></c></row>"
            ),
        ),
        (
            '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>',
            {"A1": (BLANK, 0.0, None)},
            '<row r="1"><c r="A1"/></row>',
        ),
    ],
)
def test_cells_and_rows_are_put_in_order(rows: str, cells: dict[str, Value], expected: str) -> None:
    assert spliced(worksheet(rows), **cells) == worksheet(expected)


@settings(max_examples=100, deadline=None)
@given(
    st.sets(st.integers(1, 30)),
    st.dictionaries(st.integers(1, 32), st.dictionaries(st.integers(1, 4), st.integers(0, 9), min_size=1), min_size=1),
)
def test_rows_without_changes_need_not_be_looked_at(rows: set[int], changes: dict[int, dict[int, int]]) -> None:
    xml = worksheet("".join(f'<row r="{row}"><c r="B{row}"><v>{row}</v></c></row>\n' for row in sorted(rows)))
    new: dict[int, dict[int, Value]] = {
        row: {column: number(value) for column, value in cells.items()} for row, cells in changes.items()
    }
    short = splice(xml.encode(), new)
    comment = b"<!-- all of it -->"
    assert splice(xml.encode() + comment, new) == short + comment
    expected = {f"B{row}": float(row) for row in rows}
    expected |= {cell_name(row, column): float(value) for row, of in changes.items() for column, value in of.items()}
    assert values(read(short.decode())) == expected


def test_prefixes_dimension_and_empty_data() -> None:
    xml = f'<x:worksheet xmlns:x="{MAIN}"><x:dimension ref="A1"/><x:sheetData  /></x:worksheet>'
    assert spliced(xml, C3=text("t")) == (
        f'<x:worksheet xmlns:x="{MAIN}"><x:dimension ref="A1:C3"/><x:sheetData><x:row r="3"><x:c r="C3" t="inlineStr">'
        '<x:is><x:t xml:space="preserve">t</x:t></x:is></x:c></x:row></x:sheetData></x:worksheet>'
    )


def test_utf16_is_read_and_written_as_utf8() -> None:
    xml = worksheet('<row r="1"><c r="A1" t="str"><v>é</v></c></row>')
    done = splice(xml.replace("UTF-8", "UTF-16").encode("utf-16"), {1: {2: number(1)}})
    assert values(read(done.decode())) == {"A1": "é", "B1": 1.0}


def test_what_is_no_sheet() -> None:
    with pytest.raises(WorkbookError, match="sheetData"):
        splice(b"<worksheet/>", {1: {1: number(1)}})
    with pytest.raises(WorkbookError, match="well-formed"):
        splice(b"<worksheet", {1: {1: number(1)}})
    with pytest.raises(WorkbookError, match="document type"):
        splice(b"<!DOCTYPE a [<!ENTITY b 'c'>]><worksheet/>", {1: {1: number(1)}})


@pytest.fixture
def book(shell: Workbook, tmp_path: Path) -> Path:
    """A prompt, a formula filled down, an array formula, and a second sheet."""
    shell.create_sheet("T")
    bold = style_id(shell, font=Font(bold=True))
    prompt = np.array([["The cat"]], dtype=object)
    path = tmp_path / "book.xlsx"
    blocks = [
        Block(Rect.parse("A1"), np.zeros((1, 1)), np.array([[TEXT]], np.uint8), prompt, bold),
        Block(
            Rect.parse("A3:A5"), np.array([[21.0], [28.0], [35.0]]), formula="LEN(A$1)*ROW()", mode="fill", style=bold
        ),
        Block(Rect.parse("C3:D4"), np.array([[21.0, 42.0], [28.0, 56.0]]), formula="A3:A4*{1,2}", mode="array"),
    ]
    write_workbook(path, shell, {"S": blocks, "T": [Block(Rect.parse("A1:B2"), np.eye(2))]}, compression="small")
    return path


def raw(path: Path) -> dict[str, bytes]:
    """The compressed bytes of each entry."""
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        for info in archive.infolist():
            stream.seek(info.header_offset + 26)
            lengths = stream.read(4)
            stream.seek(int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little"), 1)
            found[info.filename] = stream.read(info.compress_size)
    return found


def test_save_keeps_all_else(book: Path, tmp_path: Path) -> None:
    target = tmp_path / "saved.xlsx"
    changes = [change("A1", "=1+1 "), change("A4", 8.5), change("D4", "x"), change("F9", True)]
    open_package(book).save(target, {"S": changes})
    before, after = raw(book), raw(target)
    assert list(before) == list(after)
    assert {name for name in before if before[name] != after[name]} == {"xl/worksheets/sheet1.xml"}
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(target) as new:
        assert new.testzip() is None
        assert [info.date_time for info in new.infolist()] == [info.date_time for info in old.infolist()]
        xml = new.read("xl/worksheets/sheet1.xml").decode()
        undone = (
            xml.replace("=1+1 ", "The cat")
            .replace("<v>8.5</v>", "<v>28</v>")
            .replace(' t="str"><v>x</v>', "><v>56</v>")
            .replace(' t="inlineStr"><is><t xml:space="preserve">x</t></is>', "><v>56</v>")
            .replace('<row r="9"><c r="F9" t="b"><v>1</v></c></row>', "")
            .replace("A1:F9", "A1:D5")
        )
        assert undone == old.read("xl/worksheets/sheet1.xml").decode()
    data = open_package(target).read("S")
    assert values(data)["A1"] == "=1+1 "
    assert values(data)["F9"] is True
    assert [formula.text for formula in data.formulas] == ["A3:A4*{1,2}", "LEN(A$1)*ROW()"]
    assert openpyxl.load_workbook(target)["S"]["A1"].font.b
    assert ooxml_errors(target) == []


def test_save_over_itself_and_not_at_all(book: Path, tmp_path: Path) -> None:
    before = book.read_bytes()
    package = open_package(book)
    with pytest.raises(OutputError):
        package.save(tmp_path / "missing" / "x.xlsx", {})
    with pytest.raises(ValueError, match="NaN"):
        package.save(book, {"S": [change("A1", float("nan"))]})
    assert book.read_bytes() == before
    assert list(tmp_path.iterdir()) == [book]
    package.save(book, {"T": [(Rect.parse("A1"), np.array([[5.0]]), None, None)]})
    assert package.read("T").num.tolist() == [[5.0, 0.0], [0.0, 1.0]]


@pytest.mark.filterwarnings("ignore:Workbook contains no default style")  # gnumeric writes none
@pytest.mark.parametrize("other_program", [saved_by_libreoffice, saved_by_gnumeric])
def test_after_another_program_saved_it(book: Path, tmp_path: Path, other_program: Any) -> None:
    saved = other_program(book, tmp_path)
    package = open_package(saved)
    assert [sheet.name for sheet in package.sheets] == ["S", "T"]
    data = package.read("S")
    outside = {name: value for name, value in values(data).items() if name[0] == "A"}
    assert outside == {"A1": "The cat", "A3": 21.0, "A4": 28.0, "A5": 35.0}
    assert {"A3", "A4", "A5"} <= {name for f in data.formulas for name in _names(f.rect)}
    array = next(formula for formula in data.formulas if formula.mode == "array")
    assert str(array.rect) == "C3:D4"
    assert re.sub(r"\s", "", array.text) == "A3:A4*{1,2}"
    again = tmp_path / "again.xlsx"
    package.save(again, {"S": [change("A1", " two"), change("A4", 1.5)]})
    assert values(open_package(again).read("S"))["A1"] == " two"
    assert openpyxl.load_workbook(again, data_only=True)["S"]["A4"].value == 1.5
    assert openpyxl.load_workbook(again)["S"]["A1"].font.b


def test_libreoffice_reads_cells_without_references(shell: Workbook, tmp_path: Path) -> None:
    numbers = np.random.default_rng(3).standard_normal((20, 30)).astype(np.float32)
    path = tmp_path / "implied.xlsx"
    blocks = [
        Block(Rect.of(2, 2, 20, 30), numbers),
        Block(Rect.of(2, 40, 1, 1), numbers[:1, :1], formula="B2", mode="cell"),
    ]
    write_workbook(path, shell, {"S": blocks}, references=False)
    found, expected = (values(open_package(each).read("S")) for each in (saved_by_libreoffice(path, tmp_path), path))
    assert found.keys() == expected.keys()
    assert max(abs(found[name] - expected[name]) for name in found) < 1e-14


def _names(rect: Rect) -> list[str]:
    return [str(rect.cell(row, column)) for row in range(rect.height) for column in range(rect.width)]


def test_saving_a_file_made_by_hand(make_package: PackageMaker, tmp_path: Path) -> None:
    strings = f'<sst xmlns="{MAIN}"><si><t>shared</t></si></sst>'
    path = make_package(
        worksheet('<row><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>'), xl__sharedStrings_xml=strings
    )
    target = tmp_path / "saved.xlsx"
    open_package(path).save(target, {"s": [change("A1", "own")]})
    assert values(open_package(target).read("S")) == {"A1": "own", "B1": "shared"}
