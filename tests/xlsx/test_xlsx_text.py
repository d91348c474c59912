from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from xlsx_helpers import any_text, normal

from gpt2xl.errors import LimitError
from gpt2xl.xlsx.text import cell_text, formula_text, result_text, unescape_text


def through_xml(markup: bytes) -> str:
    return ET.fromstring(b"<t>" + markup + b"</t>").text or ""


@given(any_text)
def test_any_text_comes_back(text: str) -> None:
    assert unescape_text(through_xml(cell_text(text))) == normal(text)


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("a\rb", b"a_x000D_b"),
        ("_x000D_", b"_x005F_x000D_"),
        ("_x0041_x0042_", b"_x005F_x0041_x005F_x0042_"),
        ("_x0041\x01", b"_x005F_x0041_x0001_"),
        ("_x00_", b"_x00_"),
        ("\ud83d", b"_xD83D_"),
        ("\U0001f600", "\U0001f600".encode()),
        ("<&>", b"&lt;&amp;&gt;"),
        ("a\tb\nc", b"a\tb\nc"),
    ],
)
def test_escapes(text: str, markup: bytes) -> None:
    assert cell_text(text) == markup


def test_spaces_of_a_result_are_kept() -> None:
    assert result_text("cat") == b"<v>cat</v>"
    assert result_text(" cat", b"x:") == b'<x:v xml:space="preserve"> cat</x:v>'


def test_limits_count_utf16_units() -> None:
    cell_text("x" * 32_767)
    cell_text("\U0001f600" * 16_383)
    with pytest.raises(LimitError, match=r"32,768 .* 32,767"):
        cell_text("\U0001f600" * 16_384)
    formula_text("1" * 8_192)
    with pytest.raises(LimitError, match=r"8,193 .* 8,192"):
        formula_text("1" * 8_193)


def test_a_formula_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match=r"U\+0001"):
        formula_text('"\x01"')
