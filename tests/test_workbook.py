"""The Python face: `gpt2xl.Workbook`, on our own files and on those of other programs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from checkpoints import random_checkpoint
from openpyxl.worksheet.formula import ArrayFormula

import gpt2xl
from gpt2xl import ExcelError, Workbook
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.errors import (
    CircularReference,
    FormulaError,
    FormulaSyntaxError,
    NameNotFound,
    UnsupportedFunction,
    WorkbookError,
)


def test_public_names() -> None:
    assert gpt2xl.__all__ == ["Built", "ExcelError", "Gpt2xlError", "Workbook", "__version__", "build", "check"]
    assert all(hasattr(gpt2xl, name) for name in gpt2xl.__all__)
    public = {name for name in vars(Workbook) if not name.startswith("_")}
    assert public == {
        "open",
        "sheets",
        "names",
        "cached",
        "formulas",
        "formula_at",
        "precision_as_displayed",
        "recalculate",
        "save",
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small workbook of ours: four tokens, four characters, the bytes as vocabulary."""
    folder = tmp_path_factory.mktemp("ours")
    model = random_checkpoint(folder / "model", n_layer=1, n_head=2, n_embd=4, n_positions=8)
    gpt2xl.build("abc", folder / "book.xlsx", model=model, max_tokens=4, max_chars=4)
    return folder / "book.xlsx"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by openpyxl, which stores formulas without results."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Data"
    sheet.append([1.5, "text", True, None, "=A1*2", "=1/0", '=B1 & "!"', "=A1>1", "=D1"])
    for row in ([1, 2, 3], [4, 5, 6]):
        sheet.append(row)
    sheet["A5"] = ArrayFormula("A5:C6", "=A2:C3*10")
    sheet["A8"] = "=total + 1"
    other = book.create_sheet("It's, another")
    other["B2"] = "=SUM(numbers)"
    other["B3"] = "=Data!A1"
    book.defined_names["numbers"] = openpyxl.workbook.defined_name.DefinedName("numbers", attr_text="Data!$A$2:$C$3")
    book.defined_names["total"] = openpyxl.workbook.defined_name.DefinedName("total", attr_text="'It''s, another'!$B$2")
    path = tmp_path_factory.mktemp("theirs") / "book.xlsx"
    book.save(path)
    return path


@pytest.fixture
def calculated(theirs: Path) -> Workbook:
    workbook = Workbook.open(theirs)
    workbook.recalculate()
    return workbook


def test_values_of_every_kind(calculated: Workbook) -> None:
    assert calculated.sheets == ["Data", "It's, another"]
    assert set(calculated.names) == {"numbers", "total"}
    assert [calculated[f"Data!{cell}1"] for cell in "ABCDEFGHI"] == [
        1.5, "text", True, None, 3.0, ExcelError("#DIV/0!"), "text!", True, 0.0,
    ]  # fmt: skip
    assert type(calculated["Data!A1"]) is float
    assert type(calculated["Data!C1"]) is bool
    assert str(calculated["Data!F1"]) == "#DIV/0!"
    assert calculated["Data!Z99"] is None


def test_references_of_every_kind(calculated: Workbook) -> None:
    assert calculated["'It''s, another'!B2"] == 21
    assert calculated["total"] == calculated["TOTAL"] == 21
    assert calculated["$A$1"] == calculated["A1"] == calculated["data!a1"] == 1.5  # without a sheet, the first
    numbers = calculated["numbers"]
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(calculated["Data!A5:C6"], [[10, 20, 30], [40, 50, 60]])
    mixed = calculated["Data!A1:D2"]
    assert mixed.dtype == object
    assert mixed.tolist() == [[1.5, "text", True, None], [1.0, 2.0, 3.0, None]]
    assert calculated["Data!A2:A3"].shape == (2, 1)
    for ref in ("numbers", "total", "Data!A1", "Data!A1:B2", "'It''s, another'!B2"):
        assert ref in calculated
    for ref in ("nothing", "Nowhere!A1", "1+1", "", "Data!", "A1:"):
        assert ref not in calculated
        with pytest.raises(NameNotFound):
            calculated[ref]


def test_it_gives_its_names_one_by_one(calculated: Workbook) -> None:
    assert list(calculated) == calculated.names
    assert calculated.names


def test_not_found_is_a_key_error_and_says_what(calculated: Workbook) -> None:
    with pytest.raises(KeyError) as caught:
        calculated["h.9.attn.q"]
    assert "h.9.attn.q" in str(caught.value)
    assert isinstance(caught.value, gpt2xl.Gpt2xlError)
    with pytest.raises(NameNotFound, match="Nowhere"):
        calculated["Nowhere!A1"] = 1


def test_setting_inputs_of_every_kind(calculated: Workbook) -> None:
    calculated["Data!A1"] = 5
    assert (calculated["Data!E1"], calculated["'It''s, another'!B3"]) == (10, 5)
    calculated["Data!B1"] = "=1+1"
    assert calculated["Data!G1"] == "=1+1!"
    calculated["Data!D1"] = ExcelError("#N/A")
    assert calculated["Data!I1"] == ExcelError("#N/A")
    calculated["Data!D1"] = None
    assert calculated["Data!D1"] is None
    calculated["Data!C1"] = False
    assert calculated["Data!C1"] is False
    calculated["Data!A1"] = np.float32(0.5)
    assert calculated["Data!H1"] is False


def test_setting_ranges(calculated: Workbook) -> None:
    calculated["numbers"] = np.arange(6.0).reshape(2, 3)
    assert calculated["total"] == 15
    assert calculated["Data!A8"] == 16
    calculated["numbers"] = [[1, 1, 1], [1, 1, "one"]]
    assert calculated["total"] == 5  # SUM skips text
    assert calculated["Data!C6"] == ExcelError("#VALUE!")
    calculated["numbers"] = 2
    assert calculated["total"] == 12
    for wrong in (np.zeros((3, 2)), np.zeros(6), [[1, 2, 3]]):
        with pytest.raises(WorkbookError, match="2 × 3 cells"):
            calculated["numbers"] = wrong
    assert calculated["total"] == 12


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "half \ud83d", [["\udc00"]], np.array([[np.nan]])])
def test_what_no_cell_can_hold(value: object, calculated: Workbook) -> None:
    with pytest.raises(WorkbookError, match=r"finite|surrogate"):
        calculated["Data!A1"] = value
    assert calculated["Data!A1"] == 1.5


@pytest.mark.parametrize("ref", ["Data!E1", "total", "Data!A5", "Data!A5:C6", "Data!C6:D7", "Data!A1:I1"])
def test_a_formula_cannot_be_overwritten(ref: str, calculated: Workbook) -> None:
    with pytest.raises(WorkbookError, match="holds a formula"):
        calculated[ref] = 1
    assert calculated["total"] == 21


def test_formulas_of_another_program(theirs: Path) -> None:
    found = {f"{sheet}!{rect}": text.removeprefix("=") for sheet, rect, text in Workbook.open(theirs).formulas()}
    assert found["Data!E1"] == "A1*2"
    assert found["Data!A5:C6"] == "A2:C3*10"
    assert found["It's, another!B2"] == "SUM(numbers)"
    assert len(found) == 9


def test_cached_is_what_the_file_stored(ours: Path) -> None:
    workbook = Workbook.open(ours)
    before, stored = workbook["next_token_id"], workbook.cached("logits")
    np.testing.assert_array_equal(workbook["logits"], stored)
    workbook["prompt"] = "cb"
    assert not np.array_equal(workbook["logits"], stored)
    np.testing.assert_array_equal(workbook.cached("logits"), stored)
    assert (workbook.cached("prompt"), workbook["prompt"]) == ("abc", "cb")
    assert workbook.cached("next_token_id") == before
    workbook["prompt"] = "abc"
    np.testing.assert_array_equal(workbook["logits"], stored)


def test_parameters_are_inputs_too(ours: Path) -> None:
    """Without the second matrix of the MLP and its bias, the block adds nothing after attention."""
    workbook = Workbook.open(ours)
    weight = workbook["h.0.mlp.c_proj.weight"]
    assert weight.shape == (16, 4)
    assert not np.array_equal(workbook["h.0.resid_post"], workbook["h.0.resid_mid"])
    workbook["h.0.mlp.c_proj.weight"] = np.zeros_like(weight)
    workbook["h.0.mlp.c_proj.bias"] = 0
    np.testing.assert_array_equal(workbook["h.0.resid_post"], workbook["h.0.resid_mid"])
    patterns = [workbook[f"h.0.attn.pattern.{head}"][:3, :3] for head in range(2)]
    for pattern in patterns:
        np.testing.assert_allclose(pattern.sum(axis=1), 1, rtol=1e-12)
        assert not np.triu(pattern, 1).any()


def test_formulas_of_ours(ours: Path) -> None:
    workbook = Workbook.open(ours)
    sheet, rect = workbook.book.resolve("h.0.attn.out")
    texts = [text for where, place, text in workbook.formulas() if where == sheet and place == rect]
    assert texts == ["(MMULT(h.0.attn.z,h.0.attn.c_proj.weight)+h.0.attn.c_proj.bias)*'What if'!$C$17"]


def test_saving_keeps_everything(ours: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.xlsx"
    workbook = Workbook.open(ours)
    workbook["prompt"] = "ba"
    workbook["wpe"] = workbook["wpe"] + 0.25
    workbook.save(path)
    again = Workbook.open(path)
    assert again.cached("prompt") == "ba"
    np.testing.assert_array_equal(again.cached("wpe"), workbook["wpe"])
    np.testing.assert_array_equal(again.cached("probs"), workbook["probs"])
    assert list(again.formulas()) == list(Workbook.open(ours).formulas())
    assert (again.sheets, again.names) == (workbook.sheets, workbook.names)
    assert openpyxl.load_workbook(path)["Start"]["C4"].value == "ba"


def test_saving_a_workbook_of_another_program(calculated: Workbook, tmp_path: Path) -> None:
    """Results appear in the file, of every kind, and openpyxl reads them."""
    path = tmp_path / "copy.xlsx"
    calculated["Data!A1"] = -1.0
    calculated["Data!B1"] = "a < b & c"
    calculated.save(path)
    values = openpyxl.load_workbook(path, data_only=True)
    row = [cell.value for cell in values["Data"][1]]
    assert row == [-1, "a < b & c", True, None, -2, "#DIV/0!", "a < b & c!", False, 0]
    assert [[cell.value for cell in line] for line in values["Data"]["A5:C6"]] == [[10, 20, 30], [40, 50, 60]]
    assert values["It's, another"]["B2"].value == 21
    assert openpyxl.load_workbook(path)["Data"]["E1"].value == "=A1*2"


def test_saving_where_nothing_can_be_written(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(gpt2xl.Gpt2xlError, match="no/such/folder"):
        Workbook.open(ours).save(tmp_path / "no/such/folder/book.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_unsupported_functions_have_a_name_and_a_place(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["B2"], book.active["C3"] = 1, "=WEBSERVICE(A1)", "=A1+1"
    book.save(tmp_path / "book.xlsx")
    workbook = Workbook.open(tmp_path / "book.xlsx")
    workbook["A1"] = 2
    assert workbook["C3"] == 3
    with pytest.raises(gpt2xl.Gpt2xlError, match=r"WEBSERVICE in Sheet!B2"):
        workbook["B2"]


def test_saved_by_libreoffice(theirs: Path, tmp_path: Path) -> None:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    path = tmp_path / "libreoffice.xlsx"
    with LibreOffice() as office:
        office.open(theirs).save_as(path)
    workbook, expected = Workbook.open(path), Workbook.open(theirs)
    expected.recalculate()
    for ref in ("Data!A1:I1", "numbers", "total", "Data!A5:C6", "A8", "'It''s, another'!B2:B3"):
        stored, computed = workbook.cached(ref), expected[ref]
        assert np.array_equal(stored, computed), ref
    workbook["numbers"] = expected["numbers"] = np.ones((2, 3))
    assert workbook["total"] == expected["total"] == 6
    np.testing.assert_array_equal(workbook["Data!A5:C6"], expected["Data!A5:C6"])


@pytest.mark.parametrize(
    ("formula", "error"),
    [("NOSUCH(A1)", UnsupportedFunction), ("A1+[@x]", FormulaSyntaxError), ("A1+B1", CircularReference)],
)
def test_save_says_which_formula_needs_an_edit_and_cannot_be_computed(
    tmp_path: Path, formula: str, error: type[FormulaError]
) -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["B1"] = 1, f"={formula}"
    book.save(tmp_path / "book.xlsx")
    workbook = Workbook.open(tmp_path / "book.xlsx")
    workbook["A1"] = 2
    with pytest.raises(error):
        workbook.save(tmp_path / "saved.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["book.xlsx"]
    assert all(word in (Workbook.save.__doc__ or "") for word in (error.__name__, "OutputError"))
