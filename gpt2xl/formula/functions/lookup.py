"""Look-up and reference (ECMA-376 part 1, 18.17.7)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import ERROR, MAX_COLUMNS, MAX_ROWS, TEXT, column_letters, quote_sheet
from gpt2xl.formula import coerce, values
from gpt2xl.formula.code import ARRAY, SCALAR, Code, Compiling, Scope, SingleLanes, common, constant
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions import search
from gpt2xl.formula.functions.ranges import wrong
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import Context, per_cell, special, whole
from gpt2xl.formula.tree import Binary, Call, Missing, Name, Node, Number, Reference
from gpt2xl.formula.values import NA, REF, VALUE, ExcelError, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gpt2xl.formula.window import Placement


def _vector(value: Value) -> Value | None:
    """A single row or column as [lanes, 1, n]; None for a table."""
    lanes, rows, columns = value.num.shape
    if rows != 1 and columns != 1:
        return None
    kind = None if value.kind is None else value.kinds.reshape(lanes, 1, rows * columns)
    return Value(value.num.reshape(lanes, 1, rows * columns), kind, value.ranged, value.source)


def _pick(source: Value, lane: Any, row: Any, column: Any, errors: Errors) -> Value:
    """The cells of [lanes, rows, columns] at these places; where there is an error the place is not looked at."""
    if len(source.num) == 1:
        lane = 0
    num = source.num[lane, row, column]
    kind = None if source.kind is None else source.kinds[lane, row, column]
    if errors is None:
        return Value(num, kind, True)
    return coerce.with_errors(num, kind, errors)


def _lanes(*arrays: NDArray[Any]) -> NDArray[np.intp]:
    return np.arange(max(len(array) for array in arrays)).reshape(-1, 1, 1)


def _at(source: Value, place: NDArray[np.intp], errors: Errors) -> Value:
    """The cells of a vector [lanes, 1, n] at these places; -1, and beyond the end, is `#N/A`."""
    count = source.num.shape[2]
    missing = wrong((place < 0) | (place >= count), NA)
    if missing is not None:
        errors = merge(errors, missing)
        place = np.clip(place, 0, count - 1)
    return _pick(source, _lanes(source.num, place), 0, place, errors)


_SEARCHES = {0.0: search.exact, 1.0: search.ascending, -1.0: search.descending}


def _by_choice(searches: dict[float, Any], choice: Any, context: Context, keys: Value, sought: Value) -> Any:
    """The places that the search chosen for each cell finds; nearly always all cells choose the same."""
    first = choice.flat[0]
    place = searches[float(first)](context.pool, keys, sought)
    if choice.size > 1:
        for other in np.unique(choice[choice != first]).tolist():
            place = np.where(choice == other, searches[other](context.pool, keys, sought), place)
    return place


@whole("MATCH", "vav?", "scalars")
def match(context: Context, sought: Value, keys: Value, how: Value | None = None) -> Value:
    """MATCH(value, array, [type]): type 1 the last not above (sorted), 0 the first equal, -1 the last not
    below (sorted downwards) (ECMA-376, 18.17.7)."""
    vector = _vector(keys)
    if vector is None:
        return values.error(NA)
    errors = coerce.errors_of(sought)
    kinds: Any = np.ones(1)
    if how is not None:
        sought, how = align(sought, how)
        num, how_errors = coerce.numbers(context.pool, how)
        errors, kinds = merge(errors, how_errors), np.sign(num)
    place = _by_choice(_SEARCHES, kinds, context, vector, sought)
    errors = merge(errors, wrong(place < 0, NA))
    return Value(place + 1.0) if errors is None else coerce.with_errors(place + 1.0, None, errors)


@whole("LOOKUP", "vaa?", "scalars")
def lookup(context: Context, sought: Value, keys: Value, results: Value | None = None) -> Value:
    """LOOKUP(value, vector, [results]): the result beside the last key not above; in a table the first row or
    column (the longer side) holds the keys and the last one the results (ECMA-376, 18.17.7)."""
    vector = _vector(keys)
    if vector is None:
        wide = keys.num.shape[2] > keys.num.shape[1]
        first, last = (np.s_[:, :1, :], np.s_[:, -1:, :]) if wide else (np.s_[:, :, :1], np.s_[:, :, -1:])
        kinds = keys.kinds
        vector = _vector(Value(keys.num[first], kinds[first]))
        results = results or Value(keys.num[last], kinds[last])
    answers = vector if results is None else _vector(results)
    if vector is None or answers is None:
        return values.error(NA)
    place = search.ascending(context.pool, vector, sought)
    return _at(answers, place, coerce.errors_of(sought))


def _table_lookup(
    context: Context, sought: Value, table: Value, which: Value, approximate: Value | None, axis: int
) -> Value:
    """VLOOKUP (axis 1) and HLOOKUP (axis 2)."""
    if not table.ranged and table.num.shape[1:] == (1, 1) and table.kind is not None:
        return values.error(NA if (table.kinds != TEXT).all() else VALUE)
    keys = table.num[:, :, 0] if axis == 1 else table.num[:, 0, :]
    kinds = table.kinds[:, :, 0] if axis == 1 else table.kinds[:, 0, :]
    vector = Value(np.ascontiguousarray(keys)[:, np.newaxis], None if table.kind is None else kinds[:, np.newaxis])
    sought, which, *more = align(sought, which, *([] if approximate is None else [approximate]))
    errors = coerce.errors_of(sought)
    near: Any = np.ones(1)
    if more:
        (approximate,) = more
        truth, found = coerce.booleans(context.pool, approximate)
        errors, near = merge(errors, found), truth.astype(np.float64)
    if vector.kind is not None and not vector.kind.any():
        vector.kind = None
    place = _by_choice(_SEARCHES, near, context, vector, sought)
    num, found = coerce.numbers(context.pool, which)
    index = np.floor(num)
    errors = merge(errors, found)
    errors = merge(errors, wrong(index < 1, VALUE))
    errors = merge(errors, wrong(index > table.num.shape[3 - axis], REF))
    errors = merge(errors, wrong(place < 0, NA))
    place = np.maximum(place, 0)
    other = np.clip(index - 1, 0, table.num.shape[3 - axis] - 1).astype(np.intp)
    row, column = (place, other) if axis == 1 else (other, place)
    return _pick(table, _lanes(place, table.num, other), row, column, errors)


@whole("VLOOKUP", "vavv?", "scalars")
def vlookup(context: Context, sought: Value, table: Value, which: Value, approximate: Value | None = None) -> Value:
    """VLOOKUP(value, table, column, [approximate]) (ECMA-376, 18.17.7)."""
    return _table_lookup(context, sought, table, which, approximate, 1)


@whole("HLOOKUP", "vavv?", "scalars")
def hlookup(context: Context, sought: Value, table: Value, which: Value, approximate: Value | None = None) -> Value:
    """HLOOKUP(value, table, row, [approximate]) (ECMA-376, 18.17.7)."""
    return _table_lookup(context, sought, table, which, approximate, 2)


@special("INDEX", "rvv?v")
def index(compiler: Compiling, node: Call, mode: int) -> Code:
    """INDEX(array, row, [column], [area]): 0 or nothing is the whole row or column; beyond the array is `#REF!`
    (ECMA-376, 18.17.7)."""
    if len(node.arguments) == 4:
        area = node.arguments[3]
        if not isinstance(area, Number) or area.value != 1:
            return constant(values.error(REF))
        node = Call(node.name, node.arguments[:3])
    part = _whole_part(node) if mode == SCALAR else None
    if part is not None:
        return compiler.compile(part, SCALAR)
    source = compiler.compile(node.arguments[0], ARRAY)
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


def _may_be_whole(node: Node) -> bool:
    """Whether an index is written as 0 or left out."""
    return isinstance(node, Missing) or (isinstance(node, Number) and node.value < 1)


def _corner(compiler: Compiling, node: Node) -> Placement | None:
    """Where the cells lie that INDEX picks from; None for an array."""
    found = compiler.static(node) if isinstance(node, Reference | Name) else None
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
    lanes, rows, columns = table.num.shape
    if len(places) == 1:
        if rows == 1:
            places = [values.number(1.0), places[0]]
        elif columns == 1:
            places = [places[0], values.number(1.0)]
        else:
            places = [places[0], values.number(0.0)]
    if lanes == 1 and places[0].num.size == 1 and places[1].num.size == 1 and not (places[0].kind or places[1].kind):
        i, j = int(places[0].num.item()), int(places[1].num.item())
        if 1 <= i <= rows and 1 <= j <= columns:
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
    return _pick(table, _lanes(table.num, row, column), row, column, errors)


def _whole(table: Value, row_num: Any, column_num: Any, errors: Errors) -> Value:
    """Whole rows or columns, the same choice in every lane."""
    _, rows, columns = table.num.shape
    if row_num.shape[1:] != (1, 1) or column_num.shape[1:] != (1, 1):
        # An array of indices takes the first cell of each whole row or column, as Excel does.
        near_row = np.clip(row_num - 1, 0, rows - 1).astype(np.intp)
        near_column = np.clip(column_num - 1, 0, columns - 1).astype(np.intp)
        return _pick(table, _lanes(table.num, near_row, near_column), near_row, near_column, errors)
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
    return _pick(table, _lanes(table.num, row, column), row, column, errors)


@whole("TRANSPOSE", "a", "array")
def transpose(context: Context, value: Value) -> Value:
    """TRANSPOSE(array) (ECMA-376, 18.17.7)."""
    kind = None if value.kind is None else value.kinds.swapaxes(1, 2)
    return Value(value.num.swapaxes(1, 2), kind, value.ranged)


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
                num = np.arange(first, first + count, dtype=np.float64).reshape((1, -1, 1) if down else (1, 1, -1))
                return constant(Value(num), *num.shape[1:])
            if not (place.down if down else place.across):
                return constant(values.number(float(first)))
            steps = np.arange(first, first + (height if down else width), dtype=np.float64)
        grid = np.broadcast_to(steps[:, None] if down else steps[None, :], (height, width))
        return Code(_always(Value(grid.reshape(-1, 1, 1).copy())), varies=height * width > 1)

    build.__doc__ = f"{name}([reference]): its number, or the formula's own ({source})."
    special(name, "v?")(build)


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
        run = compiler.compile(argument, ARRAY).run

        def count() -> Value:
            value = run()
            if value.num.size == 1 and value.kinds.item() == ERROR:
                return value
            return values.number(float(value.num.shape[axis + 1]))

        return Code(count)

    build.__doc__ = f"{name}(array) ({source})."
    special(name, "a")(build)


_extent("ROWS", 0, "ECMA-376, 18.17.7")
_extent("COLUMNS", 1, "ECMA-376, 18.17.7")


@whole("HYPERLINK", "v?v", "cells")
def hyperlink(context: Context, target: Value, shown: Value | None = None) -> Value:
    """HYPERLINK(target, [shown]): what is shown (ECMA-376, 18.17.7)."""
    return target if shown is None else shown


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
