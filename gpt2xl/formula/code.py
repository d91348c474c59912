"""What a plan is made of: how a value is wanted, where a formula stands, a compiled node, and what compiling offers.

Functions that compile their own calls see a `Compiling`; the compiler is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpt2xl.a1 import Rect
from gpt2xl.errors import LimitError
from gpt2xl.formula.values import ExcelError, TextPool, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gpt2xl.formula.grid import Grid
    from gpt2xl.formula.tree import Node, Reference
    from gpt2xl.formula.window import Placement

# How a node's value is wanted: a reference to many cells is intersected with the formula's row or column; it
# passes whole; or everything is computed over whole arrays.
SCALAR, RANGE, ARRAY = range(3)

# A reference to more cells than this is cut to the cells in use.
CLIP = 1 << 22


class World(Protocol):
    """What a plan needs of its book."""

    pool: TextPool
    characters: str
    most_cells: int  # of one array

    def grid(self, sheet: str) -> Grid | None: ...
    def name_tree(self, name: str, sheet: str) -> Node | None: ...
    def used(self) -> tuple[int, int]: ...
    def uncounted(self, sheet: str, rect: Rect, *, hidden: bool) -> NDArray[np.bool_] | None: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a formula stands: its sheet, the cells it is computed for, the cell it is written for."""

    sheet: str
    rect: Rect
    row: int
    column: int
    array: bool = False

    @property
    def lanes(self) -> tuple[int, int]:
        return (1, 1) if self.array else self.rect.shape

    @property
    def delta(self) -> tuple[int, int]:
        return self.rect.top - self.row, self.rect.left - self.column


@dataclass(slots=True)
class Code:
    """A compiled node: how to run it, at most how many rows and columns it gives, whether lanes differ.

    ``beyond`` is how many rows and columns more it would have if whole columns and rows were not cut to the cells in
    use; with ``computed`` these are not simply blank (`gpt2xl.formula.rest`).
    """

    run: Callable[[], Value]
    rows: int = 1
    columns: int = 1
    varies: bool = False
    beyond: tuple[int, int] = (0, 0)
    computed: bool = False


def check_cells(rows: int, columns: int, most: int) -> None:
    """Raise `LimitError` for an array of more than `most` cells, before it is made."""
    if rows * columns > most:
        raise LimitError(
            f"a formula asks for an array of {rows:,} × {columns:,} cells, and for this workbook gpt2xl makes none of "
            f"more than {most:,}"
        )


class SingleLanes(Exception):
    """The formula's cells see ranges of different shapes: each must be compiled by itself."""


class Compiling(Protocol):
    """What a function that compiles its own call may ask for."""

    @property
    def world(self) -> World: ...
    @property
    def scope(self) -> Scope: ...

    resting: bool

    def compile(self, node: Node, mode: int) -> Code: ...
    def argument(self, letter: str, node: Node, mode: int) -> Code: ...
    def static(self, node: Node) -> Reference | ExcelError: ...
    def place(self, node: Reference) -> Placement | None: ...
    def meant(self, node: Node) -> Node: ...
    def areas(self, node: Node) -> list[Node]: ...


def inside(mode: int) -> int:
    """How an operator's operands are wanted."""
    return ARRAY if mode == ARRAY else SCALAR


OF_RANGES = "raRA"  # letters of parameters that take many cells


def wanted(letter: str, mode: int) -> int:
    """How an argument for a parameter of this letter is wanted."""
    if letter in "aA" or mode == ARRAY:
        return ARRAY
    return RANGE if letter in "rR" else SCALAR


def constant(value: Value, rows: int = 1, columns: int = 1) -> Code:
    """A code that gives the same value always."""
    return Code(lambda: value, rows, columns)


def common(run: Callable[[], Value], *codes: Code) -> Code:
    """The code of a cell by cell combination."""
    return Code(
        run,
        max((code.rows for code in codes), default=1),
        max((code.columns for code in codes), default=1),
        any(code.varies for code in codes),
        _farthest(codes),
        computed=True,
    )


def _farthest(codes: tuple[Code, ...]) -> tuple[int, int]:
    cut = [code.beyond for code in codes if code.beyond != (0, 0)]
    return (max(rows for rows, _ in cut), max(columns for _, columns in cut)) if cut else (0, 0)


def side_by_side(codes: list[Code]) -> Code:
    """The code of a union: the cells of all its areas in one row."""
    runs = [code.run for code in codes]

    def run() -> Value:
        areas = [area() for area in runs]
        lanes = max(area.shape[0] for area in areas)

        def row(cells: list[NDArray[Any]]) -> NDArray[Any]:
            flat = [part.reshape(len(part), 1, -1) for part in cells]
            return np.concatenate([np.broadcast_to(part, (lanes, *part.shape[1:])) for part in flat], axis=2)

        kind = None if all(area.kind is None for area in areas) else row([area.kinds for area in areas])
        return Value(row([area.num for area in areas]), kind, True)

    columns = sum(code.rows * code.columns for code in codes)
    return Code(run, 1, columns, any(code.varies for code in codes))
