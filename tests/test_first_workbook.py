"""The workbook of the README's first command, as other programs see the file."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from prompts import TYPED
from validators import ooxml_errors

import gpt2xl
from gpt2xl.a1 import MAX_FORMULA_TEXT, MAX_NESTING, Rect
from gpt2xl.formula import parse
from gpt2xl.formula.tree import Call, Node, children, walk
from gpt2xl.model.checkpoint import Checkpoint

# The dialect: functions that Excel 2013, LibreOffice 7.4, IronCalc 0.9.1 and gnumeric 1.12 all compute alike. Nothing
# volatile, nothing newer than Excel 2013.
DIALECT = {
    "ABS", "AND", "AVERAGE", "CHOOSE", "COUNT", "COUNTIF", "ERF", "EXACT", "EXP", "IF", "IFERROR", "INDEX", "INT",
    "ISNUMBER", "LARGE", "LEFT", "LEN", "LOOKUP", "MATCH", "MAX", "MID", "MIN", "MMULT", "MOD", "NA", "OR", "PI",
    "SMALL", "SQRT", "SUM", "SUMPRODUCT", "SUMSQ", "TANH", "TRANSPOSE", "UNICHAR", "UNICODE", "VARP",
}  # fmt: skip


def functions(workbook: gpt2xl.Workbook) -> set[str]:
    """The functions that a file's formulas call, by Excel's names."""
    return {node.name for _, _, text in workbook.formulas() for node in walk(parse(text)) if isinstance(node, Call)}


def test_size(first: Path) -> None:
    assert first.stat().st_size < 5_000_000


def test_the_open_xml_sdk_finds_nothing(first: Path) -> None:
    assert ooxml_errors(first) == []


def test_functions_are_of_the_dialect(wb: gpt2xl.Workbook) -> None:
    assert functions(wb) == DIALECT - {"ERF"}  # what only other activation functions use


def test_newer_functions_have_their_prefix_and_formulas_their_limits(first: Path) -> None:
    with zipfile.ZipFile(first) as package:
        for name in package.namelist():
            if name.startswith("xl/worksheets/"):
                for formula in re.findall(rb"<f[^>]*>([^<]*)</f>", package.read(name)):
                    assert len(formula) <= MAX_FORMULA_TEXT
                    assert not re.search(rb"(?<!_xlfn\.)\bUNI(CODE|CHAR)\(", formula)


def nesting(node: Node) -> int:
    """How many functions stand inside each other."""
    return isinstance(node, Call) + max((nesting(child) for child in children(node)), default=0)


def test_functions_are_nested_no_deeper_than_excel_allows(wb: gpt2xl.Workbook) -> None:
    deepest = max(nesting(parse(text)) for _, _, text in wb.formulas())
    assert 1 < deepest <= MAX_NESTING


def test_every_cell_has_its_reference(first: Path) -> None:
    with zipfile.ZipFile(first) as package:
        for name in package.namelist():
            if name.startswith("xl/worksheets/"):
                assert not re.search(rb"<c(?: (?!r=)[^>]*)?>", package.read(name)), name


def test_an_independent_reader_sees_values_and_formulas(
    read_values: openpyxl.Workbook, read_formulas: openpyxl.Workbook, wb: gpt2xl.Workbook
) -> None:
    values, formulas = read_values, read_formulas
    assert values["Start"]["C4"].value == "The cat sat on the"
    assert values["Start"]["C13"].value == " mat"
    assert formulas["Start"]["C13"].value.startswith("=IF(state")
    empty = [
        f"{sheet.title}!{cell.coordinate}"
        for sheet in formulas
        for row in sheet.iter_rows()
        for cell in row
        if cell.data_type == "f" and values[sheet.title][cell.coordinate].value is None
    ]
    # An empty text is the only value that this reader gives as None.
    assert all(wb.cached("'{}'!{}".format(*ref.split("!"))) == "" for ref in empty[:50])


def test_names_of_the_workbook(read_formulas: openpyxl.Workbook, tiny: Checkpoint) -> None:
    names = set(read_formulas.defined_names)
    assert {"prompt", "token_ids", "n_tokens", "tokens", "embed", "ln_f", "logits", "probs"} <= names
    assert {"next_token", "next_token_id", "state", "mask"} <= names
    assert set(tiny.tensors) <= names


def test_panes_are_frozen_and_rows_labelled(read_values: openpyxl.Workbook) -> None:
    book = read_values
    pages = {
        "Start",
        "Map",
        "What if",
        "Sampling",
        "Lens",
        "Words near words",
        "Temperature",
        "Attribution",
    }  # each fits a screen
    assert {sheet.title for sheet in book if not sheet.freeze_panes} == pages
    block = book["Block 0"]
    top = Rect.parse(book.defined_names["h.0.resid_pre"].attr_text.rpartition("!")[2]).top
    assert [block.cell(top + row, 1).value for row in range(3)] == [0, 1, 2]
    assert [block.cell(top + row, 2).value for row in range(3)] == ["The", " cat", " sat"]
    assert [block.cell(top - 1, column).value for column in (3, 4, 66)] == [0, 1, 63]


@pytest.mark.parametrize("prompt", ["=1+1", "+x", "'quoted'", "TRUE", "1E5", "@a", "_x0041_"])
def test_a_prompt_is_text_whatever_it_looks_like(prompt: str, tmp_path: Path, tiny: Checkpoint) -> None:
    path = tmp_path / "book.xlsx"
    gpt2xl.build(prompt, path, max_tokens=8, max_chars=8)
    book = openpyxl.load_workbook(path, read_only=True)
    cell = book["Start"]["C4"]
    assert cell.data_type == "s"
    assert cell.number_format == "@"
    book.close()
    wb = gpt2xl.Workbook.open(path)
    assert wb["prompt"] == prompt
    tokens = np.ravel(np.asarray(wb["tokens"], dtype=object))
    assert "".join(str(token) for token in tokens) == prompt
    assert "".join(tiny.vocabulary.text(index) for index in tiny.vocabulary.encode(prompt)) == prompt


def test_the_same_command_gives_the_same_bytes(first: Path, tmp_path: Path) -> None:
    again = tmp_path / "first.xlsx"
    gpt2xl.build("The cat sat on the", again)
    assert again.read_bytes() == first.read_bytes()


def test_saving_keeps_what_it_does_not_understand(first: Path, wb: gpt2xl.Workbook, tmp_path: Path) -> None:
    copy = tmp_path / "copy.xlsx"
    wb["prompt"] = TYPED[1]
    wb.save(copy)
    with zipfile.ZipFile(first) as old, zipfile.ZipFile(copy) as new:
        assert new.namelist() == old.namelist()
        for name in old.namelist():
            if not name.startswith("xl/worksheets/"):
                assert new.read(name) == old.read(name), name
    assert ooxml_errors(copy) == []
    again = gpt2xl.Workbook.open(copy)
    assert again.cached("prompt") == TYPED[1]
    assert again.cached("next_token") == wb["next_token"]
    np.testing.assert_array_equal(again.cached("logits"), wb["logits"])


def test_saving_over_itself(short: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(short, tmp_path / "book.xlsx"))
    wb = gpt2xl.Workbook.open(path)
    wb["prompt"] = "The dog"
    wb.save(path)
    assert gpt2xl.Workbook.open(path).cached("prompt") == "The dog"


def test_conditional_formats_refer_to_other_sheets_by_name_only(first: Path) -> None:
    """Excel 2007's element for conditional formats knows no reference to another sheet, but names."""
    with zipfile.ZipFile(first) as package:
        conditions = [
            formula
            for name in package.namelist()
            if name.startswith("xl/worksheets/")
            for formula in re.findall(rb"<cfRule.*?</cfRule>", package.read(name), re.DOTALL)
        ]
    assert conditions
    assert not [condition for condition in conditions if b"!" in condition]
