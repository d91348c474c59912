from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xlsx_helpers import MAIN, PackageMaker, read, values, worksheet

from gpt2xl.a1 import BLANK, ERROR_TEXTS, TEXT, Rect, cell_name
from gpt2xl.errors import NameNotFound, WorkbookError
from gpt2xl.xlsx import Block, SheetData, open_package, write_workbook
from gpt2xl.xlsx.sheet import read_sheet, serial_date

if TYPE_CHECKING:
    from pathlib import Path

    from openpyxl import Workbook


def formulas(data: SheetData) -> list[tuple[str, str, str, tuple[int, int]]]:
    return [(str(formula.rect), formula.text, formula.mode, formula.origin) for formula in data.formulas]


def test_every_type_of_cell() -> None:
    data = read(
        worksheet(
            '<row r="2"><c r="B2"><v>1.5</v></c><c r="C2" t="s"><v>1</v></c><c r="D2" t="inlineStr">'
            "<is><t> a</t></is></c>"
            '<c r="E2" t="str"><v>_x0041_</v></c><c r="F2" t="b"><v>1</v></c><c r="G2" t="e"><v>#N/A</v></c>'
            '<c r="H2" t="d"><v>2024-03-01T12:00:00</v></c><c r="I2" s="3"/><c r="J2"><v></v></c>'
            '<c r="K2" t="n"><v> 7 </v></c>'
            '<c r="L2" t="e"><v>#SPILL!</v></c><c r="M2" t="str"><v></v></c></row>'
        ),
        ["no", "yes"],
    )
    assert values(data) == {
        "B2": 1.5,
        "C2": "yes",
        "D2": " a",
        "E2": "A",
        "F2": True,
        "G2": "error 6",
        "H2": 45352.5,
        "K2": 7.0,
        "L2": f"error {ERROR_TEXTS.index('#SPILL!')}",
        "M2": "",
    }
    assert data.rect == Rect.parse("B2:M2")


def test_positions_are_implied() -> None:
    data = read(
        worksheet(
            '<row><c><v>1</v></c><c r="D1"><v>2</v></c><c><v>3</v></c></row><row r="5"/><row><c/><c><v>4</v></c></row>'
        )
    )
    assert values(data) == {"A1": 1.0, "D1": 2.0, "E1": 3.0, "B6": 4.0}


def test_any_way_to_write_xml() -> None:
    data = read(
        f"<?xml version='1.0'?><!-- <row> --><x:worksheet xmlns:x='{MAIN}' xmlns='urn:other'><row/><x:sheetData >"
        "<x:row r = '1'><!-- <c><v>9</v></c> --><x:c r='A1'\n><x:v >1<!-- 2 -->3</x:v ></x:c>"
        "<c><v>8</v></c><x:c t='inlineStr'><x:is><x:t><![CDATA[<&>]]>&#65;&amp;</x:t></x:is></x:c></x:row>"
        "</x:sheetData></x:worksheet>"
    )
    assert values(data) == {"A1": 13.0, "B1": "<&>A&"}


def test_the_strict_namespace() -> None:
    strict = worksheet('<row r="1"><c r="A1"><v>1</v></c></row>').replace(
        MAIN, "http://purl.oclc.org/ooxml/spreadsheetml/main"
    )
    assert values(read(strict)) == {"A1": 1.0}


def test_other_encodings() -> None:
    xml = worksheet('<row r="1"><c r="A1" t="str"><v>é</v></c></row>')
    for encoding in ("utf-16", "iso-8859-1"):
        data = xml.replace("UTF-8", encoding).encode(encoding)
        assert values(read_sheet([data], list)) == {"A1": "é"}


def test_rich_text_without_its_phonetic_hints() -> None:
    runs = "<r><t>a</t></r><r><rPr><b/></rPr><t>b</t></r><rPh sb='0' eb='1'><t>no</t></rPh>"
    assert values(read(worksheet(f'<row><c t="inlineStr"><is>{runs}</is></c></row>'))) == {"A1": "ab"}


def test_shared_strings(make_package: PackageMaker) -> None:
    strings = (
        f'<sst xmlns="{MAIN}"><si><t xml:space="preserve"> a_x000D_</t></si><si><r><t>b</t></r><r><t>c</t></r>'
        "<rPh sb='0' eb='1'><t>no</t></rPh></si><si/></sst>"
    )
    rows = '<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c><c t="s"><v>2</v></c></row>'
    path = make_package(worksheet(rows), xl__sharedStrings_xml=strings)
    assert values(open_package(path).read("S")) == {"A1": " a\r", "B1": "bc", "C1": ""}
    path = make_package(worksheet('<row><c t="s"><v>3</v></c></row>'), xl__sharedStrings_xml=strings)
    with pytest.raises(WorkbookError, match="A1 holds `3`, which is no index of the 3 shared strings"):
        open_package(path).read("S")


def test_formulas() -> None:
    data = read(
        worksheet(
            '<row r="1"><c r="A1"><f>1&lt;2</f><v>1</v></c><c r="B1"><f t="array" ref="B1:C2">D1:E2</f><v>1</v></c>'
            '<c r="C1"><v>2</v></c><c r="F1"><f/><v>1</v></c><c r="G1"><f>H1</f></c></row>'
            '<row r="3"><c r="A3"><f t="dataTable" ref="A3:A4" dt2D="1" dtr="1" r1="X1" r2="X2"/><v>5</v></c></row>'
        )
    )
    assert formulas(data) == [
        ("A1", "1<2", "cell", (1, 1)),
        ("B1:C2", "D1:E2", "array", (1, 2)),
        ("G1", "H1", "cell", (1, 7)),
        ("A3:A4", "TABLE(X1,X2)", "table", (3, 1)),
    ]
    assert data.rect == Rect.parse("A1:G4")
    assert data.kind[0, 6] == BLANK


def test_shared_formulas_take_the_cells_that_have_them() -> None:
    fill = '<f t="shared" si="0"/><v>0</v></c>'
    data = read(
        worksheet(
            '<row r="2"><c r="B2"><f t="shared" ref="B2:C4" si="0">A1+1</f><v>1</v></c>'
            f'<c r="C2">{fill}</row><row r="3"><c r="B3">{fill}<c r="C3">{fill}</row>'
            f'<row r="4"><c r="B4">{fill}<c r="C4"><f>7</f><v>7</v></c></row>'
            '<row r="6"><c r="A6"><f t="shared" ref="A6" si="0">Z1</f><v>1</v></c></row>'
        )
    )
    assert formulas(data) == [
        ("C4", "7", "cell", (4, 3)),
        ("B2:C3", "A1+1", "fill", (2, 2)),
        ("B4", "A1+1", "fill", (2, 2)),
        ("A6", "Z1", "fill", (6, 1)),
    ]
    with pytest.raises(WorkbookError, match="shared formula 0 of cell A1 has no text"):
        read(worksheet(f"<row><c>{fill}</row>"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('<row><c t="n"><v>abc</v></c></row>', "A1 holds `abc`, which is no number"),
        ("<row><c><v>NaN</v></c></row>", "which is no number"),
        ("<row><c><v>1e999</v></c></row>", "which is no number"),
        ("<row><c><v>1_0</v></c></row>", "which is no number"),
        ('<row><c t="b"><v>2</v></c></row>', "no boolean"),
        ('<row><c t="x"><v>2</v></c></row>', "no type of cell"),
        ('<row><c t="d"><v>soon</v></c></row>', "no date"),
        ('<row r="x"/>', "no row number"),
        ('<row r="0"/>', "outside"),
        ('<row r="1048577"/>', "outside"),
        ('<row r="1"><c r="A2"/></row>', "stands in row 1"),
        ('<row r="1"><c r="XFD1"/><c/></row>', "more than Excel's 16,384 columns"),
        ('<row r="1"><c r="XFE1"/></row>', "beyond"),
        ("<row><c></row>", "no well-formed XML"),
    ],
)
def test_sheets_that_are_wrong(rows: str, message: str) -> None:
    with pytest.raises(WorkbookError, match=message):
        read(worksheet(rows))


def test_document_types_are_refused() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + worksheet("<row/>").partition("?>")[2]
    with pytest.raises(WorkbookError, match="document type"):
        read(bomb)
    with pytest.raises(WorkbookError, match="no worksheet"):
        read("<html/>")


def numbers_row(row: int, cells: list[tuple[int, str, int]], references: bool, formula: str = "") -> str:
    markup = ""
    for column, value, style in cells:
        ref = f' r="{cell_name(row, column)}"' if references else ""
        of_style = f' s="{style}"' if style else ""
        markup += f"<c{ref}{of_style}>{formula}<v>{value}</v></c>"
    return f'<row r="{row}">{markup}</row>'


decimals = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: f"{number:.15G}"),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(["-0", "0", "1E5", "1E-05", "-0.0", ".5", "5.", "+1", "01", "1e400", " 1", "1.E3"]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(decimals, st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(1, 200),
    st.sampled_from([1, 5, 17, 1_000_000]),
    st.booleans(),
    st.sampled_from(["plain", "styles", "gaps"]),
    st.sampled_from([37, 1 << 20]),
    st.booleans(),
)
def test_the_fast_path_reads_what_expat_reads(
    cells: list[tuple[str, int]], left: int, row: int, references: bool, shape: str, piece: int, filled: bool
) -> None:
    column, placed = left, []
    for value, noise in cells:
        column += 1 + (noise == 9 and shape == "gaps" and references)
        placed.append((column, value, noise % 3 if shape == "styles" else 2))
    text = '<c t="str"><f t="shared" si="1" ref="A1">X1</f><v>no run</v></c>'
    formula = '<f t="shared" si="1"/>' if filled else ""
    markup = numbers_row(row, placed, references, formula)
    xml = worksheet(
        f"{markup.removesuffix('</row>')}{text}{markup.partition('>')[2]}".replace("<row", "<row ht='1'", 1)
    )
    slow = xml.replace("<sheetData>", "<sheetData><!-- everything to expat -->")
    results: list[dict[str, Any]] = []
    for text in (xml, slow):
        try:
            data = read(text, piece=piece)
            found = {
                name: value if isinstance(value, str) else float(value).hex() for name, value in values(data).items()
            }
            results.append({"formulas": formulas(data)} | found)
        except WorkbookError as error:
            results.append({"error": str(error)})
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "cells",
    [
        '<c r="B7"><v>1</v></c><c r="B17"><v>2</v></c>',  # another row
        '<c r="C7"><v>1</v></c><c r="B7"><v>2</v></c>',  # backwards
        '<c r="B7"><v>1</v></c><c r="B7"><v>2</v></c>',  # twice
        '<c r="B7"><v>1</v></c><c r="C7"><v>1,5</v></c>',
        '<c r="B7"><v>1</v></c><c r="C7"><v>1A</v></c>',
        '<c r="B7"><v>1</v></c><c r="C7" ><v>1</v></c>',
        '<c r="B7"><v>1</v></c><c><v>2</v></c><c r="D7"><v>2</v></c>',
    ],
)
def test_runs_that_are_not_what_they_look_like(cells: str) -> None:
    many = "".join(f'<c r="{cell_name(7, column)}"><v>3</v></c>' for column in range(10, 40))
    xml = worksheet(f'<row r="7">{cells}{many}</row>')
    results = []
    for text in (xml, xml.replace("<sheetData>", "<sheetData><!-- -->")):
        try:
            results.append(values(read(text)))
        except WorkbookError as error:
            results.append({"error": str(error)})
    assert results[0] == results[1]


def test_a_dimension_need_not_be_true() -> None:
    cells = "".join(f"<c><v>{column}</v></c>" for column in range(100))
    rows = f'<row r="3">{cells}</row><row r="4">{cells}</row>'
    truth = values(read(worksheet(rows)))
    assert len(truth) == 200
    for ref in ("A1", "A1:XFD1048576", "B2:C3", "A3:CV4", "A4:CZ9", "nonsense"):
        xml = worksheet(rows).replace("<sheetData>", f'<dimension ref="{ref}"/><sheetData>')
        data = read(xml)
        assert values(data) == truth
        assert data.rect == Rect.parse("A3:CV4")


def test_a_sheet_of_few_cells_far_apart() -> None:
    data = read(
        worksheet(
            '<row r="1"><c r="A1"><v>1</v></c><c r="B1" t="str"><v>b</v></c></row>'
            '<row r="1048576"><c r="XFC1048576" t="b"><v>1</v></c><c t="str"><f>A1</f><v>z</v></c></row>'
        )
    )
    assert data.sparse is not None
    assert data.rect == Rect.parse("A1:XFD1048576")
    assert values(data) == {"A1": 1.0, "B1": "b", "XFC1048576": True, "XFD1048576": "z"}


def test_a_sheet_far_larger_than_its_dimension() -> None:
    row = "".join(f"<c><v>{column}</v></c>" for column in range(60))
    gap = '<c r="CA1" t="str"><v>text</v></c>'
    rows = f'<row r="1">{row}{gap}</row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    data = read(worksheet(rows).replace("<sheetData>", '<dimension ref="A1:BZ2"/><sheetData>'))
    assert data.sparse is not None
    assert values(data) == values(read(worksheet(rows)))
    assert len(values(data)) == 62


def test_a_large_sheet_is_one_view(shell: Workbook, tmp_path: Path) -> None:
    numbers = np.random.default_rng(2).standard_normal((400, 300))
    labels = np.array([[f"row {row}"] for row in range(400)], dtype=object)
    heading = np.array([["heading"] * 301], dtype=object)

    def text(top: int, left: int, of: Any) -> Block:
        return Block(Rect.of(top, left, *of.shape), np.zeros(of.shape), np.full(of.shape, TEXT, np.uint8), of)

    path = tmp_path / "large.xlsx"
    blocks = [Block(Rect.of(2, 2, 400, 300), numbers), text(2, 1, labels), text(1, 1, heading)]
    write_workbook(path, shell, {"S": blocks})
    data = open_package(path).read("S")
    pieces = {str(rect): (num, text) for rect, num, _, text in data.blocks()}
    assert set(pieces) == {"A1:KO1", "A2:A401", "B2:KO401"}
    num, no_text = pieces["B2:KO401"]
    assert no_text is None
    assert np.shares_memory(num, data.num)
    assert np.array_equal(num, numbers)
    assert len(data.text) == 701


def test_workbook(make_package: PackageMaker) -> None:
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    workbook = (
        f'<w:workbook xmlns:w="{MAIN}" xmlns:q="{relations}"><w:workbookPr date1904="1"/><w:sheets>'
        '<w:sheet name="chart" sheetId="1" q:id="c"/><w:sheet name="Zahlen &amp; so" sheetId="2" '
        'q:id="s" state="hidden"/>'
        '</w:sheets><w:definedNames><w:definedName name="a.b">S!$A$1</w:definedName>'
        '<w:definedName name="local" localSheetId="1" hidden="1">1</w:definedName></w:definedNames>'
        '<w:calcPr calcId="1"/></w:workbook>'
    )
    rels = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="c" Type="{relations}/chartsheet" Target="chartsheets/sheet1.xml"/>'
        f'<Relationship Id="s" Type="{relations}/worksheet" Target="/XL/Other%20Place.xml"/></Relationships>'
    )
    path = make_package("", xl__workbook_xml=workbook)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/_rels/workbook.xml.rels"] = rels.encode()
    parts["xl/Other Place.xml"] = worksheet('<row><c t="d"><v>1904-01-02</v></c></row>').encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    package = open_package(path)
    assert [(sheet.name, sheet.part, sheet.state) for sheet in package.sheets] == [
        ("Zahlen & so", "xl/Other Place.xml", "hidden")
    ]
    assert [(name.name, name.text, name.sheet, name.hidden) for name in package.names] == [
        ("a.b", "S!$A$1", None, False),
        ("local", "1", "Zahlen & so", True),
    ]
    assert package.date1904
    assert package.calc == {"calcId": "1"}
    assert values(package.read("zahlen & SO")) == {"A1": 1.0}
    with pytest.raises(NameNotFound, match="has no sheet `S`; it has Zahlen & so"):
        package.read("S")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"a,b\n1,2\n", "not a zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, r"\.xls"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
    ],
)
def test_files_that_are_no_workbook(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.xlsx"
    path.write_bytes(content)
    with pytest.raises(WorkbookError, match=message) as caught:
        open_package(path)
    assert str(path) in str(caught.value)


def test_packages_that_are_no_workbook(make_package: PackageMaker, tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="there is no file"):
        open_package(tmp_path / "missing.xlsx")
    with pytest.raises(WorkbookError, match="cannot read"):
        open_package(tmp_path)
    plain = tmp_path / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(WorkbookError, match="without a workbook"):
        open_package(plain)
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    binary = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="a" Type="{relations}/officeDocument" Target="xl/workbook.bin"/></Relationships>'
    )
    xlsb = tmp_path / "x.xlsb"
    with zipfile.ZipFile(xlsb, "w") as archive:
        archive.writestr("_rels/.rels", binary)
        archive.writestr("xl/workbook.bin", b"\x83\x01")
    with pytest.raises(WorkbookError, match=r"\.xlsb"):
        open_package(xlsb)
    broken = make_package("<worksheet", xl__workbook_xml="<workbook")
    with pytest.raises(WorkbookError, match="no well-formed XML"):
        open_package(broken)
    with pytest.raises(WorkbookError, match="no workbook"):
        open_package(make_package("", xl__workbook_xml="<workbook/>"))
    with pytest.raises(WorkbookError, match=r"no well-formed XML .*sheet1\.xml"):
        open_package(make_package("<worksheet")).read("S")


def test_damaged_files(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "whole.xlsx"
    write_workbook(path, shell, {"S": [Block(Rect.of(1, 1, 50, 50), np.random.default_rng(0).random((50, 50)))]})
    whole = path.read_bytes()
    short = tmp_path / "short.xlsx"
    short.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkbookError, match="damaged"):
        open_package(short)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("xl/worksheets/sheet1.xml")
    middle = info.header_offset + info.compress_size // 2
    flipped = bytearray(whole)
    flipped[middle : middle + 4] = struct.pack("<I", 0xDEADBEEF)
    short.write_bytes(flipped)
    with pytest.raises(WorkbookError, match="sheet1"):
        open_package(short).read("S")


def test_dates() -> None:
    assert serial_date("1900-01-01", date1904=False) == 1
    assert serial_date("1900-03-01", date1904=False) == 61
    assert serial_date("12:00:00", date1904=False) == 0.5
    assert serial_date("2024-01-01T06:00:00Z", date1904=True) == 43830.25
