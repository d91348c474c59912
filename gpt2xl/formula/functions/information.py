"""Information (ECMA-376 part 1, 18.17.7: ERROR.TYPE, the IS functions, N, NA, TYPE)."""

# ruff: noqa: ARG001 - functions of one family are called alike, whatever they use
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, BOOL, ERROR, NUMBER, TEXT
from gpt2xl.formula import coerce, values
from gpt2xl.formula.code import Code, Compiling, constant
from gpt2xl.formula.registry import Context, special, whole
from gpt2xl.formula.tree import Binary, Call, Reference
from gpt2xl.formula.values import BOOLS, NA, Value

if TYPE_CHECKING:
    from collections.abc import Callable


def _test(name: str, source: str, holds: Callable[[Value], Any]) -> None:
    def apply(context: Context, value: Value) -> Value:
        return Value(np.broadcast_to(holds(value), value.num.shape), BOOLS)

    apply.__doc__ = f"{name}(value) ({source})."
    whole(name, "v", "cells")(apply)


_test("ISBLANK", "ECMA-376, 18.17.7", lambda value: value.kinds == BLANK)
_test("ISERR", "ECMA-376, 18.17.7", lambda value: (value.kinds == ERROR) & (value.num != NA.code))
_test("ISERROR", "ECMA-376, 18.17.7", lambda value: value.kinds == ERROR)
_test("ISLOGICAL", "ECMA-376, 18.17.7", lambda value: value.kinds == BOOL)
_test("ISNA", "ECMA-376, 18.17.7", lambda value: (value.kinds == ERROR) & (value.num == NA.code))
_test("ISNONTEXT", "ECMA-376, 18.17.7", lambda value: value.kinds != TEXT)
_test("ISNUMBER", "ECMA-376, 18.17.7", lambda value: value.kinds == NUMBER)
_test("ISTEXT", "ECMA-376, 18.17.7", lambda value: value.kinds == TEXT)


def _parity(name: str, source: str, rest: float) -> None:
    def apply(context: Context, value: Value) -> Value:
        num, errors = coerce.numbers(context.pool, value)
        if value.kind is not None:
            errors = coerce.merge(errors, np.where(value.kinds == BOOL, values.VALUE.code + 1, 0).astype(np.uint8))
        result = np.trunc(np.abs(num)) % 2 == rest
        return Value(result, BOOLS) if errors is None else coerce.with_errors(result, BOOLS, errors)

    apply.__doc__ = f"{name}(number) ({source}); a truth value is `#VALUE!`."
    whole(name, "v", "cells")(apply)


_parity("ISEVEN", "ECMA-376, 18.17.7", 0.0)
_parity("ISODD", "ECMA-376, 18.17.7", 1.0)


@special("ISREF", "v")
def isref(compiler: Compiling, node: Call, mode: int) -> Code:
    """ISREF(value): whether the argument is a reference, as written or by INDEX (ECMA-376, 18.17.7)."""
    argument = compiler.meant(node.arguments[0])
    holds = isinstance(argument, Reference) or (isinstance(argument, Binary) and argument.operator in ":, ")
    if isinstance(argument, Call) and argument.name == "INDEX":
        return compiler.compile(Call("NOT", (Call("ISERROR", (argument,)),)), mode)
    return constant(Value(np.full((1, 1, 1), float(holds)), BOOLS))


@whole("N", "v", "cells")
def n(context: Context, value: Value) -> Value:
    """N(value): numbers and truth values as numbers, texts as 0, errors as they are (ECMA-376, 18.17.7)."""
    if value.kind is None:
        return Value(value.num)
    num = np.where(value.kinds == TEXT, 0.0, value.num)
    return coerce.with_errors(num, None, coerce.errors_of(value))


@whole("T", "v", "cells")
def t(context: Context, value: Value) -> Value:
    """T(value): texts as they are, everything else but errors as "" (ECMA-376, 18.17.7)."""
    kinds = value.kinds
    keep = (kinds == TEXT) | (kinds == ERROR)
    return Value(np.where(keep, value.num, 0.0), np.where(keep, kinds, TEXT).astype(np.uint8))


@whole("NA", "")
def na(context: Context) -> Value:
    """NA() (ECMA-376, 18.17.7)."""
    return values.error(NA)


@whole("ERROR.TYPE", "v", "cells")
def error_type(context: Context, value: Value) -> Value:
    """ERROR.TYPE(error): 1 for `#NULL!` to 14 for `#CALC!`; `#N/A` for what is no error (ECMA-376, 18.17.7)."""
    wrong = value.kinds == ERROR
    errors = np.where(wrong, 0, NA.code + 1).astype(np.uint8)
    return coerce.with_errors(np.where(wrong, value.num + 1, 0.0), None, errors if errors.any() else None)


_TYPES = np.array([1.0, 1.0, 2.0, 4.0, 16.0])


@special("TYPE", "v")
def type_(compiler: Compiling, node: Call, mode: int) -> Code:
    """TYPE(value): 1 number, 2 text, 4 truth value, 16 error, 64 array (ECMA-376, 18.17.7)."""
    code = compiler.argument("r", node.arguments[0], mode)
    run = code.run

    def kinds() -> Value:
        value = run()
        if value.num.shape[1:] != (1, 1):
            return values.number(64.0)
        return Value(_TYPES[value.kinds])

    return Code(kinds, varies=code.varies)
