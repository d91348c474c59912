"""INDEX (ECMA-376 part 1, 18.17.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.errors import UnsupportedFunction
from gpt2xl.formula import coerce, values
from gpt2xl.formula.code import ARRAY, SCALAR, Code, Compiling, Scope, SingleLanes, common, constant
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions.picking import lane_numbers, pick
from gpt2xl.formula.functions.ranges import wrong
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import special
from gpt2xl.formula.tree import Call, Missing, Node, Number, Reference
from gpt2xl.formula.values import REF, VALUE, Unread, Value

if TYPE_CHECKING:
    from gpt2xl.formula.window import Placement


@special("INDEX", "Rvv?v")
def index(compiler: Compiling, node: Call, mode: int) -> Code:
    """INDEX(array, row, [column], [area]): 0 or nothing is the whole row or column; beyond the array is `#REF!`
    (ECMA-376, 18.17.7)."""
    area = _area(compiler, node)
    if area is None:
        return constant(values.error(REF))
    node = Call(node.name, (area, *node.arguments[1:3]))
    part = _whole_part(node) if mode == SCALAR else None
    if part is not None:
        return compiler.compile(part, SCALAR)
    if mode != SCALAR and all(map(_is_all, node.arguments[1:])):
        return compiler.compile(area, ARRAY)
    source = compiler.argument("A", area, ARRAY)
    places = [compiler.compile(item, ARRAY if mode == ARRAY else SCALAR) for item in node.arguments[1:]]
    pool, table, runs = compiler.world.pool, source.run, [place.run for place in places]

    def run() -> Value:
        return _index(pool, table(), [place() for place in runs])

    code = common(run, *places)
    code.varies = code.varies or source.varies
    if len(places) < 2 or any(_may_be_whole(item) for item in node.arguments[1:]):
        single = len(places) < 2 and 1 in (source.rows, source.columns)
        if not single:
            rows_whole = _may_be_whole(node.arguments[1])
            columns_whole = len(places) < 2 or _may_be_whole(node.arguments[2])
            code.rows = max(code.rows, source.rows if rows_whole else 1)
            code.columns = max(code.columns, source.columns if columns_whole else 1)
    return code if mode != SCALAR else _one_cell(code, _corner(compiler, node.arguments[0]), compiler.scope)


def _area(compiler: Compiling, node: Call) -> Node | None:
    """What INDEX picks from: of a union the area whose number is given, the first without one; None beyond them."""
    areas = compiler.areas(node.arguments[0])
    number = node.arguments[3] if len(node.arguments) == 4 else Number(1)
    if isinstance(number, Missing):
        number = Number(1)
    if not isinstance(number, Number):
        raise UnsupportedFunction("INDEX with a computed area")
    return areas[int(number.value) - 1] if 1 <= int(number.value) <= len(areas) else None


def _whole_part(node: Call) -> Reference | None:
    """The row or column of a reference that INDEX takes whole, where all of it is written in the formula."""
    cells, *places = node.arguments
    if not isinstance(cells, Reference) or cells.whole or (len(places) == 1 and 1 not in cells.rect.shape):
        return None
    numbers = [
        0 if isinstance(item, Missing) else int(item.value) for item in places if isinstance(item, Missing | Number)
    ]
    if len(numbers) < len(places):
        return None
    if len(numbers) == 1:
        numbers = [1, numbers[0]] if cells.rect.height == 1 else [numbers[0], 1]
    row, column = numbers
    if (row and column) or not (0 <= row <= cells.rect.height and 0 <= column <= cells.rect.width):
        return None
    if row:
        place = cells.top + row - 1
        cells = replace(cells, top=place, bottom=place, bottom_fixed=cells.top_fixed)
    if column:
        place = cells.left + column - 1
        cells = replace(cells, left=place, right=place, right_fixed=cells.left_fixed)
    return cells


def _is_all(node: Node) -> bool:
    return isinstance(node, Missing) or (isinstance(node, Number) and node.value == 0)


def _may_be_whole(node: Node) -> bool:
    """Whether an index is written as 0 or left out."""
    return isinstance(node, Missing) or (isinstance(node, Number) and node.value < 1)


def _corner(compiler: Compiling, node: Node) -> Placement | None:
    """Where the cells lie that INDEX picks from; None for an array."""
    found = compiler.meant(node)
    return compiler.place(found) if isinstance(found, Reference) else None


def _one_cell(code: Code, place: Placement | None, scope: Scope) -> Code:
    """A whole row or column where one cell is wanted: of a reference the cell in the formula's own column or row, of an
    array the first."""
    run = code.run

    def one() -> Value:
        value = run()
        rows, columns = value.num.shape[1:]
        if rows == columns == 1:
            return value
        row = column = 0
        if place is not None:
            if scope.lanes != (1, 1):
                raise SingleLanes
            row = scope.rect.top - place.top if rows > 1 else 0
            column = scope.rect.left - place.left if columns > 1 else 0
            if (rows > 1 and columns > 1) or not (0 <= row < rows and 0 <= column < columns):
                return values.error(VALUE)
        part = np.s_[:, row : row + 1, column : column + 1]
        return Value(value.num[part], None if value.kind is None else value.kinds[part], True)

    return Code(one, varies=code.varies)


def _index(pool: values.TextPool, table: Value, places: list[Value]) -> Value:
    lanes, rows, columns = table.shape
    if len(places) == 1:
        if rows == 1:
            places = [values.number(1.0), places[0]]
        elif columns == 1:
            places = [places[0], values.number(1.0)]
        else:
            places = [places[0], values.number(0.0)]
    if lanes == 1 and places[0].num.size == 1 and places[1].num.size == 1 and not (places[0].kind or places[1].kind):
        i, j = int(places[0].num.item()), int(places[1].num.item())
        if 1 <= i <= rows and 1 <= j <= columns and not isinstance(table, Unread):
            part = np.s_[:, i - 1 : i, j - 1 : j]
            return Value(table.num[part], None if table.kind is None else table.kinds[part], True)
    places = align(*places)
    row_num, errors = coerce.numbers(pool, places[0])
    column_num, more = coerce.numbers(pool, places[1])
    row_num, column_num, errors = np.trunc(row_num), np.trunc(column_num), merge(errors, more)
    errors = merge(errors, wrong((row_num < 0) | (column_num < 0), VALUE))
    errors = merge(errors, wrong((row_num > rows) | (column_num > columns), REF))
    if errors is not None:  # there the places do not count
        row_num, column_num = np.where(errors != 0, 1, row_num), np.where(errors != 0, 1, column_num)
    whole_row, whole_column = column_num == 0, row_num == 0
    if whole_row.any() or whole_column.any():
        return _whole(table, row_num, column_num, errors)
    row = np.clip(row_num - 1, 0, rows - 1).astype(np.intp)
    column = np.clip(column_num - 1, 0, columns - 1).astype(np.intp)
    return pick(table, lane_numbers(lanes, row, column), row, column, errors)


def _whole(table: Value, row_num: Any, column_num: Any, errors: Errors) -> Value:
    """Whole rows or columns, the same choice in every lane."""
    lanes, rows, columns = table.shape
    if row_num.shape[1:] != (1, 1) or column_num.shape[1:] != (1, 1):
        # An array of indices takes the first cell of each whole row or column, as Excel does.
        near_row = np.clip(row_num - 1, 0, rows - 1).astype(np.intp)
        near_column = np.clip(column_num - 1, 0, columns - 1).astype(np.intp)
        return pick(table, lane_numbers(lanes, near_row, near_column), near_row, near_column, errors)
    all_rows, all_columns = row_num == 0, column_num == 0
    if all_rows.all() != all_rows.any() or all_columns.all() != all_columns.any():
        raise SingleLanes
    row: Any = np.clip(row_num - 1, 0, rows - 1).astype(np.intp)
    column: Any = np.clip(column_num - 1, 0, columns - 1).astype(np.intp)
    if all_rows.any():
        row = np.arange(rows).reshape(1, -1, 1)
    if all_columns.any():
        column = np.arange(columns).reshape(1, 1, -1)
    if all_rows.any() and all_columns.any() and errors is None:
        return table
    return pick(table, lane_numbers(lanes, row, column), row, column, errors)
