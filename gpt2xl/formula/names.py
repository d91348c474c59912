"""What words in formulas mean: defined names of the book and of single sheets, and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpt2xl.formula.parser import parse
from gpt2xl.formula.structured import Table, home, placed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpt2xl.formula.tree import Node


class Names:
    """Defined names (ECMA-376 part 1, 18.2.5) and tables (18.5); both are looked up without case."""

    def __init__(self) -> None:
        self._names: dict[tuple[str | None, str], tuple[str, str, str | None]] = {}
        self._tables: dict[str, Table] = {}
        self._trees: dict[str, Node] = {}

    def __iter__(self) -> Iterator[tuple[str, str, str | None]]:
        """Every defined name: its spelling, what it refers to, its sheet or None."""
        return iter(self._names.values())

    def define(self, name: str, refers_to: str, sheet: str | None, tree: Node | None = None) -> None:
        """A name for one sheet, or for the whole book; `refers_to` is any formula, `tree` its, if at hand."""
        if tree is not None:
            self._trees[refers_to] = tree
        self._names[None if sheet is None else sheet.lower(), name.lower()] = name, refers_to, sheet

    def add_table(self, table: Table) -> None:
        """A table, for structured references."""
        self._tables[table.name.lower()] = table
        self._trees.clear()

    def name_tree(self, name: str, sheet: str) -> Node | None:
        """What a name means on a sheet: the sheet's own definition, else the book's.

        Raises `FormulaSyntaxError` where the definition is no formula.
        """
        found = self._names.get((sheet.lower(), name.lower())) or self._names.get((None, name.lower()))
        if found is None:
            return None
        tree = self._trees.get(found[1])
        if tree is None:
            tree = self._trees[found[1]] = placed(parse(found[1], of_name=True), found[1], self._tables, None)
        return tree

    def formula(self, text: str, sheet: str, row: int, column: int) -> Node:
        """The tree of a formula that stands in a cell, its tables as plain references; raises `FormulaSyntaxError`."""
        tree = parse(text)
        if not self._tables and "[" not in text:
            return tree
        return placed(tree, text, self._tables, row, home(self._tables, sheet, row, column))

    def cell_key(self, sheet: str, row: int, column: int) -> tuple[str, ...]:
        """What a reference to a table depends on besides its row: the tables that have the row among their data, and
        the one that holds the cell."""
        inside = (table for table in self._tables.values() if table.rows[0] <= row <= table.rows[1])
        own = home(self._tables, sheet, row, column)
        rows = sorted(table.name for table in inside if table.sheet.lower() == sheet.lower())
        return (*rows, "" if own is None else own.name)
