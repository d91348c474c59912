"""Cells as they are read, gathered into arrays."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from gpt2xl.a1 import BLANK, NUMBER, TEXT, Rect
from gpt2xl.xlsx.numbers import Array

if TYPE_CHECKING:
    from collections.abc import Iterator

# A sheet is kept as one array while that array has no more cells than this for each cell in the file (plus some).
_DENSE_FACTOR = 16
_DENSE_ALWAYS = 1_000_000

ValueBlock = tuple[Rect, Array, Array, Array | None]


@dataclass(frozen=True, slots=True)
class FormulaCell:
    """A formula as the file holds it.

    ``mode`` is ``cell`` (one cell), ``array`` (one formula for all of ``rect``), ``fill`` (a shared formula: ``text``
    moved to each cell of ``rect``) or ``table`` (a data table, ``text`` is `TABLE(row input, column input)`).
    Relative references in ``text`` are as seen from the cell ``origin`` (row, column), which for ``fill`` may lie
    outside ``rect``: where the cells of one shared formula form no rectangle, there are several of one origin.
    """

    rect: Rect
    text: str
    mode: Literal["cell", "array", "fill", "table"]
    origin: tuple[int, int]


@dataclass(slots=True, eq=False)
class SheetData:
    """The cells of a sheet.

    ``rect`` is the smallest rectangle around all cells with a value or a formula, or None. ``num`` and ``kind`` have
    its shape, ``text`` has the strings by row and column, counted from 0 inside ``rect``. A sheet whose few cells
    lie far apart is ``sparse``: then ``num``, ``kind`` and ``text`` are empty, and only `blocks` gives its values.
    """

    rect: Rect | None = None
    num: Array = field(default_factory=lambda: np.zeros((0, 0)))
    kind: Array = field(default_factory=lambda: np.zeros((0, 0), dtype=np.uint8))
    text: dict[tuple[int, int], str] = field(default_factory=dict)
    formulas: list[FormulaCell] = field(default_factory=list)
    sparse: list[ValueBlock] | None = None

    def blocks(self) -> Iterator[ValueBlock]:
        """The values as rectangles: where, numbers, kinds, and strings where there are any.

        A rectangle without strings is a view of ``num`` and ``kind``, so a large sheet of numbers costs nothing.
        """
        if self.sparse is not None:
            yield from self.sparse
            return
        if self.rect is None:
            return
        for row, bottom, column, right in _text_pieces(self.text, self.rect.shape):
            piece = (slice(row, bottom), slice(column, right))
            kind = self.kind[piece]
            text = None
            if (kind == TEXT).any():
                text = np.full(kind.shape, None, dtype=object)
                for text_row, text_column in np.argwhere(kind == TEXT).tolist():
                    text[text_row, text_column] = self.text[row + text_row, column + text_column]
            yield self.rect.part(row, column, bottom - row, right - column), self.num[piece], kind, text


def _text_pieces(text: dict[tuple[int, int], str], shape: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Cut a sheet so that large pieces are free of strings: (first row, end row, first column, end column)."""
    height, width = shape
    if not text or height * width <= 65_536:
        yield 0, height, 0, width
        return
    # Columns of labels first; what strings are then left stand in rows of headings.
    in_column = np.bincount([column for _, column in text], minlength=width)
    label_columns = in_column > 8
    heading_rows = np.zeros(height, dtype=bool)
    heading_rows[[row for row, column in text if not label_columns[column]]] = True
    for row, bottom, heading in _stretches(heading_rows):
        if heading:
            yield row, bottom, 0, width
        else:
            for column, right, _ in _stretches(label_columns):
                yield row, bottom, column, right


def _stretches(flags: Array) -> Iterator[tuple[int, int, bool]]:
    """Stretches of equal flags: begin, end, flag."""
    edges = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(flags)]
    for begin, end in pairwise(edges):
        yield begin, end, bool(flags[begin])


class CellStore:
    """Takes cells one by one and in runs of numbers; `finish` gives the arrays.

    `hint` is where the file says its cells are (ECMA-376 part 1, 18.3.1.35: dimension): runs inside it go
    straight to their place. It need not be true.
    """

    def __init__(self, hint: Rect | None = None) -> None:
        self._runs: list[tuple[int, int, Array]] = []
        self._rows, self._columns = array("i"), array("i")
        self._kinds, self._numbers = array("B"), array("d")
        self._text: dict[tuple[int, int], str] = {}
        self._top = self._left = 1 << 30
        self._bottom = self._right = self._count = 0
        self._hint = hint
        if hint:
            self._num = np.zeros(hint.shape)
            self._kind = np.full(hint.shape, BLANK, dtype=np.uint8)

    def put(self, row: int, column: int, kind: int, number: float) -> None:
        self._rows.append(row)
        self._columns.append(column)
        self._kinds.append(kind)
        self._numbers.append(number)

    def put_text(self, row: int, column: int, text: str) -> None:
        self.put(row, column, TEXT, 0.0)
        self._text[row, column] = text

    def put_run(self, row: int, column: int, numbers: Array) -> None:
        """Numbers side by side, the first at (`row`, `column`)."""
        hint, right = self._hint, column + len(numbers) - 1
        self._stretch(row, column, row, right)
        self._count += len(numbers)
        if hint and hint.top <= row <= hint.bottom and hint.left <= column and right <= hint.right:
            place = (row - hint.top, slice(column - hint.left, right + 1 - hint.left))
            self._num[place] = numbers
            self._kind[place] = NUMBER
        else:
            self._runs.append((row, column, numbers))

    def _stretch(self, top: int, left: int, bottom: int, right: int) -> None:
        self._top, self._left = min(self._top, top), min(self._left, left)
        self._bottom, self._right = max(self._bottom, bottom), max(self._right, right)

    def finish(self, formulas: list[FormulaCell]) -> SheetData:
        rows, columns = np.asarray(self._rows), np.asarray(self._columns)
        if len(rows):
            self._stretch(int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max()))
        self._count += len(rows)
        for formula in formulas:  # one that has no value yet is a cell all the same
            rect = formula.rect
            self._stretch(rect.top, rect.left, rect.bottom, rect.right)
            self._count += rect.size
        if not self._count:
            return SheetData()
        rect = Rect(self._top, self._left, self._bottom, self._right)
        if rect.size > _DENSE_FACTOR * self._count + _DENSE_ALWAYS:
            return SheetData(rect, formulas=formulas, sparse=list(self._sparse_blocks(rows, columns)))
        num, kind = self._arrays(rect)
        for row, column, numbers in self._runs:
            place = (row - rect.top, slice(column - rect.left, column - rect.left + len(numbers)))
            num[place] = numbers
            kind[place] = NUMBER
        self._runs.clear()
        num[rows - rect.top, columns - rect.left] = np.asarray(self._numbers)
        kind[rows - rect.top, columns - rect.left] = np.asarray(self._kinds)
        text = {(row - rect.top, column - rect.left): string for (row, column), string in self._text.items()}
        return SheetData(rect, num, kind, text, formulas)

    def _arrays(self, rect: Rect) -> tuple[Array, Array]:
        """Arrays of `rect`'s shape, with what `hint` already holds."""
        hint = self._hint
        if hint and hint.contains(rect):
            place = (
                slice(rect.top - hint.top, rect.bottom + 1 - hint.top),
                slice(rect.left - hint.left, rect.right + 1 - hint.left),
            )
            return self._num[place], self._kind[place]
        num = np.zeros(rect.shape)
        kind = np.full(rect.shape, BLANK, dtype=np.uint8)
        if hint:
            top, left = max(rect.top, hint.top), max(rect.left, hint.left)
            bottom, right = min(rect.bottom, hint.bottom), min(rect.right, hint.right)
            if top <= bottom and left <= right:
                to = (slice(top - rect.top, bottom + 1 - rect.top), slice(left - rect.left, right + 1 - rect.left))
                of = (slice(top - hint.top, bottom + 1 - hint.top), slice(left - hint.left, right + 1 - hint.left))
                num[to] = self._num[of]
                kind[to] = self._kind[of]
        return num, kind

    def _sparse_blocks(self, rows: Array, columns: Array) -> Iterator[ValueBlock]:
        if hint := self._hint:  # it was too small, by far
            for row, kinds_of_row in enumerate(self._kind):
                for begin, end, is_number in _stretches(kinds_of_row == NUMBER):
                    if is_number:
                        self._runs.append((hint.top + row, hint.left + begin, self._num[row, begin:end]))
        for row, column, run in self._runs:
            yield Rect.of(row, column, 1, len(run)), run[None], np.zeros((1, len(run)), dtype=np.uint8), None
        order = np.lexsort((columns, rows))
        rows, columns = rows[order], columns[order]
        numbers, kinds = np.asarray(self._numbers)[order], np.asarray(self._kinds)[order]
        apart = np.flatnonzero((np.diff(rows) != 0) | (np.diff(columns) != 1)) + 1
        edges = [0, *apart.tolist(), len(rows)]
        for begin, end in pairwise(edges):
            if begin == end:
                continue
            rect = Rect.of(int(rows[begin]), int(columns[begin]), 1, end - begin)
            kind = kinds[None, begin:end]
            text = None
            if (kind == TEXT).any():
                text = np.full(kind.shape, None, dtype=object)
                for offset in np.flatnonzero(kind[0] == TEXT).tolist():
                    text[0, offset] = self._text[rect.top, rect.left + offset]
            yield rect, numbers[None, begin:end], kind, text


def rectangles(runs: list[tuple[int, int, int]]) -> Iterator[Rect]:
    """Cover `runs` (row, first column, last column) with rectangles: side by side first, then rows of equal extent."""
    joined: list[tuple[int, int, int]] = []
    for row, left, right in sorted(runs):
        if joined and joined[-1][0] == row and left <= joined[-1][2] + 1:
            joined[-1] = (row, joined[-1][1], max(right, joined[-1][2]))
        else:
            joined.append((row, left, right))
    growing: dict[tuple[int, int], tuple[int, int]] = {}  # extent -> first row, last row
    for row, left, right in joined:
        top, bottom = growing.get((left, right), (row, row - 1))
        if bottom != row - 1:
            yield Rect(top, left, bottom, right)
            top = row
        growing[left, right] = (top, row)
    for (left, right), (top, bottom) in growing.items():
        yield Rect(top, left, bottom, right)
