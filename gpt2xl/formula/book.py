"""Sheets, names and formulas together, and their recalculation."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import BLANK, Rect
from gpt2xl.errors import FormulaError, FormulaSyntaxError, NameNotFound, WorkbookError
from gpt2xl.formula import functions  # noqa: F401 - fills the table of functions
from gpt2xl.formula.formulas import Formulas, text_at
from gpt2xl.formula.graph import Graph
from gpt2xl.formula.grid import Grid
from gpt2xl.formula.names import Names
from gpt2xl.formula.parser import parse
from gpt2xl.formula.subtotals import Uncounted
from gpt2xl.formula.tree import Name, Node, Reference
from gpt2xl.formula.unit import Block
from gpt2xl.formula.values import Array, TextPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from gpt2xl.formula.structured import Table

_SWEEP = 1 << 20
# Cells that an array inside of a formula may have (256 MiB of numbers), or twice as many as the book holds.
_MOST_CELLS = 1 << 25
EPOCH_1904 = 1462  # 1 January 1904 in days from 1900


class Book:
    """A workbook's values and formulas.

    ``characters`` is "utf16" where texts are counted as Excel does, "codepoints" as LibreOffice does; with
    ``date1904``, day 0 is 1 January 1904 (ECMA-376 part 1, 18.17.4.1). Formulas
    are stale from when they are added until they are computed or `mark_fresh` is called; an edit with `set`
    makes what depends on it stale.
    """

    def __init__(self, characters: str = "utf16", *, date1904: bool = False) -> None:
        if characters not in ("utf16", "codepoints"):
            raise ValueError('characters is "utf16" or "codepoints"')
        self.characters = characters
        self.pool = TextPool(EPOCH_1904 if date1904 else 0)
        self._grids: dict[str, Grid] = {}
        self._names = Names()
        self._uncounted = Uncounted()
        self._formulas = Formulas(self._names)
        self._graph: Graph | None = None
        self._planned_for = (1, 1)
        self._sweep_at = _SWEEP
        self.most_cells = _MOST_CELLS

    # Sheets and names.

    def add_sheet(self, name: str, rows: int = 0, columns: int = 0) -> Grid:
        """A new sheet; the size is a hint. Names are looked up without case."""
        if name.lower() in self._grids:
            raise WorkbookError(f"the workbook has a sheet named {name} already")
        grid = self._grids[name.lower()] = Grid(name, self.pool, rows, columns)
        self._forget()
        return grid

    def sheet(self, name: str) -> Grid:
        """A sheet by name; raises `NameNotFound`."""
        grid = self._grids.get(name.lower())
        if grid is None:
            raise NameNotFound(f"the workbook has no sheet named {name}; it has {', '.join(self.sheets())}")
        return grid

    def sheets(self) -> list[str]:
        """The sheets' names, in the order in which they were added."""
        return [grid.name for grid in self._grids.values()]

    def grid(self, sheet: str) -> Grid | None:
        """A sheet by name, or None."""
        return self._grids.get(sheet.lower())

    def hide_rows(self, sheet: str, rows: Iterable[int], filtered: Iterable[int]) -> None:
        """Say which rows of a sheet are hidden, and which of them by a filter: SUBTOTAL leaves them out."""
        self._uncounted.hide(self.sheet(sheet).name, rows, filtered)

    def uncounted(self, sheet: str, rect: Rect, *, hidden: bool) -> NDArray[np.bool_] | None:
        """The cells that a SUBTOTAL leaves out; None where it counts all."""
        return self._uncounted.mask(self._formulas, sheet, rect, hidden=hidden)

    def used(self) -> tuple[int, int]:
        """The last row and the last column in use on any sheet."""
        grids = self._grids.values()
        return max((grid.used_rows for grid in grids), default=1), max((grid.used_columns for grid in grids), default=1)

    def define(self, name: str, refers_to: str, sheet: str | None = None, tree: Node | None = None) -> None:
        """Define a name for the whole book or for one sheet; `refers_to` is any formula, `tree` what `parse` makes of
        it, where that is at hand."""
        self._names.define(name, refers_to, sheet, tree)
        self._forget()

    def add_table(self, table: Table) -> None:
        """Make a table known to structured references; its cells are ordinary cells."""
        self._names.add_table(table)
        self._forget()

    def names(self) -> Iterator[tuple[str, str, str | None]]:
        """Every defined name: its spelling, what it refers to, its sheet or None."""
        return iter(self._names)

    def name_tree(self, name: str, sheet: str) -> Node | None:
        """What a name means on a sheet: the sheet's own definition, else the book's."""
        return self._names.name_tree(name, sheet)

    def resolve(self, ref: str) -> tuple[str, Rect]:
        """ "Sheet!A1:B2", a defined name that is a plain reference, or a reference on the first sheet."""
        try:
            node = parse(ref)
        except FormulaError:
            raise NameNotFound(f"`{ref}` is no cell, range or defined name") from None
        sheet = next(iter(self._grids.values())).name if self._grids else ""
        for _ in range(64):
            if not isinstance(node, Name):
                break
            tree = self.name_tree(node.name, node.sheet or sheet)
            if tree is None:
                raise self._unknown(ref)
            node = tree
        if not isinstance(node, Reference):
            raise NameNotFound(f"`{ref}` is no plain cell or range")
        return self.sheet(node.sheet or sheet).name, node.rect

    def _unknown(self, ref: str) -> NameNotFound:
        names = {name.lower(): name for name, _, _ in self._names}
        if "!" in ref:
            way_out = "cells of a sheet go from A1 to XFD1048576"
        elif close := [names[name] for name in get_close_matches(ref.lower(), names)]:
            way_out = f"did you mean {' or '.join(f'`{name}`' for name in close)}?"
        else:
            first = next(iter(self.sheets()), "Sheet1")
            way_out = f"give one of its {len(names):,} names, or cells of a sheet, such as `{first}!A1:B2`"
        return NameNotFound(f"the workbook has no cell, range or defined name `{ref}`; {way_out}")

    # Formulas.

    def add_formula(self, sheet_name: str, rect: Rect, text: str, mode: str = "cell", tree: Node | None = None) -> None:
        """Put a formula into cells.

        ``mode``: "cell", an ordinary formula in one cell; "array", one array formula over the rectangle; "fill",
        an ordinary formula written for the first cell and copied over the rectangle. `tree` is what `parse` makes of
        a text without references to tables, where that is at hand.
        Raises `FormulaSyntaxError` for a text that is no formula.
        """
        grid = self.sheet(sheet_name)
        self._formulas.add(grid.name, rect, text, mode, tree)
        grid.fill(rect)
        self._forget()

    def add_unreadable(self, sheet_name: str, rect: Rect, error: FormulaSyntaxError) -> None:
        """Put a formula into cells that could not be read: what depends on it raises `error`."""
        grid = self.sheet(sheet_name)
        grid.fill(rect)
        self._formulas.add_unreadable(grid.name, rect, error)
        self._forget()

    def formulas(self) -> Iterator[tuple[str, Rect, str, str]]:
        """Every formula: its sheet, its cells, its text as for the first of them, its mode."""
        for block in self._formulas:
            yield block.sheet, block.rect, text_at(block, block.rect.top, block.rect.left), block.mode

    def formula_at(self, sheet: str, cell: Rect) -> tuple[str, str] | None:
        """The formula of one cell, its text as the cell has it, and its mode; None where there is none."""
        block = self.block_at(sheet, cell)
        return None if block is None else (text_at(block, cell.top, cell.left), block.mode)

    def block_at(self, sheet: str, cell: Rect) -> Block | None:
        """The formula that gives a cell its value."""
        units = [self.graph().units[number] for number in self.graph().writing(self.sheet(sheet).name, cell)]
        blocks = (block for unit in units for block in unit.group.blocks if block.rect.contains(cell))
        return next(blocks, None)

    def tree_of(self, block: Block) -> Node:
        """A formula's tree, its tables as plain references; raises `FormulaSyntaxError` for what is no formula."""
        return self._formulas.tree(block)

    def remove_formulas(self, sheet: str, rect: Rect) -> None:
        """Take away the formulas of a rectangle, as typing over them does; part of an array cannot be changed."""
        name = self.sheet(sheet).name
        self._remember()
        if self._formulas.remove(name, rect):
            self._forget()

    # Values.

    def get(self, sheet_name: str, rect: Rect) -> Array:
        """The values of a rectangle, recalculated where they are stale, and no more than needed."""
        grid = self.sheet(sheet_name)
        graph = self.graph()
        if stale := graph.needed(graph.writing(grid.name, rect)):
            self._run(graph, stale)
        return grid.take(rect)

    def set(self, sheet_name: str, rect: Rect, values: object) -> None:
        """An edit: store values and mark what depends on them as stale. Formulas in the rectangle are replaced."""
        grid = self.sheet(sheet_name)
        if self.graph().writing(grid.name, rect):
            self.remove_formulas(grid.name, rect)
        grid.put(rect, values)
        graph = self.graph()
        graph.spread(graph.reading(grid.name, rect))

    def recalculate(self, everything: bool = False) -> None:
        """Compute all stale formulas, or all; one that cannot be computed raises its `FormulaError`.

        `gpt2xl.formula.survey` goes on past such formulas.
        """
        graph = self.graph()
        if everything:
            for unit in graph.units:
                unit.stale = True
        self._run(graph, [number for number, unit in enumerate(graph.units) if unit.stale])

    def mark_fresh(self) -> None:
        """Take all stored values as right, as after loading them from a file; a formula without one stays stale."""
        for block in self._formulas:
            kind = self.sheet(block.sheet).window(block.rect.top, block.rect.left, block.rect.bottom, block.rect.right)[
                1
            ]
            block.stale = bool((kind == BLANK).any())
        self._graph = None

    def stale(self, sheet_name: str, rect: Rect) -> bool:
        """Whether a formula in the rectangle is stale."""
        graph = self.graph()
        return any(graph.units[number].stale for number in graph.writing(self.sheet(sheet_name).name, rect))

    # Inside.

    def graph(self) -> Graph:
        """The dependencies, built when first needed."""
        if self._graph is None:
            graph = Graph(self._formulas.grouped())
            stale = []
            for number, unit in enumerate(graph.units):
                unit.stale = False
                if any(block.stale for block in unit.group.within(unit.rect)):
                    stale.append(number)
            graph.spread(stale)
            self._graph = graph
        return self._graph

    def _forget(self) -> None:
        """Drop the graph, but remember which formulas are stale."""
        self._remember()
        self._uncounted.forget()
        self._graph = None

    def _remember(self) -> None:
        """Note with the formulas which of them are stale."""
        units = self._graph.units if self._graph is not None else ()
        for unit in units:
            for block in unit.group.within(unit.rect):
                block.stale = False
        for unit in units:
            if unit.stale:
                for block in unit.group.within(unit.rect):
                    block.stale = True

    def fit(self, graph: Graph) -> None:
        """Let formulas over whole columns and rows reach as far as there are cells now; before anything is computed."""
        self.most_cells = max(_MOST_CELLS, 2 * sum(grid.cells for grid in self._grids.values()))
        if self.used() != self._planned_for:
            self._planned_for = self.used()
            for unit in graph.units:
                if unit.group.unbounded:
                    unit.forget()

    def forget_code(self) -> None:
        """Give back the memory of what formulas were compiled to, until they are computed again."""
        for unit in self.graph().units:
            unit.forget()

    def _run(self, graph: Graph, numbers: Iterable[int]) -> None:
        """Compute units in order."""
        self.fit(graph)
        units = graph.units
        # Division, overflow and invalid operations raise, so that the usual case needs no check of its result.
        with np.errstate(over="raise", divide="raise", invalid="raise", under="ignore"):
            for number in numbers:
                units[number].compute(self)
                units[number].stale = False
        if len(self.pool) > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the texts that no cell holds any more."""
        live: set[int] = set()
        for grid in self._grids.values():
            live |= grid.texts()
        self.pool.sweep(live)
        self._sweep_at = max(_SWEEP, 2 * len(self.pool))
