"""The cells of one sheet: a dense block of numbers and a byte a cell beside it, or tiles where that would waste memory.

A formula sees a rectangle as a view of the block, without copying, so that a matrix of 50,257 x 768 parameters
goes to MMULT as it lies. The block grows by doubling; views are good as long as `version` stays the same.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from gpt2xl.a1 import BLANK, ERROR, MAX_COLUMNS, MAX_ROWS, TEXT, Rect
from gpt2xl.errors import LimitError
from gpt2xl.formula.values import NUM, Array, Bytes, Floats, Held, TextPool, Unread, all_numbers
from gpt2xl.formula.window import Placement, Window

_SMALL = 1 << 20  # cells that are always kept densely (8 MiB of numbers)
_WASTE = 4  # beyond that, at most this many places for each cell that was ever filled
_TILE_ROWS, _TILE_COLUMNS = 64, 64
_MOST_COPIED = 1 << 25  # cells of a range that are put together from elsewhere, or twice as many as the sheet holds
# Places in tiles (600 MiB), or so many for each cell that was ever filled.
_MOST_SCATTERED = 1 << 26
_SCATTERED = 64
_LARGE = 1 << 22  # numbers that are not read before it is known which are wanted
_FEW = 16  # held rectangles, up to which they are compared one by one


class Grid:
    """One sheet's stored values.

    ``version`` changes when views of the block must be taken anew: after growth, and when the kind of any
    cell changes. ``writes`` changes whenever anything is stored.
    """

    def __init__(self, name: str, pool: TextPool, rows: int = 0, columns: int = 0) -> None:
        self.name = name
        self.pool = pool
        self.version = 0
        self.windows: WeakValueDictionary[Placement, Window] = WeakValueDictionary()
        self.writes = 0
        self.used_rows = 1
        self.used_columns = 1
        self.num: Floats = np.zeros((0, 0))
        self.kind: Bytes = np.zeros((0, 0), np.uint8)
        self._held: list[tuple[Rect, Held]] = []
        self._cells_held = 0
        self._sides: NDArray[np.int64] | None = None  # of all held rectangles: tops, lefts, bottoms, rights
        self._filled = 0
        self._tiles: dict[tuple[int, int], tuple[Floats, Bytes]] | None = None
        if rows and columns:
            self._filled = rows * columns // _WASTE + 1
            self.reserve(rows, columns)
            self._filled = 0

    @property
    def cells(self) -> int:
        """How many cells were ever filled."""
        return self._filled + self._cells_held

    def put(self, rect: Rect, values: object) -> None:
        """Store values without recalculation: one value for every cell, or as many as the rectangle has."""
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu":
            array = Array(values)  # converted when stored, without a copy in between
        else:
            array = Array.of(values)
        if array.shape != rect.shape:
            if array.shape == rect.shape[::-1] and 1 in rect.shape:
                kind, text = array.kind, array.text
                array = Array(array.num.T, None if kind is None else kind.T, None if text is None else text.T)
            elif array.shape != (1, 1):
                raise ValueError(f"{array.shape[0]} x {array.shape[1]} values do not fit {rect}")
        self.fill(rect)
        num, kind = array.num, array.kind
        if kind is None:
            if not _finite(num):
                kind = np.where(np.isfinite(num), 0, ERROR).astype(np.uint8)
                num = np.where(np.isfinite(num), num, NUM.code)
        elif array.text is not None:
            where = kind == TEXT
            num = num.copy()
            num[where] = self.pool.add_all(array.text[where].tolist())
        self.write(rect, num, kind)

    def hold(self, rect: Rect, numbers: Held) -> None:
        """Let `numbers` stay where they are: read when a formula wants them, copied into the block by a write only."""
        self._held.append((rect, numbers))
        self._cells_held += rect.size
        self._sides = None
        self.used_rows = max(self.used_rows, rect.bottom)
        self.used_columns = max(self.used_columns, rect.right)
        self.version += 1

    def take(self, rect: Rect) -> Array:
        """The stored values, a copy, rows x columns."""
        num, kind, live = self.window(rect.top, rect.left, rect.bottom, rect.right)
        num = num.copy() if live else num
        if all_numbers(kind):
            return Array(num)
        kind = kind.copy() if live else kind
        text = None
        where = kind == TEXT
        if where.any():
            text = np.full(num.shape, "", object)
            text[where] = self.pool.get(num[where])
            num[where] = 0.0
        return Array(num, kind, text)

    def fill(self, rect: Rect) -> None:
        """Make room for values of a whole rectangle."""
        self._filled += rect.size
        self.reserve(rect.bottom, rect.right)
        self.used_rows = max(self.used_rows, rect.bottom)
        self.used_columns = max(self.used_columns, rect.right)

    def reserve(self, rows: int, columns: int) -> None:
        """Let the block reach as far as this, or go over to tiles where it would be mostly empty."""
        have_rows, have_columns = self.num.shape
        if self._tiles is not None or (rows <= have_rows and columns <= have_columns):
            return
        exact = max(rows, have_rows), max(columns, have_columns)
        ample = (
            min(MAX_ROWS, max(rows, 2 * have_rows)) if rows > have_rows else have_rows,
            min(MAX_COLUMNS, max(columns, 2 * have_columns)) if columns > have_columns else have_columns,
        )
        bound = max(_SMALL, _WASTE * self._filled)
        new = ample if ample[0] * ample[1] <= bound else exact
        if new[0] * new[1] > bound:
            self._scatter()
            return
        num = np.zeros(new)
        kind = np.full(new, BLANK, np.uint8)
        num[:have_rows, :have_columns] = self.num
        kind[:have_rows, :have_columns] = self.kind
        self.num, self.kind = num, kind
        self.version += 1

    def window(self, top: int, left: int, bottom: int, right: int) -> tuple[Floats, Bytes, bool]:
        """Numbers and kinds of a rectangle, and whether they are live views of the block (else copies)."""
        if self._held and (of_held := self._of_held(Rect(top, left, bottom, right))):
            return of_held
        rows, columns = self.num.shape
        if self._tiles is None and bottom <= rows and right <= columns:
            part = np.s_[top - 1 : bottom, left - 1 : right]
            return self.num[part], self.kind[part], True
        shape = bottom - top + 1, right - left + 1
        if shape[0] * shape[1] > max(_MOST_COPIED, 2 * self.cells):
            raise LimitError(f"a range of {shape[0]:,} x {shape[1]:,} mostly empty cells is too large to compute with")
        num, kind = np.zeros(shape), np.full(shape, BLANK, np.uint8)
        if self._tiles is None:
            part = np.s_[top - 1 : bottom, left - 1 : right]
            inside = self.num[part].shape
            num[: inside[0], : inside[1]] = self.num[part]
            kind[: inside[0], : inside[1]] = self.kind[part]
            return num, kind, False
        for here, there, tile in self._overlaps(top, left, bottom, right, make=False):
            num[here] = tile[0][there]
            kind[here] = tile[1][there]
        return num, kind, False

    def unread(self, rect: Rect) -> Unread | None:
        """The cells of a rectangle, if they are many and kept elsewhere, but not in memory."""
        if rect.size < _LARGE or not self._held:
            return None
        over = self._holding(rect)
        if len(over) != 1 or not over[0][0].contains(rect) or isinstance(over[0][1], np.ndarray):
            return None
        place, numbers = over[0]
        return Unread(numbers, _inside(rect, place))

    def _of_held(self, rect: Rect) -> tuple[Floats, Bytes, bool] | None:
        """`window` where some of its cells are held elsewhere; None where none is."""
        over = self._holding(rect)
        if not over:
            return None
        if len(over) == 1 and over[0][0].contains(rect):
            place, numbers = over[0]
            kind = np.broadcast_to(np.zeros((1, 1), np.uint8), rect.shape)
            return numbers[_inside(rect, place)], kind, isinstance(numbers, np.ndarray)
        kept, self._held = self._held, []
        try:
            num, kind, live = self.window(rect.top, rect.left, rect.bottom, rect.right)
        finally:
            self._held = kept
        if live:
            num, kind = num.copy(), kind.copy()
        for place, numbers in over:
            both = Rect(
                max(rect.top, place.top), max(rect.left, place.left),
                min(rect.bottom, place.bottom), min(rect.right, place.right),
            )  # fmt: skip
            num[_inside(both, rect)] = numbers[_inside(both, place)]
            kind[_inside(both, rect)] = 0
        return num, kind, False

    def _holding(self, rect: Rect) -> list[tuple[Rect, Held]]:
        """What is held of some of a rectangle's cells."""
        if len(self._held) <= _FEW:
            return [held for held in self._held if held[0].intersects(rect)]
        if self._sides is None:
            self._sides = np.array([(at.top, at.left, at.bottom, at.right) for at, _ in self._held]).T.copy()
        top, left, bottom, right = self._sides
        meets = (top <= rect.bottom) & (left <= rect.right) & (bottom >= rect.top) & (right >= rect.left)
        return [self._held[number] for number in np.flatnonzero(meets).tolist()]

    def write(self, rect: Rect, num: Floats, kind: Bytes | None) -> None:
        """Store numbers and kinds; both broadcast to the rectangle."""
        for place, numbers in self._holding(rect):
            self._held = [held for held in self._held if held[1] is not numbers]
            self._cells_held -= place.size
            self._sides = None
            self.put(place, numbers[_inside(place, place)])
        self.writes += 1
        if self._tiles is not None:
            num = np.broadcast_to(num, rect.shape)
            kind = np.broadcast_to(np.zeros((1, 1), np.uint8) if kind is None else kind, rect.shape)
            for here, there, tile in self._overlaps(rect.top, rect.left, rect.bottom, rect.right, make=True):
                tile[0][there] = num[here]
                tile[1][there] = kind[here]
            self.version += 1
            return
        part = np.s_[rect.top - 1 : rect.bottom, rect.left - 1 : rect.right]
        self.num[part] = num
        old = self.kind[part]
        if kind is None:
            if old.any():
                old[...] = 0
                self.version += 1
        elif (old != kind).any():
            old[...] = kind
            self.version += 1

    def texts(self) -> set[int]:
        """The indices of all stored strings."""
        parts = [(self.num, self.kind)] if self._tiles is None else list(self._tiles.values())
        found: set[int] = set()
        for num, kind in parts:
            found.update(np.unique(num[kind == TEXT]).astype(int).tolist())
        return found

    def _scatter(self) -> None:
        """Go over to tiles."""
        num, kind = self.num, self.kind
        self._tiles = {}
        self.num, self.kind = np.zeros((0, 0)), np.zeros((0, 0), np.uint8)
        for row in range(0, num.shape[0], _TILE_ROWS):
            for column in range(0, num.shape[1], _TILE_COLUMNS):
                part = np.s_[row : row + _TILE_ROWS, column : column + _TILE_COLUMNS]
                if (kind[part] != BLANK).any():
                    tile = np.zeros((_TILE_ROWS, _TILE_COLUMNS)), np.full((_TILE_ROWS, _TILE_COLUMNS), BLANK, np.uint8)
                    inside = np.s_[: num[part].shape[0], : num[part].shape[1]]
                    tile[0][inside], tile[1][inside] = num[part], kind[part]
                    self._tiles[row // _TILE_ROWS, column // _TILE_COLUMNS] = tile
        self.version += 1

    def _overlaps(
        self, top: int, left: int, bottom: int, right: int, *, make: bool
    ) -> list[tuple[tuple[slice, slice], tuple[slice, slice], tuple[Floats, Bytes]]]:
        """For each tile under a rectangle: the part of the rectangle, the part of the tile, the tile."""
        tiles = self._tiles if self._tiles is not None else {}
        first = (top - 1) // _TILE_ROWS, (left - 1) // _TILE_COLUMNS
        last = (bottom - 1) // _TILE_ROWS, (right - 1) // _TILE_COLUMNS
        keys = [(i, j) for i in range(first[0], last[0] + 1) for j in range(first[1], last[1] + 1)]
        found = []
        for i, j in keys:
            tile = tiles.get((i, j))
            if tile is None:
                if not make:
                    continue
                if len(tiles) * _TILE_ROWS * _TILE_COLUMNS >= max(_MOST_SCATTERED, _SCATTERED * self._filled):
                    raise LimitError(
                        f"the cells of sheet {self.name} are scattered too far for gpt2xl: {len(tiles):,} areas for "
                        f"{self._filled:,} cells"
                    )
                shape = _TILE_ROWS, _TILE_COLUMNS
                tile = tiles[i, j] = np.zeros(shape), np.full(shape, BLANK, np.uint8)
            row, column = i * _TILE_ROWS, j * _TILE_COLUMNS
            up, down = max(top - 1, row), min(bottom, row + _TILE_ROWS)
            west, east = max(left - 1, column), min(right, column + _TILE_COLUMNS)
            here = slice(up - top + 1, down - top + 1), slice(west - left + 1, east - left + 1)
            there = slice(up - row, down - row), slice(west - column, east - column)
            found.append((here, there, tile))
        return found


def _inside(rect: Rect, outer: Rect) -> tuple[slice, slice]:
    """Where `rect` lies in an array of `outer`'s cells."""
    return (
        slice(rect.top - outer.top, rect.bottom - outer.top + 1),
        slice(rect.left - outer.left, rect.right - outer.left + 1),
    )


def _finite(num: Floats) -> bool:
    """Whether all numbers are finite, looked at in pieces so that no large array of truth values is made."""
    step = max(1, (1 << 20) // max(1, num.shape[1]))
    return all(bool(np.isfinite(num[start : start + step]).all()) for start in range(0, num.shape[0], step))
