"""Statistics of pairs, shapes and ranges with texts (ECMA-376 part 1, 18.17.7)."""

# ruff: noqa: ARG001, ARG005 - functions of one family are called alike, whatever they use
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, BOOL, NUMBER, TEXT
from gpt2xl.formula import coerce, values
from gpt2xl.formula.code import SCALAR, Code, Compiling, SingleLanes, constant
from gpt2xl.formula.coerce import merge
from gpt2xl.formula.functions.ranges import by_lane, first_error, flat, is_scalar, joined, wrong
from gpt2xl.formula.operators import BINARY
from gpt2xl.formula.registry import FUNCTIONS, Context, Function, alias, elementwise, special, whole
from gpt2xl.formula.tree import Binary, Call, Node
from gpt2xl.formula.values import DIV0, NA, NUM, VALUE, ExcelError, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpt2xl.a1 import Rect


def _with_texts(name: str, plain: str) -> None:
    def apply(context: Context, *arguments: Value) -> Value:
        function = FUNCTIONS[plain]
        assert isinstance(function, Function)
        return function.apply(context, *(_counted(value) for value in arguments))

    apply.__doc__ = f"{name}(value1, ...): {plain} where a text in a range is 0 and TRUE is 1 (ECMA-376, 18.17.7)."
    whole(name, "r*")(apply)


def _counted(value: Value) -> Value:
    """Texts of ranges as 0, truth values as numbers."""
    if value.kind is None or is_scalar(value):
        return value
    kinds = value.kinds
    num = np.where(kinds == TEXT, 0.0, value.num)
    return Value(num, np.where((kinds == TEXT) | (kinds == BOOL), NUMBER, kinds).astype(np.uint8), True)


for _name, _plain in (("AVERAGEA", "AVERAGE"), ("MAXA", "MAX"), ("MINA", "MIN"), ("VARA", "VAR"), ("VARPA", "VARP")):
    _with_texts(_name, _plain)
for _name, _plain in (("STDEVA", "STDEV"), ("STDEVPA", "STDEVP")):
    _with_texts(_name, _plain)


def _paired(name: str, compute: Callable[[Any, Any, Any], Any], least: int = 1) -> None:
    """A function of two equally large ranges: `compute(sxy, sxx, syy, n, mean x, mean y)` from sums of products."""

    def apply(context: Context, first: Value, second: Value) -> Value:
        errors = merge(first_error(first), first_error(second))
        if first.num[0].size != second.num[0].size:
            return by_lane(np.zeros(1), np.full(1, NA.code + 1, np.uint8))
        both = flat(first.kinds == NUMBER) & flat(second.kinds == NUMBER)
        with np.errstate(all="ignore"):
            x, y = np.where(both, flat(first.num), 0.0), np.where(both, flat(second.num), 0.0)
            size = both.sum(axis=1).astype(np.float64)
            mean_x, mean_y = x.sum(axis=1) / np.maximum(size, 1), y.sum(axis=1) / np.maximum(size, 1)
            dx = np.where(both, x - mean_x[:, np.newaxis], 0.0)
            dy = np.where(both, y - mean_y[:, np.newaxis], 0.0)
            sums = [np.einsum("ln,ln->l", *pair) for pair in ((dx, dy), (dx, dx), (dy, dy))]
            result = compute(sums, size, (mean_x, mean_y))
        bad = (size < least) | ~np.isfinite(result)
        return by_lane(np.where(bad, 0.0, result), merge(errors, wrong(bad, DIV0)))

    apply.__doc__ = f"{name}(array1, array2): pairs of numbers only (ECMA-376, 18.17.7)."
    whole(name, "aa")(apply)


_paired("CORREL", lambda sums, n, means: sums[0] / np.sqrt(sums[1] * sums[2]))
_paired("RSQ", lambda sums, n, means: sums[0] ** 2 / (sums[1] * sums[2]))
_paired("COVAR", lambda sums, n, means: sums[0] / n)
_paired("COVARIANCE.S", lambda sums, n, means: sums[0] / (n - 1), 2)
# The known y come first, the known x second.
_paired("SLOPE", lambda sums, n, means: sums[0] / sums[2])
_paired("INTERCEPT", lambda sums, n, means: means[0] - sums[0] / sums[2] * means[1])
_paired("STEYX", lambda sums, n, means: np.sqrt((sums[1] - sums[0] ** 2 / sums[2]) / (n - 2)), 3)
alias("PEARSON", "CORREL")
alias("COVARIANCE.P", "COVAR")


def _shape(name: str, least: int, compute: Callable[[Any, Any], Any]) -> None:
    def apply(context: Context, *arguments: Value) -> Value:
        found = joined(context, arguments)
        with np.errstate(all="ignore"):
            size = found.count
            mean = found.filled(0.0).sum(axis=1) / np.maximum(size, 1)
            distance = found.num - mean[:, np.newaxis]
            distance = distance if found.valid is None else np.where(found.valid, distance, 0.0)
            deviation = np.sqrt((distance**2).sum(axis=1) / np.maximum(size - 1, 1))
            result = compute(distance / deviation[:, np.newaxis], size)
        bad = (size < least) | ~np.isfinite(result)
        return by_lane(np.where(bad, 0.0, result), merge(found.errors, wrong(bad, DIV0)))

    apply.__doc__ = f"{name}(number1, ...) (ECMA-376, 18.17.7)."
    whole(name, "r*")(apply)


_shape("SKEW", 3, lambda z, n: (z**3).sum(axis=1) * n / ((n - 1) * (n - 2)))
_shape(
    "KURT",
    4,
    lambda z, n: (
        (z**4).sum(axis=1) * n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
    ),
)


@elementwise("STANDARDIZE", "nnn")
def standardize(x: Any, mean: Any, deviation: Any) -> Any:
    """STANDARDIZE(x, mean, standard_dev) (ECMA-376, 18.17.7)."""
    return (x - mean) / np.where(deviation > 0, deviation, 1.0), wrong(deviation <= 0, NUM)


@whole("FORECAST", "vaa", "scalars")
def forecast(context: Context, x: Value, known_y: Value, known_x: Value) -> Value:
    """FORECAST(x, known_y, known_x): where the straight line is at x (ECMA-376, 18.17.7)."""
    slope, start = (FUNCTIONS[name] for name in ("SLOPE", "INTERCEPT"))
    assert isinstance(slope, Function)
    assert isinstance(start, Function)
    times = BINARY["*"](context.pool, slope.apply(context, known_y, known_x), x)
    return BINARY["+"](context.pool, start.apply(context, known_y, known_x), times)


alias("FORECAST.LINEAR", "FORECAST")

_normal = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), otypes=[np.float64])


@elementwise("NORMSDIST", "n")
def normsdist(x: Any) -> Any:
    """NORMSDIST(z): the normal distribution's integral (ECMA-376, 18.17.7)."""
    return _normal(x)


def _permuted(n: float, k: float) -> float:
    if not 0 <= int(k) <= int(n):
        return math.nan
    try:
        # 171 factors or more are beyond the largest double, even the smallest.
        return float(math.perm(int(n), int(k))) if k < 171 else math.inf
    except OverflowError:
        return math.inf


_permutations = np.vectorize(_permuted, otypes=[np.float64])


@elementwise("PERMUT", "nn")
def permut(n: Any, k: Any) -> Any:
    """PERMUT(number, chosen) (ECMA-376, 18.17.7)."""
    return _permutations(n, k)


@whole("FREQUENCY", "AA", "array")
def frequency(context: Context, data: Value, bins: Value) -> Value:
    """FREQUENCY(data, bins): a column of one count more than there are bins (ECMA-376, 18.17.7)."""
    errors = merge(first_error(data), first_error(bins))
    if errors is not None:
        return by_lane(np.zeros(len(errors)), errors)
    lanes = max(len(data.num), len(bins.num))
    result = []
    for lane in range(lanes):
        numbers, limits = (_numbers(value, lane) for value in (data, bins))
        place = np.searchsorted(np.sort(limits), numbers, side="left")
        counts = np.bincount(place, minlength=len(limits) + 1).astype(np.float64)
        # The counts stand in the order in which the bins were given.
        ranks = np.empty(len(limits), np.intp)
        ranks[np.argsort(limits, kind="stable")] = np.arange(len(limits))
        result.append(np.append(counts[ranks], counts[len(limits)]))
    return Value(np.array(result)[:, :, np.newaxis])


def _numbers(value: Value, lane: int) -> Any:
    own = lane if len(value.num) > 1 else 0
    return value.num[own][value.kinds[own] == NUMBER]


_SUBTOTALS = ["AVERAGE", "COUNT", "COUNTA", "MAX", "MIN", "PRODUCT", "STDEV", "STDEVP", "SUM", "VAR", "VARP"]


@special("SUBTOTAL", "vr*")
def subtotal(compiler: Compiling, node: Call, mode: int) -> Code:
    """SUBTOTAL(function, range1, ...): the function by its number; without rows that a filter hides and without other
    subtotals, from 101 on without any hidden rows (ECMA-376, 18.17.7)."""
    if compiler.scope.lanes != (1, 1):
        raise SingleLanes
    world, which = compiler.world, compiler.compile(node.arguments[0], SCALAR).run
    ranges: list[tuple[str, Rect, Callable[[], Value]]] = []
    for argument in (area for item in node.arguments[1:] for area in compiler.areas(item)):
        found = compiler.static(argument)
        place = None if isinstance(found, ExcelError) else compiler.place(found)
        if isinstance(found, ExcelError) or place is None:
            return constant(values.error(found if isinstance(found, ExcelError) else values.REF))
        ranges.append((found.sheet or compiler.scope.sheet, place.bounding, compiler.argument("r", argument, mode).run))

    def run() -> Value:
        num, errors = coerce.numbers(world.pool, which())
        if errors is not None:
            return coerce.with_errors(num, None, errors)
        number = int(num.flat[0])
        hidden = number > 100
        if not 1 <= number - 100 * hidden <= len(_SUBTOTALS):
            return values.error(VALUE)
        function = FUNCTIONS[_SUBTOTALS[number - 100 * hidden - 1]]
        assert isinstance(function, Function)
        counted = (_without(cells(), world.uncounted(sheet, rect, hidden=hidden)) for sheet, rect, cells in ranges)
        return function.apply(world, *counted)

    return Code(run)


def _without(value: Value, mask: Any) -> Value:
    """A range with blanks where the mask holds."""
    if mask is None:
        return value
    return Value(np.where(mask, 0.0, value.num), np.where(mask, BLANK, value.kinds).astype(np.uint8), True)


@special("SWITCH", "vvv*")
def switch(compiler: Compiling, node: Call, mode: int) -> Code:
    """SWITCH(value, case1, result1, ..., [default]): the first equal case, else `#N/A` (Microsoft, SWITCH)."""
    value, *rest = node.arguments

    tree: Node = rest.pop() if len(rest) % 2 else Call("NA", ())
    for place in range(len(rest) - 2, -1, -2):
        tree = Call("IF", (Binary("=", value, rest[place]), rest[place + 1], tree))
    return compiler.compile(tree, mode)
