"""Ask LibreOffice for the value of every case: `python tests/formula/make_goldens.py` writes data/goldens.json.

The values come from LibreOffice alone, never from our engine: a workbook is written with openpyxl without any stored
value, and LibreOffice computes it while converting it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import formula_cases as sheet
import openpyxl
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.formula import ArrayFormula

from gpt2xl.a1 import Rect, cell_name
from gpt2xl.formula import ExcelError, parse, unparse

HERE = Path(__file__).parent


def workbook(path: Path, leave_out: tuple[str, ...] = ()) -> None:
    """All cases in one workbook without stored values."""
    book = openpyxl.Workbook()
    data = book.active
    data.title = "Data"
    other = book.create_sheet("Other")
    for start, cells in sheet.CELLS.items():
        corner = Rect.parse(start)
        for i, row in enumerate(cells):
            for j, value in enumerate(row):
                cell = data.cell(corner.top + i, corner.left + j)
                cell.value = f"={value.text}" if isinstance(value, ExcelError) else value
                if isinstance(value, str):
                    cell.data_type = "s"
    for i, row in enumerate(sheet.OTHER):
        for j, value in enumerate(row):
            other.cell(i + 1, j + 1, value)
    for name, refers_to in sheet.NAMES.items():
        book.defined_names[name] = DefinedName(name, attr_text=refers_to)
    for number, case in enumerate(sheet.cases()):
        if case in leave_out:
            continue
        rect = sheet.place(number)
        array = case.startswith("{")
        text = "=" + unparse(parse(case[1:-1] if array else case), file=True)
        if array:
            data[cell_name(rect.top, rect.left)] = ArrayFormula(str(rect), text)
        else:
            data[cell_name(rect.top, rect.left)] = text
    book.save(path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.xlsx"
        workbook(path)
        command = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to"]
        command += ["xlsx:Calc MS Excel 2007 XML", "--outdir", f"{folder}/out", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        values = openpyxl.load_workbook(Path(folder) / "out" / "cases.xlsx", data_only=True)["Data"]
        version = subprocess.run(["soffice", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
        result = {}
        for number, case in enumerate(sheet.cases()):
            rect = sheet.place(number)
            rows = 3 if case.startswith("{") else 1
            result[case] = [[values.cell(rect.top + i, rect.left + j).value for j in range(rows)] for i in range(rows)]
    pairs = [[json.dumps(item, ensure_ascii=False) for item in pair] for pair in result.items()]
    lines = ",\n".join(f"  {case}: {value}" for case, value in pairs)
    text = f'{{"generator": "LibreOffice {version}", "cases": {{\n{lines}\n}}}}\n'
    (HERE / "data" / "goldens.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
