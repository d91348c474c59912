"""Where references lie: ROW, COLUMN, ROWS, COLUMNS, ADDRESS (ECMA-376 part 1, 18.17.7)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import ERROR, MAX_COLUMNS, MAX_ROWS, column_letters, quote_sheet
from gpt2xl.formula import values
from gpt2xl.formula.code import ARRAY, Code, Compiling, SingleLanes, constant
from gpt2xl.formula.registry import per_cell, special
from gpt2xl.formula.tree import Binary, Call, Missing, Name, Reference
from gpt2xl.formula.values import REF, VALUE, ExcelError, Value

if TYPE_CHECKING:
    from collections.abc import Callable


def _position(name: str, down: bool, source: str) -> None:
    def build(compiler: Compiling, node: Call, mode: int) -> Code:
        scope = compiler.scope
        height, width = scope.lanes
        if not node.arguments or isinstance(node.arguments[0], Missing):
            rect = scope.rect
            first, count = (rect.top, rect.height) if down else (rect.left, rect.width)
            steps = np.arange(first, first + count, dtype=np.float64)
            if scope.array:
                num = steps.reshape((1, -1, 1) if down else (1, 1, -1))
                return constant(Value(num), *num.shape[1:])
        else:
            found = compiler.static(node.arguments[0])
            if isinstance(found, ExcelError):
                return constant(values.error(found))
            place = compiler.place(found)
            if place is None:
                return constant(values.error(REF))
            first, count = (place.top, place.rows) if down else (place.left, place.columns)
            if mode != ARRAY:
                count = 1
            elif count > 1:
                whole_lanes = height * width if (place.down if down else place.across) else 1
                if whole_lanes > 1:
                    raise SingleLanes
                beyond = found.rect.shape[0 if down else 1] - count
                if compiler.resting and beyond:
                    first, count, beyond = first + count, beyond, 0
                return _steps(first, count, beyond, down)
            if not (place.down if down else place.across):
                return constant(values.number(float(first)))
            steps = np.arange(first, first + (height if down else width), dtype=np.float64)
        grid = np.broadcast_to(steps[:, None] if down else steps[None, :], (height, width))
        return Code(_always(Value(grid.reshape(-1, 1, 1).copy())), varies=height * width > 1)

    build.__doc__ = f"{name}([reference]): its number, or the formula's own ({source})."
    special(name, "v?")(build)


def _steps(first: int, count: int, beyond: int, down: bool) -> Code:
    """Numbers of rows or columns, made anew at every run: a whole column has a million."""
    shape = (1, count, 1) if down else (1, 1, count)
    return Code(
        lambda: Value(np.arange(first, first + count, dtype=np.float64).reshape(shape)),
        *shape[1:],
        beyond=(beyond, 0) if down else (0, beyond),
        computed=True,
    )


def _always(value: Value) -> Callable[[], Value]:
    return lambda: value


_position("ROW", True, "ECMA-376, 18.17.7")
_position("COLUMN", False, "ECMA-376, 18.17.7")


def _extent(name: str, axis: int, source: str) -> None:
    def build(compiler: Compiling, node: Call, mode: int) -> Code:
        argument = node.arguments[0]
        if isinstance(argument, Name):
            tree = compiler.world.name_tree(argument.name, argument.sheet or compiler.scope.sheet)
            argument = tree if isinstance(tree, Reference) else argument
        if isinstance(argument, Reference) or (isinstance(argument, Binary) and argument.operator in ": "):
            found = compiler.static(argument)
            if isinstance(found, ExcelError):
                return constant(values.error(found))
            compiler.place(found)
            moved = found.moved(*compiler.scope.delta)
            if moved is None:
                return constant(values.error(REF))
            return constant(values.number(float(moved.rect.shape[axis])))
        code = compiler.argument("a", argument, ARRAY)
        run, held = code.run, (code.rows, code.columns)[axis]

        def count() -> Value:
            value = run()
            if value.num.size == 1 and value.kinds.item() == ERROR:
                return value
            size = value.num.shape[axis + 1]
            return values.number(float(size + code.beyond[axis] * (size == held)))

        return Code(count)

    build.__doc__ = f"{name}(array) ({source})."
    special(name, "a")(build)


_extent("ROWS", 0, "ECMA-376, 18.17.7")
_extent("COLUMNS", 1, "ECMA-376, 18.17.7")


@per_cell("ADDRESS", "nnn?bt")
def address(row: float, column: float, how: float = 1, a1: bool = True, sheet: str | None = None) -> str | ExcelError:
    """ADDRESS(row, column, [absolute], [a1], [sheet]) (ECMA-376, 18.17.7)."""
    row, column = int(row), int(column)
    if not (1 <= row <= MAX_ROWS and 1 <= column <= MAX_COLUMNS and 1 <= how < 5):
        return VALUE
    row_fixed, column_fixed = int(how) in (1, 2), int(how) in (1, 3)
    if a1:
        text = f"{'$' if column_fixed else ''}{column_letters(column)}{'$' if row_fixed else ''}{row}"
    else:
        text = (f"R{row}" if row_fixed else f"R[{row}]") + (f"C{column}" if column_fixed else f"C[{column}]")
    return text if sheet is None else f"{quote_sheet(sheet) if sheet else ''}!{text}"
