"""A worksheet part, read cell by cell (ECMA-376 part 1, 18.3.1: worksheets)."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np

from gpt2xl.a1 import BOOL, ERROR, ERROR_TEXTS, MAX_COLUMNS, MAX_ROWS, NUMBER, Rect, cell_name, parse_cell
from gpt2xl.errors import WorkbookError
from gpt2xl.xlsx.dense import DenseFeeder
from gpt2xl.xlsx.limits import TREE_DEPTH
from gpt2xl.xlsx.store import CellStore, FormulaCell, SheetData, rectangles
from gpt2xl.xlsx.text import unescape_text
from gpt2xl.xlsx.xml import MAIN, sheet_parser, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpt2xl.xlsx.narrow import Cells
    from gpt2xl.xlsx.numbers import Array

_ERROR_NUMBERS = {text: float(index) for index, text in enumerate(ERROR_TEXTS)}
_UNKNOWN_ERROR = float(ERROR_TEXTS.index("#VALUE!"))  # #SPILL!, #CALC! and others since
_BOOLEANS = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0}


def read_sheet(
    pieces: Iterable[bytes], strings: Callable[[], Sequence[str]], *, size: int = 0, date1904: bool = False
) -> SheetData:
    """The cells of a worksheet part that comes as `pieces`; `size` is how many bytes if it is one of a large file.

    `strings` gives the shared strings, if they are needed. Raises `WorkbookError` for what is no worksheet.
    """
    parser = sheet_parser()
    sheet = _Sheet(parser, strings, date1904)
    feeder = DenseFeeder(parser, sheet, size)
    try:
        for piece in pieces:
            feeder.feed(piece)
        feeder.close()
    except expat.ExpatError as error:
        raise WorkbookError(f"it is no well-formed XML ({error})") from error
    return sheet.finish()


class _Sheet:
    """The handlers of expat's events, and the cell that they are in."""

    def __init__(self, parser: expat.XMLParserType, strings: Callable[[], Sequence[str]], date1904: bool) -> None:
        self.in_row = False  # directly in a row: between two cells
        self.row = 0
        self.column = 0
        self._parser = parser
        self._get_strings = strings
        self._strings: Sequence[str] | None = None
        self._date1904 = date1904
        self._store = CellStore()
        self._formulas: list[FormulaCell] = []
        self._claimed = 0  # cells of array formulas
        self._shared: dict[str, tuple[str, tuple[int, int]]] = {}  # si -> text, origin
        self._shared_cells: dict[str, list[tuple[int, int, int]]] = {}  # si -> row, first and last column
        self._type = "n"
        self._value: str | None = None
        self._formula: dict[str, str] | None = None
        self._formula_text = ""
        self._chars: list[str] = []
        self._phonetic = 0
        self._depth = 0  # of elements that mean nothing here
        self._row_open = self._collecting = False
        parser.StartElementHandler = self._root

    def finish(self) -> SheetData:
        for index, cells in self._shared_cells.items():
            if index not in self._shared:
                where = cell_name(*cells[0][:2])
                raise WorkbookError(f"the shared formula {index} of cell {where} has no text")
            text, origin = self._shared[index]
            self._formulas.extend(FormulaCell(rect, text, "fill", origin) for rect in rectangles(cells))
        unfilled = max(0, self._claimed - self._store.count)
        data = self._store.finish(self._formulas)
        data.unfilled = unfilled
        return data

    def put_columns(self, columns: Array | int, numbers: Array, shared: str | None) -> None:
        """Numbers of the present row: side by side from a column, or each with its own.

        `shared` is the number of the shared formula that all of them have.
        """
        if isinstance(columns, int):
            stretches = [(columns, 0, len(numbers))]
        else:
            edges = [0, *(np.flatnonzero(np.diff(columns) != 1) + 1).tolist(), len(columns)]
            stretches = [(int(columns[begin]), begin, end) for begin, end in pairwise(edges)]
        for column, begin, end in stretches:
            self._store.put_run(self.row, column, numbers[begin:end])
            self.column = column + end - begin - 1
            if shared is not None:
                self._shared_cells.setdefault(shared, []).append((self.row, column, self.column))

    @property
    def between_rows(self) -> bool:
        """Directly in sheetData."""
        inside = self._parser.StartElementHandler == self._start
        return inside and not self._row_open and not self._depth and not self._collecting

    def put_cells(self, cells: Cells) -> None:
        """Whole rows of few cells."""
        if cells.numbers is not None:
            self._store.put_numbers(cells.rows, cells.columns, cells.numbers)
        for index, row, first, last in cells.shared:
            self._shared_cells.setdefault(index, []).append((row, first, last))
        for row, column, text in cells.formulas:
            self._formulas.append(FormulaCell(Rect(row, column, row, column), text, "cell", (row, column)))
        errors = [(row, column, _error(value)) for row, column, kind, value in cells.others if kind == "e"]
        if errors:
            rows, columns, numbers = zip(*errors, strict=True)
            self._store.put_numbers(rows, columns, np.array(numbers), ERROR)
        for self.row, self.column, kind, value in cells.others:
            if kind != "e":
                self._put(kind, value)
        self.row = cells.last_row

    # Handlers: the root, then what stands around sheetData, then rows and cells.

    def _root(self, name: str, _attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition("}")
        if namespace not in MAIN or local != "worksheet":
            raise WorkbookError("it is no worksheet")
        tags = ("sheetData", "row", "c", "v", "f", "is", "t", "rPh")
        (self._data, self._row_tag, self._c, self._v, self._f, self._is, self._t, self._rph) = (
            f"{namespace}}}{tag}" for tag in tags
        )
        self._parser.StartElementHandler = self._outside
        self._parser.EndElementHandler = self._higher

    def _outside(self, name: str, _attributes: dict[str, str]) -> None:
        if name == self._data:
            self._parser.StartElementHandler = self._start
            self._parser.EndElementHandler = self._end
        else:
            self._deeper()

    def _deeper(self, *_: object) -> None:
        """An element that means nothing here: it may hold others, but not without end."""
        self._depth += 1
        if self._depth > TREE_DEPTH:
            raise WorkbookError(f"its elements are nested more than {TREE_DEPTH} deep")

    def _higher(self, *_: object) -> None:
        self._depth -= 1

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._c:
            self._start_cell(attributes)
        elif name == self._v or (name == self._t and not self._phonetic):
            self._collect()
        elif name == self._f:
            self._formula = attributes
            self._collect()
        elif name == self._row_tag:
            self._start_row(attributes)
        else:
            self._phonetic += name == self._rph
            self._deeper()

    def _end(self, name: str) -> None:
        if name == self._c:
            self._end_cell()
            self.in_row = True
        elif name == self._v:
            self._value = self._collected()
        elif name == self._t and not self._phonetic:
            self._value = (self._value or "") + self._collected()
        elif name == self._f:
            self._formula_text = self._collected()
        elif name == self._row_tag:
            self.in_row = self._row_open = False
        elif name == self._data:
            self._parser.StartElementHandler = self._deeper
            self._parser.EndElementHandler = self._higher
        else:
            self._phonetic -= name == self._rph
            self._higher()

    def _collect(self) -> None:
        if self._collecting:
            raise WorkbookError(f"a value or formula in row {self.row} holds another")
        self._collecting = True
        self._chars = []
        self._parser.CharacterDataHandler = self._chars.append

    def _collected(self) -> str:
        self._parser.CharacterDataHandler = None
        self._collecting = False
        return "".join(self._chars)

    def _start_row(self, attributes: dict[str, str]) -> None:
        text = attributes.get("r")
        number = self.row + 1 if text is None else whole_number(text)
        if number is None:
            raise WorkbookError(f"`{(text or '')[:40]}` is no row number")
        self.row = number
        if not 1 <= self.row <= MAX_ROWS:
            raise WorkbookError(f"row {self.row} is outside Excel's 1 to {MAX_ROWS:,}")
        if self._row_open:
            raise WorkbookError(f"row {self.row} stands inside of another row")
        self.column = 0
        self.in_row = self._row_open = True

    def _start_cell(self, attributes: dict[str, str]) -> None:
        if not self.in_row:
            raise WorkbookError(f"a cell stands outside of the rows, at row {self.row}")
        ref = attributes.get("r")
        if ref is None:
            self.column += 1
            if self.column > MAX_COLUMNS:
                raise WorkbookError(f"row {self.row} has more than Excel's {MAX_COLUMNS:,} columns")
        else:
            row, self.column = parse_cell(ref.strip())
            if row != self.row:
                raise WorkbookError(f"the cell {ref} stands in row {self.row}")
        self._type = attributes.get("t", "n")
        self._value = self._formula = None
        self.in_row = False

    def _end_cell(self) -> None:
        if self._formula is not None:
            self._end_formula(self._formula)
        if self._value is not None:
            self._put(self._type, self._value)

    def _put(self, kind_text: str, value: str) -> None:
        """The value of the present cell, by its attribute t."""
        if kind_text == "n":
            if value.strip():
                self._store.put(self.row, self.column, NUMBER, self._number(value))
        elif kind_text == "s":
            self._store.put_text(self.row, self.column, self._shared_string(value))
        elif kind_text in ("str", "inlineStr"):
            self._store.put_text(self.row, self.column, unescape_text(value))
        elif kind_text == "b":
            if value.strip() not in _BOOLEANS:
                raise self._no("boolean", value)
            self._store.put(self.row, self.column, BOOL, _BOOLEANS[value.strip()])
        elif kind_text == "e":
            self._store.put(self.row, self.column, ERROR, _error(value))
        elif kind_text == "d":
            self._store.put(self.row, self.column, NUMBER, self._date(value))
        else:
            raise self._no("type of cell", kind_text)

    def _no(self, what: str, value: str) -> WorkbookError:
        return WorkbookError(f"cell {cell_name(self.row, self.column)} holds `{value[:40]}`, which is no {what}")

    def _number(self, value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or "_" in value:  # Python reads 1_000, XML does not
            raise self._no("number", value)
        return number

    def _shared_string(self, value: str) -> str:
        if self._strings is None:
            self._strings = self._get_strings()
        number = whole_number(value)
        if number is None or number >= len(self._strings):
            raise self._no(f"index of the {len(self._strings)} shared strings", value)
        return self._strings[number]

    def _date(self, value: str) -> float:
        try:
            return serial_date(value.strip(), date1904=self._date1904)
        except ValueError:
            raise self._no("date", value) from None

    def _end_formula(self, attributes: dict[str, str]) -> None:
        text, mode, cell = self._formula_text, attributes.get("t", "normal"), (self.row, self.column)
        if mode == "shared" and "si" in attributes:
            index = attributes["si"]
            if text and (index not in self._shared or "ref" in attributes):
                if index in self._shared_cells and index in self._shared:
                    self._split_shared(index)
                self._shared[index] = (text, cell)
            self._shared_cells.setdefault(index, []).append((*cell, self.column))
            return
        if mode in ("array", "dataTable"):
            rect = Rect.parse(attributes["ref"]) if "ref" in attributes else Rect(*cell, *cell)
            self._claimed += rect.size
            if mode == "array":
                self._formulas.append(FormulaCell(rect, text, "array", (rect.top, rect.left)))
            else:
                self._formulas.append(FormulaCell(rect, _table_text(attributes), "table", (rect.top, rect.left)))
        elif text:
            self._formulas.append(FormulaCell(Rect(*cell, *cell), text, "cell", cell))

    def _split_shared(self, index: str) -> None:
        """A second formula under a number that is already in use: the first ends here."""
        text, origin = self._shared.pop(index)
        cells = self._shared_cells.pop(index)
        self._formulas.extend(FormulaCell(rect, text, "fill", origin) for rect in rectangles(cells))


def _error(value: str) -> float:
    """An error's index in `ERROR_TEXTS`."""
    return _ERROR_NUMBERS.get(value.strip(), _UNKNOWN_ERROR)


def _table_text(attributes: dict[str, Any]) -> str:
    """A data table as Excel shows it (ECMA-376 part 1, 18.3.1.40: dt2D, dtr, r1, r2)."""
    first, second = attributes.get("r1", ""), attributes.get("r2", "")
    if attributes.get("dt2D") in ("1", "true"):
        return f"TABLE({first},{second})"
    return f"TABLE({first},)" if attributes.get("dtr") in ("1", "true") else f"TABLE(,{first})"


def serial_date(text: str, *, date1904: bool) -> float:
    """An ISO 8601 date, time or both as a serial number (ECMA-376 part 1, 18.17.4); `ValueError` for others."""
    if "T" not in text and ":" in text:
        moment = datetime.combine(date(1899, 12, 30), time.fromisoformat(text.removesuffix("Z")))
        return (moment - datetime(1899, 12, 30)) / timedelta(days=1)
    moment = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=None)
    days = (moment - datetime(1904, 1, 1) if date1904 else moment - datetime(1899, 12, 30)) / timedelta(days=1)
    # Serial 60 is 29 February 1900, a day that never was.
    return days - 1 if not date1904 and 0 < days <= 60 else days
