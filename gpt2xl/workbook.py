"""A workbook file, open: its cells by reference or by name, recalculated by our own engine when they are stale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gpt2xl.a1 import MAX_CELL_TEXT, Rect
from gpt2xl.errors import FormulaSyntaxError, LimitError, NameNotFound, WorkbookError
from gpt2xl.formula import Array, Book, ExcelError, Grid, Table, parse, unparse
from gpt2xl.formula.coerce import number_to_text
from gpt2xl.formula.tree import moved
from gpt2xl.formula.values import all_numbers
from gpt2xl.xlsx import FormulaCell, Package, SheetData, open_package
from gpt2xl.xlsx.store import ValueBlock
from gpt2xl.xlsx.text import utf16_length

Characters = Literal["utf16", "codepoints"]

# Numbers of a rectangle that are not copied from where the reader put them.
_LARGE = 1024


class Workbook:
    """An .xlsx file with everything in it that computes.

    A reference is a cell (`Start!C4`), a range (`'Block 0'!C11:BN26`) or a defined name (`h.0.ln_1`)::

        wb = Workbook.open("first.xlsx")
        wb["prompt"] = "The dog sat on the"
        wb["next_token"]            # recalculates what depends on the prompt, and no more
        wb["h.0.attn.pattern.1"]    # a numpy array
        wb.save("second.xlsx")
    """

    def __init__(self, package: Package, *, characters: Characters = "utf16") -> None:
        self.path = package.path
        self._package = package
        self._file = Book()  # the stored values, sheet by sheet, once they are asked for
        self._places: dict[str, list[Rect]] = {}
        self._edited: dict[str, list[Rect]] = {}
        self.book = Book(characters=characters, date1904=package.date1904)
        formulas: dict[str, list[FormulaCell]] = {}
        for sheet, data in zip(package.sheets, package.read_all(), strict=True):
            formulas[sheet.name] = data.formulas
            _store(self.book, sheet.name, data, [formula.rect for formula in data.formulas])
        for table in package.tables():
            self.book.add_table(Table(table.name, table.sheet, table.rect, table.headers, table.totals, table.columns))
        for name in package.names:
            self.book.define(name.name, name.text, sheet=name.sheet)
        for sheet_name, cells in formulas.items():
            for formula in cells:
                self._add(sheet_name, formula)
        if any("SUBTOTAL(" in cell.text.upper() for cells in formulas.values() for cell in cells):
            for sheet in package.sheets:
                self.book.hide_rows(sheet.name, *package.hidden_rows(sheet.name))
        self.book.mark_fresh()

    def _add(self, sheet: str, formula: FormulaCell) -> None:
        """A formula of the file; what is none is noticed when something needs its value."""
        mode = "array" if formula.mode == "table" else formula.mode
        try:
            self.book.add_formula(sheet, formula.rect, _text_at_corner(formula), mode)
        except FormulaSyntaxError as error:
            self.book.add_unreadable(sheet, formula.rect, error)

    @classmethod
    def open(cls, path: str | Path, *, characters: Characters = "utf16") -> Workbook:
        """Read a workbook; its stored values count as right until something is edited.

        `characters` says how text is counted: "utf16" as Excel does, "codepoints" as LibreOffice does. Raises
        `WorkbookError` for what is no readable .xlsx file.
        """
        return cls(open_package(Path(path)), characters=characters)

    def __getitem__(self, ref: str) -> Any:
        """The value of a cell (float, str, bool, `ExcelError`, None where blank), or an array of more cells.

        Recalculates what is stale. The array is float64 where all cells are numbers, else it holds objects. Raises
        `NameNotFound` where there is no such sheet or name, a `FormulaError` or `LimitError` for what the engine cannot
        compute: `UnsupportedFunction`, `FormulaSyntaxError`, `CircularReference`.
        """
        if not isinstance(ref, str):
            raise TypeError(f"a reference is a text such as 'Start!A1' or a name, not {ref!r}")
        return _value(self.book.get(*self.book.resolve(ref)))

    def __setitem__(self, ref: str, value: Any) -> None:
        """Set an input: one value, or for a range an array of its shape.

        Raises `WorkbookError` for a cell with a formula, for values of another shape, and for what no cell can hold;
        `LimitError` for more than 32,767 characters.
        """
        sheet, rect = self.book.resolve(ref)
        if self.book.graph().writing(sheet, rect):
            raise WorkbookError(f"{ref} holds a formula; set an input such as `prompt` instead")
        try:
            values = Array.of(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise WorkbookError(
                f"{ref} cannot take this value: {error}; give numbers, texts or truth values"
            ) from error
        if values.shape not in (rect.shape, (1, 1)):
            raise WorkbookError(
                f"{ref} has {rect.height} × {rect.width} cells and the value {values.shape[0]} × {values.shape[1]}; "
                "give one value, or as many as there are cells"
            )
        _check_values(ref, values)
        self.book.set(sheet, rect, values)
        self._edited.setdefault(sheet, []).append(rect)

    def __iter__(self) -> Iterator[str]:
        """The defined names."""
        return iter(self.names)

    def __contains__(self, ref: str) -> bool:
        try:
            self.book.resolve(ref)
        except NameNotFound:
            return False
        return True

    @property
    def sheets(self) -> list[str]:
        """The names of the worksheets, in order."""
        return [sheet.name for sheet in self._package.sheets]

    @property
    def names(self) -> list[str]:
        """The global defined names."""
        return [name.name for name in self._package.names if name.sheet is None]

    @property
    def precision_as_displayed(self) -> bool:
        """Whether the program that saved the file rounded every value to its format before computing with it."""
        return self._package.calc.get("fullPrecision") in ("0", "false")

    def formula_at(self, sheet: str, cell: Rect) -> str:
        """The formula of a cell as the formula bar shows it; "" for a cell without one."""
        found = self.book.formula_at(sheet, cell)
        if found is None:
            return ""
        text, mode = found
        text = "=" + text.removeprefix("=").replace("_xlfn.", "").replace("_xlws.", "").replace("_xlpm.", "")
        return "{" + text + "}" if mode == "array" else text

    def cached(self, ref: str) -> Any:
        """What the file stored, whatever has been edited or recalculated since."""
        sheet, rect = self.book.resolve(ref)
        return _value(self._stored_cells(sheet)[0].take(rect))

    def formulas(self) -> Iterator[tuple[str, Rect, str]]:
        """Every formula: sheet, rectangle, text without "=" as it stands for the rectangle's first cell."""
        for sheet, rect, text, _ in self.book.formulas():
            yield sheet, rect, text

    def recalculate(self) -> None:
        """Compute every formula from the inputs, trusting no stored value.

        Raises a `FormulaError` or `LimitError` for the first that cannot be computed.
        """
        self.book.recalculate(everything=True)

    def save(self, path: str | Path) -> None:
        """Write the file with its present values; everything else stays byte for byte as it was.

        Raises `OutputError` where it cannot be written, and a `FormulaError` (`UnsupportedFunction`,
        `FormulaSyntaxError`, `CircularReference`) or `LimitError` where a formula that depends on an edit cannot be
        computed; then nothing is.
        """
        self.book.recalculate()
        changed: dict[str, list[ValueBlock]] = {}
        for sheet in {sheet for sheet, *_ in self.book.formulas()} | self._edited.keys():
            stored, places = self._stored_cells(sheet)
            found = [
                block for place in [*places, *self._edited.get(sheet, [])] for block in self._changes(stored, place)
            ]
            if found:
                changed[sheet] = found
        self._package.save(Path(path), changed)

    def _changes(self, stored: Grid, place: Rect) -> Iterator[ValueBlock]:
        """Those cells of `place` that differ from the file, as stretches of rows."""
        now, before = self.book.sheet(stored.name).take(place), stored.take(place)
        kinds = np.zeros(place.shape, np.uint8) if now.kind is None else now.kind
        different = now.num != before.num
        different |= kinds != (0 if before.kind is None else before.kind)
        if now.text is not None and before.text is not None:
            different |= now.text != before.text
        for row in np.flatnonzero(different.any(axis=1)).tolist():
            edges = np.flatnonzero(np.diff(different[row], prepend=False, append=False)).tolist()
            for left, right in zip(edges[::2], edges[1::2], strict=True):
                part = np.s_[row : row + 1, left:right]
                text = None if now.text is None else now.text[part]
                yield place.part(row, left, 1, right - left), now.num[part], kinds[part], text

    def _stored_cells(self, sheet: str) -> tuple[Grid, list[Rect]]:
        """The cells of a sheet as the file has them, and the rectangles where there are any."""
        if sheet not in self._places:
            self._places[sheet] = _store(self._file, sheet, self._package.read(sheet), [])
        return self._file.sheet(sheet), self._places[sheet]


def _store(book: Book, sheet: str, data: SheetData, computed: Sequence[Rect]) -> list[Rect]:
    """Make a sheet with the values of `data`; returns where there are any. Large ones stay where they are in memory,
    those that are not `computed`."""
    rows, columns = (data.rect.bottom, data.rect.right) if data.rect and data.sparse is None else (0, 0)
    grid = book.add_sheet(sheet, rows, columns)
    places = []
    for place, num, kind, text in data.blocks():
        plain = all_numbers(kind)
        if plain and place.size >= _LARGE and not any(map(place.intersects, computed)):
            grid.hold(place, num)
        else:
            grid.put(place, Array(num, None if plain else kind, text))
        places.append(place)
    return places


def _text_at_corner(formula: FormulaCell) -> str:
    """The formula's text as its rectangle's first cell has it."""
    rows, columns = formula.rect.top - formula.origin[0], formula.rect.left - formula.origin[1]
    return unparse(moved(parse(formula.text), rows, columns)) if rows or columns else formula.text


def _check_values(ref: str, values: Array) -> None:
    """Raise `WorkbookError` for numbers and texts that no cell can hold, `LimitError` for texts that are too long."""
    if not np.isfinite(values.num).all():
        raise WorkbookError(f"{ref} takes finite numbers only, which is what a cell can hold")
    for text in [] if values.text is None else values.text.ravel().tolist():
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise WorkbookError(
                f"the text for {ref} holds half of a surrogate pair, which is no character; remove it or complete it"
            )
        if (length := utf16_length(text)) > MAX_CELL_TEXT:
            raise LimitError(
                f"the text for {ref} has {length:,} characters; a cell holds {MAX_CELL_TEXT:,}, so shorten it"
            )


def _value(array: Array) -> Any:
    if array.shape == (1, 1):
        return array.item()
    if array.kind is None:
        return array.num
    values = np.empty(array.shape, object)
    for row, items in enumerate(array.tolist()):
        values[row] = items
    return values


def joined_text(workbook: Workbook, ref: str) -> str:
    """A cell's value as `&` joins it to a text: "2024" for a number that was typed, "" for a blank cell.

    Raises `WorkbookError` for an error and for more than one cell, besides what `workbook[ref]` raises.
    """
    value = workbook[ref]
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return number_to_text(value)
    what = value.text if isinstance(value, ExcelError) else "more than one cell"
    raise WorkbookError(f"`{ref}` of {workbook.path.name} is {what}, not a text; put a text there")
