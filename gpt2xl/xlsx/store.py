"""Cells as they are read, gathered into arrays."""

from __future__ import annotations

from array import array
from bisect import bisect_left
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
# The same for a band of rows, of which a sheet with much room between its cells is made.
_BAND_FACTOR = 4
_BAND_ALWAYS = 4096

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
        texts = sorted(self.text)
        for top, end, left, stop in _bands_of(self.kind):
            of_band = texts[bisect_left(texts, (top, 0)) : bisect_left(texts, (end, 0))]
            local = {(row - top, column - left): self.text[row, column] for row, column in of_band}
            for row, bottom, column, right in _text_pieces(local, (end - top, stop - left)):
                piece = (slice(top + row, top + bottom), slice(left + column, left + right))
                kind = self.kind[piece]
                text = None
                if (kind == TEXT).any():
                    text = np.full(kind.shape, None, dtype=object)
                    for text_row, text_column in np.argwhere(kind == TEXT).tolist():
                        text[text_row, text_column] = local[row + text_row, column + text_column]
                place = self.rect.part(top + row, left + column, bottom - row, right - column)
                yield place, self.num[piece], kind, text


Band = tuple[int, int, int, int]  # first row, end row, first column, end column


def _bands_of(kind: Array) -> list[Band]:
    """The bands of an array's cells that are not blank; the whole array where that is no larger by much."""
    height, width = kind.shape
    there = kind != BLANK
    counts = np.count_nonzero(there, axis=1)
    if kind.size <= _BAND_FACTOR * counts.sum() + _BAND_ALWAYS:
        return [(0, height, 0, width)]
    rows = np.flatnonzero(counts)
    there = there[rows]
    return bands(rows, there.argmax(axis=1), width - there[:, ::-1].argmax(axis=1), counts[rows])


def bands(rows: Array, lefts: Array, ends: Array, counts: Array) -> list[Band]:
    """Join rows, in order, each with cells from a column to before another, to rectangles that are mostly filled."""
    found: list[Band] = []
    filled = 0
    for row, left, end, count in zip(rows.tolist(), lefts.tolist(), ends.tolist(), counts.tolist(), strict=True):
        if found:
            top, _, band_left, band_end = found[-1]
            joined = (top, row + 1, min(left, band_left), max(end, band_end))
            size = (row + 1 - top) * (joined[3] - joined[2])
            if size <= _BAND_FACTOR * (filled + count) + _BAND_ALWAYS:
                found[-1] = joined
                filled += count
                continue
        found.append((row, row + 1, left, end))
        filled = count
    return found


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
        runs = sorted(self._runs, key=lambda run: run[:2])
        order = np.lexsort((columns, rows))
        rows, columns = rows[order], columns[order]
        numbers, kinds = np.asarray(self._numbers)[order], np.asarray(self._kinds)[order]
        run_rows = np.array([row for row, _, _ in runs], dtype=np.intp)
        run_lefts = np.array([column for _, column, _ in runs], dtype=np.intp)
        run_counts = np.array([len(run) for _, _, run in runs], dtype=np.intp)
        for top, end, left, stop in _bands_of_cells(
            np.concatenate([rows, run_rows]),
            np.concatenate([columns, run_lefts]),
            np.concatenate([columns + 1, run_lefts + run_counts]),
            np.concatenate([np.ones_like(rows), run_counts]),
        ):
            num = np.zeros((end - top, stop - left))
            kind = np.full(num.shape, BLANK, dtype=np.uint8)
            for row, column, run in runs[np.searchsorted(run_rows, top) : np.searchsorted(run_rows, end)]:
                part = np.s_[row - top, column - left : column - left + len(run)]
                num[part], kind[part] = run, NUMBER
            cells = np.s_[np.searchsorted(rows, top) : np.searchsorted(rows, end)]
            places = rows[cells] - top, columns[cells] - left
            num[places], kind[places] = numbers[cells], kinds[cells]
            text = None
            if (kinds[cells] == TEXT).any():
                text = np.full(num.shape, None, dtype=object)
                for row, column in np.argwhere(kind == TEXT).tolist():
                    text[row, column] = self._text[top + row, left + column]
            yield Rect.of(top, left, *num.shape), num, kind, text


def _bands_of_cells(rows: Array, lefts: Array, ends: Array, counts: Array) -> Iterator[Band]:
    """`bands` of stretches of cells in any order; a row with much room in it is a band for each of its stretches."""
    order = np.argsort(rows, kind="stable")
    rows, lefts, ends, counts = rows[order], lefts[order], ends[order], counts[order]
    begins = np.flatnonzero(np.diff(rows, prepend=-1))
    row_lefts, row_ends = np.minimum.reduceat(lefts, begins), np.maximum.reduceat(ends, begins)
    row_counts = np.add.reduceat(counts, begins)
    for top, end, left, stop in bands(rows[begins], row_lefts, row_ends, row_counts):
        if end - top > 1 or stop - left <= _BAND_ALWAYS:
            yield top, end, left, stop
            continue
        row = np.s_[np.searchsorted(rows, top) : np.searchsorted(rows, end)]
        stretches = sorted(zip(lefts[row].tolist(), ends[row].tolist(), strict=True))
        first, last = stretches[0]
        for begin, after in stretches[1:]:
            if begin - last > _BAND_FACTOR:
                yield top, end, first, last
                first = begin
            last = max(last, after)
        yield top, end, first, last


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
