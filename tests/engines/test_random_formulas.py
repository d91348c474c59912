"""Thousands of random formulas: our engine, LibreOffice and IronCalc compute the same from the same file.

What differs on purpose is a row of docs/engines.md; the formulas are drawn around those rows, and `known` names what
is left of them.
"""

from __future__ import annotations

import math
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from random_formulas import TABLES, formulas, workbook

from gpt2xl.a1 import Rect
from gpt2xl.engines.document import CellError
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.formula import ExcelError, parse
from gpt2xl.formula.registry import FUNCTIONS
from gpt2xl.formula.tree import Call, walk
from gpt2xl.workbook import Workbook

if TYPE_CHECKING:
    from pathlib import Path

Values = list[list[Any]]
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
needs_libreoffice = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")


def ours(path: Path, made: list[tuple[str, Rect]]) -> list[Values]:
    """What our engine computes for each formula."""
    book = Workbook.open(path)
    book.recalculate()
    return [book.book.get("Data", rect).tolist() for _, rect in made]


def same(one: Any, other: Any) -> bool:
    """Whether our value is another program's: numbers to 1e-9, nearly all digits where they stand in a text.

    LibreOffice has no truth values, only numbers, and error codes of its own that it calls `#VALUE!`.
    """
    if isinstance(one, ExcelError) or isinstance(other, CellError):
        return isinstance(one, ExcelError) and isinstance(other, CellError) and other in (one.text, "#VALUE!")
    if isinstance(one, str) and isinstance(other, str):
        numbers = [[float(word) for word in _NUMBER.findall(text)] for text in (one, other)]
        alike = _NUMBER.sub("#", one) == _NUMBER.sub("#", other)
        return alike and all(math.isclose(*pair, rel_tol=1e-12) for pair in zip(*numbers, strict=True))
    if isinstance(one, bool | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-10)
    return bool(one == ("" if other is None else other))


def known(one: Any, other: Any) -> bool:
    """Whether a difference is a row of docs/engines.md.

    Where a calculation meets two errors, or an error and what cannot be computed with, LibreOffice may name the other.
    """
    return isinstance(one, ExcelError) and isinstance(other, CellError)


def differences(made: list[tuple[str, Rect]], first: list[Values], second: list[Values]) -> list[str]:
    """The formulas whose values differ, but for known differences.

    In LibreOffice, an error in one cell of an array of joined texts spreads to others, or leaves 0 there; and an error
    in one branch of an IF over arrays is the result everywhere.
    """
    found = []
    for (text, rect), one, other in zip(made, first, second, strict=True):
        pairs = [pair for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True)]
        spread = text.startswith("{") and any(isinstance(value, ExcelError) for value, _ in pairs)
        if spread and ("&" in text or ("IF(" in text and all(isinstance(value, CellError) for _, value in pairs))):
            continue
        if not all(same(*pair) or known(*pair) for pair in pairs):
            found.append(f"{text} in {rect}: ours {one}, theirs {other}")
    return found


def by_libreoffice(path: Path, made: list[tuple[str, Rect]]) -> list[Values]:
    with LibreOffice(timeout=300) as office:
        cells = office.open(path).get(f"Data!{Rect(1, 1, *_end(made))}")
    return [[row[rect.left - 1 : rect.right] for row in cells[rect.top - 1 : rect.bottom]] for _, rect in made]


def _end(made: list[tuple[str, Rect]]) -> tuple[int, int]:
    return max(rect.bottom for _, rect in made), max(rect.right for _, rect in made)


@needs_libreoffice
def test_libreoffice(tmp_path: Path) -> None:
    made = formulas(7, 1_500)
    workbook(tmp_path / "random.xlsx", made)
    values = ours(tmp_path / "random.xlsx", made)
    assert differences(made, values, by_libreoffice(tmp_path / "random.xlsx", made)) == []
    wrong = sum(isinstance(rows[0][0], ExcelError) for rows in values)
    assert 0.05 < wrong / len(made) < 0.3  # errors occur, and are no more than a seasoning


# What IronCalc 0.9.1 computes otherwise, as docs/engines.md and tests/formula/data/differences.toml list it: these
# functions in ordinary formulas, ranges of one cell, criteria with <>, numbers joined to text.
NOT_IRONCALC = re.compile(
    r"\b(?:AVERAGEIFS?|COVAR|COVARIANCE\.P|HOUR|MAXIFS|MINIFS|MINUTE|RANK|RANK\.AVG|RANK\.EQ|RATE|SECOND|SUMIFS?|TEXT|YEARFRAC)\("
    r"|(\$?[A-Z]\$?\d):\1|\"<>|&"
)


def test_ironcalc(tmp_path: Path) -> None:
    pytest.importorskip("ironcalc")
    drawn = formulas(11, 4_000, intersected=False, wild=0.0)
    made = [(text, rect) for text, rect in drawn if text[0] != "{" and not NOT_IRONCALC.search(text)]
    assert len(made) > 2_000
    workbook(tmp_path / "random.xlsx", made)
    document = IronCalc().open(tmp_path / "random.xlsx")
    theirs = [document.get(f"Data!{rect}") for _, rect in made]
    assert differences(made, ours(tmp_path / "random.xlsx", made), theirs) == []


@pytest.mark.slow
@needs_libreoffice
@pytest.mark.parametrize("seed", range(100, 105))
def test_libreoffice_on_many(seed: int, tmp_path: Path) -> None:
    made = formulas(seed, 4_000)
    workbook(tmp_path / "random.xlsx", made)
    values = ours(tmp_path / "random.xlsx", made)
    assert differences(made, values, by_libreoffice(tmp_path / "random.xlsx", made)) == []


def test_every_function_is_drawn() -> None:
    drawn = {name for table in TABLES.values() for name, _ in table}
    assert sorted(set(FUNCTIONS) - drawn) == sorted(NOT_DRAWN)
    made = {
        node.name
        for text, _ in formulas(7, 1_500)
        for node in walk(parse(text[1:-1] if text.startswith("{") else text))
        if isinstance(node, Call)
    }
    assert sorted(drawn - made) == []


# Rows of docs/engines.md by themselves.
NOT_DRAWN = {"DATEVALUE", "HYPERLINK", "PERCENTRANK", "PERCENTRANK.EXC", "PERCENTRANK.INC", "WEEKNUM"}
