"""One cell, explained: its formula, what that reads, and of a dot product the terms that count most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import ERROR, NUMBER, Rect, quote_sheet
from gpt2xl.formula import Array, Scalar, unparse
from gpt2xl.formula.probe import Named, evaluate, factor_place, products, references, standing
from gpt2xl.formula.tree import Binary
from gpt2xl.shown import plain, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpt2xl.formula.probe import Standing
    from gpt2xl.formula.tree import Call, Node
    from gpt2xl.workbook import Workbook

_LARGEST = 8  # terms of a dot product that are listed
_MOST_VALUES = 4_096  # of a precedent's values, more are not listed


@dataclass(frozen=True, slots=True)
class Precedent:
    """Cells that a formula names: how it names them, where they are, their values, rows x columns."""

    text: str
    place: str
    values: Array

    def __str__(self) -> str:
        height, width = self.values.shape
        if (height, width) == (1, 1):
            return shown(self.values.item())
        first = ", ".join(shown(self.values.item(0, column)) for column in range(min(width, 4)))
        return f"{height} × {width} cells: {first}{', …' if height > 1 or width > 4 else ''}"


@dataclass(frozen=True, slots=True)
class Term:
    """One product of a dot product: its factors, each with its place where it is a cell, and the product."""

    places: tuple[str | None, ...]
    factors: tuple[float, ...]
    product: float


@dataclass(frozen=True, slots=True)
class DotProduct:
    """A sum of products in a formula: its text, the sum, how many terms it has, the largest of them first."""

    text: str
    value: float
    count: int
    largest: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A cell: what was asked for and its size, the cell, its formula ("" without one), its value, what it reads."""

    ref: str
    shape: tuple[int, int]
    place: str
    formula: str
    value: Scalar
    array: str | None = None  # the cells of an array formula
    precedents: list[Precedent] = field(default_factory=list)
    products: list[DotProduct] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The explanation as the command line prints it."""
        height, width = self.shape
        yield self.place + (f" (the first of {height} × {width} cells of {self.ref})" if self.shape != (1, 1) else "")
        yield f"  {self.formula or 'no formula'}" + (f"  in {self.array}" if self.array else "")
        yield f"  = {shown(self.value)}"
        for item in self.precedents:
            yield f"reads {item.text + ', ' if item.text else ''}{item.place} = {item}"
        for dot in self.products:
            most = "the largest of " if dot.count > len(dot.largest) else ""
            yield f"{dot.text} = {shown(dot.value)}, {most}{dot.count} terms:"
            for term in dot.largest:
                factors = zip(term.places, term.factors, strict=True)
                shares = " × ".join(f"{shown(number)}{f' ({place})' if place else ''}" for place, number in factors)
                yield f"  {shown(term.product):>22} = {shares}"

    def as_json(self) -> dict[str, Any]:
        """The record that `run --explain --json` has under `explain`."""
        return {
            "ref": self.ref,
            "shape": list(self.shape),
            "cell": self.place,
            "formula": self.formula,
            "array": self.array,
            "value": plain(self.value),
            "precedents": [
                {
                    "name": item.text or None,
                    "cells": item.place,
                    "shape": list(item.values.shape),
                    "values": None
                    if item.values.num.size > _MOST_VALUES
                    else [[plain(cell) for cell in row] for row in item.values.tolist()],
                }
                for item in self.precedents
            ],
            "dot_products": [
                {
                    "formula": item.text,
                    "value": item.value,
                    "terms": item.count,
                    "largest": [
                        {"cells": list(term.places), "factors": list(term.factors), "product": term.product}
                        for term in item.largest
                    ],
                }
                for item in self.products
            ],
        }


def explain(workbook: Workbook, ref: str) -> Explanation:
    """Explain a cell, or the first one of a range or name; raises `NameNotFound` for what is none."""
    book = workbook.book
    sheet, rect = book.resolve(ref)
    cell = rect.cell(0, 0)
    value = book.get(sheet, cell).item()
    block = book.block_at(sheet, cell)
    place = _place(sheet, cell)
    if block is None:
        return Explanation(ref, rect.shape, place, "", value)
    formula = standing(book, block, cell)
    precedents = [
        Precedent(named.text, _place(named.sheet, named.rect), book.get(named.sheet, named.rect))
        for named in references(book, formula)
    ]
    dots = [_dot(workbook, formula, *found) for found in products(formula)]
    array = str(formula.array) if formula.array else None
    text = workbook.formula_at(sheet, cell)
    return Explanation(ref, rect.shape, place, text, value, array, precedents, [dot for dot in dots if dot is not None])


def _dot(workbook: Workbook, formula: Standing, call: Call, row: int, column: int) -> DotProduct | None:
    """A dot product's largest terms; None where it has an error or no such cell."""
    if call.name == "MMULT":
        left, right = (evaluate(workbook.book, formula, node) for node in call.arguments)
        row = 0 if left.shape[0] == 1 else row
        column = 0 if right.shape[1] == 1 else column
        if not _numeric(left, right) or left.shape[1] != right.shape[0]:
            return None
        if row >= left.shape[0] or column >= right.shape[1]:
            return None
        factors = [left.num[row], right.num[:, column]]
        cells = [[(row, k) for k in range(left.shape[1])], [(k, column) for k in range(left.shape[1])]]
        nodes: Sequence[Node] = call.arguments
    else:
        nodes = _factors(call)
        arrays = [evaluate(workbook.book, formula, node) for node in nodes]
        if any((array.kind is not None and (array.kind == ERROR).any()) for array in arrays):
            return None
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        factors = [
            np.broadcast_to(
                array.num if array.kind is None else np.where(array.kind == NUMBER, array.num, 0.0), shape
            ).ravel()
            for array in arrays
        ]
        places = list(np.ndindex(*shape))
        cells = [[(i % array.shape[0], j % array.shape[1]) for i, j in places] for array in arrays]
    terms = np.prod(np.array(factors), axis=0)
    order = np.argsort(-np.abs(terms), kind="stable")[:_LARGEST].tolist()
    largest = tuple(
        Term(
            tuple(_name(factor_place(workbook.book, formula, node, *cells[n][k])) for n, node in enumerate(nodes)),
            tuple(float(factor[k]) for factor in factors),
            float(terms[k]),
        )
        for k in order
    )
    text = unparse(call)
    where = "" if call.name != "MMULT" else f" at row {row + 1}, column {column + 1}"
    return DotProduct(text + where, float(terms.sum()), len(terms), largest)


def _factors(call: Call) -> list[Node]:
    """The factors of SUMPRODUCT's or SUM's terms: its arguments, or what a single one multiplies."""
    nodes = list(call.arguments)
    while len(nodes) == 1 or any(isinstance(node, Binary) and node.operator == "*" for node in nodes):
        place = next((n for n, node in enumerate(nodes) if isinstance(node, Binary) and node.operator == "*"), None)
        if place is None:
            break
        product = nodes[place]
        assert isinstance(product, Binary)
        nodes[place : place + 1] = [product.left, product.right]
    return nodes


def _numeric(*arrays: Array) -> bool:
    return all(array.kind is None for array in arrays)


def _place(sheet: str, rect: Rect) -> str:
    return f"{quote_sheet(sheet)}!{rect}"


def _name(named: Named | None) -> str | None:
    return None if named is None else _place(named.sheet, named.rect)
