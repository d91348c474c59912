"""Table parts: named rectangles of a sheet with named columns (ECMA-376 part 1, 18.5.1: table)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpt2xl.a1 import Rect
from gpt2xl.xlsx.text import unescape_text
from gpt2xl.xlsx.xml import local_name, parse_tree, whole_number

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class TablePart:
    """A table: its name in formulas, its sheet, all its cells, rows of headings and of totals, its columns' names."""

    name: str
    sheet: str
    rect: Rect
    headers: int
    totals: int
    columns: tuple[str, ...]


def read_table(data: bytes, sheet: str) -> TablePart:
    """The table of a part; raises `WorkbookError` for what is none."""
    root = parse_tree(data)
    return TablePart(
        root.get("displayName", root.get("name", "")),
        sheet,
        Rect.parse(root.get("ref", "")),
        _count(root, "headerRowCount", 1),
        _count(root, "totalsRowCount", 0),
        tuple(
            unescape_text(column.get("name", ""))
            for element in root
            if local_name(element.tag) == "tableColumns"
            for column in element
            if local_name(column.tag) == "tableColumn"
        ),
    )


def _count(root: ET.Element, attribute: str, usual: int) -> int:
    number = whole_number(root.get(attribute, ""))
    return usual if number is None else number
