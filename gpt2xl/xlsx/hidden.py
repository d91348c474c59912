"""Rows that are hidden, and those of them that a filter hides (ECMA-376 part 1, 18.3.1.73: row, 18.3.2: autoFilter)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpt2xl.a1 import Rect
from gpt2xl.xlsx.xml import local_name, parse_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree import ElementTree as ET

_TAG = re.compile(rb"<(?:\w+:)?(row|autoFilter|filterColumn)\b([^>]*)")
_NUMBER = re.compile(rb"""\sr=["'](\d{1,7})["']""")
_HIDDEN = re.compile(rb"""\shidden=["'](?:1|true)["']""")
_REF = re.compile(rb"""\sref=["']([^"']+)""")


def hidden_rows(pieces: Iterable[bytes]) -> tuple[list[int], Rect | None]:
    """The hidden rows of a worksheet part, and the cells under its filter if that hides any."""
    rows: list[int] = []
    row = 0
    filtered = under = None
    for name, attributes in _tags(pieces):
        if name == b"row":
            number = _NUMBER.search(attributes)
            row = int(number[1]) if number else row + 1
            if _HIDDEN.search(attributes):
                rows.append(row)
        elif name == b"autoFilter":
            ref = _REF.search(attributes)
            under = Rect.parse(ref[1].decode()) if ref else None
        else:
            filtered = under
    return rows, filtered


def _tags(pieces: Iterable[bytes]) -> Iterable[tuple[bytes, bytes]]:
    """Names and attributes of the start tags of rows and filters."""
    rest = b""
    for piece in pieces:
        text = rest + piece
        end = text.rfind(b">") + 1
        rest = text[end:]
        yield from _TAG.findall(text[:end])


def table_filter(data: bytes) -> Rect | None:
    """The cells under a table part's filter, if that hides any."""
    root: ET.Element = parse_tree(data)
    for element in root:
        if local_name(element.tag) == "autoFilter" and len(element):
            return Rect.parse(element.get("ref", ""))
    return None
