"""Every row of the table in docs/engines.md, live: what each program gives for a minimal formula.

The rows are in known_differences.toml; `python tests/engines/test_known_differences.py` writes them into the page.
A row that a new version of a program answers otherwise fails here, and so does a page that was edited by hand.
"""

from __future__ import annotations

import math
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.formula import ArrayFormula

import gpt2xl
from gpt2xl.a1 import Rect
from gpt2xl.engines import gnumeric
from gpt2xl.engines.document import CellError
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.formula import ExcelError, parse, unparse

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "engines.md"
BEGIN = "<!-- The tables are written by tests/engines/test_known_differences.py from known_differences.toml. -->\n"
END = "<!-- End of the tables. -->\n"
VERSIONS = {"libreoffice": "LibreOffice 7.4.7", "ironcalc": "IronCalc 0.9.1", "gnumeric": "gnumeric 1.12.55"}
WITNESSES = ("gpt2xl", *VERSIONS)
WRONG = 42  # stands in the cells that an array formula fills until it is computed

Values = list[list[Any]]


@dataclass(frozen=True)
class Case:
    """A formula in H1 of a sheet of its own (an array formula from H1 on), and what each program gives for it."""

    number: int
    group: str
    formula: str
    gives: dict[str, Any]  # a value, or the rows of an array, by program; "excel" only where it is documented
    instead: str
    array: str = ""  # such as "2x3" (rows x columns), for an array formula
    cells: dict[str, Any] | None = None  # the value of each cell or, as a list of rows, those of a rectangle's cells
    formulas: dict[str, str] | None = None  # formulas of other cells, relative to each rectangle's first cell
    names: dict[str, str] | None = None
    inline: bool = False  # texts as inline strings instead of shared ones
    shown: str = ""  # the cells in words, where a list of them would be long

    @property
    def sheet(self) -> str:
        return f"Case_{self.number}"

    @property
    def rect(self) -> Rect:
        """The cells that the formula fills."""
        rows, _, columns = self.array.partition("x")
        return Rect.of(1, 8, int(rows or 1), int(columns or 1))


def load() -> list[Case]:
    """The rows, in order."""
    data = tomllib.loads((HERE / "known_differences.toml").read_text(encoding="utf-8"))
    rows = [(group["title"], row) for group in data["group"] for row in group["row"]]
    return [Case(number, title, **row) for number, (title, row) in enumerate(rows, 1)]


CASES = load()


def workbook(path: Path) -> None:
    """All cases in one workbook. Only the inner cells of array formulas have a stored value, a wrong one."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for case in CASES:
        sheet = book.create_sheet(case.sheet)
        for ref, value in (case.cells or {}).items():
            corner = Rect.parse(ref)
            for i, row in enumerate(value if isinstance(value, list) else [[value]]):
                for j, one in enumerate(row):
                    cell = sheet.cell(corner.top + i, corner.left + j)
                    if one == "":
                        continue
                    cell.value = one
                    if isinstance(one, str):
                        cell.data_type = "e" if one == "#N/A" else "inlineStr" if case.inline else "s"
        for ref, formula in (case.formulas or {}).items():
            rect = Rect.parse(ref)
            tree = parse(formula)
            for i in range(rect.height):
                for j in range(rect.width):
                    text = unparse(moved(tree, i, j), file=True)
                    sheet.cell(rect.top + i, rect.left + j, f"={text}")
        for name, refers_to in (case.names or {}).items():
            text = f"{case.sheet}!{refers_to}" if refers_to.startswith("$") else refers_to
            book.defined_names[name] = DefinedName(name, attr_text=text)
        text = "=" + unparse(parse(case.formula), file=True)
        for i in range(case.rect.height):
            for j in range(case.rect.width):
                sheet.cell(1 + i, 8 + j, WRONG)
        sheet["H1"] = ArrayFormula(str(case.rect), text) if case.array else text
    book.save(path)
