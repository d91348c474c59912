"""Every case of data/cases.txt against the values that LibreOffice and IronCalc give.

Where Excel is known to differ from LibreOffice, data/differences.toml holds Excel's answer and the reason.
"""

from __future__ import annotations

import json
import math
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from formula_cases import HERE, book, cases, place

from gpt2xl.formula import ExcelError
from gpt2xl.formula.registry import FUNCTIONS
from gpt2xl.formula.tree import Call, walk

if TYPE_CHECKING:
    from pathlib import Path

GOLDENS: dict[str, list[list[Any]]] = json.loads((HERE / "data" / "goldens.json").read_text(encoding="utf-8"))["cases"]
KNOWN = tomllib.loads((HERE / "data" / "differences.toml").read_text(encoding="utf-8"))
EXCEL: dict[str, Any] = {case: value for group in KNOWN["difference"] for case, value in group["excel"].items()}


def ours(number: int, case: str) -> list[list[Any]]:
    """What the engine gives, errors as their texts."""
    workbook, rect = book(), place(number)
    if case.startswith("{"):
        workbook.add_formula("Data", rect, case[1:-1], "array")
    else:
        rect = rect.cell(0, 0)
        workbook.add_formula("Data", rect, case, "cell")
    return [
        [value.text if isinstance(value, ExcelError) else value for value in row]
        for row in workbook.get("Data", rect).tolist()
    ]


def same(value: Any, golden: Any, *, array: bool = False) -> bool:
    """Whether two values agree: numbers to 1e-9, everything else exactly; an empty text is no value in a file."""
    golden = "" if golden is None else golden
    if array and isinstance(value, bool) and isinstance(golden, (bool, int)):
        return value == bool(golden)  # LibreOffice writes the truth values of an array as numbers
    if isinstance(value, bool) or isinstance(golden, bool):
        return type(value) is type(golden) and value == golden
    if isinstance(value, float) and isinstance(golden, (int, float)):
        return math.isclose(value, golden, rel_tol=1e-9, abs_tol=1e-12)
    return bool(value == golden)


@pytest.mark.parametrize(("number", "case"), list(enumerate(cases())))
def test_case(number: int, case: str) -> None:
    value = ours(number, case)
    if case in EXCEL:
        assert same(value[0][0], EXCEL[case]), f"ours {value}, Excel {EXCEL[case]}"
        assert value != GOLDENS[case], "the difference is gone: delete its row"
        return
    array = case.startswith("{")
    assert all(
        same(one, other, array=array)
        for row, golden in zip(value, GOLDENS[case], strict=True)
        for one, other in zip(row, golden, strict=True)
    ), f"ours {value}, LibreOffice {GOLDENS[case]}"


def test_every_function_has_a_case() -> None:
    from gpt2xl.formula import parse

    named = {
        node.name
        for case in cases()
        for node in walk(parse(case[1:-1] if case.startswith("{") else case))
        if isinstance(node, Call)
    }
    assert sorted(set(FUNCTIONS) - named) == []


def test_ironcalc(tmp_path: Path) -> None:
    """IronCalc on the ordinary cases; what it cannot do or does otherwise is listed with the differences."""
    ironcalc = pytest.importorskip("ironcalc")
    make_goldens = pytest.importorskip("make_goldens")
    path = tmp_path / "cases.xlsx"
    make_goldens.workbook(path)
    model = ironcalc.load_from_xlsx(str(path), "en", "UTC", "en")
    model.evaluate()
    unlike = []
    for number, case in enumerate(cases()):
        if case.startswith("{") or case in KNOWN["ironcalc"]["cases"]:
            continue
        value = ours(number, case)[0][0]
        rect = place(number)
        shown = model.get_formatted_cell_value(0, rect.top, rect.left)
        if isinstance(value, float):
            try:
                agrees = math.isclose(float(shown), value, rel_tol=1e-6, abs_tol=1e-9)
            except ValueError:
                agrees = False
        else:
            agrees = shown == (str(value).upper() if isinstance(value, bool) else value)
        if not agrees:
            unlike.append((case, value, shown))
    assert unlike == []
