"""A recalculation that goes on past what cannot be computed, and says what it was.

Exact to the cell: of a formula that is filled over many cells, those cells are computed that depend on nothing
uncomputed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.errors import CircularReference, FormulaError, FormulaSyntaxError, LimitError, UnsupportedFunction
from gpt2xl.formula.graph import rectangles
from gpt2xl.formula.registry import FUNCTIONS
from gpt2xl.formula.tree import Call, Name, Unsupported, walk
from gpt2xl.formula.unit import Unit

if TYPE_CHECKING:
    from gpt2xl.a1 import Rect
    from gpt2xl.formula.book import Book
    from gpt2xl.formula.tree import Node

UNREADABLE = "unreadable formula"
CIRCULAR = "circular reference"
TOO_LARGE = "range too large"


@dataclass(frozen=True, slots=True)
class Uncomputed:
    """Cells of a formula that were not computed: what it needs that is not there, nothing where others lack it."""

    sheet: str
    rect: Rect
    lacking: tuple[str, ...]


def survey(book: Book) -> list[Uncomputed]:
    """Compute every formula of the book that can be computed from its inputs alone, and list all others."""
    graph = book.graph()
    book.fit(graph)
    for unit in graph.units:
        unit.stale = True
    left_out: dict[int, list[Rect]] = {}  # by unit
    found: list[Uncomputed] = []
    with np.errstate(over="raise", divide="raise", invalid="raise", under="ignore"):
        for number, unit in enumerate(graph.units):
            bad: dict[str, list[Rect]] = defaultdict(list)
            for other in unit.precedents:
                if other in left_out:
                    bad[graph.units[other].group.sheet.lower()] += left_out[other]
            lost = _compute(book, unit, bad)
            if lost:
                left_out[number] = [item.rect for item in lost]
                found += lost
            else:
                unit.stale = False
    return found


def _compute(book: Book, unit: Unit, bad: dict[str, list[Rect]]) -> list[Uncomputed]:
    """Compute those cells of a unit that read none of the `bad` ones; what is left."""
    sheet, group = unit.group.sheet, unit.group
    lacking = lacks(group.tree, book, sheet)
    if unit.error is not None:
        lacking |= {_name(unit.error): None}
    if lacking:
        return [Uncomputed(sheet, unit.rect, tuple(lacking))]
    parts, lost = [unit], []
    if bad and unit.rect.size > 1 and not group.array:
        cells = [unit.rect.cell(row, column) for row in range(unit.rect.height) for column in range(unit.rect.width)]
        clean = [cell for cell in cells if not _reads(Unit(group, cell), bad)]
        tainted = {*cells} - {*clean}
        parts = [unit] if not tainted else [Unit(group, rect) for rect in rectangles(clean)]
        lost = [Uncomputed(sheet, rect, ()) for rect in rectangles(tainted)]
    elif bad and _reads(unit, bad):
        return [Uncomputed(sheet, unit.rect, ())]
    for part in parts:
        try:
            part.compute(book)
        except (FormulaError, LimitError) as error:
            lost.append(Uncomputed(sheet, part.rect, (_name(error),)))
    return lost


def _reads(unit: Unit, bad: dict[str, list[Rect]]) -> bool:
    return any(rect.intersects(other) for sheet, rect in unit.readings() for other in bad.get(sheet, ()))


def lacks(tree: Node, book: Book, sheet: str) -> dict[str, None]:
    """What a formula on a sheet needs that the engine has not, in the order in which it is written: names of
    functions, and of what else is not computed. Defined names are looked into, each once."""
    found: dict[str, None] = {}
    seen: set[tuple[str, str]] = set()
    ways = [walk(tree)]
    while ways:
        node = next(ways[-1], None)
        if node is None:
            ways.pop()
        elif isinstance(node, Call) and node.name not in FUNCTIONS:
            found[node.name] = None
        elif isinstance(node, Unsupported):
            found[node.what] = None
        elif isinstance(node, Name) and (place := (node.name.lower(), (node.sheet or sheet).lower())) not in seen:
            seen.add(place)
            try:
                inner = book.name_tree(node.name, node.sheet or sheet)
            except FormulaSyntaxError:
                found[UNREADABLE] = None
                continue
            if inner is not None:
                ways.append(walk(inner))
    return found


def _name(error: FormulaError | LimitError) -> str:
    """What an error is called in a list of what is lacking."""
    if isinstance(error, UnsupportedFunction):
        return error.function
    if isinstance(error, CircularReference):
        return CIRCULAR
    return UNREADABLE if isinstance(error, FormulaError) else TOO_LARGE
