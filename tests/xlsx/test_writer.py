from __future__ import annotations

import io
import threading
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Font, NamedStyle, PatternFill
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.formula import ArrayFormula
from validators import ooxml_errors
from xlsx_helpers import any_text, normal

from gpt2xl.a1 import BLANK, BOOL, ERROR, ERROR_TEXTS, NUMBER, TEXT, Rect
from gpt2xl.errors import LimitError, OutputError
from gpt2xl.xlsx import Block, open_package, style_id, write_workbook, writer

if TYPE_CHECKING:
    from collections.abc import Iterator


def number(row: int, column: int, value: float, **more: Any) -> Block:
    return Block(Rect.of(row, column, 1, 1), np.array([[value]]), **more)


def texts(row: int, column: int, values: list[list[str]], **more: Any) -> Block:
    text = np.array(values, dtype=object)
    kind = np.full(text.shape, TEXT, dtype=np.uint8)
    return Block(Rect.of(row, column, *text.shape), np.zeros(text.shape), kind, text, **more)


def sheet_xml(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read("xl/worksheets/sheet1.xml").decode()


def sheet_data(path: Path) -> str:
    xml = sheet_xml(path)
    return xml[xml.index("<sheetData>") + 11 : xml.index("</sheetData>")]


def test_every_kind_of_cell(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "kinds.xlsx"
    kind = np.array([[NUMBER, BLANK, TEXT, BOOL, ERROR]], dtype=np.uint8)
    text = np.array([[None, None, " =1+1", None, None]], dtype=object)
    values = np.array([[0.1, 0, 0, 1, 6]])
    write_workbook(path, shell, {"S": [Block(Rect.of(2, 2, 1, 5), values, kind, text)]})
    assert sheet_data(path) == (
        '<row r="2"><c r="B2"><v>0.1</v></c>'
        '<c r="D2" t="inlineStr"><is><t xml:space="preserve"> =1+1</t></is></c>'
        '<c r="E2" t="b"><v>1</v></c><c r="F2" t="e"><v>#N/A</v></c></row>'
    )
    assert '<dimension ref="B2:F2"/>' in sheet_xml(path)


def test_formulas(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "formulas.xlsx"
    kind = np.array([[NUMBER, TEXT], [BLANK, BOOL]], dtype=np.uint8)
    text = np.array([[None, " a"], [None, None]], dtype=object)
    blocks = [
        Block(Rect.of(1, 1, 2, 2), np.array([[1, 0], [0, 0]]), kind, text, formula="D1:E2&1", mode="array"),
        Block(Rect.of(1, 4, 2, 2), np.array([[1, 2], [3, 4.5]]), formula="A1*2", mode="fill"),
        Block(Rect.of(3, 4, 1, 2), np.array([[1, 2.0]]), formula="A1*3", mode="fill"),
        number(3, 1, 7, formula="1<2", mode="cell"),
    ]
    write_workbook(path, shell, {"S": blocks})
    assert sheet_data(path) == (
        '<row r="1"><c r="A1"><f t="array" ref="A1:B2">D1:E2&amp;1</f><v>1</v></c>'
        '<c r="B1" t="str"><v xml:space="preserve"> a</v></c>'
        '<c r="D1"><f t="shared" ref="D1:E2" si="0">A1*2</f><v>1</v></c>'
        '<c r="E1"><f t="shared" si="0"/><v>2</v></c></row>'
        '<row r="2"><c r="A2"/><c r="B2" t="b"><v>0</v></c>'
        '<c r="D2"><f t="shared" si="0"/><v>3</v></c><c r="E2"><f t="shared" si="0"/><v>4.5</v></c></row>'
        '<row r="3"><c r="A3"><f>1&lt;2</f><v>7</v></c>'
        '<c r="D3"><f t="shared" ref="D3:E3" si="1">A1*3</f><v>1</v></c>'
        '<c r="E3"><f t="shared" si="1"/><v>2</v></c></row>'
    )
    sheet = openpyxl.load_workbook(path)["S"]
    assert isinstance(sheet["A1"].value, ArrayFormula)
    assert (sheet["A1"].value.ref, sheet["A1"].value.text) == ("A1:B2", "=D1:E2&1")
    assert [sheet[ref].value for ref in ("D1", "E1", "D2", "E2")] == ["=A1*2", "=B1*2", "=A2*2", "=B2*2"]
    assert sheet["A3"].value == "=1<2"


def test_without_references(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "plain.xlsx"
    blocks = [
        Block(Rect.of(1, 1, 1, 2), np.array([[1, 2]]), style=0),
        Block(Rect.of(1, 3, 1, 2), np.array([[3, 0]]), np.array([[NUMBER, BLANK]], dtype=np.uint8)),
        Block(Rect.of(1, 6, 2, 2), np.array([[5, 6], [7, 8]])),
    ]
    write_workbook(path, shell, {"S": blocks}, references=False)
    assert sheet_data(path) == (
        '<row r="1"><c><v>1</v></c><c><v>2</v></c><c><v>3</v></c><c/><c r="F1"><v>5</v></c><c><v>6</v></c></row>'
        '<row r="2"><c r="F2"><v>7</v></c><c><v>8</v></c></row>'
    )


def test_what_openpyxl_makes_stays(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "shell.xlsx"
    sheet = shell["S"]
    sheet.row_dimensions[1].height = 31
    sheet.row_dimensions[7].height = 33
    sheet.column_dimensions["B"].width = 44
    sheet.freeze_panes = "B2"
    sheet.merge_cells("D1:E1")
    sheet["B2"].hyperlink = "https://example.org/"
    sheet["B3"].comment = Comment("a note", "gpt2xl")
    shell.defined_names["h.0.ln_1"] = DefinedName("h.0.ln_1", attr_text="S!$A$1:$B$2")
    bold = style_id(shell, font=Font(name="Arial", bold=True, color="FF0000", sz=14), number_format="0.000")
    named = style_id(shell, NamedStyle("heading", fill=PatternFill("solid", fgColor="DDEEFF")))
    assert bold == style_id(shell, font=Font(name="Arial", bold=True, color="FF0000", sz=14), number_format="0.000")
    assert len({0, bold, named}) == 3
    blocks = [number(1, 1, 1, style=bold), texts(2, 2, [["link"]], style=named), number(9, 1, 0)]
    write_workbook(path, shell, {"S": blocks})

    book = openpyxl.load_workbook(path)
    sheet = book["S"]
    assert [sheet.row_dimensions[row].height for row in (1, 2, 7)] == [31, None, 33]
    assert sheet.column_dimensions["B"].width == 44
    assert sheet.freeze_panes == "B2"
    assert [str(merged) for merged in sheet.merged_cells.ranges] == ["D1:E1"]
    assert sheet["B2"].hyperlink.target == "https://example.org/"
    assert sheet["B2"].value == "link"
    assert sheet["B2"].style == "heading"
    assert sheet["B3"].comment.text == "a note"
    assert sheet["B3"].value is None
    assert sheet["A1"].font.b
    assert sheet["A1"].number_format == "0.000"
    assert book.defined_names["h.0.ln_1"].attr_text == "S!$A$1:$B$2"
    assert not book.calculation.fullCalcOnLoad
    assert ooxml_errors(path) == []


def test_schema(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "schema.xlsx"
    nasty = ["", " ", "\r", "\x01", "_x0041_", "\ud83d", "\U0001f600", "x" * 32_767, "\ufffe"]
    kind = np.array([[NUMBER, BLANK, BOOL, ERROR]], dtype=np.uint8)
    values = np.array([[-0.0, 0, 1, 7]])
    blocks = [
        texts(1, 1, [[text] for text in nasty]),
        texts(1, 3, [[text] for text in nasty], formula="A1:A9", mode="array"),
        texts(1, 4, [[text] for text in nasty], formula="A1", mode="fill"),
        Block(Rect.of(1, 6, 1, 4), values, kind, formula="A1", mode="fill"),
        Block(Rect.of(2, 6, 1, 4), values, kind, formula="A1", mode="array"),
        Block(Rect.of(3, 6, 1, 4), values, kind),
        Block(Rect.of(4, 6, 1, 3), np.array([[5e-324, 1.7976931348623157e308, 1e21]])),
    ]
    for references in (True, False):
        write_workbook(path, shell, {"S": blocks}, references=references)
        assert ooxml_errors(path) == []


def test_settings_of_calculation_stay(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "manual.xlsx"
    shell.calculation.calcMode = "manual"
    write_workbook(str(path), shell, {})
    assert open_package(path).calc == {"calcId": "191029", "calcMode": "manual", "fullCalcOnLoad": "0"}


def test_large_parts_say_so(shell: Workbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "zip64.xlsx"
    monkeypatch.setattr(writer, "_BYTES_A_CELL", 1 << 40)
    write_workbook(path, shell, {"S": [number(1, 1, 0.25)]})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("xl/worksheets/sheet1.xml")
    assert info.extract_version == zipfile.ZIP64_VERSION
    package = open_package(path)
    package.save(path, {"S": [(Rect.of(2, 2, 1, 1), np.array([[2.0]]), np.zeros((1, 1), np.uint8), None)]})
    assert package.read("S").num.tolist() == [[0.25, 0.0], [0.0, 2.0]]
    assert ooxml_errors(path) == []


def test_a_stream_that_cannot_go_back(shell: Workbook) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    pipe = Pipe()
    write_workbook(pipe, shell, {"S": [number(1, 1, 0.25)]})
    assert openpyxl.load_workbook(io.BytesIO(pipe.getvalue()))["S"]["A1"].value == 0.25


def test_same_input_same_bytes() -> None:
    written = []
    for _ in range(2):
        shell = Workbook()
        shell.active.title = "S"
        out = io.BytesIO()
        write_workbook(out, shell, {"S": [number(1, 1, 0.5)]})
        written.append(out.getvalue())
        with zipfile.ZipFile(out) as archive:
            assert archive.namelist()[0] == "[Content_Types].xml"
            assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert archive.read("docProps/core.xml").count(b"1980-01-01T00:00:00Z") == 2
    assert written[0] == written[1]


values = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000).map(float)


@st.composite
def layouts(draw: st.DrawFn) -> list[Block]:
    """Blocks that do not overlap, in any order: a rectangle cut in rows of blocks with gaps."""
    blocks = []
    row = draw(st.integers(1, 4))
    for _ in range(draw(st.integers(1, 3))):
        height, column = draw(st.integers(1, 4)), draw(st.integers(1, 30))
        for _ in range(draw(st.integers(0, 3))):
            own = draw(st.integers(1, height))
            width = draw(st.integers(1, 6))
            shape = (own, width)
            kind = np.array(draw(st.lists(st.integers(0, 4), min_size=own * width, max_size=own * width)), np.uint8)
            kind = np.zeros(shape, np.uint8) if draw(st.booleans()) else kind.reshape(shape)
            num, text = np.zeros(shape), np.full(shape, None, dtype=object)
            for index in np.ndindex(*shape):
                if kind[index] == TEXT:
                    text[index] = draw(any_text)
                elif kind[index] != BLANK:
                    choice = {NUMBER: values, BOOL: st.integers(0, 1), ERROR: st.integers(0, len(ERROR_TEXTS) - 1)}
                    num[index] = draw(choice[int(kind[index])])
            for again in draw(st.lists(st.integers(1, own), max_size=own)):  # rows like the one before
                if again < own:
                    kind[again], num[again], text[again] = kind[again - 1], num[again - 1], text[again - 1]
            mode: Any = draw(st.sampled_from(["constant", "array", "fill"]))
            formula = None if mode == "constant" else 'A1&"<"'
            blocks.append(Block(Rect.of(row, column, *shape), num, kind, text, draw(st.integers(0, 1)), formula, mode))
            column += width + draw(st.integers(0, 2))
        row += height + draw(st.integers(0, 2))
    return draw(st.permutations(blocks))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layouts(), st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[Block], references: bool
) -> None:
    shell = Workbook()
    shell.active.title = "S"
    style_id(shell, font=Font(bold=True))
    path = tmp_path_factory.mktemp("layout", numbered=True) / "layout.xlsx"
    write_workbook(path, shell, {"S": blocks}, references=references)
    data = open_package(path).read("S")
    expected = {cell: value for block in blocks for cell, value in cells(block.rect, block.num, block.kind, block.text)}
    found = {cell: value for block in data.blocks() for cell, value in cells(*block)}
    assert found == expected
    formulas = {(block.rect, block.formula) for block in blocks if block.formula}
    assert {(formula.rect, formula.text) for formula in data.formulas} == formulas


def cells(rect: Rect, num: Any, kind: Any, text: Any) -> Iterator[tuple[tuple[int, int], Any]]:
    for row, column in np.ndindex(*rect.shape):
        what = int(kind[row, column])
        if what == BLANK:
            continue
        value = normal(text[row, column]) if what == TEXT else float(num[row, column]).hex()
        yield (rect.top + row, rect.left + column), (what, value)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=40, max_size=80), st.booleans())
def test_float32_comes_back(numbers: list[float], references: bool) -> None:
    array = np.array([numbers], dtype=np.float32)
    shell = Workbook()
    shell.active.title = "S"
    out = io.BytesIO()
    write_workbook(out, shell, {"S": [Block(Rect.of(3, 700, *array.shape), array)]}, references=references)
    read = [cell.value for row in openpyxl.load_workbook(out)["S"].iter_rows(min_row=3, min_col=700) for cell in row]
    assert np.array_equal(np.array([read], dtype=np.float64).astype(np.float32), array)


def test_openpyxl_reads_the_same(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "numbers.xlsx"
    numbers = np.random.default_rng(1).standard_normal((50, 60)) * 10.0 ** np.arange(-30, 30)
    write_workbook(path, shell, {"S": [Block(Rect.of(5, 20, 50, 60), numbers)]})
    book = openpyxl.load_workbook(path, read_only=True)
    with closing(book):
        rows = list(book["S"].iter_rows(min_row=5, min_col=20, values_only=True))
    assert np.array_equal(np.array(rows, dtype=np.float64), numbers)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([number(1, 1, np.nan)], "NaN"),
        ([number(1, 1, np.inf)], "infinity"),
        ([Block(Rect.of(1, 1, 2, 2), np.zeros((2, 2))), number(2, 2, 1)], "overlap"),
        ([number(1, 1, 2, kind=np.array([[BOOL]], np.uint8))], "value 2"),
        ([number(1, 1, 99, kind=np.array([[ERROR]], np.uint8))], "value 99"),
        ([number(1, 1, 0, kind=np.array([[TEXT]], np.uint8))], "without its text"),
    ],
)
def test_our_own_mistakes(shell: Workbook, tmp_path: Path, blocks: list[Block], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_workbook(tmp_path / "wrong.xlsx", shell, {"S": blocks})
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="shape"):
        Block(Rect.of(1, 1, 2, 2), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="mode"):
        number(1, 1, 0, formula="1")
    with pytest.raises(ValueError, match="one cell"):
        Block(Rect.of(1, 1, 1, 2), np.zeros((1, 2)), formula="1", mode="cell")


def test_limits(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "limits.xlsx"
    with pytest.raises(LimitError, match="32,767"):
        write_workbook(path, shell, {"S": [texts(1, 1, [["x" * 32_768]])]})
    with pytest.raises(LimitError, match="8,192"):
        write_workbook(path, shell, {"S": [number(1, 1, 0, formula="1" * 8_193, mode="cell")]})
    shell["S"]._WorkbookChild__title = "x" * 32
    with pytest.raises(LimitError, match="31"):
        write_workbook(path, shell, {})
    shell.active._WorkbookChild__title = "a/b"
    with pytest.raises(LimitError, match="a/b"):
        write_workbook(path, shell, {})
    assert list(tmp_path.iterdir()) == []


class Stop(np.ndarray):
    """Numbers behind which somebody presses Ctrl-C."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyboardInterrupt


def test_nothing_is_left_of_a_failure(shell: Workbook, tmp_path: Path) -> None:
    path = tmp_path / "kept.xlsx"
    path.write_bytes(b"as it was")
    stop = np.zeros((2, 2)).view(Stop)
    with pytest.raises(KeyboardInterrupt):
        write_workbook(path, shell, {"S": [Block(Rect.of(1, 1, 2, 2), stop)]})
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]


def two_sheets() -> tuple[Workbook, Block]:
    shell = Workbook()
    shell.active.title = "Computed"
    shell.create_sheet("Given")
    return shell, Block(Rect.of(1, 1, 300, 100), np.random.default_rng(5).random((300, 100)))


def test_some_sheets_while_others_are_computed(tmp_path: Path) -> None:
    """They come first in the file, always, and nothing is asked of the others before its time."""
    shell, given_block = two_sheets()
    computed: list[float] = []

    class Later:
        def __iter__(self) -> Iterator[Block]:
            return iter([number(1, 1, value) for value in computed])

    written: list[int] = []
    for name in ("one.xlsx", "two.xlsx"):
        computed.clear()
        write_workbook(
            tmp_path / name,
            shell,
            {"Computed": Later(), "Given": [given_block]},
            ahead=["Given"],
            meanwhile=lambda: computed.append(0.5),
            progress=written.append,
        )
    assert sum(written) == 2 * 30_001
    with zipfile.ZipFile(tmp_path / "one.xlsx") as archive:
        assert archive.namelist()[:2] == ["[Content_Types].xml", "xl/worksheets/sheet2.xml"]
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()
    read = open_package(tmp_path / "one.xlsx")
    assert read.read("Computed").num.tolist() == [[0.5]]
    np.testing.assert_array_equal(read.read("Given").num, given_block.num)
    assert ooxml_errors(tmp_path / "one.xlsx") == []


def test_what_may_change_while_sheets_are_written(tmp_path: Path) -> None:
    """The rest of the shell and of the cells; not what is in the file already."""
    shell, given_block = two_sheets()
    sheets = {"Given": [given_block]}

    def paint() -> None:
        shell["Computed"].column_dimensions["A"].width = 33
        sheets["Computed"] = [number(1, 1, 0.5, style=style_id(shell, font=Font(bold=True)))]

    write_workbook(tmp_path / "x.xlsx", shell, sheets, ahead=["Given"], meanwhile=paint)
    read = openpyxl.load_workbook(tmp_path / "x.xlsx")["Computed"]
    assert (read["A1"].value, read["A1"].font.b, read.column_dimensions["A"].width) == (0.5, True, 33)

    def too_late() -> None:
        shell["Given"].column_dimensions["A"].width = 33

    with pytest.raises(ValueError, match=r"sheet2\.xml.* changed after"):
        write_workbook(tmp_path / "y.xlsx", shell, sheets, ahead=["Given"], meanwhile=too_late)
    sheets["Nowhere"] = []
    with pytest.raises(ValueError, match=r"no sheet.*Nowhere"):
        write_workbook(tmp_path / "y.xlsx", shell, sheets)
    assert [path.name for path in tmp_path.iterdir()] == ["x.xlsx"]


def test_nothing_is_left_where_computing_fails(tmp_path: Path) -> None:
    shell, given_block = two_sheets()

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_workbook(tmp_path / "x.xlsx", shell, {"Given": [given_block]}, ahead=["Given"], meanwhile=fail)
    stop = Block(Rect.of(1, 1, 2, 2), np.zeros((2, 2)).view(Stop))
    with pytest.raises(KeyboardInterrupt):
        write_workbook(tmp_path / "x.xlsx", shell, {"Given": [stop]}, ahead=["Given"])
    assert list(tmp_path.iterdir()) == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(("ahead", "deflate"))] == []


def test_targets_that_cannot_be_written(shell: Workbook, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*missing does not exist"):
        write_workbook(tmp_path / "missing" / "x.xlsx", shell, {})
    with pytest.raises(OutputError, match="folder"):
        write_workbook(tmp_path, shell, {})
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(OutputError, match="no space left"):
            write_workbook(
                full, shell, {"S": [Block(Rect.of(1, 1, 200, 200), np.random.default_rng(4).random((200, 200)))]}
            )


def test_a_link_stays_a_link_and_a_mode_stays(shell: Workbook, tmp_path: Path) -> None:
    real, link = tmp_path / "real.xlsx", tmp_path / "link.xlsx"
    real.write_bytes(b"")
    real.chmod(0o640)
    link.symlink_to(real)
    write_workbook(link, shell, {"S": [number(1, 1, 1)]})
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert open_package(link).read("S").num.tolist() == [[1.0]]
