"""What LibreOffice and IronCalc must do alike, behind one interface."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gpt2xl.engines import gnumeric
from gpt2xl.engines.document import CellError
from gpt2xl.engines.formulas import formula_rects
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.errors import EngineError, NameNotFound, WorkbookError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpt2xl.engines.document import Document, Engine

needs_libreoffice = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
needs_ironcalc = pytest.mark.skipif(importlib.util.find_spec("ironcalc") is None, reason="ironcalc is not installed")
needs_gnumeric = pytest.mark.skipif(shutil.which("ssconvert") is None, reason="gnumeric is not installed")

NASTY = [
    *(
        "=1+1",
        "+x",
        "-",
        "@SUM(A1)",
        "'x",
        "'",
        "TRUE",
        "false",
        "1E5",
        "007",
        "12%",
        "1/2",
        "2024-01-01",
        "$5",
        "#N/A",
    ),
    *(
        "  lead",
        "trail  ",
        " ",
        "a\nb",
        "\n",
        "\t",
        "\x01",
        "\x1b[0m",
        "_x0041_",
        "é",
        "e\u0301",
        "😀",
        "👩‍💻",
        "\u00a0",
        "*?~",
        '"',
        "<&>",
    ),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(LibreOffice, id="libreoffice", marks=needs_libreoffice),
        pytest.param(IronCalc, id="ironcalc", marks=needs_ironcalc),
    ],
)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with request.param() as running:
        yield running


@pytest.fixture
def document(engine: Engine, book: Path) -> Iterator[Document]:
    opened = engine.open(book)
    yield opened
    opened.close()


def test_version_names_program_and_number(engine: Engine) -> None:
    name, _, number = engine.version.partition(" ")
    assert name in ("LibreOffice", "IronCalc")
    assert number[0].isdigit()


def test_stored_values_are_not_believed(document: Document) -> None:
    q = np.array([[1.0, 2, 3], [4, 5, 6]])
    assert document.get("doubled") == (q * 2 + 0.1).tolist()
    assert document.get("product") == (q @ q.T).tolist()
    assert document.get("running") == [[3.0], [10.0], [5.0], [5.0]]
    assert document.get("length") == [[1.0]]


def test_no_formula_cell_keeps_the_wrong_value(document: Document) -> None:
    cells = {(sheet, row, column): value for sheet, row, column, value in document.formula_cells()}
    assert len(cells) == 6 + 4 + 4 + 5 + 1
    assert 42.0 not in cells.values()


def test_numbers_are_whole_doubles(document: Document) -> None:
    assert document.get("third") == [[1 / 3]]
    document.set("scale", 0.1 + 0.2)
    assert document.get("scale") == [[0.1 + 0.2]]
    assert document.get_numbers("doubled")[0, 0] == 2 + (0.1 + 0.2)


def test_an_edit_reaches_what_depends_on_it(document: Document) -> None:
    document.set("Data!A1", 10)
    document.set("scale", 0)
    np.testing.assert_array_equal(document.get_numbers("doubled"), [[20, 4, 6], [8, 10, 12]])
    assert document.get("Model!A4") == [[113.0]]


def test_a_range_takes_an_array(document: Document) -> None:
    document.set("h.0.attn.q", np.zeros((2, 3)))
    assert document.get_numbers("product").tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(EngineError, match="2 x 3"):
        document.set("h.0.attn.q", np.zeros((3, 2)))
    with pytest.raises(EngineError, match="takes an array"):
        document.set("h.0.attn.q", 1.0)


@pytest.mark.parametrize("text", NASTY)
def test_text_stays_text(document: Document, text: str) -> None:
    document.set("prompt", text)
    [[value]] = document.get("prompt")
    assert value == text
    assert type(value) is str
    assert document.get("length") == [[float(len(text))]]


@pytest.mark.parametrize("value", ["a\ud83d", float("nan"), float("inf"), np.float64("-inf"), [[1.0], ["x"]]])
def test_what_no_cell_can_hold(document: Document, value: float | str) -> None:
    with pytest.raises(EngineError, match=r"surrogate|finite|numbers"):
        document.set("prompt", value)


def test_errors_differ_from_texts_that_read_like_one(document: Document) -> None:
    [[error], [text]] = document.get("Model!G2:G3")
    assert (error, text) == ("#N/A", "#N/A")
    assert type(error) is CellError
    assert type(text) is str
    assert document.get("Model!G5") == [[CellError("#DIV/0!")]]


def test_booleans(document: Document) -> None:
    document.set("Data!H1", True)
    options = {"booleans": True} if "libreoffice" in type(document).__module__ else {}
    assert document.get("Data!H1", **options) == [[True]]
    assert type(document.get("Model!G4", **options)[0][0]) is bool


def test_blank_cells_are_none(document: Document) -> None:
    assert document.get("Data!D1:E2") == [[None, 0.1], [None, None]]


def test_quoted_sheets_and_absolute_references(document: Document) -> None:
    assert document.get("'My sheet'!$A$1:B1") == [["a", 1.0]]
    assert document.get("My sheet!A1") == [["a"]]


def test_numbers_are_asked_for_and_others_found(document: Document) -> None:
    with pytest.raises(EngineError, match=r"Model!G2 holds CellError\('#N/A'\)"):
        document.get_numbers("Model!G1:G5")
    with pytest.raises(EngineError, match="Data!D1 is blank"):
        document.get_numbers("Data!A1:E2")
    with pytest.raises(EngineError, match="'My sheet'!A1 holds 'a'"):
        document.get_numbers("prompt")


@pytest.mark.parametrize("ref", ["nowhere", "h.0.attn.v", "constant", "A1", "Nowhere!A1", "Data!A0", "Data!", "", "!"])
def test_what_does_not_exist_is_named(document: Document, ref: str) -> None:
    with pytest.raises(NameNotFound) as caught:
        document.get(ref)
    assert ref.partition("!")[0] in str(caught.value)


def test_names_ignore_case(document: Document) -> None:
    assert document.get("H.0.ATTN.Q") == document.get("h.0.attn.q")


def test_recalculation_says_how_long_it_took(document: Document) -> None:
    assert 0 <= document.recalculate() < 60


def test_two_documents_are_apart(engine: Engine, book: Path) -> None:
    first, second = engine.open(book), engine.open(book)
    first.set("scale", 100)
    assert second.get("scale") == [[0.1]]
    first.close()
    assert second.get("length") == [[1.0]]
    with pytest.raises(EngineError, match="closed"):
        first.get("scale")


def test_a_file_that_is_none(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="there is no file"):
        engine.open(tmp_path / "absent.xlsx")
    damaged = tmp_path / "damaged.xlsx"
    damaged.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(EngineError, match=r"damaged\.xlsx"):
        engine.open(damaged)


def test_the_workbook_is_only_read(engine: Engine, book: Path) -> None:
    before = book.read_bytes()
    opened = engine.open(book)
    opened.set("scale", 7)
    assert [path.name for path in book.parent.iterdir()] == [book.name]
    opened.close()
    assert book.read_bytes() == before


def test_where_formulas_stand(book: Path) -> None:
    rects = {(sheet, str(rect)) for sheet, rect in formula_rects(book)}
    arrays = {("Model", "A1:C2"), ("Model", "A4:B5")}
    single = {("Model", f"{cell}") for cell in ("E1", "E2", "E3", "E4", "G1", "G2", "G3", "G4", "G5")}
    assert rects == arrays | single | {("My sheet", "B1")}


def test_formulas_are_found_across_pieces(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(formula_rects(book))
    monkeypatch.setattr("gpt2xl.engines.formulas._PIECE", 7)
    assert list(formula_rects(book)) == whole


@needs_gnumeric
@pytest.mark.filterwarnings("ignore:Workbook contains no default style")
def test_gnumeric_recalculates(book: Path, tmp_path: Path) -> None:
    import openpyxl

    made = gnumeric.recalculate(book, tmp_path / "made.xlsx")
    sheet = openpyxl.load_workbook(made, data_only=True)["Model"]
    assert [cell.value for cell in sheet["E"][:4]] == [3, 10, 5, 5]
    assert sheet["C2"].value == 12.1
    assert gnumeric.version().startswith("gnumeric 1.")


@needs_gnumeric
def test_gnumeric_and_a_file_that_is_none(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.xlsx"
    damaged.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(EngineError, match="gnumeric cannot recalculate"):
        gnumeric.recalculate(damaged, tmp_path / "made.xlsx")


def test_gnumeric_missing(book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match="apt install gnumeric"):
        gnumeric.recalculate(book, tmp_path / "made.xlsx")


def test_ironcalc_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ironcalc", None)
    with pytest.raises(EngineError, match=r"pip install gpt2xl\[ironcalc\]"):
        IronCalc()
