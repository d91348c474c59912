"""A tree to a plan: nested closures over views of the grids, built once and run at every recalculation.

A plan is made for one rectangle of cells: an array formula has one lane, a filled formula one lane a cell. References
are resolved here, so that running a plan is numpy and little else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import TEXT
from gpt2xl.errors import UnsupportedFunction
from gpt2xl.formula import operators, values
from gpt2xl.formula.code import (
    ARRAY,
    OF_RANGES,
    SCALAR,
    Code,
    check_cells,
    common,
    constant,
    inside,
    side_by_side,
    wanted,
)
from gpt2xl.formula.references import References
from gpt2xl.formula.registry import FUNCTIONS, Special
from gpt2xl.formula.rest import completed
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
from gpt2xl.formula.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable


_NESTED = 32  # operators that are run one inside the other; more are run one after the other


class Compiler(References):
    """Compiles one formula for one rectangle of cells."""

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
                return constant(values.MISSING)
            case Reference():
                return self.reference(node, mode)
            case Name():
                return self.name(node, mode)
            case Unary(operator, operand):
                return self.unary(operator, operand, mode)
            case Percent(operand):
                inner = self.compile(operand, inside(mode))
                run, pool = inner.run, self.world.pool
                return self.made(replace(inner, run=lambda: operators.percent(pool, run()), computed=True))
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
        """Take note of an intermediate value, and return its code; raises `LimitError` where it is too large."""
        check_cells(code.rows, code.columns, self.world.most_cells)
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
        return self.made(replace(inner, run=lambda: negate(pool, run()), computed=True))

    def binary(self, node: Binary, operator: str, left: Node, right: Node, mode: int) -> Code:
        if operator in (":", " ", ","):
            return self.combined(node, operator, mode)
        links = [node]
        while isinstance(links[-1].left, Binary) and links[-1].left.operator not in (":", " ", ","):
            links.append(links[-1].left)
        if len(links) > _NESTED:
            return self.chain(links[::-1], mode)
        one, other = self.compile(left, inside(mode)), self.compile(right, inside(mode))
        first, second, pool, apply = one.run, other.run, self.world.pool, operators.BINARY[operator]
        return self.made(common(lambda: apply(pool, first(), second()), one, other))

    def chain(self, links: list[Binary], mode: int) -> Code:
        """A long sum or the like, operation by operation from the inside out."""
        codes = [self.compile(node, inside(mode)) for node in (links[0].left, *(link.right for link in links))]
        first, pool = codes[0].run, self.world.pool
        rest = [(operators.BINARY[link.operator], code.run) for link, code in zip(links, codes[1:], strict=True)]

        def run() -> Value:
            value = first()
            for apply, operand in rest:
                value = apply(pool, value, operand())
            return value

        return self.made(common(run, *codes))

    def formula(self, node: Node, mode: int) -> Code:
        """The plan of a whole formula: what its last addition or subtraction all but cancels is 0."""
        if not isinstance(node, Binary) or node.operator not in ("+", "-"):
            return self.compile(node, mode)
        first, second = (self.compile(side, inside(mode)) for side in (node.left, node.right))
        left, right = first.run, second.run
        pool, apply, settled = self.world.pool, operators.BINARY[node.operator], operators.settled

        def run() -> Value:
            a, b = left(), right()
            return settled(apply(pool, a, b), b)

        return self.made(common(run, first, second))

    def call(self, node: Call, mode: int) -> Code:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise UnsupportedFunction(node.name)
        signature = function.signature
        if not signature.fits(len(node.arguments)):
            # Excel refuses such a formula when it is typed; one in a file has no value.
            return constant(values.error(values.VALUE))
        arguments = list(zip(signature.kinds(len(node.arguments)), node.arguments, strict=True))
        if any(letter == "r" and len(self.areas(argument)) > 1 for letter, argument in arguments):
            return constant(values.error(values.VALUE))  # COUNTIF and its like look at one area
        if isinstance(function, Special):
            return self.made(function.build(self, node, mode))
        codes = [self.argument(letter, argument, mode) for letter, argument in arguments]
        world, apply, runs = self.world, function.apply, [code.run for code in codes]
        run: Callable[[], Value]
        if any(
            code.beyond != (0, 0) and code.computed and letter in OF_RANGES
            for (letter, _), code in zip(arguments, codes, strict=True)
        ):
            rests = [
                self.rest(letter, argument, code, mode)
                for (letter, argument), code in zip(arguments, codes, strict=True)
            ]
            whole = completed(node.name, codes, rests, world.most_cells)
            run = lambda: apply(world, *whole())  # noqa: E731
        elif len(runs) == 1:
            only = runs[0]
            run = lambda: apply(world, only())  # noqa: E731 - one call less for the commonest case
        elif len(runs) == 2:
            first, second = runs
            run = lambda: apply(world, first(), second())  # noqa: E731
        else:
            run = lambda: apply(world, *[argument() for argument in runs])  # noqa: E731
        if function.shape in ("one", "scalars"):
            scalars = [code for (letter, _), code in zip(arguments, codes, strict=True) if letter not in OF_RANGES]
            code = common(run, *scalars)
            code.varies = any(item.varies for item in codes)
            code.beyond = code.beyond if function.shape == "scalars" else (0, 0)
            return self.made(code)
        code = common(run, *codes)
        if function.shape != "cells":
            code.beyond = 0, 0
        if function.shape == "product":
            code.rows, code.columns = codes[0].rows, codes[-1].columns
        elif function.shape == "transposed":
            code.rows, code.columns = code.columns, code.rows
        elif function.shape == "array":
            side = max([1, *(max(item.rows, item.columns) for item in codes)])
            code.rows, code.columns = side, max([1, *(min(item.rows, item.columns) for item in codes)])
        return self.made(code)

    def argument(self, letter: str, node: Node, mode: int) -> Code:
        """The plan of an argument for a parameter of this letter."""
        areas = self.areas(node) if letter in "RA" else [node]
        resting = self.resting
        self.resting = resting and letter not in OF_RANGES
        try:
            codes = [self.compile(area, wanted(letter, mode)) for area in areas]
        finally:
            self.resting = resting
        return codes[0] if len(codes) == 1 else self.made(side_by_side(codes))

    def rest(self, letter: str, node: Node, code: Code, mode: int) -> Code | None:
        """The plan of what an argument is beyond the cells in use; None where there is nothing."""
        if letter not in OF_RANGES or not any(code.beyond):
            return None
        resting, self.resting = self.resting, True
        try:
            return self.compile(node, wanted(letter, mode))
        finally:
            self.resting = resting
