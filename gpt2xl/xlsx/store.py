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
    from collections.abc import Iterator, Sequence

# A sheet with no more places between its first and last cells than this is one array. A larger one is made of slabs
# (rectangles of at least so many plain numbers) and, for the rest, of bands of rows.
_DENSE = 1_000_000
_SLAB = 65_536
# A band is no larger than its rows together, and has no more places for each cell, by these factors (plus some).
_BAND_SPANS = 1.125
_BAND_FACTOR = 16
_BAND_ALWAYS = 4096
_FAR = 8  # columns between two stretches of a row that is mostly empty

_NUMBERS: Array = np.zeros((1, 1), dtype=np.uint8)

Run = tuple[int, int, Array]  # row, column, numbers side by side
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
    its shape, ``text`` has the strings by row and column, counted from 0 inside ``rect``. A large sheet is ``sparse``:
    then ``num``, ``kind`` and ``text`` are empty, and only `blocks` gives its values. ``unfilled`` is how many cells
    more the array formulas fill than the file holds.
    """

    rect: Rect | None = None
    num: Array = field(default_factory=lambda: np.zeros((0, 0)))
    kind: Array = field(default_factory=lambda: np.zeros((0, 0), dtype=np.uint8))
    text: dict[tuple[int, int], str] = field(default_factory=dict)
    formulas: list[FormulaCell] = field(default_factory=list)
    sparse: list[ValueBlock] | None = None
    unfilled: int = 0

    def blocks(self) -> Iterator[ValueBlock]:
        """The values as rectangles: where, numbers, kinds, and strings where there are any.

        Where two overlap, which only blank cells of the first do, the later one has the values.
        A rectangle without strings is a view of ``num`` and ``kind``, so a large sheet of numbers costs nothing.
        """
        if self.sparse is not None:
            yield from self.sparse
            return
        if self.rect is not None:
            yield from _without_text(self.rect, self.num, self.kind, self.text)


Band = tuple[int, int, int, int]  # first row, end row, first column, end column


def _bands(rows: Array, lefts: Array, ends: Array, counts: Array) -> list[Band]:
    """Join rows, in order, each with cells from a column to before another, to rectangles.

    A rectangle is hardly larger than its rows together, and its cells are not much fewer than its places.
    """
    found: list[Band] = []
    spans = filled = 0
    for row, left, end, count in zip(rows.tolist(), lefts.tolist(), ends.tolist(), counts.tolist(), strict=True):
        spans, filled = spans + end - left, filled + count
        if found:
            top, _, band_left, band_end = found[-1]
            joined = (top, row + 1, min(left, band_left), max(end, band_end))
            size = (row + 1 - top) * (joined[3] - joined[2]) - _BAND_ALWAYS
            if size <= _BAND_SPANS * spans and size <= _BAND_FACTOR * filled:
                found[-1] = joined
                continue
        found.append((row, row + 1, left, end))
        spans, filled = end - left, count
    return found


def _without_text(rect: Rect, num: Array, kind: Array, texts: dict[tuple[int, int], str]) -> Iterator[ValueBlock]:
    """A rectangle's values, cut so that large pieces are free of strings."""
    for row, bottom, column, right in _text_pieces(texts, rect.shape):
        piece = (slice(row, bottom), slice(column, right))
        text = None
        if (kind[piece] == TEXT).any():
            text = np.full(kind[piece].shape, None, dtype=object)
            for text_row, text_column in np.argwhere(kind[piece] == TEXT).tolist():
                text[text_row, text_column] = texts[row + text_row, column + text_column]
        yield rect.part(row, column, bottom - row, right - column), num[piece], kind[piece], text


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
    """Takes cells one by one and in runs of numbers; `finish` gives the arrays."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._rows, self._columns = array("i"), array("i")
        self._kinds, self._numbers = array("B"), array("d")
        self._text: dict[tuple[int, int], str] = {}
        self._top = self._left = 1 << 30
        self._bottom = self._right = self._count = 0

    @property
    def count(self) -> int:
        """How many cells it has taken."""
        return self._count + len(self._rows)

    def put(self, row: int, column: int, kind: int, number: float) -> None:
        self._rows.append(row)
        self._columns.append(column)
        self._kinds.append(kind)
        self._numbers.append(number)

    def put_text(self, row: int, column: int, text: str) -> None:
        self.put(row, column, TEXT, 0.0)
        self._text[row, column] = text

    def put_numbers(self, rows: Sequence[int], columns: Sequence[int], numbers: Array, kind: int = NUMBER) -> None:
        """Numbers, or what numbers stand for, each in a cell of its own."""
        self._rows.extend(rows)
        self._columns.extend(columns)
        self._kinds.frombytes(bytes([kind]) * len(rows))
        self._numbers.frombytes(numbers.tobytes())

    def put_run(self, row: int, column: int, numbers: Array) -> None:
        """Numbers side by side, the first at (`row`, `column`)."""
        self._stretch(row, column, row, column + len(numbers) - 1)
        self._count += len(numbers)
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
        if rect.size > _DENSE:
            return SheetData(rect, formulas=formulas, sparse=list(self._sparse_blocks(rows, columns)))
        num = np.zeros(rect.shape)
        kind = np.full(rect.shape, BLANK, dtype=np.uint8)
        for row, column, numbers in self._runs:
            place = (row - rect.top, slice(column - rect.left, column - rect.left + len(numbers)))
            num[place] = numbers
            kind[place] = NUMBER
        self._runs.clear()
        num[rows - rect.top, columns - rect.left] = np.asarray(self._numbers)
        kind[rows - rect.top, columns - rect.left] = np.asarray(self._kinds)
        text = {(row - rect.top, column - rect.left): string for (row, column), string in self._text.items()}
        return SheetData(rect, num, kind, text, formulas)

    def _sparse_blocks(self, rows: Array, columns: Array) -> Iterator[ValueBlock]:
        runs, slabs = _slabs(sorted(self._runs, key=lambda run: run[:2]))
        self._runs.clear()
        if runs or len(rows):
            yield from self._band_blocks(rows, columns, runs)
        for rect, num in slabs:
            yield rect, num, np.broadcast_to(_NUMBERS, rect.shape), None

    def _band_blocks(self, rows: Array, columns: Array, runs: list[Run]) -> Iterator[ValueBlock]:
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
                if not left <= column < stop:
                    continue  # in another stretch of the row
                part = np.s_[row - top, column - left : column - left + len(run)]
                num[part], kind[part] = run, NUMBER
            cells = np.arange(np.searchsorted(rows, top), np.searchsorted(rows, end))
            cells = cells[(left <= columns[cells]) & (columns[cells] < stop)]
            places = rows[cells] - top, columns[cells] - left
            num[places], kind[places] = numbers[cells], kinds[cells]
            texts = {
                (row, column): self._text[top + row, left + column]
                for row, column in np.argwhere(kind == TEXT).tolist()
            }
            yield from _without_text(Rect.of(top, left, *num.shape), num, kind, texts)


def _slabs(runs: list[Run]) -> tuple[list[Run], list[tuple[Rect, Array]]]:
    """Runs of equal extent in row after row, put together where they are many; and the other runs, in order."""
    groups: list[list[Run]] = []
    growing: dict[tuple[int, int], list[Run]] = {}  # by column and length
    for run in runs:
        extent = run[1], len(run[2])
        group = growing.get(extent)
        if group is None or group[-1][0] != run[0] - 1:
            group = growing[extent] = []
            groups.append(group)
        group.append(run)
    runs.clear()
    growing.clear()
    others: list[Run] = []
    slabs: list[tuple[Rect, Array]] = []
    for group in groups:
        row, column, numbers = group[0]
        if len(group) * len(numbers) < _SLAB:
            others += group
            continue
        slab = _in_place([of_row for _, _, of_row in group])
        if slab is None:
            slab = np.empty((len(group), len(numbers)))
            for index, (_, _, of_row) in enumerate(group):
                slab[index] = of_row
        group.clear()
        slabs.append((Rect.of(row, column, *slab.shape), slab))
    return sorted(others, key=lambda run: run[:2]), slabs


def _in_place(rows: list[Array]) -> Array | None:
    """Rows of equal length as a matrix, if they follow each other in the memory of one array."""
    base = rows[0].base
    if not isinstance(base, np.ndarray) or any(row.base is not base for row in rows):
        return None
    places = np.array([row.__array_interface__["data"][0] for row in rows])
    first = (int(places[0]) - base.__array_interface__["data"][0]) // base.itemsize
    if base.dtype != np.float64 or base.ndim != 1 or (np.diff(places) != rows[0].nbytes).any():
        return None
    matrix: Array = base[first : first + len(rows) * len(rows[0])].reshape(len(rows), -1)
    return matrix


def _bands_of_cells(rows: Array, lefts: Array, ends: Array, counts: Array) -> Iterator[Band]:
    """`_bands` of stretches of cells in any order; a row with much room in it is a band for each of its stretches."""
    order = np.argsort(rows, kind="stable")
    rows, lefts, ends, counts = rows[order], lefts[order], ends[order], counts[order]
    begins = np.flatnonzero(np.diff(rows, prepend=-1))
    row_lefts, row_ends = np.minimum.reduceat(lefts, begins), np.maximum.reduceat(ends, begins)
    row_counts = np.add.reduceat(counts, begins)
    for top, end, left, stop in _bands(rows[begins], row_lefts, row_ends, row_counts):
        if end - top > 1 or stop - left <= _BAND_ALWAYS:
            yield top, end, left, stop
            continue
        row = np.s_[np.searchsorted(rows, top) : np.searchsorted(rows, end)]
        stretches = sorted(zip(lefts[row].tolist(), ends[row].tolist(), strict=True))
        first, last = stretches[0]
        for begin, after in stretches[1:]:
            if begin - last > _FAR:
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
