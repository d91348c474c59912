"""LibreOffice 7.4.7 and a circle of formula groups: `python tests/engines/libreoffice_groups.py` shows it in seconds.

Row 1 of A:B holds 0 and 0. Each cell of column C adds up the two cells to its left; each row below row 1 holds
(C of the row above + 1) / 2 twice. No cell waits for itself, and column C must count 0, 1, 2, ...

LibreOffice computes equal formulas below each other as one group. Here the group in C needs the groups in A and B,
and they need the group in C. Up to 100 rows it finds its way; from 101 rows on, with its calculation in threads
switched on (which is how it comes), column C is wrong, and says nothing. A second hard recalculation puts it right.
The same formulas side by side in rows are no group, and are right.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import openpyxl
from openpyxl.utils import get_column_letter as letter

PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry"><item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop></item>
<item oor:path="/org.openoffice.Office.Calc/Formula/Calculation">
<prop oor:name="UseThreadedCalculationForFormulaGroups" oor:op="fuse"><value>{threads}</value></prop></item></oor:items>
"""


def write(path: Path, length: int, *, down: bool) -> None:
    """The workbook, its groups running down (or, for comparison, the same formulas side by side)."""
    book = openpyxl.Workbook()
    sheet = book.active
    for i in range(1, length + 1):
        here, before = letter(i), letter(max(1, i - 1))
        for j in (1, 2):
            place, value = ((i, j), f"=($C{i - 1}+1)/2") if down else ((j, i), f"=({before}$3+1)/2")
            sheet.cell(*place, value if i > 1 else 0)
        if down:
            sheet.cell(i, 3, f"=SUM(A{i}:B{i})")
        else:
            sheet.cell(3, i, f"=SUM({here}1:{here}2)")
    book.save(path)


def computed(path: Path, length: int, *, down: bool, threads: bool) -> list[float]:
    """The sums as LibreOffice computes them on loading, everything anew."""
    with tempfile.TemporaryDirectory() as folder:
        user = Path(folder, "profile", "user")
        user.mkdir(parents=True)
        user.joinpath("registrymodifications.xcu").write_text(PROFILE.format(threads=str(threads).lower()))
        command = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", "xlsx"]
        subprocess.run([*command, "--outdir", f"{folder}/made", str(path)], check=True, capture_output=True)
        sheet = openpyxl.load_workbook(Path(folder, "made", path.name), data_only=True).active
        return [sheet.cell(i, 3).value if down else sheet.cell(3, i).value for i in range(1, length + 1)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "groups.xlsx")
        for length, down, threads in [(100, True, True), (101, True, True), (101, True, False), (101, False, True)]:
            write(path, length, down=down)
            found = computed(path, length, down=down, threads=threads)
            wrong = sum(value != i for i, value in enumerate(found))
            place = "below each other" if down else "side by side"
            print(
                f"{length} formulas {place}, threads {'on' if threads else 'off'}: {wrong} wrong", found[:4], found[-1]
            )


if __name__ == "__main__":
    main()
