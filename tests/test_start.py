"""The first sheet: what a person types and sees, on one screen, and where the file comes from."""

from __future__ import annotations

import shlex
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.model.checkpoint import Checkpoint

LONG = "A, B, C, D, E, F, G, H, I, J, K,"


def test_it_fits_one_screen(read_formulas: openpyxl.Workbook) -> None:
    """Of 1,366 × 768 pixels at 100 %, less than 30 rows of 20 pixels and some 190 characters of 7 are left."""
    sheet = read_formulas["Start"]
    used = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None and cell.column < 15]
    assert max(cell.row for cell in used) <= 30
    assert sum(sheet.column_dimensions[column].width for column in "ABCDEFGHIJKLM") <= 190


def test_the_prompt_is_the_only_cell_with_the_colour_of_inputs_among_the_answers(
    read_formulas: openpyxl.Workbook,
) -> None:
    sheet = read_formulas["Start"]
    yellow = sheet["C4"].fill.start_color.rgb
    same = [cell.coordinate for row in sheet["B4:J30"] for cell in row if cell.fill.start_color.rgb == yellow]
    assert [name for name in same if sheet[name].value is not None] == ["C4"]


def test_state_tokens_and_prediction(wb: gpt2xl.Workbook) -> None:
    assert wb["summary"] == "5 of 16 tokens used"
    assert wb["start.tokens"].tolist() == [["The", " cat", " sat", " on", " the", "", "", ""]]
    assert wb["start.ids"].tolist()[0][:5] == np.ravel(wb["token_ids"])[:5].tolist()
    assert (wb["next_token"], wb["top.token"][0, 0]) == (" mat", " mat")
    assert wb["top.prob"][0, 0] == np.max(wb["probs"])


def test_of_a_longer_prompt_the_last_sixteen_tokens_are_shown(tmp_path: Path, tiny: Checkpoint) -> None:
    gpt2xl.build(LONG, tmp_path / "long.xlsx", max_tokens=24, max_chars=36)
    wb = gpt2xl.Workbook.open(tmp_path / "long.xlsx")
    ids = tiny.vocabulary.encode(LONG)
    assert len(ids) > 16
    assert [*wb["start.ids"][0], *wb["start.ids.more"][0]] == ids[-16:]
    wb["prompt"] = LONG * 3
    assert wb["start.tokens"].tolist() == [[""] * 8]
    assert "shorten it" in wb["summary"]


def test_the_command_on_it_makes_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gpt2xl.build('It\'s "so"', tmp_path / "made.xlsx", max_tokens=9, max_chars=12)
    before = Path("made.xlsx").read_bytes()
    words = shlex.split(gpt2xl.Workbook.open("made.xlsx")["made.with"])
    assert words[0] == "gpt2xl"
    Path("made.xlsx").unlink()
    assert CliRunner().invoke(main, words[1:]).exit_code == 0
    assert Path("made.xlsx").read_bytes() == before


def test_where_it_comes_from(wb: gpt2xl.Workbook, tiny: Checkpoint) -> None:
    assert (wb["model.name"], wb["model.fingerprint"]) == (tiny.name, tiny.fingerprint)
    assert wb["model.parameters"] == sum(values.size for values in tiny.tensors.values())
    assert wb["made.by"] == f"gpt2xl {gpt2xl.__version__}"
    assert wb["made.with"] == "gpt2xl build 'The cat sat on the' -o first.xlsx"


def test_the_chart_shows_the_ten_most_probable(first: Path, wb: gpt2xl.Workbook) -> None:
    with zipfile.ZipFile(first) as package:
        charts = [package.read(name).decode() for name in package.namelist() if name.startswith("xl/charts/chart")]
    (bars,) = [chart for chart in charts if '<barDir val="bar"' in chart]
    for name in ("top.token", "top.prob"):
        sheet, rect = wb.book.resolve(name)
        assert f"'{sheet}'!{rect.absolute}" in bars
