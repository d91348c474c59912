"""The smallest piece of a recalculation: a formula over a rectangle of cells, computed in one go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, ERROR, NUMBER, Rect
from gpt2xl.errors import FormulaError, UnsupportedFunction
from gpt2xl.formula.code import ARRAY, CLIP, SCALAR, Scope, SingleLanes, World
from gpt2xl.formula.compiler import Compiler
from gpt2xl.formula.values import NA, Bytes, Floats, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpt2xl.formula.grid import Grid
    from gpt2xl.formula.precedents import Reading
    from gpt2xl.formula.tree import Node

# Lanes are computed together as long as their largest intermediate has no more cells than this (16 MiB).
_MOST_CELLS = 1 << 21


@dataclass(slots=True, eq=False)
class Block:
    """A formula as it was added: written for the cell (row, column), standing in `rect`."""

    sheet: str
    rect: Rect
    text: str
    mode: str  # "cell", "array" or "fill"
    row: int
    column: int
    key: tuple[str, ...] | None = None  # what copies of an ordinary formula share
    stale: bool = True
    error: FormulaError | None = None  # why the text is no formula
    tree: Node | None = None  # where it came with the text


@dataclass(slots=True, eq=False)
class Group:
    """Blocks that are copies of one relative formula, as one rectangle; or an array block."""

    blocks: list[Block]
    sheet: str
    rect: Rect
    row: int
    column: int
    array: bool
    tree: Node
    readings: list[Reading] = field(default_factory=list)
    error: FormulaError | None = None

    @property
    def unbounded(self) -> bool:
        """Whether the formula reads whole columns or rows, or so many cells that they are cut to those in use."""
        return any(item.reference.whole or item.reference.rect.size > CLIP for item in self.readings)

    def within(self, rect: Rect) -> list[Block]:
        """The blocks of a part of the rectangle; a group of several has one for each cell, row by row."""
        if len(self.blocks) == 1 or rect == self.rect:
            return self.blocks
        top, left, width = rect.top - self.rect.top, rect.left - self.rect.left, self.rect.width
        starts = range(top * width + left, (top + rect.height) * width + left, width)
        return [block for start in starts for block in self.blocks[start : start + rect.width]]


class Unit:
    """A group's formula over all or some of its cells."""

    __slots__ = ("_parts", "error", "group", "precedents", "rect", "stale", "successors")

    def __init__(self, group: Group, rect: Rect) -> None:
        self.group = group
        self.rect = rect
        self.stale = True
        self.error: FormulaError | None = group.error
        self.successors: list[int] = []
        self.precedents: list[int] = []
        self._parts: list[_Part] | None = None

    def forget(self) -> None:
        """Drop the plan: what it was made for has changed."""
        self._parts = None

    def readings(self) -> list[tuple[str, Rect]]:
        """The sheets and rectangles it reads."""
        group = self.group
        # The cells of an array formula see the same ranges as its first one.
        rect = self.rect.cell(0, 0) if group.array else self.rect
        return [(item.sheet, item.seen(rect, group.row, group.column)) for item in group.readings]

    def compute(self, world: World) -> None:
        """Run the formula and store its result."""
        if self.error is not None:
            raise self.error
        if self._parts is None:
            try:
                self._parts = self._compile(world, self.rect)
            except UnsupportedFunction as unknown:
                self.error = self._here(unknown)
                raise self.error from None
        try:
            for part in self._parts:
                part.compute()
        except UnsupportedFunction as unknown:  # for these values, such as a number format
            raise self._here(unknown) from None
        except SingleLanes:
            # Only the values tell that the lanes differ in shape: compute them one by one.
            self._parts = [part for cell in _cells(self.rect) for part in self._compile(world, cell)]
            for part in self._parts:
                part.compute()

    def _here(self, unknown: UnsupportedFunction) -> UnsupportedFunction:
        return UnsupportedFunction(unknown.function, self.group.sheet, str(self.rect))

    def _compile(self, world: World, rect: Rect) -> list[_Part]:
        group = self.group
        grid = world.grid(group.sheet)
        assert grid is not None
        compiler = Compiler(world, Scope(group.sheet, rect, group.row, group.column, group.array))
        try:
            code = compiler.formula(group.tree, ARRAY if group.array else SCALAR)
        except SingleLanes:
            return [part for cell in _cells(rect) for part in self._compile(world, cell)]
        together = max(1, _MOST_CELLS // compiler.peak)
        if not group.array and rect.size > together and rect.size > 1:
            return [part for piece in _pieces(rect, together) for part in self._compile(world, piece)]
        return [_Part(grid, rect, code.run, group.array)]


class _Part:
    """A compiled rectangle and the views of the grid that its result goes to."""

    __slots__ = ("_array", "_grid", "_kind", "_num", "_numbers", "_rect", "_run", "_version")

    def __init__(self, grid: Grid, rect: Rect, run: Callable[[], Value], array: bool) -> None:
        self._grid = grid
        self._rect = rect
        self._run = run
        self._array = array
        self._version = -1
        self._numbers = False
        self._num: Floats | None = None
        self._kind: Bytes | None = None

    def compute(self) -> None:
        value = self._run()
        num, kind = value.num, value.kind
        rect, grid = self._rect, self._grid
        shape = rect.bottom - rect.top + 1, rect.right - rect.left + 1
        if self._array:
            if num.shape[1:] != shape:
                num, kind = fitted(value, shape)
            else:
                num, kind = num[0], None if kind is None else kind[0] if kind.shape[1:] == shape else kind[0, 0, 0]
        else:
            kind = None if kind is None else kind[:, 0, 0]
            num = num[:, 0, 0]
            if len(num) > 1:
                num = num.reshape(shape)
                kind = kind.reshape(shape) if kind is not None and len(kind) > 1 else kind
        if kind is not None:
            kind = np.where(kind == BLANK, NUMBER, kind).astype(np.uint8)
            if not kind.any():
                kind = None
        if self._version != grid.version:
            self._bind()
        grid.writes += 1
        if self._num is None:
            grid.write(rect, num + 0.0, None if kind is None else np.broadcast_to(kind, shape))
            return
        np.add(num, 0.0, out=self._num)  # a negative zero becomes plain zero
        assert self._kind is not None
        if kind is None:
            if not self._numbers:
                self._kind[...] = 0
                grid.version += 1
        elif self._numbers or (self._kind != kind).any():
            self._kind[...] = kind
            grid.version += 1

    def _bind(self) -> None:
        """Look at the grid anew: its block has moved, or the kinds of some cells have changed."""
        rect = self._rect
        num, kind, live = self._grid.window(rect.top, rect.left, rect.bottom, rect.right)
        self._num, self._kind = (num, kind) if live else (None, None)
        self._numbers = live and not kind.any()
        self._version = self._grid.version if live else -1


def fitted(value: Value, shape: tuple[int, int]) -> tuple[Floats, Any]:
    """An array formula's result in its cells: a single row or column is repeated, the excess is `#N/A`."""
    num, kind = value.num[0], value.kinds[0]
    rows, columns = num.shape
    rows, columns = (shape[0] if rows == 1 else rows), (shape[1] if columns == 1 else columns)
    num, kind = np.broadcast_to(num, (rows, columns)), np.broadcast_to(kind, (rows, columns))
    num, kind = num[: shape[0], : shape[1]], kind[: shape[0], : shape[1]]
    if num.shape == shape:
        return num, kind
    full, kinds = np.full(shape, float(NA.code)), np.full(shape, ERROR, np.uint8)
    full[: num.shape[0], : num.shape[1]] = num
    kinds[: num.shape[0], : num.shape[1]] = kind
    return full, kinds


def _cells(rect: Rect) -> list[Rect]:
    return [rect.cell(row, column) for row in range(rect.height) for column in range(rect.width)]


def _pieces(rect: Rect, size: int) -> list[Rect]:
    """The rectangle in strips of at most `size` cells each, if a row or column is not larger by itself."""
    if rect.height > 1:
        rows = max(1, size // rect.width)
        return [rect.part(row, 0, min(rows, rect.height - row), rect.width) for row in range(0, rect.height, rows)]
    return [rect.part(0, column, 1, min(size, rect.width - column)) for column in range(0, rect.width, size)]
