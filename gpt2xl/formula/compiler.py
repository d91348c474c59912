"""A tree to a plan: nested closures over views of the grids, built once and run at every recalculation.

A plan is made for one rectangle of cells: an array formula has one lane, a filled formula one lane a cell. References
are resolved here, so that running a plan is numpy and little else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gpt2xl.a1 import BLANK, MAX_COLUMNS, MAX_ROWS, TEXT, Rect
from gpt2xl.errors import CircularReference, UnsupportedFunction
from gpt2xl.formula import coerce, operators, values
from gpt2xl.formula.registry import FUNCTIONS, Special
from gpt2xl.formula.tree import (
    ArrayConstant,
    Binary,
    Boolean,
    Call,
    ErrorValue,
    Missing,
    Name,
    Node,
    Number,
    Percent,
    Reference,
    Text,
    Unary,
    Unsupported,
)
from gpt2xl.formula.values import ExcelError, TextPool, Value
from gpt2xl.formula.window import Placement, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpt2xl.formula.grid import Grid

# How a node's value is wanted: a reference to many cells is intersected with the formula's row or column; it
# passes whole; or everything is computed over whole arrays.
SCALAR, RANGE, ARRAY = range(3)

# A reference to more cells than this is cut to the cells in use.
CLIP = 1 << 22


class World(Protocol):
    """What a plan needs of its book."""

    pool: TextPool
    characters: str

    def grid(self, sheet: str) -> Grid | None: ...
    def name_tree(self, name: str, sheet: str) -> Node | None: ...
    def used(self) -> tuple[int, int]: ...


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
    """A compiled node: how to run it, at most how many rows and columns it gives, whether lanes differ."""

    run: Callable[[], Value]
    rows: int = 1
    columns: int = 1
    varies: bool = False


class SingleLanes(Exception):
    """The formula's cells see ranges of different shapes: each must be compiled by itself."""


class Compiler:
    """Compiles one formula for one rectangle of cells."""

    def __init__(self, world: World, scope: Scope) -> None:
        self.world = world
        self.scope = scope
        self.peak = 1  # cells a lane needs for its largest intermediate
        self._naming: tuple[str, ...] = ()

    def compile(self, node: Node, mode: int) -> Code:
        """The plan of a node whose value is wanted as `mode` says."""
        match node:
            case Number(value):
                return constant(values.number(value))
            case Text(value):
                return constant(self.text(value))
            case Boolean(value):
                return constant(Value(np.full((1, 1, 1), float(value)), values.BOOLS))
            case ErrorValue(error):
                return constant(values.error(error))
            case Missing():
                return constant(BLANK_VALUE)
            case Reference():
                return self.reference(node, mode)
            case Name():
                return self.name(node, mode)
            case Unary(operator, operand):
                return self.unary(operator, operand, mode)
            case Percent(operand):
                inner = self.compile(operand, inside(mode))
                run, pool = inner.run, self.world.pool
                return self.made(replace(inner, run=lambda: operators.percent(pool, run())))
            case Binary(operator, left, right):
                return self.binary(node, operator, left, right, mode)
            case Call():
                return self.call(node, mode)
            case ArrayConstant(rows):
                return constant(self.array(rows), len(rows), len(rows[0]))
            case Unsupported(what, _):
                raise UnsupportedFunction(what)
        raise TypeError(f"{type(node).__name__} is no node of a formula")

    def made(self, code: Code) -> Code:
        """Take note of an intermediate value, and return its code."""
        if code.varies:
            self.peak = max(self.peak, code.rows * code.columns)
        return code

    def text(self, text: str) -> Value:
        index = self.world.pool.add(text)
        self.world.pool.pinned.add(index)
        return Value(np.full((1, 1, 1), float(index)), np.full((1, 1, 1), TEXT, np.uint8))

    def array(self, rows: tuple[tuple[Node, ...], ...]) -> Value:
        cells = [[self.compile(item, ARRAY).run() for item in row] for row in rows]
        num = np.array([[cell.num[0, 0, 0] for cell in row] for row in cells], np.float64)
        kind = np.array([[cell.kinds[0, 0, 0] for cell in row] for row in cells], np.uint8)
        return Value(num[np.newaxis], kind[np.newaxis] if kind.any() else None, True)

    def unary(self, operator: str, operand: Node, mode: int) -> Code:
        if operator == "+":
            return self.compile(operand, mode)
        if operator == "@":
            return self.compile(operand, SCALAR)
        inner = self.compile(operand, inside(mode))
        run, pool, negate = inner.run, self.world.pool, operators.negate
        return self.made(replace(inner, run=lambda: negate(pool, run())))

    def binary(self, node: Binary, operator: str, left: Node, right: Node, mode: int) -> Code:
        if operator in (":", " ", ","):
            return self.combined(node, operator, mode)
        one, other = self.compile(left, inside(mode)), self.compile(right, inside(mode))
        first, second, pool, apply = one.run, other.run, self.world.pool, operators.BINARY[operator]
        return self.made(common(lambda: apply(pool, first(), second()), one, other))

    def call(self, node: Call, mode: int) -> Code:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise UnsupportedFunction(node.name)
        arguments = self.flattened(node, function.signature.letters)
        signature = function.signature
        if not signature.least <= len(arguments) <= signature.most:
            # Excel refuses such a formula when it is typed; one in a file has no value.
            return constant(values.error(values.VALUE))
        if isinstance(function, Special):
            return self.made(function.build(self, Call(node.name, arguments), mode))
        codes = [
            self.compile(argument, wanted(letter, mode))
            for letter, argument in zip(signature.kinds(len(arguments)), arguments, strict=True)
        ]
        world, apply, runs = self.world, function.apply, [code.run for code in codes]
        run: Callable[[], Value]
        if len(runs) == 1:
            only = runs[0]
            run = lambda: apply(world, only())  # noqa: E731 - one call less for the commonest case
        elif len(runs) == 2:
            first, second = runs
            run = lambda: apply(world, first(), second())  # noqa: E731
        else:
            run = lambda: apply(world, *[argument() for argument in runs])  # noqa: E731
        if function.shape in ("one", "scalars"):
            scalars = [
                code for letter, code in zip(signature.kinds(len(codes)), codes, strict=True) if letter not in "ra"
            ]
            code = common(run, *scalars)
            code.varies = any(item.varies for item in codes)
            return self.made(code)
        code = common(run, *codes)
        if function.shape == "array":
            side = max([1, *(max(item.rows, item.columns) for item in codes)])
            code.rows, code.columns = side, max([1, *(min(item.rows, item.columns) for item in codes)])
        return self.made(code)

    def flattened(self, node: Call, letters: str) -> tuple[Node, ...]:
        """The arguments, with the members of unions as arguments of their own where ranges are listed."""
        if letters[:1] != "r" or not any(isinstance(part, Binary) for part in node.arguments):
            return node.arguments
        found: list[Node] = []
        for argument in node.arguments:
            found.extend(_members(argument))
        return tuple(found)

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
        scope, naming = self.scope, self._naming
        # A relative reference in a name counts from A1.
        self.scope, self._naming = replace(scope, row=1, column=1), (*naming, key)
        try:
            return self.compile(tree, mode if isinstance(tree, Reference) else ARRAY)
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
        window = Window.shared(grid, place)
        if place.copies:
            self.peak = max(self.peak, place.rows * place.columns)
        return Code(window.read, place.rows, place.columns, place.varies)

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
                bottom = min(bottom, max(rows, top, self.scope.rect.bottom))
            if node.whole != "columns":
                right = min(right, max(columns, left, self.scope.rect.right))
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

    def combined(self, node: Binary, operator: str, mode: int) -> Code:
        """Range, intersection and union of references that are known before anything is computed."""
        if operator == ",":
            return constant(values.error(values.VALUE))
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
            raise UnsupportedFunction(f"a range that ends in {node.name}")
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
        if isinstance(node, Reference):
            return node
        if isinstance(node, Name):
            tree = self.world.name_tree(node.name, node.sheet or self.scope.sheet)
            if tree is None:
                return values.NAME
            return self.static(tree) if not isinstance(tree, Name) else values.VALUE
        if isinstance(node, ErrorValue):
            return node.error
        if not isinstance(node, Binary) or node.operator not in (":", " "):
            raise UnsupportedFunction("a range whose ends are computed")
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


def inside(mode: int) -> int:
    """How an operator's operands are wanted."""
    return ARRAY if mode == ARRAY else SCALAR


def wanted(letter: str, mode: int) -> int:
    """How an argument for a parameter of this letter is wanted."""
    if letter == "a" or mode == ARRAY:
        return ARRAY
    return RANGE if letter == "r" else SCALAR


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
    )


def _members(node: Node) -> list[Node]:
    """The references of a union."""
    if isinstance(node, Binary) and node.operator == ",":
        return [*_members(node.left), *_members(node.right)]
    return [node]


BLANK_VALUE = Value(np.zeros((1, 1, 1)), np.full((1, 1, 1), BLANK, np.uint8))
