"""The cells of one sheet: a dense block of numbers and a byte a cell beside it, or tiles where that would waste memory.

A formula sees a rectangle as a view of the block, without copying, so that a matrix of 50,257 x 768 parameters
goes to MMULT as it lies. The block grows by doubling; views are good as long as `version` stays the same.

Some rectangles are kept apart from the block, in memory of their own or of somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from gpt2xl.a1 import BLANK, ERROR, MAX_COLUMNS, MAX_ROWS, TEXT, Rect
from gpt2xl.errors import LimitError
from gpt2xl.formula.values import NUM, Array, Bytes, Floats, Held, TextPool, Unread, all_numbers
from gpt2xl.formula.window import Placement, Window

_SMALL = 1 << 18  # cells that are always kept densely (2 MiB of numbers)
_WASTE = 4  # beyond that, at most this many places for each cell that was ever filled
_TILE_ROWS, _TILE_COLUMNS = 16, 16
_MOST_COPIED = 1 << 25  # cells of a range that are put together from elsewhere, or twice as many as the sheet holds
# Places in tiles (36 MiB), or so many for each cell that was ever filled.
_MOST_SCATTERED = 1 << 22
_SCATTERED = 16
_LARGE = 1 << 22  # numbers that are not read before it is known which are wanted
# Cells of a rectangle that is kept apart without being asked to, if asked to on a large sheet, and if asked to on any.
_MANY, _WORTH_IT, _ALWAYS = 256, 16, 1 << 13
_FEW = 16  # rectangles kept apart, up to which they are compared one by one

_Part = tuple[slice, slice]


@dataclass(slots=True)
class _Apart:
    """A rectangle of which the block knows nothing. ``kind`` is None where all are somebody else's numbers."""

    rect: Rect
    num: Held
    kind: Bytes | None


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
        self._apart: list[_Apart] = []
        self._cells_held = 0
        self._sides = np.zeros((4, _FEW), np.int64)  # of rectangles apart: tops, lefts, bottoms, rights
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
        """Let `numbers` stay where they are: read when a formula wants them, copied by a write only."""
        self._keep_apart(_Apart(rect, numbers, None))
        self._cells_held += rect.size
        self._use(rect)

    def set_apart(self, rect: Rect) -> None:
        """Keep a rectangle in memory of its own, unless the block may as well have it: it will be filled, and what is
        around it may stay empty."""
        rows, columns = self.num.shape
        small = self._tiles is None and max(rows, rect.bottom) * max(columns, rect.right) <= _SMALL
        if rect.size < (_ALWAYS if small else _WORTH_IT) or self._meeting(rect):
            return
        self._keep_apart(_Apart(rect, *self._copied(rect)))

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
        self._use(rect)
        rows, columns = self.num.shape
        over = self._meeting(rect)
        if (rect.bottom <= rows and rect.right <= columns) or any(apart.rect.contains(rect) for apart in over):
            return
        if not over and rect.size >= _MANY and self._room(rect.bottom, rect.right) is None:
            self._keep_apart(_Apart(rect, *self._copied(rect)))
        else:
            self.reserve(rect.bottom, rect.right)

    def include(self, rect: Rect) -> None:
        """Let cells that are looked at be in the block, blank ones too, where that costs little."""
        rows, columns = self.num.shape
        outside = rect.bottom > rows or rect.right > columns
        if outside and max(rect.bottom, rows) * max(rect.right, columns) <= _SMALL and not self._meeting(rect):
            self.reserve(rect.bottom, rect.right)

    def _use(self, rect: Rect) -> None:
        self.used_rows = max(self.used_rows, rect.bottom)
        self.used_columns = max(self.used_columns, rect.right)

    def reserve(self, rows: int, columns: int) -> None:
        """Let the block reach as far as this, or go over to tiles where it would be mostly empty."""
        have_rows, have_columns = self.num.shape
        if self._tiles is not None or (rows <= have_rows and columns <= have_columns):
            return
        new = self._room(rows, columns)
        if new is None:
            self._scatter()
            return
        num = np.zeros(new)
        kind = np.full(new, BLANK, np.uint8)
        num[:have_rows, :have_columns] = self.num
        kind[:have_rows, :have_columns] = self.kind
        self.num, self.kind = num, kind
        self.version += 1

    def _room(self, rows: int, columns: int) -> tuple[int, int] | None:
        """The size of a block that reaches as far as this, None where it would be mostly empty."""
        if self._tiles is not None:
            return None
        have_rows, have_columns = self.num.shape
        exact = max(rows, have_rows), max(columns, have_columns)
        ample = (
            min(MAX_ROWS, max(rows, 2 * have_rows)) if rows > have_rows else have_rows,
            min(MAX_COLUMNS, max(columns, 2 * have_columns)) if columns > have_columns else have_columns,
        )
        bound = max(_SMALL, _WASTE * self._filled)
        return next((size for size in (ample, exact) if size[0] * size[1] <= bound), None)

    def _keep_apart(self, apart: _Apart) -> None:
        if len(self._apart) == self._sides.shape[1]:
            self._sides = np.concatenate((self._sides, np.zeros_like(self._sides)), axis=1)
        rect = apart.rect
        self._sides[:, len(self._apart)] = rect.top, rect.left, rect.bottom, rect.right
        self._apart.append(apart)
        self.version += 1

    def window(self, top: int, left: int, bottom: int, right: int) -> tuple[Floats, Bytes, bool]:
        """Numbers and kinds of a rectangle, and whether they are live views of the block (else copies)."""
        rect = Rect(top, left, bottom, right)
        if self._apart and (of_these := self._of_apart(rect)):
            return of_these
        rows, columns = self.num.shape
        if self._tiles is None and bottom <= rows and right <= columns:
            part = np.s_[top - 1 : bottom, left - 1 : right]
            return self.num[part], self.kind[part], True
        if rect.size > max(_MOST_COPIED, 2 * self.cells):
            raise LimitError(
                f"a range of {rect.height:,} x {rect.width:,} mostly empty cells is too large to compute with"
            )
        return *self._copied(rect), False

    def _copied(self, rect: Rect) -> tuple[Floats, Bytes]:
        """What block or tiles have of a rectangle."""
        num, kind = np.zeros(rect.shape), np.full(rect.shape, BLANK, np.uint8)
        if self._tiles is None:
            part = np.s_[rect.top - 1 : rect.bottom, rect.left - 1 : rect.right]
            inside = self.num[part].shape
            num[: inside[0], : inside[1]] = self.num[part]
            kind[: inside[0], : inside[1]] = self.kind[part]
            return num, kind
        for here, there, tile in self._overlaps(rect.top, rect.left, rect.bottom, rect.right, make=False):
            num[here] = tile[0][there]
            kind[here] = tile[1][there]
        return num, kind

    def held(self, rect: Rect) -> Floats | None:
        """The numbers of a rectangle where somebody else keeps them in memory, not to be written to."""
        top = self._on_top(rect)
        if top is None or top.kind is not None or not isinstance(top.num, np.ndarray):
            return None
        return top.num[_inside(rect, top.rect)]

    def unread(self, rect: Rect) -> Unread | None:
        """The cells of a rectangle, if they are many and kept elsewhere, but not in memory."""
        if rect.size < _LARGE or not self._apart:
            return None
        top = self._on_top(rect)
        if top is None or isinstance(top.num, np.ndarray):
            return None
        return Unread(top.num, _inside(rect, top.rect))

    def _of_apart(self, rect: Rect) -> tuple[Floats, Bytes, bool] | None:
        """`window` where some of its cells are kept apart; None where none is."""
        over = self._meeting(rect)
        if not over:
            return None
        if over[-1].rect.contains(rect):
            num, kind, part = over[-1].num, over[-1].kind, _inside(rect, over[-1].rect)
            kind = np.broadcast_to(np.zeros((1, 1), np.uint8), rect.shape) if kind is None else kind[part]
            return num[part], kind, isinstance(num, np.ndarray)
        kept, self._apart = self._apart, []
        try:
            num, kind, live = self.window(rect.top, rect.left, rect.bottom, rect.right)
        finally:
            self._apart = kept
        if live:
            num, kind = num.copy(), kind.copy()
        for apart in over:
            both = _both(rect, apart.rect)
            here, there = _inside(both, rect), _inside(both, apart.rect)
            num[here] = apart.num[there]
            kind[here] = 0 if apart.kind is None else apart.kind[there]
        return num, kind, False

    def _meeting(self, rect: Rect) -> list[_Apart]:
        """What is kept apart of some of a rectangle's cells; what comes later covers what came before."""
        if len(self._apart) <= _FEW:
            return [apart for apart in self._apart if apart.rect.intersects(rect)]
        top, left, bottom, right = self._sides[:, : len(self._apart)]
        meets = (top <= rect.bottom) & (left <= rect.right) & (bottom >= rect.top) & (right >= rect.left)
        return [self._apart[number] for number in np.flatnonzero(meets).tolist()]

    def _on_top(self, rect: Rect) -> _Apart | None:
        """What is kept apart and has all that is seen of a rectangle."""
        over = self._meeting(rect)
        return over[-1] if over and over[-1].rect.contains(rect) else None

    def write(self, rect: Rect, num: Floats, kind: Bytes | None) -> None:
        """Store numbers and kinds; both broadcast to the rectangle."""
        self.writes += 1
        num = np.broadcast_to(num, rect.shape)
        kind = None if kind is None else np.broadcast_to(kind, rect.shape)
        for apart in reversed(self._meeting(rect)):
            self._make_own(apart)
            both = _both(rect, apart.rect)
            self._store((apart.num, apart.kind), _inside(both, apart.rect), num, kind, _inside(both, rect))
            if apart.rect.contains(rect):
                return
        if self._tiles is None:
            part = np.s_[rect.top - 1 : rect.bottom, rect.left - 1 : rect.right]
            self._store((self.num, self.kind), part, num, kind, np.s_[:, :])
            return
        for here, there, tile in self._overlaps(rect.top, rect.left, rect.bottom, rect.right, make=True):
            self._store(tile, there, num, kind, here)
        self.version += 1  # there may be new tiles

    def _make_own(self, apart: _Apart) -> None:
        """Let what was held be memory of our own."""
        if apart.kind is None:
            apart.num = np.array(apart.num[_inside(apart.rect, apart.rect)], np.float64)
            apart.kind = np.zeros(apart.rect.shape, np.uint8)
            self._cells_held -= apart.rect.size
            self._filled += apart.rect.size
            self.version += 1

    def _store(self, place: tuple[Any, Any], there: _Part, num: Floats, kind: Bytes | None, here: _Part) -> None:
        """Numbers and kinds `here` into some memory, `there`."""
        place[0][there] = num[here]
        old = place[1][there]
        if kind is None:
            if old.any():
                old[...] = 0
                self.version += 1
        elif (old != kind[here]).any():
            old[...] = kind[here]
            self.version += 1

    def texts(self) -> set[int]:
        """The indices of all stored strings."""
        parts: list[tuple[Any, Bytes]] = [(self.num, self.kind)]
        parts += [] if self._tiles is None else self._tiles.values()
        parts += ((apart.num, apart.kind) for apart in self._apart if apart.kind is not None)
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


def _both(one: Rect, other: Rect) -> Rect:
    """The cells that two rectangles have in common, which there are."""
    return Rect(
        max(one.top, other.top), max(one.left, other.left),
        min(one.bottom, other.bottom), min(one.right, other.right),
    )  # fmt: skip


def _inside(rect: Rect, outer: Rect) -> _Part:
    """Where `rect` lies in an array of `outer`'s cells."""
    return (
        slice(rect.top - outer.top, rect.bottom - outer.top + 1),
        slice(rect.left - outer.left, rect.right - outer.left + 1),
    )


def _finite(num: Floats) -> bool:
    """Whether all numbers are finite, looked at in pieces so that no large array of truth values is made."""
    step = max(1, (1 << 20) // max(1, num.shape[1]))
    return all(bool(np.isfinite(num[start : start + step]).all()) for start in range(0, num.shape[0], step))
