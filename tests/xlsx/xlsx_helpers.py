"""What several tests of gpt2xl.xlsx need."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from gpt2xl.a1 import BLANK, BOOL, ERROR, NUMBER, TEXT, cell_name
from gpt2xl.xlsx.sheet import read_sheet

if TYPE_CHECKING:
    from gpt2xl.xlsx import SheetData

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"

PackageMaker = Callable[..., Path]


# Text made of what matters to the escapes, besides any text at all.
nasty = st.lists(
    st.sampled_from(
        ["_", "x", "_x", "005F", "000D", "_x0041", "_x005F_", "\x00", "\r", "\n", "\t", "\ud83d", "&", "<", "]]>", "a"]
    )
).map("".join)
any_text = st.text(alphabet=st.characters(codec=None, exclude_categories=())) | nasty


def normal(text: str) -> str:
    """Two halves of a surrogate pair side by side are one character, in a spreadsheet as in UTF-16."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass") if _has_pair(text) else text


def _has_pair(text: str) -> bool:
    return any("\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in pairwise(text))


_VALUES: dict[int, Callable[[Any], Any]] = {NUMBER: float, BOOL: bool, ERROR: lambda number: f"error {int(number)}"}


def values(data: SheetData) -> dict[str, Any]:
    """All cells with a value, by name."""
    found = {}
    for rect, num, kind, text in data.blocks():
        for row, column in np.ndindex(*rect.shape):
            what = int(kind[row, column])
            if what == TEXT:
                assert text is not None
                found[cell_name(rect.top + row, rect.left + column)] = text[row, column]
            elif what != BLANK:
                found[cell_name(rect.top + row, rect.left + column)] = _VALUES[what](num[row, column])
    return found


def read(xml: str, strings: list[str] | None = None, piece: int = 1 << 20) -> SheetData:
    """A worksheet part, in pieces; read as a large one, too, which makes no difference."""
    data = xml.encode()

    def read_once(size: int) -> SheetData:
        return read_sheet(
            (data[at : at + piece] for at in range(0, len(data), piece)), lambda: strings or [], size=size
        )

    found, as_large = read_once(0), read_once(len(data))
    assert (found.rect, found.formulas, found.unfilled) == (as_large.rect, as_large.formulas, as_large.unfilled)
    assert repr(values(found)) == repr(values(as_large))
    return found


def worksheet(rows: str) -> str:
    """A worksheet part around the rows of sheetData."""
    return f'<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
