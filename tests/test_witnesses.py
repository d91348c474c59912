"""Every formula cell of the first workbook as LibreOffice, IronCalc and gnumeric recompute it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gpt2xl
from gpt2xl.a1 import cell_name
from gpt2xl.engines.document import CellError, Document
from gpt2xl.engines.gnumeric import recalculate
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.formula import Array, ExcelError
from gpt2xl.xlsx import open_package


@pytest.fixture(scope="module")
def wrong(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the first workbook with a wrong stored value in every formula cell."""
    path = tmp_path_factory.mktemp("wrong") / "wrong.xlsx"
    package = open_package(first)
    changes = {}
    for sheet in package.sheets:
        rects = [formula.rect for formula in package.read(sheet.name).formulas]
        changes[sheet.name] = [
            (rect, np.full(rect.shape, 0.125), np.zeros(rect.shape, np.uint8), None) for rect in rects
        ]
    package.save(path, changes)
    assert gpt2xl.Workbook.open(path).cached("next_token") == 0.125
    return path


def differences(document: Document, path: Path) -> list[str]:
    """The formula cells in which a witness disagrees with the values stored in the file at `path`."""
    workbook = gpt2xl.Workbook.open(path)
    found, seen = [], 0
    for sheet, rect, values in document.formula_blocks():
        stored = workbook.book.sheet(sheet).take(rect)
        seen += rect.size
        for row, column in zip(*np.nonzero(unequal(stored, values)), strict=True):
            where = cell_name(rect.top + int(row), rect.left + int(column))
            found.append(f"{sheet}!{where}: {values[row][column]!r}, stored {stored.item(int(row), int(column))!r}")
    assert seen == sum(rect.size for _, rect, _ in workbook.formulas())
    return found


def unequal(stored: Array, values: list[list[object]]) -> np.ndarray:
    """Where numbers differ by more than 1e-9 relative, or anything else at all."""
    result = np.zeros(stored.shape, bool)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            result[row, column] = not same(stored.item(row, column), value)
    return result


def same(stored: object, value: object) -> bool:
    if isinstance(stored, ExcelError):
        return isinstance(value, CellError) and str(value) == stored.text
    if isinstance(stored, str):
        return not isinstance(value, CellError) and (value if value is not None else "") == stored
    if isinstance(stored, float) and isinstance(value, float | int) and not isinstance(value, bool):
        # 1e-15 absolute: softmax weights far behind the first, sums that cancel to nothing.
        return math.isclose(stored, value, rel_tol=1e-9, abs_tol=1e-15)
    return stored == value


def test_the_comparison_can_fail() -> None:
    assert not same(1.0, 1.0 + 2e-9)
    assert not same("a", "A")
    assert not same(ExcelError("#N/A"), "#N/A")
    assert same("", None)


@pytest.fixture(scope="module")
def office() -> Iterator[LibreOffice]:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    with LibreOffice() as office:
        yield office


def test_libreoffice(office: LibreOffice, first: Path) -> None:
    assert differences(office.open(first), first) == []


def test_libreoffice_from_wrong_values(office: LibreOffice, first: Path, wrong: Path) -> None:
    assert differences(office.open(wrong), first) == []


def test_ironcalc(first: Path) -> None:
    pytest.importorskip("ironcalc")
    with IronCalc() as ironcalc:
        assert differences(ironcalc.open(first), first) == []


def test_ironcalc_from_wrong_values(first: Path, wrong: Path) -> None:
    pytest.importorskip("ironcalc")
    with IronCalc() as ironcalc:
        assert differences(ironcalc.open(wrong), first) == []


def test_our_engine_from_wrong_values(first: Path, wrong: Path) -> None:
    workbook, right = gpt2xl.Workbook.open(wrong), gpt2xl.Workbook.open(first)
    workbook.recalculate()
    for sheet, rect, _ in right.formulas():
        now, stored = workbook.book.get(sheet, rect), right.book.sheet(sheet).take(rect)
        assert now.equals(stored), f"{sheet}!{rect}"


def test_gnumeric_from_wrong_values(first: Path, wrong: Path, tmp_path: Path) -> None:
    if shutil.which("ssconvert") is None:
        pytest.skip("gnumeric is not installed")
    theirs = gpt2xl.Workbook.open(recalculate(wrong, tmp_path / "gnumeric.xlsx"))
    ours = gpt2xl.Workbook.open(first)
    found = []
    for sheet, rect, _ in ours.formulas():
        stored, computed = ours.book.sheet(sheet).take(rect), theirs.book.sheet(sheet).take(rect)
        values = [
            [CellError(value.text) if isinstance(value, ExcelError) else value for value in line]
            for line in computed.tolist()
        ]
        found += [f"{sheet}!{rect}"] if unequal(stored, values).any() else []
    assert found == []


@pytest.mark.slow
def test_saved_again_by_libreoffice(office: LibreOffice, first: Path, tmp_path: Path) -> None:
    """Read again after LibreOffice saved it: shared strings, `t="str"`, other styles, other parts."""
    path = tmp_path / "again.xlsx"
    office.open(first).save_as(path)
    workbook, original = gpt2xl.Workbook.open(path), gpt2xl.Workbook.open(first)
    assert workbook.cached("next_token") == " mat"
    workbook["prompt"] = original["prompt"] = "Anna lost her hat. She"
    assert workbook["next_token"] == original["next_token"]
    np.testing.assert_allclose(workbook["logits"], original["logits"], rtol=1e-9)
    assert gpt2xl.check(path, prompts=["Tom is here. He"], reference="numpy").ok
