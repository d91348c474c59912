"""References to plans: cells, names, ranges whose ends are computed, intersections, the cell that an ordinary formula
means by a column or row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import MAX_COLUMNS, MAX_ROWS, Rect
from gpt2xl.errors import CircularReference, UnsupportedFunction
from gpt2xl.formula import coerce, values
from gpt2xl.formula.code import ARRAY, CLIP, SCALAR, Code, Scope, SingleLanes, World, constant
from gpt2xl.formula.precedents import check_names
from gpt2xl.formula.rest import blanks
from gpt2xl.formula.tree import Binary, Call, ErrorValue, Name, Node, Reference, moved
from gpt2xl.formula.values import ExcelError, Value
from gpt2xl.formula.window import Placement, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpt2xl.formula.grid import Grid

_UNION = "union of ranges"  # where no function takes one


class References(ABC):
    """The part of the compiler that knows where references look, for one rectangle of cells."""

    def __init__(self, world: World, scope: Scope) -> None:
        self.world = world
        self.scope = scope
        self.peak = 1  # cells a lane needs for its largest intermediate
        self._naming: tuple[str, ...] = ()
        self._named = 0
        self.resting = False  # whether whole columns and rows are what lies beyond the cells in use

    @abstractmethod
    def compile(self, node: Node, mode: int) -> Code:
        """The plan of a node whose value is wanted as `mode` says."""

    def name(self, node: Name, mode: int) -> Code:
        sheet = node.sheet or self.scope.sheet
        if node.sheet is not None and self.world.grid(node.sheet) is None:
            return constant(values.error(values.REF))
        tree = self.world.name_tree(node.name, sheet)
        if tree is None:
            return constant(values.error(values.NAME))
        key = node.name.lower()
        if key in self._naming:
            raise CircularReference([*self._naming, key])
        self._named += 1
        check_names(self._named, len(self._naming), self._naming[0] if self._naming else key)
        scope, naming = self.scope, self._naming
        # A relative reference in a name counts from A1.
        self.scope, self._naming = replace(scope, row=1, column=1), (*naming, key)
        try:
            return self.compile(tree, mode if isinstance(tree, Reference) or _is_union(tree) else ARRAY)
        finally:
            self.scope, self._naming = scope, naming

    def reference(self, node: Reference, mode: int) -> Code:
        grid = self.world.grid(node.sheet or self.scope.sheet)
        place = self.place(node) if grid is not None else None
        if grid is None or place is None:
            return constant(values.error(values.REF))
        if mode == SCALAR and (place.rows > 1 or place.columns > 1):
            met = self.intersected(place)
            if met is None:
                return constant(values.error(values.VALUE))
            place = met
        cut = (0, 0) if mode == SCALAR else self._cut(node, place)
        if self.resting and any(cut):
            rows, columns = 1 if cut[0] else place.rows, 1 if cut[1] else place.columns
            return constant(blanks(rows, columns), rows, columns)
        window = Window.shared(grid, place)
        if place.copies:
            self.peak = max(self.peak, place.rows * place.columns)
        read = window.read
        beyond = node.rect.size - place.rows * place.columns if node.whole else 0
        if beyond:
            return Code(lambda: _within(read(), beyond), place.rows, place.columns, place.varies, cut)
        return Code(read, place.rows, place.columns, place.varies, cut)

    def _cut(self, node: Reference, place: Placement) -> tuple[int, int]:
        """How many rows and columns `place` leaves out, beyond the cells in use."""
        size = (node.bottom - node.top + 1) * (node.right - node.left + 1)
        mixed = node.top_fixed != node.bottom_fixed or node.left_fixed != node.right_fixed
        if not (node.whole or size > CLIP or mixed):
            return 0, 0
        height, width = (node.moved(*self.scope.delta) or node).rect.shape
        return height - place.rows, width - place.columns

    def place(self, node: Reference) -> Placement | None:
        """Where the lanes look; None beyond the edges of a sheet."""
        height, width = self.scope.lanes
        first = node.moved(*self.scope.delta)
        if height * width > 1:
            if height > 1 and node.top_fixed != node.bottom_fixed:
                raise SingleLanes
            if width > 1 and node.left_fixed != node.right_fixed:
                raise SingleLanes
            down, across = self.scope.delta
            last = node.moved(down + height - 1, across + width - 1)
            if first is None or last is None:
                raise SingleLanes
        if first is None:
            return None
        top, left, bottom, right = first.top, first.left, first.bottom, first.right
        if node.whole or (bottom - top + 1) * (right - left + 1) > CLIP:
            rows, columns = self.world.used()
            if node.whole != "rows":
                bottom = min(bottom, max(rows, top + 1, self.scope.rect.bottom))
            if node.whole != "columns":
                right = min(right, max(columns, left + 1, self.scope.rect.right))
        down_moves, across_moves = not node.top_fixed, not node.left_fixed
        return Placement(top, left, bottom - top + 1, right - left + 1, down_moves, across_moves, height, width)

    def intersected(self, place: Placement) -> Placement | None:
        """Implicit intersection: the cell of a row or column range in the formula's own column or row."""
        height, width = self.scope.lanes
        rect = self.scope.rect
        if place.rows > 1 and place.columns > 1:
            return None
        if height * width > 1 and (place.varies or not self._inside(place, rect)):
            raise SingleLanes
        if not self._inside(place, Rect.of(rect.top, rect.left, 1, 1)):
            return None
        if place.columns == 1:
            return replace(place, top=rect.top, rows=1, down=True)
        return replace(place, left=rect.left, columns=1, across=True)

    @staticmethod
    def _inside(place: Placement, rect: Rect) -> bool:
        if place.columns == 1:
            return place.top <= rect.top and rect.bottom < place.top + place.rows
        return place.left <= rect.left and rect.right < place.left + place.columns

    def meant(self, node: Node) -> Node:
        """What a name means where the formula stands; any other node is itself."""
        if not isinstance(node, Name):
            return node
        if node.sheet is not None and self.world.grid(node.sheet) is None:
            return ErrorValue(values.REF)
        tree = self.world.name_tree(node.name, node.sheet or self.scope.sheet)
        if tree is None:
            return ErrorValue(values.NAME)
        # A relative reference in a name counts from A1.
        return self.meant(moved(tree, self.scope.row - 1, self.scope.column - 1))

    def areas(self, node: Node) -> list[Node]:
        """The references of a union, or of a name for one; the node alone where it is none."""
        if not isinstance(node, Name | Binary):
            return [node]
        if isinstance(node, Name):
            named = self.world.name_tree(node.name, node.sheet or self.scope.sheet)
            if isinstance(named, Reference):  # as nearly all are
                return [node]
        tree = self.meant(node)
        if not _is_union(tree):
            return [node]
        found: list[Node] = []
        while isinstance(tree, Binary) and tree.operator == ",":
            found[:0] = self.areas(tree.right)
            tree = tree.left
        return self.areas(tree) + found

    def combined(self, node: Binary, operator: str, mode: int) -> Code:
        """Range, intersection and union of references that are known before anything is computed."""
        if operator == ",":
            if mode == SCALAR:
                return constant(values.error(values.VALUE))
            raise UnsupportedFunction(_UNION)
        if operator == ":" and any(isinstance(part, Call) for part in (node.left, node.right)):
            return self.spanned(node)
        found = self.static(node)
        if isinstance(found, ExcelError):
            return constant(values.error(found))
        return self.reference(found, mode)

    def spanned(self, node: Binary) -> Code:
        """A range with an end that INDEX computes, as A1:INDEX(A:A,n): looked up at every run, cell by cell."""
        if self.scope.lanes != (1, 1):
            raise SingleLanes
        first, last = self.end(node.left), self.end(node.right)

        def run() -> Value:
            one, other = first(), last()
            if isinstance(one, ExcelError):
                return values.error(one)
            if isinstance(other, ExcelError):
                return values.error(other)
            grid, rect = one
            num, kind, _ = grid.window(
                min(rect.top, other[1].top),
                min(rect.left, other[1].left),
                max(rect.bottom, other[1].bottom),
                max(rect.right, other[1].right),
            )
            return Value(num[np.newaxis], kind[np.newaxis] if kind.any() else None, True)

        return Code(run)

    def end(self, node: Node) -> Callable[[], tuple[Grid, Rect] | ExcelError]:
        """One end of a computed range: which cells it is, known when run."""
        indices = []
        if isinstance(node, Call) and node.name == "INDEX" and len(node.arguments) in (2, 3):
            node, *places = node.arguments
            indices = [self.compile(place, SCALAR).run for place in places]
        elif isinstance(node, Call):
            raise UnsupportedFunction(f"range that ends in {node.name}")
        found = self.static(node)
        if isinstance(found, ExcelError):
            return lambda: found
        grid, place = self.world.grid(found.sheet or self.scope.sheet), self.place(found)
        if grid is None or place is None:
            return lambda: values.REF
        rect = place.bounding
        pool = self.world.pool

        def index() -> tuple[Grid, Rect] | ExcelError:
            numbers = []
            for place in indices:
                num, errors = coerce.numbers(pool, place())
                if errors is not None:
                    return values.ERRORS[int(errors.flat[0]) - 1]
                numbers.append(int(num.flat[0]))
            if len(numbers) == 1:
                numbers = [1, numbers[0]] if rect.height == 1 else [numbers[0], 1 if rect.width == 1 else 0]
            row, column = numbers
            if not (0 <= row <= rect.height and 0 <= column <= rect.width):
                return values.REF
            height, width = 1 if row else rect.height, 1 if column else rect.width
            return grid, rect.part(max(row - 1, 0), max(column - 1, 0), height, width)

        return index if indices else lambda: (grid, rect)

    def static(self, node: Node) -> Reference | ExcelError:
        """The reference that a node is, as seen from the first lane."""
        node = self.meant(node)
        if isinstance(node, Reference):
            return node
        if isinstance(node, ErrorValue):
            return node.error
        if _is_union(node):
            raise UnsupportedFunction(_UNION)
        if not isinstance(node, Binary) or node.operator not in (":", " "):
            raise UnsupportedFunction("range whose ends are computed")
        one, other = self.static(node.left), self.static(node.right)
        if isinstance(one, ExcelError):
            return one
        if isinstance(other, ExcelError):
            return other
        if not (one.fixed and other.fixed) and self.scope.lanes != (1, 1):
            raise SingleLanes
        here = self.scope.sheet
        if (one.sheet or here).lower() != (
            (other.sheet or one.sheet if node.operator == ":" else other.sheet) or here
        ).lower():
            return values.VALUE if node.operator == " " else values.REF
        first, second = one.moved(*self.scope.delta), other.moved(*self.scope.delta)
        if first is None or second is None:
            return values.REF
        if node.operator == ":":
            corners = (
                min(first.top, second.top),
                min(first.left, second.left),
                max(first.bottom, second.bottom),
                max(first.right, second.right),
            )
        else:
            corners = (
                max(first.top, second.top),
                max(first.left, second.left),
                min(first.bottom, second.bottom),
                min(first.right, second.right),
            )
            if corners[0] > corners[2] or corners[1] > corners[3]:
                return values.NULL
        whole = "columns" if (corners[0], corners[2]) == (1, MAX_ROWS) else ""
        whole = "rows" if (corners[1], corners[3]) == (1, MAX_COLUMNS) else whole
        return Reference(*corners, True, True, True, True, one.sheet, whole)


def _is_union(node: Node) -> bool:
    return isinstance(node, Binary) and node.operator == ","


def _within(value: Value, beyond: int) -> Value:
    """The cells in use of a whole column or row, with the number of those beyond."""
    cut = Value(value.num, value.kind, value.ranged, value.source)
    cut.beyond = beyond
    return cut
