"""What every witness offers: open a workbook, set inputs, read results.

A reference (`ref`) is a defined name (`h.0.attn.q`) or cells of a sheet (`Prompt!B2`, `'My sheet'!$A$1:B7`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np

from gpt2xl.a1 import MAX_CELL_TEXT, Rect, cell_name, quote_sheet
from gpt2xl.errors import EngineError, NameNotFound, WorkbookError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class CellError(str):
    """An error value, as its Excel text: `CellError("#N/A")`. A text cell that reads "#N/A" is a plain `str`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"CellError({str(self)!r})"


Scalar: TypeAlias = float | str | bool
"""What can be typed into a cell."""

Value: TypeAlias = float | str | bool | CellError | None
"""What a cell can hold; `None` is a blank cell."""

Block: TypeAlias = tuple[str, Rect, list[list[Value]]]
"""A rectangle of formula cells: the sheet, where it stands, its values row by row."""


class Document(Protocol):
    """One open workbook in another program."""

    def set(self, ref: str, value: Scalar | Sequence[Sequence[float]] | NDArray[np.float64]) -> None:
        """Put a value into an input cell, or a 2-D array of numbers into a range; a string stays text."""

    def get(self, ref: str) -> list[list[Value]]:
        """The values of a range, row by row, recalculated."""

    def get_numbers(self, ref: str) -> NDArray[np.float64]:
        """The values of a range of numbers, [rows, columns]; `EngineError` names the first cell that holds none."""

    def formula_blocks(self) -> Iterator[Block]:
        """All formula cells of the workbook as rectangles of values."""

    def formula_cells(self) -> Iterator[tuple[str, int, int, Value]]:
        """All formula cells one by one: sheet, row and column (from 1), value."""

    def recalculate(self) -> float:
        """Compute every formula anew, trusting nothing; the seconds it took."""

    def close(self) -> None:
        """Let go of the workbook. Nothing is saved."""


class Engine(Protocol):
    """A program that opens workbooks and recomputes them."""

    @property
    def version(self) -> str:
        """Name and version, such as "LibreOffice 7.4.7.2"."""

    def open(self, path: str | Path) -> Document:
        """Load the workbook and compute all its formulas anew."""

    def close(self) -> None:
        """End the program, if it is one."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def split_ref(ref: str) -> tuple[str, Rect] | None:
    """`Sheet!A1:B2` -> ("Sheet", Rect); None where `ref` is a name; `NameNotFound` where it can be neither."""
    sheet, bang, cells = ref.rpartition("!")
    if not bang:
        return None
    if len(sheet) > 1 and sheet[0] == sheet[-1] == "'":
        sheet = sheet[1:-1].replace("''", "'")
    try:
        return sheet, Rect.parse(cells)
    except WorkbookError:
        raise NameNotFound(f"`{ref}` is neither a defined name nor cells of a sheet such as `Sheet1!A1:B2`") from None


def unknown_name(ref: str) -> NameNotFound:
    """The error for a name that the workbook does not define as a range."""
    return NameNotFound(
        f"the workbook has no range named `{ref}`; cells are written with their sheet, as in `Sheet1!A1`"
    )


def unknown_sheet(sheet: str) -> NameNotFound:
    return NameNotFound(f"the workbook has no sheet named `{sheet}`")


def not_a_number(sheet: str, row: int, column: int, value: Value) -> EngineError:
    """The error of `get_numbers`; `row` and `column` count from 1."""
    held = "is blank" if value is None else f"holds {value!r}"
    return EngineError(f"{quote_sheet(sheet)}!{cell_name(row, column)} {held} where a number was expected")


def existing_file(path: str | Path) -> Path:
    """The absolute path of a file that is there; the programs' own messages for a missing one say little."""
    found = Path(path).resolve()
    if not found.is_file():
        raise WorkbookError(f"there is no file {path}")
    return found


def scalar(value: float | str | bool | np.number[Any]) -> Scalar:
    """What can be put into a cell; `EngineError` for half a surrogate pair, long texts, and no finite number."""
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise EngineError("the text holds half of a surrogate pair, which no spreadsheet can hold")
        if len(value.encode("utf-16-le")) // 2 > MAX_CELL_TEXT:
            raise EngineError(f"the text has {len(value):,} characters; a cell holds {MAX_CELL_TEXT:,}, so shorten it")
        return value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not math.isfinite(value):
        raise EngineError(f"a cell holds finite numbers only, not {float(value)}")
    return float(value)


def matrix(values: object) -> NDArray[np.float64]:
    """A 2-D float array of what was given for a range; `EngineError` where it is none."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise EngineError("a range takes a two-dimensional array of numbers") from None
    if array.ndim != 2 or not np.isfinite(array).all():
        raise EngineError("a range takes a two-dimensional array of finite numbers")
    return array
