"""The notes of the steps: a title, a sentence, the formula as mathematics has it, where it was published."""

from __future__ import annotations

import re

import openpyxl
import pytest

from gpt2xl.a1 import Rect
from gpt2xl.plan.layout import HEADINGS
from gpt2xl.plan.template import load_templates

EXPLAINED = {"32_embedding.toml", "41_block.toml", "50_prediction.toml"}


@pytest.mark.parametrize("file", sorted(EXPLAINED))
def test_every_step_of_the_model_is_explained(file: str) -> None:
    (sheet,) = (sheet for sheet in load_templates().sheets if sheet.file == file)
    steps = [entry for entry in sheet.entries if entry.kind == "step"]
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        assert all((step.title, step.note, step.math, step.source)), step.name
        assert re.search(r"line|eq\.|section", step.source), step.name


def test_the_heading_of_a_step(read_values: openpyxl.Workbook) -> None:
    book = read_values
    sheet, corner = book.defined_names["h.1.attn.pattern.2"].attr_text.split("!")
    block, place = book[sheet.strip("'")], Rect.parse(corner.split(":")[0])
    top = place.top - HEADINGS["blocks"].height
    lines = [block.cell(row, place.left).value for row in range(top, place.top)]
    assert lines[0] == "11. Head 2: attention pattern"
    assert lines[1] == "h.1.attn.pattern.2 · 16 × 16 · activation"
    assert lines[4:6] == ["A = softmax(S) = E / Z", "{=h.1.attn.exp.2/h.1.attn.sum.2}"]
    assert "src/model.py" in lines[6]
    assert lines[7] == "The"  # the tokens stand above the columns ...
    assert [block.cell(place.top + row, 2).value for row in range(3)] == [
        "The",
        " cat",
        " sat",
    ]  # ... and beside the rows


def test_numbers_that_stand_for_minus_infinity_are_shown_as_it(read_values: openpyxl.Workbook) -> None:
    book = read_values
    sheet, corner = book.defined_names["h.0.attn.masked.0"].attr_text.split("!")
    cell = book[sheet.strip("'")][corner.split(":")[0]]
    assert cell.number_format == '[<-1E+20]"−∞";[<0]-0.000;0.000'
