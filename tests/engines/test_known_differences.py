"""Every row of the table in docs/engines.md, live: what each program gives for a minimal formula.

The rows are in known_differences.toml; `python tests/engines/test_known_differences.py` writes them into the page.
A row that a new version of a program answers otherwise fails here, and so does a page that was edited by hand.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
import tomllib
import warnings
import zipfile
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

import openpyxl
import pytest
from openpyxl.formula.translate import Translator

import gpt2xl
from gpt2xl.a1 import Rect, cell_name
from gpt2xl.engines import gnumeric
from gpt2xl.engines.document import CellError
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.formula import ExcelError
from gpt2xl.formula.printer import FILE_PREFIXED

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "engines.md"
BEGIN = "<!-- What follows is written by tests/engines/test_known_differences.py from known_differences.toml. -->\n"
END = "<!-- End of what is written by it. -->\n"
VERSIONS = {"libreoffice": "LibreOffice 7.4.7.2", "ironcalc": "IronCalc 0.9.1", "gnumeric": "gnumeric 1.12.55"}
HEADER = "| formula | Excel, as documented | gpt2xl | LibreOffice | IronCalc | gnumeric | what we do instead |"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="1"><fill><patternFill patternType="none"/></fill></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="1"><xf xfId="0"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
WRONG = 42  # what the file stores as the result of every formula

Values: TypeAlias = list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of known_differences.toml, which says what the keys mean; its formula stands in H1 of its own sheet."""

    number: int
    group: str
    formula: str
    right: Any
    instead: str
    source: str = ""
    libreoffice: Any = None
    ironcalc: Any = None
    gnumeric: Any = None
    array: str = ""
    cells: dict[str, Any] = field(default_factory=dict)
    formulas: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    inline: bool = False

    @property
    def sheet(self) -> str:
        return f"Case_{self.number}"

    @property
    def rect(self) -> Rect:
        """The cells that the formula fills."""
        rows, _, columns = self.array.partition("x")
        return Rect.of(1, 8, int(rows or 1), int(columns or 1))

    def gives(self, program: str) -> Values:
        """What the page says that a program gives."""
        own = None if program == "gpt2xl" else getattr(self, program)
        return _rows(self.right if own is None else own)


DATA = tomllib.loads((HERE / "known_differences.toml").read_text(encoding="utf-8"))
CASES = [
    Case(number=number, group=title, **row)
    for number, (title, row) in enumerate(
        ((group["title"], row) for group in DATA["group"] for row in group["row"]), start=1
    )
]


def workbook(path: Path) -> None:
    """All cases in one workbook, a wrong value stored in every formula cell."""
    texts: list[str] = []
    sheets = [f"worksheets/sheet{case.number}.xml" for case in CASES]
    parts = {f"xl/{name}": _sheet(case, texts) for case, name in zip(CASES, sheets, strict=True)}
    items = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in texts)
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{items}</sst>'
    parts["xl/styles.xml"] = STYLES
    named = [(name, case.sheet, to) for case in CASES for name, to in case.names.items()]
    parts["xl/workbook.xml"] = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        + "".join(f'<sheet name="{case.sheet}" sheetId="{i}" r:id="rId{i}"/>' for i, case in enumerate(CASES, 1))
        + "</sheets><definedNames>"
        + "".join(
            f'<definedName name="{name}">{f"{sheet}!" if to[0] == "$" else ""}{to}</definedName>'
            for name, sheet, to in named
        )
        + "</definedNames></workbook>"
    )
    targets = [("worksheet", name) for name in sheets]
    targets += [("styles", "styles.xml"), ("sharedStrings", "sharedStrings.xml")]
    parts["xl/_rels/workbook.xml.rels"] = _relations(targets)
    parts["_rels/.rels"] = _relations([("officeDocument", "xl/workbook.xml")])
    kinds = {f"/xl/{name}": kind for kind, name in targets} | {"/xl/workbook.xml": "sheet.main"}
    parts["[Content_Types].xml"] = (
        f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        + "".join(f'<Override PartName="{name}" ContentType="{TYPES}.{kind}+xml"/>' for name, kind in kinds.items())
        + "</Types>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in parts.items():
            package.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{text}')


def _relations(targets: list[tuple[str, str]]) -> str:
    links = "".join(
        f'<Relationship Id="rId{i}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>'


def _sheet(case: Case, texts: list[str]) -> str:
    """The XML of one case's sheet; shared strings are added to `texts`."""
    cells: dict[tuple[int, int], str] = {}  # what stands within <c r="..."> ... </c>, its attributes first
    for ref, value in case.cells.items():
        corner = Rect.parse(ref)
        for i, row in enumerate(_rows(value)):
            for j, one in enumerate(row):
                if one != "":
                    cells[corner.top + i, corner.left + j] = _constant(one, case, texts)
    for ref, formula in case.formulas.items():
        rect = Rect.parse(ref)
        first = Translator(f"={_in_file(formula)}", origin=cell_name(rect.top, rect.left))
        for i in range(rect.top, rect.bottom + 1):
            for j in range(rect.left, rect.right + 1):
                text = first.translate_formula(cell_name(i, j))[1:]
                cells[i, j] = f"><f>{escape(text)}</f><v>{WRONG}</v>"
    for i in range(case.rect.height):
        for j in range(case.rect.width):
            cells[1 + i, 8 + j] = f"><v>{WRONG}</v>"
    attributes = f' t="array" ref="{case.rect}"' if case.array else ""
    cells[1, 8] = f"><f{attributes}>{escape(_in_file(case.formula))}</f><v>{WRONG}</v>"
    rows: dict[int, str] = {}
    for (number, column), content in sorted(cells.items()):
        rows[number] = rows.get(number, "") + f'<c r="{cell_name(number, column)}"{content}</c>'
    data = "".join(f'<row r="{number}">{text}</row>' for number, text in rows.items())
    return f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData></worksheet>'


def _rows(value: Any) -> Values:
    return value if isinstance(value, list) else [[value]]


def _constant(value: Any, case: Case, texts: list[str]) -> str:
    if isinstance(value, bool):
        return f' t="b"><v>{value:d}</v>'
    if not isinstance(value, str):
        return f"><v>{value!r}</v>"
    if value.startswith("#"):
        return f' t="e"><v>{value}</v>'
    if case.inline:
        return f' t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is>'
    texts.append(value)
    return f' t="s"><v>{len(texts) - 1}</v>'


def _in_file(formula: str) -> str:
    """The formula as a file has it: functions newer than Excel 2007 have a prefix (MS-XLSX 2.3.3)."""
    return re.sub(r"\b([A-Z][A-Z0-9.]*)(?=\()", lambda name: "_xlfn." * (name[1] in FILE_PREFIXED) + name[1], formula)


def ours(path: Path) -> list[Values]:
    """What our own engine computes, case by case."""
    book = gpt2xl.Workbook.open(path).book
    book.recalculate(everything=True)
    return [
        [[CellError(value.text) if isinstance(value, ExcelError) else value for value in row] for row in rows]
        for rows in (book.get(case.sheet, case.rect).tolist() for case in CASES)
    ]


def by_gnumeric(path: Path) -> list[Values]:
    """gnumeric writes a file; openpyxl reads it."""
    made = gnumeric.recalculate(path, path.with_name("gnumeric.xlsx"))
    with warnings.catch_warnings(action="ignore"):  # it finds no default style
        book = openpyxl.load_workbook(made, data_only=True)
    return [
        [
            [CellError(cell.value) if cell.data_type == "e" else cell.value for cell in row]
            for row in book[case.sheet][f"{case.rect}:{case.rect}" if case.rect.size == 1 else str(case.rect)]
        ]
        for case in CASES
    ]


def same(found: Any, expected: Any) -> bool:
    """Whether a program still gives what the page says: numbers to 1e-9, all else exactly, an error as an error."""
    if isinstance(expected, str) and expected.startswith("#"):
        return isinstance(found, CellError) and found == expected
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, (int, float)) and isinstance(expected, (int, float)):
        return math.isclose(found, expected, rel_tol=1e-9)
    return not isinstance(found, CellError) and bool(("" if found is None else found) == expected)


def drifted(program: str, answers: list[Values]) -> list[str]:
    """The rows that a program answers otherwise than the page says."""
    lines = []
    for case, found in zip(CASES, answers, strict=True):
        expected = case.gives(program)
        pairs = zip(chain(*found), chain(*expected), strict=True)
        if not all(same(*pair) for pair in pairs):
            lines.append(f"{case.sheet}, {case.formula}: {found}, not {expected}")
    return lines


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("differences") / "cases.xlsx"
    workbook(path)
    return path


def test_our_engine(path: Path) -> None:
    assert drifted("gpt2xl", ours(path)) == []


def test_libreoffice(path: Path) -> None:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    with LibreOffice(timeout=120) as office:
        _skip_other_version("libreoffice", office.version)
        document = office.open(path)
        answers = [document.get(f"{case.sheet}!{case.rect}", booleans=True) for case in CASES]
    assert drifted("libreoffice", answers) == []


def test_ironcalc(path: Path) -> None:
    pytest.importorskip("ironcalc")
    with IronCalc() as engine:
        _skip_other_version("ironcalc", engine.version)
        document = engine.open(path)
        answers = [document.get(f"{case.sheet}!{case.rect}") for case in CASES]
    assert drifted("ironcalc", answers) == []


def test_gnumeric(path: Path) -> None:
    if shutil.which("ssconvert") is None:
        pytest.skip("gnumeric is not installed")
    _skip_other_version("gnumeric", gnumeric.version())
    assert drifted("gnumeric", by_gnumeric(path)) == []


def _skip_other_version(program: str, version: str) -> None:
    if version != VERSIONS[program]:
        pytest.skip(f"the table is about {VERSIONS[program]}, and this is {version}")


def test_every_row_shows_a_difference() -> None:
    alike = [
        case.formula
        for case in CASES
        if {shown(case.gives(program)) for program in VERSIONS} == {shown(_rows(case.right))}
    ]
    assert alike == []


def test_the_page_lists_the_dialect() -> None:
    assert dialect() in PAGE.read_text(encoding="utf-8"), f"run `python tests/engines/{Path(__file__).name}`"


def test_the_page_has_these_tables() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == tables(), f"run `python tests/engines/{Path(__file__).name}`"


def test_the_page_names_the_versions() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [version for version in VERSIONS.values() if version not in page] == []


def test_a_drift_is_noticed() -> None:
    answers = [case.gives("ironcalc") for case in CASES]
    assert len(drifted("ironcalc", answers)) > 10  # errors as texts are not errors
    assert same(CellError("#N/A"), "#N/A")
    assert not same(True, 1)
    assert not same(1.0, True)
    assert not same(42.0, 41)


def dialect() -> str:
    """The page's list of functions; tests/test_first_workbook.py holds it to what is in the file."""
    from test_first_workbook import DIALECT

    return f"Functions: `{' '.join(sorted(DIALECT))}`."


def tables() -> str:
    """The page's tables, a heading and a paragraph before each."""
    lines = [""]
    for group in DATA["group"]:
        lines += [f"### {group['title']}", "", group["text"].strip(), "", HEADER, "| --- " * 7 + "|"]
        for case in CASES:
            if case.group == group["title"]:
                values = [shown(case.gives(program)) for program in ("gpt2xl", *VERSIONS)]
                others = [value if value == values[0] else f"**{value}**" for value in values[1:]]
                excel = f"{values[0]} ({case.source})" if case.source else "–"
                row = [_formula(case), excel, values[0], *others, case.instead]
                lines.append("| " + " | ".join(row) + " |")
        lines.append("")
    return "\n".join(lines) + "\n"


def shown(rows: Values) -> str:
    """Values as the page has them: columns parted by commas, rows by semicolons."""
    return "; ".join(", ".join(_shown(value) for value in row) for row in rows)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return value if value.startswith("#") else _code(json.dumps(value, ensure_ascii=False))
    return f"{value:.6g}"


def _formula(case: Case) -> str:
    around = [f"{ref} = {_cells(value)}" for ref, value in case.cells.items()]
    around += [f"{ref}: {_code('=' + formula)}" for ref, formula in case.formulas.items()]
    around += [f"name {name}: {_code(to)}" for name, to in case.names.items()]
    text = _code(f"{{={case.formula}}}" if case.array else f"={case.formula}")
    text += f" in {case.rect}" if case.array else ""
    return text + (f"<br>{'<br>'.join(around)}" if around else "") + (" (inline string)" if case.inline else "")


def _cells(value: Any) -> str:
    rows = [["blank" if one == "" else _shown(one) for one in row] for row in _rows(value)]
    return "; ".join(", ".join(row) for row in rows)


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    before = re.sub("Functions: `[A-Z. ]+`[.]", dialect(), before)
    PAGE.write_text(before + BEGIN + tables() + END + rest.partition(END)[2], encoding="utf-8")
