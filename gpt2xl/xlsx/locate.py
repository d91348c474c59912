"""Where in a sheet's XML the rows and cells stand, as offsets in its bytes, told by expat."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from gpt2xl.a1 import parse_cell
from gpt2xl.errors import WorkbookError
from gpt2xl.xlsx.xml import whole_number

Value = tuple[int, float, str | None]  # kind, number, text
Rows = Mapping[int, Mapping[int, Value]]  # row -> column -> value

# A row's tag written in the usual way: where quotes are double, ` r="` cannot be inside of a value.
_ROW = re.compile(rb"""<row((?:\s+[A-Za-z0-9:]+="[^"<>]*")*)\s*/?>""")
_ROW_NUMBER = re.compile(rb"""\sr="([1-9][0-9]{0,6})\"""")


@dataclass(slots=True)
class Place:
    """Where an element stands: its whole extent, its start tag's end, and the children that stay."""

    number: int
    start: int
    tag_end: int = 0
    end: int = 0
    empty: bool = False
    formula: Place | None = None
    extension: Place | None = None


@dataclass(slots=True)
class Layout:
    """What was found of a sheet: sheetData, all rows, the cells of those rows that are asked for, and dimension."""

    data: Place = field(default_factory=lambda: Place(0, 0))
    dimension: tuple[int, int, str] | None = None
    rows: list[Place] = field(default_factory=list)
    cells: dict[int, list[Place]] = field(default_factory=dict)  # of the rows that are asked for


def kept_stretches(source: bytes, changes: Rows) -> list[tuple[int, int]]:
    """What of `source` has to be looked at: without the rows that neither change nor stand behind a new row.

    A large sheet is mostly rows that nothing happens to. They are left out where raw bytes show for sure what
    they are; otherwise all of `source` is kept.
    """
    everything = [(0, len(source))]
    begin, end = source.find(b"<sheetData>"), source.rfind(b"</sheetData>")
    if begin < 0 or end < 0 or b"<!" in source or source.count(b"<?") > 1:
        return everything
    starts: list[int] = []
    numbers: list[int] = []
    for tag in _ROW.finditer(source, begin, end):
        number = _ROW_NUMBER.search(tag[1])
        if number is None or (numbers and int(number[1]) <= numbers[-1]):
            return everything
        starts.append(tag.start())
        numbers.append(int(number[1]))
    if len(starts) < 2 or source.count(b"<row", begin, end) != len(starts):
        return everything
    wanted = {min(bisect_left(numbers, row), len(numbers) - 1) for row in changes}
    stretches = [(0, starts[0])]
    starts.append(len(source))
    stretches.extend((starts[index], starts[index + 1]) for index in sorted(wanted | {len(numbers) - 1}))
    return stretches


class Locator:
    """Walks through the XML and notes byte offsets. Namespaces are not resolved: only last words of names count, and
    only in their place (worksheet / sheetData / row / c / v, f, is, extLst)."""

    def __init__(self, source: bytes, changes: Rows) -> None:
        self.layout = Layout()
        self._source = source
        self._changes = changes
        self._path: list[str] = []
        self._row = 0
        self._column = 0
        self._wanted = False
        self._cell: Place | None = None
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.Parse(source, True)

    def _doctype(self, *_: object) -> None:
        raise WorkbookError("it holds a document type declaration, which no workbook needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(":")[2])
        depth, local = len(self._path), self._path[-1]
        if depth > 4 and self._path[1] == "sheetData":
            if depth == 5 and self._cell is not None and local == "f":
                self._cell.formula = self._place(0)
            elif depth == 5 and self._cell is not None and local == "extLst":
                self._cell.extension = self._place(0)
        elif depth == 4 and local == "c" and self._path[1:3] == ["sheetData", "row"]:
            self._column = parse_cell(attributes["r"].strip())[1] if "r" in attributes else self._column + 1
            if self._wanted:
                self._cell = self._place(self._column)
                self.layout.cells[self._row].append(self._cell)
        elif depth == 3 and local == "row" and self._path[1] == "sheetData":
            number = whole_number(attributes["r"]) if "r" in attributes else self._row + 1
            if number is None:
                raise WorkbookError(f"`{attributes['r'][:40]}` is no row number")
            self._row = number
            self._column = 0
            self._wanted = self._row in self._changes
            self.layout.rows.append(self._place(self._row))
            if self._wanted:
                self.layout.cells.setdefault(self._row, [])
        elif depth == 2 and local == "sheetData":
            self.layout.data = self._place(0)
        elif depth == 2 and local == "dimension":
            place = self._place(0)
            self.layout.dimension = (place.start, place.tag_end, attributes.get("ref", ""))

    def _place(self, number: int) -> Place:
        start = self._parser.CurrentByteIndex
        tag_end = _tag_end(self._source, start)
        return Place(number, start, tag_end, empty=self._source[tag_end - 2 : tag_end - 1] == b"/")

    def _end(self, _: str) -> None:
        depth, local = len(self._path), self._path.pop()
        if depth == 5 and self._cell is not None:
            if local == "f" and self._cell.formula:
                self._close(self._cell.formula)
            elif local == "extLst" and self._cell.extension:
                self._close(self._cell.extension)
        elif depth == 4 and self._cell is not None:
            self._close(self._cell)
            self._cell = None
        elif depth == 3 and local == "row" and self._path[1] == "sheetData":
            self._close(self.layout.rows[-1])
        elif depth == 2 and local == "sheetData":
            self._close(self.layout.data)

    def _close(self, place: Place) -> None:
        # expat stands at the beginning of an end tag; `<c/>` has none.
        place.end = place.tag_end if place.empty else _tag_end(self._source, self._parser.CurrentByteIndex)


# Without a way back (`*+`): a tag of a million quotes is looked at once.
_TAG = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*+>""")


def _tag_end(source: bytes, start: int) -> int:
    """Behind the `>` that closes the tag at `start`; a `>` in an attribute's value does not."""
    tag = _TAG.match(source, start)
    if tag is None:
        raise WorkbookError("a tag in it has no end")
    return tag.end()
