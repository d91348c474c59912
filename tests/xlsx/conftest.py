"""Shells and packages for the tests of gpt2xl.xlsx."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # xlsx_helpers.py, validators.py

from xlsx_helpers import MAIN, PACKAGE, RELATIONS, PackageMaker  # noqa: E402


@pytest.fixture
def shell() -> Workbook:
    """A workbook of one sheet, S, without cells."""
    workbook = Workbook()
    workbook.active.title = "S"
    return workbook


@pytest.fixture
def make_package(tmp_path: Path) -> PackageMaker:
    """Make a package by hand: the markup of its one sheet S, and other parts to add or replace."""

    def make(sheet: str | bytes, name: str = "made.xlsx", **parts: str | bytes) -> Path:
        contents: dict[str, str | bytes] = {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" '
            'ContentType="application/xml"/><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override '
            'PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
            'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/'
            'vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="a" '
            f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets><sheet name="S" '
            'sheetId="1" r:id="s1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship '
            f'Id="s1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="s2" '
            f'Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
            "xl/worksheets/sheet1.xml": sheet,
        }
        contents.update({part.replace("__", "/").replace("_xml", ".xml"): text for part, text in parts.items()})
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, text in contents.items():
                archive.writestr(part, text)
        return path

    return make
