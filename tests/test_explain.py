"""What `run --explain` says of a cell: its formula, what that reads, and the terms of its dot products."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import openpyxl
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner, Result
from openpyxl.worksheet.formula import ArrayFormula

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.explain import explain
from gpt2xl.workbook import Workbook

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    random_checkpoint(folder / "model", n_layer=1, n_head=2, n_embd=4, n_positions=8)
    gpt2xl.build("abc", folder / "book.xlsx", model=folder / "model", max_tokens=4, max_chars=4)
    return folder / "book.xlsx"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook that is none of ours: A1:C2 = 1 2 3 / 4 5 6, and formulas over them."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Some data"
    for row in ([1, 2, 3], [4, 5, 6]):
        sheet.append(row)
    sheet["E1"] = "=SUMPRODUCT(A1:C1,A2:C2)/2"
    sheet["E2"] = "=A1+$B$2+E1"
    sheet["E3"] = '=A1&"x"'
    sheet["E4"] = ArrayFormula("E4", "=SUM(A1:C1*A2:C2)")
    sheet["E5"] = "=FOURIER(A1)"
    sheet["G1"] = ArrayFormula("G1:H2", "=TRANSPOSE(MMULT(A1:C2,TRANSPOSE(A1:C2)))-1")
    path: Path = tmp_path_factory.mktemp("other") / "other.xlsx"
    book.save(path)
    return path


def run(path: Path, ref: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["run", str(path), "--explain", ref, *options])


@pytest.mark.parametrize("name", ["h.0.attn.scores.1", "h.0.mlp.pre", "logits"])
def test_the_terms_of_a_step_add_up(model: Path, name: str) -> None:
    workbook = Workbook.open(model)
    found = explain(workbook, name)
    (dot,) = found.products
    factors = [np.array(term.factors) for term in dot.largest]
    assert dot.count == len(dot.largest) < 9
    assert sum(factor.prod() for factor in factors) == pytest.approx(dot.value)
    for term in dot.largest:
        assert [workbook[place] for place in term.places if place] == list(term.factors)
    assert np.all(np.diff(np.abs([term.product for term in dot.largest])) <= 0)
    assert found.value == np.ravel(workbook[name])[0]
    for item in found.precedents:
        assert np.array_equal(np.atleast_2d(workbook[item.place]), item.values.num)


def test_a_score_is_its_product_over_the_root(model: Path) -> None:
    found = explain(Workbook.open(model), "h.0.attn.scores.0")
    assert found.products[0].value / np.sqrt(2) == pytest.approx(found.value)
    assert [item.text for item in found.precedents] == ["h.0.attn.q.0", "h.0.attn.k.0"]
    assert found.formula.startswith("{=MMULT(h.0.attn.q.0,TRANSPOSE(h.0.attn.k.0))")


def test_it_explains_after_an_edit(model: Path) -> None:
    before = run(model, "logits", "--json")
    after = run(model, "logits", "--prompt", "cb", "--json")
    first, second = (json.loads(result.stdout) for result in (before, after))
    assert first["explain"]["value"] != second["explain"]["value"]
    assert second["prompt"] == "cb"
    assert first["explain"].keys() == second["explain"].keys()
    assert set(first["explain"]) == {
        *("ref", "shape", "cell", "formula", "array", "value", "precedents", "dot_products"),
    }


def test_every_product_of_another_workbook(other: Path) -> None:
    workbook = Workbook.open(other)
    assert explain(workbook, "E1").products[0].value == 32
    assert [term.factors for term in explain(workbook, "E1").products[0].largest] == [(3, 6), (2, 5), (1, 4)]
    assert explain(workbook, "E4").products[0].value == 32
    places = [term.places for term in explain(workbook, "E4").products[0].largest]
    assert places[0] == ("'Some data'!C1", "'Some data'!C2")
    found = explain(workbook, "G2")  # row 2, column 1 of the transpose: row 1 by row 2
    assert (found.array, found.value, found.products[0].value) == ("G1:H2", 31, 32)
    assert found.products[0].largest[0].places == ("'Some data'!C1", "'Some data'!C2")


def test_references_are_as_the_cell_has_them(other: Path) -> None:
    found = explain(Workbook.open(other), "'Some data'!E2")
    assert found.formula == "=A1+$B$2+E1"
    assert [(item.place, item.values.item()) for item in found.precedents] == [
        ("'Some data'!A1", 1),
        ("'Some data'!B2", 5),
        ("'Some data'!E1", 16),
    ]


def test_what_is_printed(other: Path) -> None:
    result = run(other, "E1")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "'Some data'!E1",
        "  =SUMPRODUCT(A1:C1,A2:C2)/2",
        "  = 16",
        "reads 'Some data'!A1:C1 = 1 × 3 cells: 1, 2, 3",
        "reads 'Some data'!A2:C2 = 1 × 3 cells: 4, 5, 6",
        "SUMPRODUCT(A1:C1,A2:C2) = 32, 3 terms:",
        "                      18 = 3 ('Some data'!C1) × 6 ('Some data'!C2)",
        "                      10 = 2 ('Some data'!B1) × 5 ('Some data'!B2)",
        "                       4 = 1 ('Some data'!A1) × 4 ('Some data'!A2)",
    ]
    assert "(the first of 2 × 3 cells of A1:C2)\n  no formula\n  = 1\n" in run(other, "A1:C2").stdout
    assert '= "1x"' in run(other, "E3").stdout
    assert "A1:A2 = [[1.0], [4.0]]" in run(other, "E3", "--get", "A1:A2").stdout


def test_of_another_workbook_json_has_no_prediction(other: Path) -> None:
    record: dict[str, Any] = json.loads(run(other, "E1", "--json", "--get", "A1").stdout)
    assert record.keys() == {"values", "explain"}
    assert record["values"] == {"A1": 1}
    assert record["explain"]["precedents"][0] == {
        "name": None,
        "cells": "'Some data'!A1:C1",
        "shape": [1, 3],
        "values": [[1, 2, 3]],
    }


@pytest.mark.parametrize(
    ("ref", "words"),
    [("nothing", "`nothing`"), ("Sheet9!A1", "Sheet9"), ("1+1", "no plain cell"), ("E5", "FOURIER"), ("((", "((")],
)
def test_what_is_no_cell_is_one_sentence(other: Path, ref: str, words: str) -> None:
    result = run(other, ref)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr
