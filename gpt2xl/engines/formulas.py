"""Where the formulas of an .xlsx stand, read from the file itself, for programs that do not say.

A scan for the `<f>` elements, not a reader of workbooks: it needs the `r` attribute on formula cells, as IronCalc
does, and takes a sheet of any size in pieces.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from gpt2xl.a1 import Rect
from gpt2xl.errors import WorkbookError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 1 << 20
_LONGEST = 1 << 14  # of the two start tags that the pattern spans; far above any real one
_FORMULA = re.compile(
    rb"""<(?:\w+:)?c\s(?:[^>]*?\s)?r=["'](?P<cell>[A-Z]{1,3}[0-9]{1,7})["'][^>]*>\s*<(?:\w+:)?f(?P<attributes>(?:\s[^>]*)?)>"""
)
_ARRAY_REF = re.compile(rb"""\sref=["']([A-Z0-9:$]+)["']""")
_IS_ARRAY = re.compile(rb"""\st=["']array["']""")


def formula_rects(path: Path) -> Iterator[tuple[str, Rect]]:
    """Sheet and rectangle of every formula: one cell, or all that an array formula fills. In the file's order."""
    try:
        with zipfile.ZipFile(path) as package:
            for sheet, part in _worksheets(package):
                for rect in _scan(package, part):
                    yield sheet, rect
    except (zipfile.BadZipFile, KeyError, ET.ParseError, OSError) as error:
        raise WorkbookError(f"{path.name} is no readable .xlsx file: {error}") from None


def _worksheets(package: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Name and part of each worksheet, by the workbook's relationships (ECMA-376 part 2, 9)."""
    root = _relations(package, "")
    book = next(target for kind, target in root.values() if kind.endswith("/officeDocument"))
    parts = _relations(package, book)
    for element in ET.fromstring(package.read(book)).iter():
        if element.tag.rpartition("}")[2] == "sheet":
            link = next(value for key, value in element.items() if key.endswith("}id"))
            kind, part = parts[link]
            if kind.endswith("/worksheet"):
                yield element.attrib["name"], part


def _relations(package: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    folder, name = posixpath.split(part)
    found = {}
    for element in ET.fromstring(package.read(posixpath.join(folder, "_rels", f"{name}.rels"))):
        target = posixpath.normpath(posixpath.join("/", folder, element.attrib["Target"])).lstrip("/")
        found[element.attrib["Id"]] = (element.attrib["Type"], target)
    return found


def _scan(package: zipfile.ZipFile, part: str) -> Iterator[Rect]:
    rest = b""
    with package.open(part) as stream:
        while piece := stream.read(_PIECE):
            text = rest + piece
            end = 0
            for match in _FORMULA.finditer(text):
                end = match.end()
                ref = _ARRAY_REF.search(match["attributes"]) if _IS_ARRAY.search(match["attributes"]) else None
                yield Rect.parse((ref[1] if ref else match["cell"]).decode("ascii"))
            # A cell cut by the end of the piece is seen again, whole, with the next one.
            rest = text[max(end, len(text) - _LONGEST) :]
