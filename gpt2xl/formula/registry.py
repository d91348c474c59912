"""The table of functions and the decorators that fill it.

Parameters are spelt one letter each: `n` number; `s` strict number, as the functions that came with Excel's Analysis
ToolPak take them (a truth value is `#VALUE!`, an argument left out `#N/A`); `d` date, `e` strict date; `t` text, `u`
strict text, `b` truth value, `v` any scalar; `r` a range (a reference passes whole, an expression is computed as in an
ordinary formula); `a` an array (its expression is always computed as in an array formula). `R` and `A` may be unions
of references too, whose cells then come side by side in one row. A `?` after a letter makes it and what follows
optional; `*` at the end repeats the last letter, `+` the last two; a range that is repeated may be a union.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpt2xl.formula import coerce
from gpt2xl.formula.coerce import Errors, merge
from gpt2xl.formula.operators import align
from gpt2xl.formula.values import NUM, ExcelError, TextPool, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpt2xl.formula.code import Code, Compiling
    from gpt2xl.formula.tree import Call


class Context(Protocol):
    """What functions may ask of the book they run in."""

    pool: TextPool
    characters: str


@dataclass(frozen=True, slots=True)
class Signature:
    """The letters of a function's parameters and how many arguments it takes."""

    letters: str
    least: int
    most: int
    repeated: str

    @classmethod
    def of(cls, text: str) -> Signature:
        required, _, optional = text.partition("?")
        letters = (required + optional).rstrip("*+").replace("?", "")
        count = {"*": 1, "+": 2}.get(text[-1:], 0)
        letters = f"{letters[:-1]}R" if text.endswith("r*") else letters
        # "n?n" marks the letter before the sign: it and all that follow may be left out.
        least = len(required) - 1 if "?" in text else len(letters)
        return cls(letters, least, 255 if count else len(letters), letters[-count:] if count else "")

    def fits(self, count: int) -> bool:
        """Whether a call may have so many arguments: those that come in pairs, in pairs."""
        pairs = len(self.repeated) < 2 or (count - len(self.letters)) % 2 == 0
        return self.least <= count <= self.most and pairs

    @cache  # noqa: B019 - there are as many signatures as functions
    def kinds(self, count: int) -> str:
        """One letter for each of `count` arguments."""
        endless = chain(self.letters, chain.from_iterable(repeat(self.repeated)) if self.repeated else ())
        return "".join(letter for letter, _ in zip(endless, range(count), strict=False))


@dataclass(frozen=True, slots=True)
class Function:
    """A function that computes a value from its arguments' values."""

    name: str
    signature: Signature
    apply: Callable[..., Value]
    # "cells": the common shape; "one": a cell; "scalars": that of its scalars; "array": that of its arrays; "product":
    # the rows of its first and the columns of its last; "transposed": columns for rows.
    shape: str


@dataclass(frozen=True, slots=True)
class Special:
    """A function that decides itself how its arguments are compiled (IF, ROW, INDEX)."""

    name: str
    signature: Signature
    build: Callable[[Compiling, Call, int], Code]


FUNCTIONS: dict[str, Function | Special] = {}


def elementwise(name: str, parameters: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of scalars written over whole numpy arrays.

    The function gets converted arrays and returns an array of numbers (what is not finite becomes `#NUM!`), or a
    pair of it and errors.
    """
    signature = Signature.of(parameters)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        numeric = set(signature.letters) <= {"n", "s"}

        def apply(context: Context, *values: Value) -> Value:
            if numeric and all(value.kind is None for value in values):
                try:
                    result = function(*[value.num for value in values])
                    return _finish(result, None)
                except (FloatingPointError, ValueError):
                    pass
            values = tuple(align(*values)) if len(values) > 1 else values
            errors: Errors = None
            arguments = []
            for letter, value in zip(signature.kinds(len(values)), values, strict=True):
                converted, wrong = _CONVERT[letter](context.pool, value)
                arguments.append(converted)
                errors = merge(errors, wrong)
            with np.errstate(all="ignore"):
                return _finish(function(*arguments), errors)

        FUNCTIONS[name] = Function(name, signature, apply, "cells")
        return function

    return register


def _finish(result: Any, errors: Errors) -> Value:
    """A value from an array, or from an array and the errors found by the function."""
    num, found = result if isinstance(result, tuple) else (result, None)
    errors = merge(errors, found)
    finite = np.isfinite(num)
    if not finite.all():
        errors = merge(errors, np.where(finite, 0, 6).astype(np.uint8))
        num = np.where(finite, num, 0.0)
    return Value(num) if errors is None else coerce.with_errors(num, None, errors)


_CONVERT: dict[str, Callable[[TextPool, Value], tuple[Any, Errors]]] = {
    "n": coerce.numbers,
    "s": coerce.strict_numbers,
    "d": coerce.dates,
    "e": lambda pool, value: (coerce.dates(pool, value)[0], coerce.strict_numbers(pool, value)[1]),
    "t": coerce.texts,
    "u": coerce.strict_texts,
    "b": coerce.booleans,
}

# What a Python function over the cells of its arguments may return.
Result = str | float | bool | ExcelError


def per_cell(
    name: str, parameters: str, *, units: bool = False, dated: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of scalars written for one cell; it returns a number, text, truth value or `ExcelError`.

    With `units`, texts are handed over as sequences of the units that the book counts: UTF-16
    code units or code points. With `dated`, numbers returned are dates.
    """
    signature = Signature.of(parameters)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def apply(context: Context, *values: Value) -> Value:
            values = tuple(align(*values)) if len(values) > 1 else values
            errors: Errors = None
            arguments = []
            for letter, value in zip(signature.kinds(len(values)), values, strict=True):
                converted, wrong = _CONVERT[letter](context.pool, value)
                if units and letter == "t" and context.characters == "utf16":
                    converted = _over(split_units, converted)
                arguments.append(converted)
                errors = merge(errors, wrong)
            shape = np.broadcast_shapes(*(array.shape for array in arguments))
            flat = [np.broadcast_to(array, shape).ravel().tolist() for array in arguments]
            result = np.empty(len(flat[0]), object)
            result[:] = [function(*cell) for cell in zip(*flat, strict=True)]
            if units and context.characters == "utf16":
                result = _over(join_units, result)
            if dated and context.pool.epoch:
                result = _over(lambda item: _counted_from(context.pool.epoch, item), result)
            return coerce.from_texts(context.pool, result.reshape(shape), errors)

        FUNCTIONS[name] = Function(name, signature, apply, "cells")
        return function

    return register


def _counted_from(epoch: int, item: Result) -> Result:
    """A date as the book counts days; one before its first day is `#NUM!`."""
    if isinstance(item, (str, bool, ExcelError)):
        return item
    return item - epoch if item >= epoch else NUM


def _over(function: Callable[[Any], Any], array: Any) -> Any:
    result = np.empty(array.size, object)
    result[:] = [function(item) for item in array.ravel().tolist()]
    return result.reshape(array.shape)


def split_units(text: str) -> str:
    """Every character beyond U+FFFF as its two surrogates, as Excel counts it."""
    if not isinstance(text, str) or text.isascii() or max(text) <= "\uffff":
        return text
    halves = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(halves[i] | halves[i + 1] << 8) for i in range(0, len(halves), 2))


def join_units(text: Any) -> Any:
    """Surrogates that form a pair as the one character they mean."""
    if not isinstance(text, str) or text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def whole(name: str, parameters: str, shape: str = "one") -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register a function over ranges and arrays: it gets the context and its arguments as values."""

    def register(function: Callable[..., Value]) -> Callable[..., Value]:
        FUNCTIONS[name] = Function(name, Signature.of(parameters), function, shape)
        return function

    return register


def special(
    name: str, parameters: str
) -> Callable[[Callable[[Compiling, Call, int], Code]], Callable[[Compiling, Call, int], Code]]:
    """Register a function that compiles its own call."""

    def register(function: Callable[[Compiling, Call, int], Code]) -> Callable[[Compiling, Call, int], Code]:
        FUNCTIONS[name] = Special(name, Signature.of(parameters), function)
        return function

    return register


def alias(new: str, old: str) -> None:
    """Register a second name of a function."""
    FUNCTIONS[new] = FUNCTIONS[old]
