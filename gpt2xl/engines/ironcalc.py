"""IronCalc, a spreadsheet engine in Rust, as a witness: the `ironcalc` package, in this process.

What it does not do, and what it does otherwise than Excel, is in docs/engines.md. Names must refer to cells; it
evaluates the whole workbook after an edit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gpt2xl.engines.document import (
    Block,
    CellError,
    Scalar,
    Value,
    existing_file,
    matrix,
    not_a_number,
    scalar,
    split_ref,
    unknown_name,
    unknown_sheet,
)
from gpt2xl.engines.formulas import formula_rects
from gpt2xl.errors import EngineError, NameNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gpt2xl.a1 import Rect


class IronCalc:
    """IronCalc; `with IronCalc() as engine:` for the same face as `LibreOffice`, though nothing has to be ended."""

    def __init__(self) -> None:
        try:
            import ironcalc
        except ImportError:
            raise EngineError("IronCalc is not installed; `pip install gpt2xl[ironcalc]` installs it") from None
        self._module: Any = ironcalc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def version(self) -> str:
        """Such as "IronCalc 0.9.1"."""
        return f"IronCalc {self._module.__version__}"

    def open(self, path: str | Path) -> Document:
        """Load a workbook and compute every formula anew."""
        found = existing_file(path)
        model = _guarded(f"reading {found.name}", self._module.load_from_xlsx, str(found))
        return Document(model, found)

    def close(self) -> None:
        """Nothing to end: the engine is a library."""


class Document:
    """One workbook open in IronCalc."""

    def __init__(self, model: Any, path: Path) -> None:
        self._model = model
        self._path = path
        self._sheets = {sheet["name"]: i for i, sheet in enumerate(model.get_worksheets_properties())}
        self._names = {name["name"].lower(): name["formula"] for name in model.get_defined_name_list()}
        self._error_kind = _cell_type("ErrorValue")
        self._stale = True
        self._fresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def set(self, ref: str, value: Scalar | Sequence[Sequence[float]] | NDArray[np.float64]) -> None:
        """Put a value into an input cell, or a 2-D array of numbers into a range of its shape.

        A string becomes exactly that text, never a formula, a number or a date.
        """
        sheet, rect = self._resolve(ref)
        if isinstance(value, (bool, str, int, float, np.generic)):
            if rect.size != 1:
                raise EngineError(f"{ref} has {rect.height} x {rect.width} cells and takes an array, not one value")
            self._put(sheet, rect.top, rect.left, scalar(value))
        else:
            rows = matrix(value)
            if rows.shape != rect.shape:
                raise EngineError(
                    f"{ref} has {rect.height} x {rect.width} cells, not {rows.shape[0]} x {rows.shape[1]}"
                )
            for (i, j), number in np.ndenumerate(rows):
                self._put(sheet, rect.top + i, rect.left + j, float(number))
        self._stale = True

    def get(self, ref: str) -> list[list[Value]]:
        """The values of a range, row by row, after recalculation."""
        self._fresh()
        return self._values(*self._resolve(ref))

    def get_numbers(self, ref: str) -> NDArray[np.float64]:
        """The values of a range, [rows, columns]; `EngineError` names the first cell that holds no number."""
        sheet, rect = self._resolve(ref)
        rows = self.get(ref)
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if isinstance(value, bool) or not isinstance(value, float):
                    raise not_a_number(sheet, rect.top + i, rect.left + j, value)
        return np.array(rows, dtype=np.float64)

    def formula_blocks(self) -> Iterator[Block]:
        """All formula cells, as rectangles of values; what an array formula fills counts as formula cells."""
        self._fresh()
        for sheet, rect in formula_rects(self._path):
            yield sheet, rect, self._values(sheet, rect)

    def formula_cells(self) -> Iterator[tuple[str, int, int, Value]]:
        """All formula cells one by one: sheet, row and column (from 1), value."""
        for sheet, rect, rows in self.formula_blocks():
            for i, row in enumerate(rows):
                for j, value in enumerate(row):
                    yield sheet, rect.top + i, rect.left + j, value

    def recalculate(self) -> float:
        """Compute every formula anew; the seconds it took."""
        start = time.perf_counter()
        _guarded(f"calculating {self._path.name}", self._open.evaluate)
        self._stale = False
        return time.perf_counter() - start

    def close(self) -> None:
        """Let go of the workbook without saving it."""
        self._model = None

    @property
    def _open(self) -> Any:
        if self._model is None:
            raise EngineError("the document is closed; open it again")
        return self._model

    def _fresh(self) -> None:
        if self._stale:
            self.recalculate()

    def _resolve(self, ref: str) -> tuple[str, Rect]:
        """Sheet and rectangle of a reference. IronCalc knows names in formulas only, so they are looked up here."""
        cells = split_ref(ref)
        if cells is None:
            formula = self._names.get(ref.lower())
            try:
                cells = split_ref(formula) if formula else None
            except NameNotFound:  # a name of a constant or of a formula
                cells = None
            if cells is None:
                raise unknown_name(ref)
        for name in self._sheets:
            if name.lower() == cells[0].lower():
                return name, cells[1]
        raise unknown_sheet(cells[0])

    def _put(self, sheet: str, row: int, column: int, value: Scalar) -> None:
        index = self._sheets[sheet]
        if isinstance(value, bool):
            _guarded("setting a cell", self._open.update_cell_with_bool, index, row, column, value)
        elif isinstance(value, str):
            _guarded("setting a cell", self._open.update_cell_with_text, index, row, column, value)
        else:
            _guarded("setting a cell", self._open.update_cell_with_number, index, row, column, float(value))

    def _values(self, sheet: str, rect: Rect) -> list[list[Value]]:
        index = self._sheets[sheet]
        value, kind, error = self._open.get_cell_value, self._open.get_cell_type, self._error_kind
        rows: list[list[Value]] = []
        for r in range(rect.top, rect.bottom + 1):
            row: list[Value] = [value(index, r, c) for c in range(rect.left, rect.right + 1)]
            for j, text in enumerate(row):
                # An error and a text that reads like one differ in their type only.
                if isinstance(text, str) and text[:1] == "#" and kind(index, r, rect.left + j) == error:
                    row[j] = CellError(text)
            rows.append(row)
        return rows


def _cell_type(name: str) -> Any:
    import ironcalc

    return getattr(ironcalc.CellType, name)


def _guarded(doing: str, function: Any, *arguments: object) -> Any:
    """Call into IronCalc; what it raises, a panic of its Rust code among it, becomes an `EngineError`."""
    try:
        return function(*arguments)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # pyo3's PanicException derives from BaseException
        text = " ".join(str(error).split())[:300]
        raise EngineError(f"IronCalc failed while {doing}: {text}") from None
