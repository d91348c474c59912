"""COUNTIF and its family (ECMA-376 part 1, 18.17.7: AVERAGEIF, COUNTIF, COUNTIFS, SUMIF, SUMIFS)."""

# ruff: noqa: ARG005 - functions of one family are called alike, whatever they use
from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, BOOL, ERROR, ERROR_TEXTS, NUMBER, TEXT
from gpt2xl.formula import coerce, values
from gpt2xl.formula.code import Code, Compiling, common
from gpt2xl.formula.functions.search import wildcard
from gpt2xl.formula.operators import BINARY, align
from gpt2xl.formula.precedents import resized
from gpt2xl.formula.registry import Context, special, whole
from gpt2xl.formula.tree import Call, Reference
from gpt2xl.formula.values import DIV0, VALUE, TextPool, Value, collated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpt2xl.formula.coerce import Errors

Mask = Any  # an array of truth values

_SIGN = re.compile(r"(<=|>=|<>|<|>|=)?(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matching(pool: TextPool, num: NDArray[np.float64], kind: NDArray[np.uint8], want: float, want_kind: int) -> Mask:
    """Which cells meet a criterion: a value to equal, or a text such as ">5", "<>x", "a*"."""
    if want_kind in (NUMBER, BLANK):
        return _equal_number(pool, num, kind, want)
    if want_kind in (BOOL, ERROR):
        return (kind == want_kind) & (num == want)
    match = _SIGN.fullmatch(pool.text(want))
    sign, rest = (match[1] or "", match[2]) if match else ("", "")
    if rest == "":
        empty = kind == BLANK
        if sign == "":
            return empty | ((kind == TEXT) & (num == 0))
        return empty if sign == "=" else ~empty if sign == "<>" else np.zeros(kind.shape, bool)
    compare = _COMPARE[sign or "="]
    number = coerce.text_to_number(rest)
    if number is not None:
        if sign in ("", "="):
            return _equal_number(pool, num, kind, number)
        if sign == "<>":
            return (kind != NUMBER) | (num != number)
        return (kind == NUMBER) & compare(num, number)
    special_kind = BOOL if rest.upper() in ("TRUE", "FALSE") else ERROR if rest.upper() in ERROR_TEXTS else TEXT
    if special_kind != TEXT:
        code = float(rest.upper() == "TRUE") if special_kind == BOOL else float(ERROR_TEXTS.index(rest.upper()))
        if sign == "<>":
            return ~((kind == special_kind) & (num == code))
        return (kind == special_kind) & compare(num, code)
    result = np.zeros(kind.shape, bool)
    texts = kind == TEXT
    if texts.any():
        words = pool.get(num[texts]).tolist()
        if sign in ("", "=", "<>"):
            like = wildcard(rest)
            result[texts] = [like.fullmatch(word) is not None for word in words]
        else:
            result[texts] = [compare(collated(word), collated(rest)) for word in words]
    return ~result if sign == "<>" else result


def _equal_number(pool: TextPool, num: NDArray[np.float64], kind: NDArray[np.uint8], number: float) -> Mask:
    """Cells with this number, and texts that spell it."""
    result = (kind == NUMBER) & (num == number)
    texts = kind == TEXT
    if texts.any():
        result[texts] = [coerce.text_to_number(word) == number for word in pool.get(num[texts]).tolist()]
    return result


Reduce = Callable[[Mask, int], tuple[float, int]]  # a mask and a lane -> a number, or an error's code plus 1


def _conditional(context: Context, pairs: tuple[Value, ...], reduce: Reduce, lanes: int = 1) -> Value:
    """A number for every cell of the criteria."""
    ranges, criteria = pairs[::2], align(*pairs[1::2])
    if len({cells.num.shape[1:] for cells in ranges}) > 1:
        return values.error(VALUE)
    lanes = max([lanes, *(len(value.num) for value in pairs)])
    shape = np.broadcast_shapes((lanes, 1, 1), *(value.num.shape for value in criteria))
    wants = [
        [*zip(*(np.broadcast_to(part, shape).ravel().tolist() for part in (value.num, value.kinds)), strict=True)]
        for value in criteria
    ]
    fixed = all(len(cells.num) == 1 for cells in ranges)
    kinds = [cells.kinds for cells in ranges]
    size = shape[1] * shape[2]
    num = np.zeros(lanes * size)
    errors = np.zeros(lanes * size, np.uint8)
    masks: dict[Any, Mask] = {}
    for place, cell in enumerate(zip(*wants, strict=True)):
        lane = place // size
        key = cell if fixed else (lane, cell)
        mask = masks.get(key)
        if mask is None:
            if len(masks) > 64:
                masks.clear()
            mask = np.ones(ranges[0].num.shape[1:], bool)
            for cells, kind, (want, want_kind) in zip(ranges, kinds, cell, strict=True):
                own = lane if len(cells.num) > 1 else 0
                mask &= matching(context.pool, cells.num[own], kind[own], want, want_kind)
            masks[key] = mask
        num[place], errors[place] = reduce(mask, lane)
    found: Errors = errors.reshape(shape) if errors.any() else None
    return coerce.with_errors(num.reshape(shape), None, found)


@whole("COUNTIFS", "rv+", "scalars")
def countifs(context: Context, *pairs: Value) -> Value:
    """COUNTIFS(range1, criterion1, ...) (ECMA-376, 18.17.7)."""
    cells, want = pairs[0], pairs[1]
    if len(pairs) == 2 and cells.kind is None and want.kind is None and len(cells.num) == 1:
        keys = np.sort(cells.num.ravel())
        count = np.searchsorted(keys, want.num, "right") - np.searchsorted(keys, want.num, "left")
        return Value(count.astype(np.float64))
    beyond = max(value.beyond for value in pairs[::2])
    if not beyond:
        return _conditional(context, pairs, lambda mask, lane: (float(mask.sum()), 0))
    blank = Value(np.zeros((1, 1, 1)), np.full((1, 1, 1), BLANK, np.uint8), True)
    blanks = [value if place % 2 else blank for place, value in enumerate(pairs)]
    inside = _conditional(context, pairs, lambda mask, lane: (float(mask.sum()), 0))
    outside = _conditional(context, tuple(blanks), lambda mask, lane: (float(mask.sum()) * beyond, 0))
    return BINARY["+"](context.pool, inside, outside)


@whole("COUNTIF", "rv", "scalars")
def countif(context: Context, cells: Value, want: Value) -> Value:
    """COUNTIF(range, criterion) (ECMA-376, 18.17.7)."""
    return countifs(context, cells, want)


def _over(source: Value, function: Callable[[NDArray[np.float64]], tuple[float, int]]) -> Reduce:
    """The function of the numbers that a mask leaves; an error among the cells counts first."""
    kinds = source.kinds

    def reduce(mask: Mask, lane: int) -> tuple[float, int]:
        own = lane if len(source.num) > 1 else 0
        num, kind = source.num[own][mask], kinds[own][mask]
        bad = kind == ERROR
        if bad.any():
            return 0.0, int(num[bad][0]) + 1
        return function(num[kind == NUMBER])

    return reduce


def _total(num: NDArray[np.float64]) -> tuple[float, int]:
    return float(num.sum()), 0


def _mean(num: NDArray[np.float64]) -> tuple[float, int]:
    return (float(num.mean()), 0) if len(num) else (0.0, DIV0.code + 1)


def _several(name: str, function: Callable[[NDArray[np.float64]], tuple[float, int]]) -> None:
    def apply(context: Context, source: Value, *pairs: Value) -> Value:
        if source.num.shape[1:] != pairs[0].num.shape[1:]:
            return values.error(VALUE)
        return _conditional(context, pairs, _over(source, function), len(source.num))

    apply.__doc__ = f"{name}(numbers, range1, criterion1, ...) (ECMA-376, 18.17.7)."
    whole(name, "rrv+", "scalars")(apply)


_several("SUMIFS", _total)
_several("AVERAGEIFS", _mean)
_several("MAXIFS", lambda num: (float(num.max()) if len(num) else 0.0, 0))
_several("MINIFS", lambda num: (float(num.min()) if len(num) else 0.0, 0))


def _one(name: str, function: Callable[[NDArray[np.float64]], tuple[float, int]]) -> None:
    def build(compiler: Compiling, node: Call, mode: int) -> Code:
        cells, want, *rest = node.arguments
        source = rest[0] if rest else cells
        if isinstance(cells, Reference) and isinstance(source, Reference):
            source = resized(cells, source)
        arguments = ((cells, "r"), (want, "v"), (source, "r"))
        codes = [compiler.argument(letter, item, mode) for item, letter in arguments]
        world, (first, second, third) = compiler.world, [code.run for code in codes]

        def run() -> Value:
            among, numbers = first(), third()
            if among.num.shape[1:] != numbers.num.shape[1:]:
                return values.error(VALUE)
            return _conditional(world, (among, second()), _over(numbers, function), len(numbers.num))

        code = common(run, codes[1])
        code.varies = any(item.varies for item in codes)
        return code

    build.__doc__ = f"{name}(range, criterion, [numbers]): numbers as many as the range (ECMA-376, 18.17.7)."
    special(name, "rvr?")(build)


_one("SUMIF", _total)
_one("AVERAGEIF", _mean)
