"""Logic (ECMA-376 part 1, 18.17.7: AND, FALSE, IF, IFERROR, NOT, OR, TRUE; the others from Microsoft's pages)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, BOOL, ERROR, NUMBER, TEXT
from gpt2xl.formula import coerce, values
from gpt2xl.formula.code import ARRAY, SCALAR, Code, Compiling, common, constant
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.functions.ranges import by_lane, first_error, flat, is_scalar, wrong
from gpt2xl.formula.operators import select
from gpt2xl.formula.registry import Context, special, whole
from gpt2xl.formula.tree import Call, Missing, Node
from gpt2xl.formula.values import BOOLS, NA, VALUE, Value

if TYPE_CHECKING:
    from collections.abc import Callable

FALSE_VALUE = Value(np.zeros((1, 1, 1)), BOOLS)
TRUE_VALUE = Value(np.ones((1, 1, 1)), BOOLS)


def _inside(mode: int) -> int:
    return ARRAY if mode == ARRAY else SCALAR


def _branch(compiler: Compiling, node: Node, mode: int) -> Code:
    """A branch; one left out between commas is the number 0."""
    return constant(values.number(0.0)) if isinstance(node, Missing) else compiler.compile(node, mode)


@special("IF", "vv?v")
def if_(compiler: Compiling, node: Call, mode: int) -> Code:
    """IF(condition, then, else), cell by cell; the branch not taken does not count (ECMA-376, 18.17.7)."""
    condition = compiler.compile(node.arguments[0], _inside(mode))
    yes = _branch(compiler, node.arguments[1], mode) if len(node.arguments) > 1 else constant(TRUE_VALUE)
    no = _branch(compiler, node.arguments[2], mode) if len(node.arguments) > 2 else constant(FALSE_VALUE)
    test, then, otherwise, pool = condition.run, yes.run, no.run, compiler.world.pool

    def run() -> Value:
        truth = test()
        mask, errors = coerce.booleans(pool, truth)
        if mask.size == 1:
            if errors is not None:
                return coerce.with_errors(np.zeros((1, 1, 1)), None, errors)
            return then() if mask.item() else otherwise()
        return select(mask, errors, then(), otherwise())

    return common(run, condition, yes, no)


def _rescue(name: str, codes: tuple[int, ...]) -> Callable[[Compiling, Call, int], Code]:
    def build(compiler: Compiling, node: Call, mode: int) -> Code:
        tried = compiler.compile(node.arguments[0], _inside(mode))
        spare = _branch(compiler, node.arguments[1], _inside(mode))
        first, second = tried.run, spare.run

        def run() -> Value:
            value = first()
            if value.kind is None:
                return value
            bad = value.kinds == ERROR
            if codes:
                bad = bad & np.isin(value.num, codes)
            if not bad.any():
                return value
            return select(bad, None, second(), value)

        return common(run, tried, spare)

    build.__doc__ = f"{name}(value, value_if_error)."
    return build


special("IFERROR", "vv")(_rescue("IFERROR", ()))
special("IFNA", "vv")(_rescue("IFNA", (NA.code,)))


@special("CHOOSE", "vv*")
def choose(compiler: Compiling, node: Call, mode: int) -> Code:
    """CHOOSE(index, value1, ...); only the chosen value counts (ECMA-376, 18.17.7)."""
    index = compiler.compile(node.arguments[0], _inside(mode))
    options = [_branch(compiler, argument, mode) for argument in node.arguments[1:]]
    pool, which, runs = compiler.world.pool, index.run, [option.run for option in options]

    def run() -> Value:
        num, errors = coerce.numbers(pool, which())
        num = np.floor(num)
        errors = merge(errors, wrong((num < 1) | (num > len(runs)), VALUE))
        if num.size == 1:
            if errors is not None:
                return coerce.with_errors(num, None, errors)
            return runs[int(num.item()) - 1]()
        result = runs[0]()
        for place, option in enumerate(runs[1:], 2):
            mask = num == place
            if mask.any():
                result = select(mask, None, option(), result)
        return select(np.ones(num.shape, bool), errors, result, result)

    return common(run, index, *options)


@special("IFS", "vv*")
def ifs(compiler: Compiling, node: Call, mode: int) -> Code:
    """IFS(condition1, value1, ...): the first that holds, else `#N/A` (Microsoft, IFS)."""
    if len(node.arguments) % 2:
        return constant(values.error(NA))
    tree: Node = Call("NA", ())
    for place in range(len(node.arguments) - 2, -1, -2):
        tree = Call("IF", (node.arguments[place], node.arguments[place + 1], tree))
    return compiler.compile(tree, mode)


def _truths(context: Context, arguments: tuple[Value, ...], combine: Callable[..., Any]) -> Value:
    """AND, OR, XOR: numbers and truth values of ranges, converted scalars but for ""; none at all is `#VALUE!`."""
    errors: Errors = None
    result: Any = None
    counted = np.zeros(1, np.int64)
    for value in arguments:
        if is_scalar(value) and value.kind is not None:
            empty = (value.kinds == TEXT) & (value.num == 0)
            mask, wrong_here = coerce.booleans(context.pool, value)
            wrong_here = None if wrong_here is None else np.where(empty, 0, wrong_here).astype(np.uint8)
            truth, valid = flat(mask), flat(np.broadcast_to((value.kinds != BLANK) & ~empty, mask.shape))
            found = None if wrong_here is None else np.broadcast_to(wrong_here, mask.shape)[:, 0, 0]
        else:
            kinds = value.kinds
            truth, valid = flat(value.num != 0), flat((kinds == NUMBER) | (kinds == BOOL))
            found = first_error(value)
        errors = merge(errors, found)
        counted = counted + valid.sum(axis=1)
        part = combine(truth, valid)
        result = part if result is None else combine(np.stack(np.broadcast_arrays(result, part), axis=1), None)
    errors = merge(errors, wrong(counted == 0, VALUE))
    value = by_lane(np.asarray(result, np.float64), None)
    value.kind = BOOLS
    return value if errors is None else coerce.with_errors(value.num, BOOLS, errors.reshape(-1, 1, 1))


def _all(truth: Any, valid: Any) -> Any:
    return (truth if valid is None else truth | ~valid).all(axis=1)


def _any(truth: Any, valid: Any) -> Any:
    return (truth if valid is None else truth & valid).any(axis=1)


def _odd(truth: Any, valid: Any) -> Any:
    return (truth if valid is None else truth & valid).sum(axis=1) % 2 == 1


@whole("AND", "r*")
def and_(context: Context, *arguments: Value) -> Value:
    """AND(logical1, ...) (ECMA-376, 18.17.7)."""
    return _truths(context, arguments, _all)


@whole("OR", "r*")
def or_(context: Context, *arguments: Value) -> Value:
    """OR(logical1, ...) (ECMA-376, 18.17.7)."""
    return _truths(context, arguments, _any)


@whole("XOR", "r*")
def xor(context: Context, *arguments: Value) -> Value:
    """XOR(logical1, ...): whether an odd number of them hold (Microsoft, XOR)."""
    return _truths(context, arguments, _odd)


@whole("NOT", "v", "cells")
def not_(context: Context, value: Value) -> Value:
    """NOT(logical) (ECMA-376, 18.17.7)."""
    mask, errors = coerce.booleans(context.pool, value)
    return Value(~mask, BOOLS) if errors is None else coerce.with_errors((~mask).astype(np.float64), BOOLS, errors)


@whole("TRUE", "")
def true(context: Context) -> Value:
    """TRUE() (ECMA-376, 18.17.7)."""
    return TRUE_VALUE


@whole("FALSE", "")
def false(context: Context) -> Value:
    """FALSE() (ECMA-376, 18.17.7)."""
    return FALSE_VALUE
