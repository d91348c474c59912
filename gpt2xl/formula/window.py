"""A reference seen from a rectangle of cells, one lane a cell, as strided views of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gpt2xl.a1 import Rect
from gpt2xl.formula.values import Bytes, Floats, Unread, Value, all_numbers

if TYPE_CHECKING:
    from weakref import WeakValueDictionary

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the lanes look: lane (i, j) of `height` x `width` sees `rows` x `columns` cells from
    (`top` + i if `down`, `left` + j if `across`)."""

    top: int
    left: int
    rows: int
    columns: int
    down: bool
    across: bool
    height: int
    width: int

    @property
    def bounding(self) -> Rect:
        """All cells that any lane sees."""
        bottom = self.top + self.rows - 1 + (self.height - 1 if self.down else 0)
        right = self.left + self.columns - 1 + (self.width - 1 if self.across else 0)
        return Rect(self.top, self.left, bottom, right)

    @property
    def varies(self) -> bool:
        """Whether lanes see different cells."""
        return (self.down and self.height > 1) or (self.across and self.width > 1)

    @property
    def copies(self) -> bool:
        """Whether the lanes cannot be one view of the block."""
        return self.varies and self.height > 1 and self.width > 1


class Cells(Protocol):
    """What a window needs of the sheet it looks at (`gpt2xl.formula.grid.Grid`)."""

    version: int
    writes: int
    windows: WeakValueDictionary[Placement, Window]

    def window(self, top: int, left: int, bottom: int, right: int) -> tuple[Floats, Bytes, bool]: ...
    def unread(self, rect: Rect) -> Unread | None: ...
    def include(self, rect: Rect) -> None: ...


class Window:
    """Reads a placement; keeps the views until the grid's version changes."""

    __slots__ = ("__weakref__", "_grid", "_kind", "_num", "_value", "_vector", "_version", "_writes", "place")

    def __init__(self, grid: Cells, place: Placement) -> None:
        self.place = place
        self._grid = grid
        self._version = -1
        self._writes = -1
        self._vector: Floats | None = None
        self._value: Value | None = None
        self._num: NDArray[Any] | None = None
        self._kind: NDArray[np.uint8] | None = None
        grid.include(place.bounding)

    @classmethod
    def shared(cls, grid: Cells, place: Placement) -> Window:
        """The window of all formulas that look at the same cells, so that views and copies are made once."""
        window = grid.windows.get(place)
        if window is None:
            window = grid.windows[place] = cls(grid, place)
        return window

    def read(self) -> Value:
        """What the lanes see: [lanes, rows, columns], lanes 1 where all see the same cells."""
        if self._version == self._grid.version:
            if self._value is not None:
                return self._value
            if self._num is not None:
                shape = (self.place.height * self.place.width, self.place.rows, self.place.columns)
                kind = None if self._kind is None else self._kind.reshape(shape)
                return Value(self._num.reshape(shape), kind, True)
        return self._bind()

    def vector(self) -> Floats:
        """The numbers as one contiguous vector: what binary search wants of a column, copied after writes only."""
        if self._vector is None or self._writes != self._grid.writes:
            self._vector = np.ascontiguousarray(self.read().num).ravel()
            self._writes = self._grid.writes
        return self._vector

    def _bind(self) -> Value:
        place, grid = self.place, self._grid
        bounding = place.bounding
        if not place.varies and (unread := grid.unread(bounding)):
            return unread
        num, kind, live = grid.window(bounding.top, bounding.left, bounding.bottom, bounding.right)
        self._version = grid.version if live else -1
        self._value = self._num = self._kind = None
        numbers = all_numbers(kind)
        shape = (place.rows, place.columns)
        if not place.varies:
            value = Value(num[np.newaxis], None if numbers else kind[np.newaxis], True, self if live else None)
        elif place.height == 1 or place.width == 1:
            lanes = place.height * place.width
            step = 0 if place.down and place.height > 1 else 1
            parts: list[NDArray[Any]] = [
                as_strided(part, (lanes, *shape), (part.strides[step], *part.strides)) for part in (num, kind)
            ]
            value = Value(parts[0], None if numbers else parts[1], True)
        else:
            cells = (place.height, place.width, *shape)
            four: list[NDArray[Any]] = [
                as_strided(part, cells, (part.strides[0] * place.down, part.strides[1] * place.across, *part.strides))
                for part in (num, kind)
            ]
            self._num, self._kind = four[0], None if numbers else four[1]
            lanes = place.height * place.width
            return Value(
                four[0].reshape(lanes, *shape), None if self._kind is None else self._kind.reshape(lanes, *shape), True
            )
        if live:
            self._value = value
        return value
