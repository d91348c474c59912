"""`audit`: workbooks that Excel, LibreOffice and gnumeric saved, recomputed; and what cannot be compared."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tomllib
import zipfile
from itertools import product
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner, Result

from gpt2xl.audit import Audit, audit
from gpt2xl.commands import main
from gpt2xl.engines import gnumeric
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.errors import FormulaSyntaxError, WorkbookError
from gpt2xl.formula import parse
from gpt2xl.formula.registry import FUNCTIONS
from gpt2xl.formula.tree import Call, walk
from gpt2xl.workbook import Workbook

FOLDER = Path(__file__).parent / "data" / "audit"
BY_EXCEL = sorted(FOLDER.glob("*.xlsx"))
KNOWN = tomllib.loads((FOLDER / "differences.toml").read_text(encoding="utf-8"))["difference"]
PAGE = Path(__file__).parents[1] / "docs" / "engines.md"

sys.path.insert(0, str(Path(__file__).parent / "formula"))
import formula_cases  # noqa: E402
import make_goldens  # noqa: E402

CASES = tomllib.loads((Path(__file__).parent / "formula" / "data" / "differences.toml").read_text(encoding="utf-8"))
OVERFLOWS = ("=10^400", "=-10^400", "=1E308*10", "=EXP(1000)")  # gnumeric writes numbers that no double holds


def adds_up(found: Audit) -> None:
    """Every formula cell is compared, or there is a reason why not."""
    left = found.formulas - found.compared - found.dependent - found.without_value
    assert max(found.unsupported.values(), default=0) <= left <= found.unsupported.total()
    assert found.equal + len(found.different) == found.compared


@pytest.mark.parametrize("path", BY_EXCEL, ids=lambda path: path.stem)
def test_what_excel_saved(path: Path) -> None:
    found = audit(path)
    adds_up(found)
    known = [cell for group in KNOWN for cell in group["cells"].get(path.name, ())]
    assert sorted(f"{item.sheet}!{item.ref}" for item in found.different) == sorted(known), found.different


def test_excel_saved_them() -> None:
    """As docs/engines.md says: so many formulas, in so many functions that the engine has."""
    named: set[str] = set()
    compared = 0
    for path in BY_EXCEL:
        with zipfile.ZipFile(path) as archive:
            assert b"Excel" in archive.read("docProps/app.xml")
        for _, _, text in Workbook.open(path).formulas():
            with contextlib.suppress(FormulaSyntaxError):
                named |= {node.name for node in walk(parse(text)) if isinstance(node, Call)}
        compared += audit(path).compared
    assert len(BY_EXCEL) == 63
    assert compared > 10_000
    assert len(named & FUNCTIONS.keys()) > 200
    assert {name for group in KNOWN for name in group["cells"]} <= {path.name for path in BY_EXCEL}


def test_the_page_gives_the_reasons() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [group["title"] for group in KNOWN if group["title"] not in page or group["reason"] not in page] == []


def case_at(ref: str) -> str | None:
    for number, case in enumerate(formula_cases.cases()):
        rect = formula_cases.place(number)
        if ref in {str(rect.cell(row, column)) for row, column in product(range(3), range(3))}:
            return case
    return None


def test_the_cases_are_many_functions() -> None:
    named = {
        node.name
        for case in formula_cases.cases()
        for node in walk(parse(case[1:-1] if case.startswith("{") else case))
        if isinstance(node, Call)
    }
    assert len(named) > 250


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_what_libreoffice_saved(tmp_path: Path) -> None:
    make_goldens.workbook(tmp_path / "cases.xlsx")
    with LibreOffice(timeout=120) as office:
        office.open(tmp_path / "cases.xlsx").save_as(tmp_path / "saved.xlsx")
    found = audit(tmp_path / "saved.xlsx")
    adds_up(found)
    assert found.compared > 1_000
    known = {case for group in CASES["difference"] for case in group["excel"]}
    unknown = [
        item
        for item in found.different
        # LibreOffice writes the truth values of an array as numbers.
        if case_at(item.ref) not in known and not (isinstance(item.computed, bool) and item.stored == item.computed)
    ]
    assert unknown == []


@pytest.mark.skipif(shutil.which("ssconvert") is None, reason="gnumeric is not installed")
def test_what_gnumeric_saved(tmp_path: Path) -> None:
    make_goldens.workbook(tmp_path / "cases.xlsx", leave_out=OVERFLOWS)
    found = audit(gnumeric.recalculate(tmp_path / "cases.xlsx", tmp_path / "saved.xlsx"))
    adds_up(found)
    assert found.compared > 1_000
    assert {case_at(item.ref) for item in found.different} - set(CASES["gnumeric"]["cases"]) == set()


# Workbooks made here: what is stored is given with each formula.

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def made(path: Path, rows: str, *, workbook: str = "", names: str = "", table: str = "") -> Path:
    """A workbook of one sheet, Data, whose sheetData is `rows`; parts of workbook.xml as they are given."""
    book = openpyxl.Workbook()
    book.active.title = "Data"
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    parts["xl/worksheets/sheet1.xml"] = sheet
    if table:
        parts["xl/tables/table1.xml"] = table
        parts["xl/worksheets/_rels/sheet1.xml.rels"] = (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="rId1" '
            'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/table" '
            'Target="../tables/table1.xml"/></Relationships>'
        )
    text = parts["xl/workbook.xml"]
    text = text.replace("<definedNames/>", "").replace("<definedNames />", "")
    text = text.replace("</sheets>", f"</sheets><definedNames>{names}</definedNames>" if names else "</sheets>")
    parts["xl/workbook.xml"] = text.replace("<calcPr ", f"<calcPr {workbook} ")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def cells(*formulas: tuple[str, str]) -> str:
    """Rows with one formula each in column A and its stored value, then B1:B3 = 1, 2, 3 in the first rows."""
    rows = ""
    for number, (formula, stored) in enumerate(formulas, 1):
        other = f'<c r="B{number}"><v>{number}</v></c>' if number < 4 else ""
        value = f"<v>{stored}</v>" if stored else ""
        rows += f'<row r="{number}"><c r="A{number}"><f>{formula}</f>{value}</c>{other}</row>'
    return rows


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["audit", str(path), *options])


def test_a_wrong_value_is_found(tmp_path: Path) -> None:
    path = made(tmp_path / "a.xlsx", cells(("B1+B2", "3"), ("B1*5", "6"), ("A2&amp;&quot;!&quot;", "7"), ("B3", "3.1")))
    result = run(path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "4 formula cells, 4 compared, 1 equal"
    assert "DIFF  Data!A2  =B1*5  stored 6" in result.stdout
    assert 'computed "5!"' in result.stdout
    record = json.loads(run(path, "--json").stdout)
    assert {key: record[key] for key in ("formulas", "compared", "equal", "unsupported")} == {
        "formulas": 4, "compared": 4, "equal": 1, "unsupported": {},
    }  # fmt: skip
    assert record["different"][0] == {"sheet": "Data", "ref": "A2", "formula": "=B1*5", "stored": 6, "computed": 5}


def test_the_tolerance(tmp_path: Path) -> None:
    path = made(tmp_path / "a.xlsx", cells(("B1/3", "0.3333333333"), ("B1/3", "0.33333333333333")))
    assert [item.ref for item in audit(path, 1e-11).different] == ["A1"]
    assert [item.ref for item in audit(path, 1e-15).different] == ["A1", "A2"]
    assert audit(path).different == []
    assert run(path, "--tolerance", "1e-11").exit_code == 1
    assert run(path).exit_code == 0
    assert run(path, "--tolerance", "-1").exit_code == 2


UNSUPPORTED = [
    ("_xlfn.LET(_xlpm.x,B1,_xlpm.x+1)", "2", "LET"),
    ("_xlfn.LAMBDA(_xlpm.x,_xlpm.x+1)(B1)", "2", "LAMBDA"),
    ("SUM(_xlfn._xlws.FILTER(B1:B3,B1:B3&gt;1))", "5", "FILTER"),
    ("OFFSET(B1,1,0)", "2", "OFFSET"),
    ("INDIRECT(&quot;B2&quot;)", "2", "INDIRECT"),
    ("TODAY()", "46000", "TODAY"),
    ("RAND()", "0.5", "RAND"),
    ("SUM(Data:Data!B1)", "1", "3-D reference"),
    ("[1]Other!A1+1", "3", "reference to another workbook"),
    ("Sales[Amount]", "3", "reference to an unknown table"),
    ("B1+*2", "3", "unreadable formula"),
    ("strange+1", "3", "unreadable formula"),
    ("A13", "0", "circular reference"),
]


def test_what_is_not_computed_is_named(tmp_path: Path) -> None:
    rows = [(formula, stored) for formula, stored, _ in UNSUPPORTED]
    path = made(
        tmp_path / "a.xlsx",
        cells(*rows, ("A4+1", "99"), ("B1+1", "2"), ("B2*2", "")),
        names='<definedName name="strange">B1+*</definedName>',
    )
    found = audit(path)
    assert found.different == []
    expected: dict[str, int] = {}
    for _, _, name in UNSUPPORTED:
        expected[name] = expected.get(name, 0) + 1
    assert found.unsupported == expected
    assert (found.formulas, found.compared, found.dependent, found.without_value) == (16, 1, 1, 1)
    result = run(path)
    assert result.exit_code == 0
    assert "not computed: OFFSET in 1" in result.stdout
    assert "1 that depend on these" in result.stdout
    assert "1 for which the file stores no value" in result.stdout


def test_only_what_depends_is_left_out(tmp_path: Path) -> None:
    """Of a formula filled over four cells, the one beside the unsupported one."""
    rows = "".join(
        f'<row r="{row}"><c r="A{row}"><f>{"OFFSET(C1,0,0)" if row == 2 else f"{row}*2"}</f><v>{row * 2}</v></c>'
        f'<c r="B{row}"><f>A{row}+1</f><v>{row * 2 + 1}</v></c></row>'
        for row in range(1, 5)
    )
    found = audit(made(tmp_path / "a.xlsx", rows))
    assert (found.formulas, found.compared, found.equal, found.dependent) == (8, 6, 6, 1)


def test_a_data_table(tmp_path: Path) -> None:
    rows = (
        '<row r="1"><c r="A1"><v>5</v></c><c r="B1"><f>A1*2</f><v>10</v></c></row>'
        '<row r="2"><c r="A2"><v>1</v></c>'
        '<c r="B2"><f t="dataTable" ref="B2:B3" dt2D="0" dtr="0" r1="A1"/><v>2</v></c></row>'
        '<row r="3"><c r="A3"><v>2</v></c><c r="B3"><v>4</v></c><c r="C3"><f>B3+1</f><v>5</v></c></row>'
    )
    found = audit(made(tmp_path / "a.xlsx", rows))
    assert found.unsupported == {"TABLE": 2}
    assert (found.formulas, found.equal, found.dependent) == (4, 1, 1)


def test_the_date_system_of_1904(tmp_path: Path) -> None:
    rows = cells(
        ("DATE(1904,1,2)", "1"),
        ("YEAR(366)", "1905"),
        ("TEXT(0,&quot;yyyy&quot;)", ""),
        ("&quot;1904-01-03&quot;+0", "2"),
    )
    path = made(tmp_path / "a.xlsx", rows)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace("<workbookPr />", '<workbookPr date1904="1"/>')
    assert "date1904" in parts["xl/workbook.xml"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    found = audit(path)
    assert (found.compared, found.equal) == (3, 3), found.different


def test_precision_as_displayed_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "a.xlsx", cells(("1/3", "0.33")), workbook='fullPrecision="0"')
    with pytest.raises(WorkbookError, match="values as displayed"):
        audit(path)
    result = run(path)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_iterative_calculation_is_circular_here(tmp_path: Path) -> None:
    path = made(tmp_path / "a.xlsx", cells(("A1+1", "100"), ("B1", "1")), workbook='iterate="1"')
    found = audit(path)
    assert found.unsupported == {"circular reference": 1}
    assert (found.compared, found.equal) == (1, 1)


TABLE = (
    f'<table xmlns="{MAIN}" id="1" name="Sales" displayName="Sales" ref="D1:E4" totalsRowCount="1">'
    '<tableColumns count="2"><tableColumn id="1" name="Who"/><tableColumn id="2" name="How [much]"/></tableColumns>'
    "</table>"
)


def test_tables_by_name(tmp_path: Path) -> None:
    formulas: list[tuple[str, Any]] = [
        ("SUM(Sales[How '[much']])", 30),
        ("Sales[[#This Row],[How '[much']]]*2", 20),
        ("ROWS(Sales[#All])", 4),
        ("Sales[[#Totals],[How '[much']]]", 30),
        ("COUNTA(Sales[[#Headers],[#Data],[Who]:[How '[much']]])", 6),
        ("ROWS(Sales[])", 2),
    ]
    data = [("Who", "How [much]"), ("a", 10), ("b", 20), ("sum", None)]
    rows = ""
    for number, (formula, stored) in enumerate(formulas, 1):
        rows += f'<row r="{number}"><c r="A{number}"><f>{formula}</f><v>{stored}</v></c>'
        if number <= len(data):
            who, much = data[number - 1]
            rows += f'<c r="D{number}" t="inlineStr"><is><t>{who}</t></is></c>'
            if isinstance(much, str):
                rows += f'<c r="E{number}" t="inlineStr"><is><t>{much}</t></is></c>'
            elif much is None:
                rows += f"<c r=\"E{number}\"><f>SUBTOTAL(109,Sales[How '[much']])</f><v>30</v></c>"
            else:
                rows += f'<c r="E{number}"><v>{much}</v></c>'
        rows += "</row>"
    found = audit(made(tmp_path / "a.xlsx", rows, table=TABLE))
    assert (found.compared, found.equal) == (7, 7), (found.different, found.unsupported)


def test_long_sums_are_read(tmp_path: Path) -> None:
    """A formula of Excel's length, 8,192 characters: four thousand terms, one inside the other."""
    text = "+".join(["1"] * 4_000)
    found = audit(made(tmp_path / "a.xlsx", cells((text, "4000"))))
    assert (found.compared, found.equal) == (1, 1), found.unsupported


def test_what_is_no_workbook_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("no zip")
    for name in ("a.xlsx", "absent.xlsx"):
        result = run(tmp_path / name)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1
