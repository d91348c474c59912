"""A workbook that LibreOffice opens as people do: it believes what is stored, until something is typed.

Elsewhere in the tests LibreOffice computes everything anew first. What it does without is its own: array formulas are
not computed until something shows them, and an edit does not get past those (templates/gpt2/90_state.toml).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gpt2xl.engines.libreoffice import _find_python, _find_soffice

SCRIPT = Path(__file__).parent / "engines" / "typed_by_hand.py"


def typed(book: Path, saved: Path, sheet: str, cell: str, text: str) -> dict[str, list[Any]]:
    """What differs after typing from what computing everything gives; the workbook is saved after that."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    soffice = _find_soffice()
    folder = saved.with_suffix(".profile")
    command = [_find_python(soffice), SCRIPT, soffice, folder, book, saved, sheet, cell, text]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    differences: dict[str, list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return differences


def test_a_prompt_reaches_every_sheet_and_again_in_the_saved_copy(first: Path, tmp_path: Path) -> None:
    saved, again = tmp_path / "saved.xlsx", tmp_path / "again.xlsx"
    assert typed(first, saved, "Start", "C4", "Snow is") == {}
    assert typed(saved, again, "Start", "C4", "One, two, three,") == {}


def test_a_setting_reaches_every_sheet(first: Path, tmp_path: Path) -> None:
    assert typed(first, tmp_path / "saved.xlsx", "What if", "C17", "0") == {}
