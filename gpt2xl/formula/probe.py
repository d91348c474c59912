"""Looks into a formula: what it refers to, and the value of any part of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import TEXT, Rect
from gpt2xl.formula.code import ARRAY, Scope
from gpt2xl.formula.compiler import Compiler
from gpt2xl.formula.registry import FUNCTIONS, Function
from gpt2xl.formula.tree import Binary, Call, Name, Node, Percent, Reference, Unary, moved, walk
from gpt2xl.formula.values import Array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpt2xl.formula.book import Book
    from gpt2xl.formula.unit import Block


@dataclass(frozen=True, slots=True)
class Standing:
    """A formula and the cell it is looked at from: its tree as that cell has it, the cell's place in the result."""

    sheet: str
    cell: Rect
    tree: Node
    array: Rect | None  # the cells of an array formula
    row: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """What a formula refers to: as written, and where that is."""

    text: str
    sheet: str
    rect: Rect


def standing(book: Book, block: Block, cell: Rect) -> Standing:
    """The formula of a block as one of its cells has it."""
    tree = book.tree_of(block)
    if block.mode == "array":
        rect = block.rect
        return Standing(block.sheet, cell, tree, rect, cell.top - rect.top, cell.left - rect.left)
    return Standing(block.sheet, cell, moved(tree, cell.top - block.row, cell.left - block.column), None)


def references(book: Book, formula: Standing) -> Iterator[Named]:
    """The cells that a formula names, in the order in which it does, each once."""
    seen: set[tuple[str, Rect]] = set()
    for node in walk(formula.tree):
        found = place_of(book, formula, node)
        if found is not None and (found.sheet, found.rect) not in seen:
            seen.add((found.sheet, found.rect))
            yield found


def place_of(book: Book, formula: Standing, node: Node) -> Named | None:
    """The cells that a node is, if it is a reference or a name of one."""
    text, sheet = "", formula.sheet
    seen: set[str] = set()
    while isinstance(node, Name) and node.name.lower() not in seen:
        seen.add(node.name.lower())
        text, sheet = text or node.name, node.sheet or sheet
        tree = book.name_tree(node.name, sheet)
        if tree is None:
            return None
        node = tree
    if not isinstance(node, Reference):
        return None
    grid = book.grid(node.sheet or sheet)
    if grid is None:
        return None
    rect = node.rect
    if node.whole:
        rows, columns = book.used()
        bottom, right = max(rect.top, min(rect.bottom, rows)), max(rect.left, min(rect.right, columns))
        rect = Rect(rect.top, rect.left, bottom, right)
    return Named(text, grid.name, rect)


def evaluate(book: Book, formula: Standing, node: Node) -> Array:
    """The value of a part of a formula, computed over whole arrays; what it reads has to be fresh."""
    rect = formula.array or formula.cell
    first = formula.cell if formula.array is None else rect
    scope = Scope(formula.sheet, rect, first.top, first.left, array=formula.array is not None)
    with np.errstate(over="raise", divide="raise", invalid="raise", under="ignore"):
        value = Compiler(book, scope).compile(node, ARRAY).run()
    num, kind = value.num[0].astype(np.float64), value.kinds[0]
    text = None
    if (kind == TEXT).any():
        text = np.full(num.shape, "", object)
        text[kind == TEXT] = book.pool.get(num[kind == TEXT])
    return Array(num, kind if kind.any() else None, text)


def products(formula: Standing) -> Iterator[tuple[Call, int, int]]:
    """The dot products of which a cell's value is made up, each with the cell's place in its result.

    They are looked for where a cell of the result comes from one cell of the part: under operators, functions of single
    values and TRANSPOSE. SUMPRODUCT, which has one value, and SUM in an array formula count wherever they stand.
    """
    for node in walk(formula.tree):
        if isinstance(node, Call) and (
            node.name == "SUMPRODUCT"
            or (node.name == "SUM" and formula.array and [type(item) for item in node.arguments] == [Binary])
        ):
            yield node, 0, 0
    yield from _matrix_products(formula.tree, formula.row, formula.column)


def _matrix_products(node: Node, row: int, column: int) -> Iterator[tuple[Call, int, int]]:
    if isinstance(node, Call) and node.name == "MMULT":
        yield node, row, column
    elif isinstance(node, Call) and node.name == "TRANSPOSE":
        yield from _matrix_products(node.arguments[0], column, row)
    elif isinstance(node, (Binary, Unary, Percent, Call)):
        function = FUNCTIONS.get(node.name) if isinstance(node, Call) else None
        if isinstance(node, Call) and not (
            node.name in ("IF", "IFERROR") or (isinstance(function, Function) and function.shape == "cells")
        ):
            return
        for part in _parts(node):
            yield from _matrix_products(part, row, column)


def _parts(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Binary):
        return node.left, node.right
    return node.arguments if isinstance(node, Call) else (node.operand,) if isinstance(node, Unary | Percent) else ()


def factor_place(book: Book, formula: Standing, node: Node, row: int, column: int) -> Named | None:
    """Where one cell of a factor lies, if the factor is a reference, perhaps transposed."""
    if isinstance(node, Call) and node.name == "TRANSPOSE":
        node, row, column = node.arguments[0], column, row
    found = place_of(book, formula, node)
    if found is None or row >= found.rect.height or column >= found.rect.width:
        return None
    return replace(found, rect=found.rect.cell(row, column))
