"""Structured references: parts of tables by name, as `Sales[Amount]` or `Sales[[#This Row],[Jan]:[Mar]]`.

Microsoft, "Using structured references with Excel tables"; grammar: MS-XLSX 2.2.2 (structure-reference). A reference
to a table becomes a plain one once the table and the formula's cell are known. Inside of a table its name may be left
out: `[Amount]`, `[@Amount]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpt2xl.a1 import Rect
from gpt2xl.errors import FormulaSyntaxError
from gpt2xl.formula.tree import ErrorValue, Name, Node, Reference, TableReference, Unsupported, transform
from gpt2xl.formula.values import REF, VALUE

if TYPE_CHECKING:
    from collections.abc import Mapping


PARTS = ("#all", "#data", "#headers", "#totals", "#this row")
# A column beside a part need not have brackets of its own: XlsxWriter writes `[[#This Row],V]`.
_MEMBER = re.compile(r"\s*(?:\[((?:[^\[\]']|'.)*)\]|((?:[^\[\]',:#@]|'.)+))\s*")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its sheet, all its cells, how many rows of headings and of totals, its columns' names."""

    name: str
    sheet: str
    rect: Rect
    headers: int
    totals: int
    columns: tuple[str, ...]

    @property
    def rows(self) -> tuple[int, int]:
        """The first and the last row of its data; none where the first lies behind the last."""
        return self.rect.top + self.headers, self.rect.bottom - self.totals


def table_reference(text: str) -> TableReference | None:
    """`Name[…]` or `[…]` as a node; None where the brackets hold no parts and columns."""
    table, _, inner = text.partition("[")
    inner = inner[:-1].strip()
    parts: list[str] = []
    if inner.startswith("@"):
        parts.append("#this row")
        inner = inner[1:].strip()
    if not inner.startswith("["):
        inner = f"[{inner}]" if inner else ""
    columns: list[str] = []
    between = ""
    while inner:
        match = _MEMBER.match(inner)
        if match is None:
            return None
        bare = match[1] is None
        name = match[2].strip() if bare else match[1]
        word = name.strip()
        if word.lower() in PARTS and between != ":" and not bare:
            parts.append(word.lower())
        elif word.startswith("#") or (columns and between != ":"):
            return None
        else:
            columns.append(re.sub(r"'(.)", r"\1", name))
        inner, between = inner[match.end() :], inner[match.end() : match.end() + 1]
        if inner:
            if between not in (",", ":"):
                return None
            inner = inner[1:]
    if len(columns) > 2:
        return None
    return TableReference(table, tuple(parts), columns[0] if columns else None, columns[-1] if columns else None, text)


def home(tables: Mapping[str, Table], sheet: str, row: int, column: int) -> Table | None:
    """The table that holds a cell, among its data, headings or totals."""
    cell = Rect.of(row, column, 1, 1)
    own = (table for table in tables.values() if table.sheet.lower() == sheet.lower() and table.rect.contains(cell))
    return next(own, None)


def placed(tree: Node, text: str, tables: Mapping[str, Table], row: int | None, own: Table | None = None) -> Node:
    """The tree of `text` with plain references to the cells of `tables` (by name in small letters), as a formula in
    `row` and in the table `own` sees them; row None: of a name, which has no row.

    Raises `FormulaSyntaxError` for a reference that names no table where there is no table of its own.
    """

    def place(node: Node) -> Node:
        if isinstance(node, TableReference):
            table = tables.get(node.table.lower()) if node.table else own
            if table is None and not node.table:
                body = text.removeprefix("=")
                message = f"`{node.text}` names no table, and the formula stands in none"
                raise FormulaSyntaxError(message, body, body.index(node.text) + 1)
            return _unknown(node) if table is None else _cells(node, table, row)
        if isinstance(node, Name) and node.sheet is None and node.name.lower() in tables:
            return _cells(TableReference(node.name, (), None, None, node.name), tables[node.name.lower()], row)
        return node

    return transform(tree, place)


def _unknown(node: TableReference) -> Node:
    return Unsupported("reference to an unknown table", node.text)


def _cells(node: TableReference, table: Table, row: int | None) -> Node:
    """The cells as a reference; `#REF!` for a column or part that the table has not."""
    left, right = table.rect.left, table.rect.right
    if node.first is not None and node.last is not None:
        known = [name.lower() for name in table.columns]
        try:
            ends = sorted(known.index(name.lower()) for name in (node.first, node.last))
        except ValueError:
            return ErrorValue(REF)
        left, right = table.rect.left + ends[0], table.rect.left + ends[1]
    first, last = table.rows
    if "#this row" in node.parts:
        if row is None:
            return Unsupported("name with #This Row", node.text)
        if not first <= row <= last:
            return ErrorValue(VALUE)
        return Reference(row, left, row, right, False, True, False, True, table.sheet)
    spans = {
        "#all": (table.rect.top, table.rect.bottom),
        "#data": (first, last),
        "#headers": (table.rect.top, first - 1),
        "#totals": (last + 1, table.rect.bottom),
    }
    asked = [spans[part] for part in node.parts or ("#data",)]
    asked = [(top, bottom) for top, bottom in asked if top <= bottom]
    if not asked:
        return ErrorValue(REF)
    return Reference(
        min(top for top, _ in asked),
        left,
        max(bottom for _, bottom in asked),
        right,
        True,
        True,
        True,
        True,
        table.sheet,
    )
