"""A workbook whose every stored result is wrong, so that no program can pass by believing it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pytest

if TYPE_CHECKING:
    from pathlib import Path

WRONG = "<v>42</v>"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"

NAMES = {
    "h.0.attn.q": "Data!$A$1:$C$2",
    "scale": "Data!$E$1",
    "prompt": "'My sheet'!$A$1",
    "length": "'My sheet'!$B$1",
    "doubled": "Model!$A$1:$C$2",
    "product": "Model!$A$4:$B$5",
    "running": "Model!$E$1:$E$4",
    "third": "Model!$G$1",
    "constant": "1000",
}

# Data: A1:C2 = 1 2 3 / 4 5 6, E1 = 0.1; Model: an array, a product, a shared and three ordinary formulas.
_DATA = """
<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c><c r="C1"><v>3</v></c><c r="E1"><v>0.1</v></c></row>
<row r="2"><c r="A2"><v>4</v></c><c r="B2"><v>5</v></c><c r="C2"><v>6</v></c></row>
"""


def _cell(ref: str, formula: str = "", attributes: str = "") -> str:
    element = f"<f{attributes}>{escape(formula)}</f>" if formula or attributes else ""
    return f'<c r="{ref}">{element}{WRONG}</c>'


_MODEL = "".join(
    [
        '<row r="1">',
        _cell("A1", "h.0.attn.q*2+scale", ' t="array" ref="A1:C2"') + _cell("B1") + _cell("C1"),
        _cell("E1", "SUM(Data!$A$1:$A1)+Data!B1", ' t="shared" ref="E1:E4" si="0"'),
        _cell("G1", "1/3"),
        "</row>",
        '<row r="2">' + _cell("A2") + _cell("B2") + _cell("C2"),
        _cell("E2", attributes=' t="shared" si="0"') + _cell("G2", "NA()") + "</row>",
        '<row r="3">' + _cell("E3", attributes=' t="shared" si="0"') + _cell("G3", '"#N/A"') + "</row>",
        '<row r="4">',
        _cell("A4", "MMULT(h.0.attn.q,TRANSPOSE(h.0.attn.q))", ' ref="A4:B5" t="array"') + _cell("B4"),
        _cell("E4", attributes=' t="shared" si="0"') + _cell("G4", "third=1/3"),
        "</row>",
        '<row r="5">' + _cell("A5") + _cell("B5") + _cell("G5", "1/(scale-0.1)") + "</row>",
    ]
)
_PROMPT = '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c>' + _cell("B1", "LEN(prompt)") + "</row>"


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sheets with formulas of every kind, each with 42 stored as its result."""
    path = tmp_path_factory.mktemp("engines") / "wrong values é.xlsx"
    sheets = {"Data": _DATA, "Model": _MODEL, "My sheet": _PROMPT}
    parts = ["worksheet"] * len(sheets) + ["styles"]
    files = [*(f"worksheets/sheet{i}.xml" for i in range(1, len(sheets) + 1)), "styles.xml"]
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(
            "[Content_Types].xml",
            f'{_HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
            + "".join(
                f'<Override PartName="/xl/{file}" ContentType="{_TYPES}.{part}+xml"/>'
                for part, file in zip(parts, files, strict=True)
            )
            + "</Types>",
        )
        _relations(package, "_rels/.rels", [("officeDocument", "xl/workbook.xml")])
        _relations(package, "xl/_rels/workbook.xml.rels", list(zip(parts, files, strict=True)))
        package.writestr(
            "xl/workbook.xml",
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
            + "".join(f'<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>' for i, name in enumerate(sheets, 1))
            + "</sheets><definedNames>"
            + "".join(f'<definedName name="{name}">{to}</definedName>' for name, to in NAMES.items())
            + "</definedNames></workbook>",
        )
        package.writestr(
            "xl/styles.xml",
            f'{_HEAD}<styleSheet xmlns="{_MAIN}">'
            '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
            '<fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
            '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
            '<cellXfs count="1"><xf xfId="0"/></cellXfs>'
            # IronCalc 0.9.1 panics without <cellStyles>.
            '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
        )
        for i, rows in enumerate(sheets.values(), 1):
            package.writestr(
                f"xl/worksheets/sheet{i}.xml",
                f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>',
            )
    return path


def _relations(package: zipfile.ZipFile, part: str, targets: list[tuple[str, str]]) -> None:
    package.writestr(
        part,
        f'{_HEAD}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        + "".join(
            f'<Relationship Id="rId{i}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
            for i, (kind, target) in enumerate(targets, 1)
        )
        + "</Relationships>",
    )
