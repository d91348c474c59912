"""Look-up and reference (ECMA-376 part 1, 18.17.7)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpt2xl.a1 import TEXT
from gpt2xl.formula import coerce, values
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions import search
from gpt2xl.formula.functions.picking import lane_numbers, pick
from gpt2xl.formula.functions.ranges import wrong
from gpt2xl.formula.operators import align
from gpt2xl.formula.registry import Context, whole
from gpt2xl.formula.values import NA, REF, VALUE, Value

if TYPE_CHECKING:
    pass


def _vector(value: Value) -> Value | None:
    """A single row or column as [lanes, 1, n]; None for a table."""
    lanes, rows, columns = value.num.shape
    if rows != 1 and columns != 1:
        return None
    kind = None if value.kind is None else value.kinds.reshape(lanes, 1, rows * columns)
    return Value(value.num.reshape(lanes, 1, rows * columns), kind, value.ranged, value.source)


def _at(source: Value, place: NDArray[np.intp], errors: Errors) -> Value:
    """The cells of a vector [lanes, 1, n] at these places; -1, and beyond the end, is `#N/A`."""
    count = source.num.shape[2]
    missing = wrong((place < 0) | (place >= count), NA)
    if missing is not None:
        errors = merge(errors, missing)
        place = np.clip(place, 0, count - 1)
    return pick(source, lane_numbers(len(source.num), place), 0, place, errors)


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
    return pick(table, lane_numbers(len(table.num), place, other), row, column, errors)


@whole("VLOOKUP", "vavv?", "scalars")
def vlookup(context: Context, sought: Value, table: Value, which: Value, approximate: Value | None = None) -> Value:
    """VLOOKUP(value, table, column, [approximate]) (ECMA-376, 18.17.7)."""
    return _table_lookup(context, sought, table, which, approximate, 1)


@whole("HLOOKUP", "vavv?", "scalars")
def hlookup(context: Context, sought: Value, table: Value, which: Value, approximate: Value | None = None) -> Value:
    """HLOOKUP(value, table, row, [approximate]) (ECMA-376, 18.17.7)."""
    return _table_lookup(context, sought, table, which, approximate, 2)


@whole("TRANSPOSE", "a", "transposed")
def transpose(context: Context, value: Value) -> Value:
    """TRANSPOSE(array) (ECMA-376, 18.17.7)."""
    kind = None if value.kind is None else value.kinds.swapaxes(1, 2)
    return Value(value.num.swapaxes(1, 2), kind, value.ranged)


@whole("HYPERLINK", "vv?", "cells")
def hyperlink(context: Context, target: Value, shown: Value | None = None) -> Value:
    """HYPERLINK(target, [shown]): what is shown (ECMA-376, 18.17.7)."""
    return target if shown is None else shown
