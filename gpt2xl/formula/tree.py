"""The tree of a formula: frozen nodes, a walk over them and a bottom-up rewrite.

Nodes compare and hash by value, so that equal formulas can share one compiled plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpt2xl.a1 import MAX_COLUMNS, MAX_ROWS, Rect
from gpt2xl.formula.values import ExcelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Node:
    """The base of all nodes."""


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: float


@dataclass(frozen=True, slots=True)
class Text(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    value: bool


@dataclass(frozen=True, slots=True)
class ErrorValue(Node):
    error: ExcelError


@dataclass(frozen=True, slots=True)
class Missing(Node):
    """An argument left out between two commas."""


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """A cell or a rectangle as written: corners from 1, and for each side whether a `$` fixes it.

    ``whole`` is "columns" for `A:C`, "rows" for `1:3`, else empty; the sides it spans count as fixed.
    """

    top: int
    left: int
    bottom: int
    right: int
    top_fixed: bool = False
    left_fixed: bool = False
    bottom_fixed: bool = False
    right_fixed: bool = False
    sheet: str | None = None
    whole: str = ""

    @classmethod
    def of(cls, rect: Rect, sheet: str | None = None) -> Reference:
        """The absolute reference to `rect`."""
        return cls(rect.top, rect.left, rect.bottom, rect.right, True, True, True, True, sheet)

    @property
    def rect(self) -> Rect:
        return Rect(self.top, self.left, self.bottom, self.right)

    @property
    def fixed(self) -> bool:
        """Whether no side moves when the formula is filled."""
        return self.top_fixed and self.left_fixed and self.bottom_fixed and self.right_fixed

    def moved(self, rows: int, columns: int) -> Reference | None:
        """The reference as a copy of the formula `rows` down and `columns` right has it; None beyond the sheet."""
        top = self.top if self.top_fixed else self.top + rows
        bottom = self.bottom if self.bottom_fixed else self.bottom + rows
        left = self.left if self.left_fixed else self.left + columns
        right = self.right if self.right_fixed else self.right + columns
        if min(top, bottom) < 1 or max(top, bottom) > MAX_ROWS:
            return None
        if min(left, right) < 1 or max(left, right) > MAX_COLUMNS:
            return None
        if (top, bottom, left, right) == (self.top, self.bottom, self.left, self.right):
            return self.ordered()
        return replace(self, top=top, bottom=bottom, left=left, right=right).ordered()

    def ordered(self) -> Reference:
        """The same rectangle with its first corner at the top left; the `$` signs travel with their sides."""
        new = self
        if new.top > new.bottom:
            new = replace(new, top=new.bottom, bottom=new.top, top_fixed=new.bottom_fixed, bottom_fixed=new.top_fixed)
        if new.left > new.right:
            new = replace(new, left=new.right, right=new.left, left_fixed=new.right_fixed, right_fixed=new.left_fixed)
        return new


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A defined name; ``sheet`` is set where the formula says `Sheet!name`."""

    name: str
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x`, `+x` or `@x`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Percent(Node):
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands; " " is the intersection and "," the union of references."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function; its name is in capitals and without the `_xlfn.` of files."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ArrayConstant(Node):
    """`{1,2;"a",TRUE}`: rows of constants."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class TableReference(Node):
    """`Sales[[#Headers],[Jan]:[Mar]]`: the parts of a table asked for (none: its data), its first and last column.

    ``text`` is how the formula writes it.
    """

    table: str
    parts: tuple[str, ...]  # "#all", "#data", "#headers", "#totals", "#this row"
    first: str | None
    last: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Unsupported(Node):
    """Syntax that is understood but not computed (3-D references, other workbooks)."""

    what: str
    text: str


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    if isinstance(node, Binary):
        return node.left, node.right
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, (Unary, Percent)):
        return (node.operand,)
    if isinstance(node, ArrayConstant):
        return tuple(item for row in node.rows for item in row)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first, from left to right."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def spine(node: Binary) -> tuple[Node, list[Binary]]:
    """The first operand of `a + b - c ...`, and the operations from the inside out.

    A formula may be four thousand terms long, one inside the other: more than functions can call each other.
    """
    links = [node]
    while isinstance(links[-1].left, Binary):
        links.append(links[-1].left)
    return links[-1].left, links[::-1]


def transform(node: Node, function: Callable[[Node], Node]) -> Node:
    """The tree with every node replaced by `function` of it, children first."""
    if isinstance(node, Binary):
        first, links = spine(node)
        left = transform(first, function)
        for link in links:
            right = transform(link.right, function)
            same = left is link.left and right is link.right
            left = function(link if same else Binary(link.operator, left, right))
        return left
    if isinstance(node, Call):
        arguments = tuple(transform(argument, function) for argument in node.arguments)
        if any(new is not old for new, old in zip(arguments, node.arguments, strict=True)):
            node = Call(node.name, arguments)
    elif isinstance(node, (Unary, Percent)):
        operand = transform(node.operand, function)
        if operand is not node.operand:
            node = Percent(operand) if isinstance(node, Percent) else Unary(node.operator, operand)
    elif isinstance(node, ArrayConstant):
        node = ArrayConstant(tuple(tuple(transform(item, function) for item in row) for row in node.rows))
    return function(node)


def moved(node: Node, rows: int, columns: int) -> Node:
    """The formula as a copy `rows` down and `columns` right has it; what leaves the sheet becomes `#REF!`."""

    def move(part: Node) -> Node:
        if isinstance(part, Reference):
            return part.moved(rows, columns) or ErrorValue(ExcelError("#REF!"))
        return part

    return transform(node, move) if rows or columns else node
