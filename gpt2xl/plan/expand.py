"""Template formulas to Excel formulas: the one place in Python where formula text is written.

What templates add to Excel's language (see `gpt2xl.plan.template`) becomes plain references here, by rewriting the
parsed tree; everything else in the tree stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gpt2xl.a1 import MAX_FORMULA_TEXT, Rect
from gpt2xl.errors import FormulaError, TemplateError
from gpt2xl.formula import parse, unparse
from gpt2xl.formula.tree import Binary, Call, Name, Node, Number, Percent, Reference, Unary, transform
from gpt2xl.plan.layout import Spot
from gpt2xl.plan.plan import Formula, Mode, Place


@dataclass(frozen=True)
class Scope:
    """What a formula can refer to: places by name, and which of them may be named as a whole (the earlier ones).

    Of one generated token, `own` are its cells of steps and `above` all rows up to its own, which names then mean;
    `fixed` makes every reference absolute but for the direction in which the formula is filled, so that no two
    formulas are the same: LibreOffice computes equal ones in a column together, whatever waits for what
    (docs/engines.md).
    """

    places: Mapping[str, Place]
    is_earlier: Callable[[str], bool]
    where: str
    own: Mapping[str, Rect] = field(default_factory=dict)
    above: Mapping[str, Rect] = field(default_factory=dict)
    fixed: bool = False


@dataclass(frozen=True)
class _Cell:
    """The cell a formula is written for: row and column from 0, in `spot`."""

    sheet: str
    spot: Spot
    row: int = 0
    column: int = 0

    @property
    def top(self) -> int:
        return self.spot.rect.top + self.row

    @property
    def left(self) -> int:
        return self.spot.rect.left + self.column

    @property
    def down(self) -> int:
        """The row, counted in the whole entry, of which `spot` may be a piece."""
        return self.spot.down + self.row

    @property
    def right(self) -> int:
        return self.spot.right + self.column


def read(text: str, where: str) -> Node:
    """Parse a formula of a template; raises `TemplateError` that says where it stands and the column."""
    try:
        return parse(text)
    except FormulaError as error:
        raise TemplateError(f"{where}: {error}") from None


def each(tree: Node, sheet: str, spot: Spot, scope: Scope) -> tuple[Formula, ...]:
    """One ordinary formula a cell: written for the first, filled over the rest."""
    return (_write(tree, _Cell(sheet, spot), scope, spot.rect, "cell" if spot.rect.size == 1 else "fill"),)


def array(tree: Node, sheet: str, spot: Spot, scope: Scope) -> tuple[Formula, ...]:
    """An array formula of its own in each cell."""
    return tuple(
        _write(tree, _Cell(sheet, spot, row, column), scope, spot.rect.cell(row, column), "array")
        for row in range(spot.rect.height)
        for column in range(spot.rect.width)
    )


def block(tree: Node, rect: Rect, sheet: str, spot: Spot, scope: Scope) -> Formula:
    """One array formula over `rect`."""
    return _write(tree, _Cell(sheet, spot), scope, rect, "array")


def triangle(tree: Node, first: Node | None, sheet: str, spot: Spot, scope: Scope) -> tuple[Formula, ...]:
    """An ordinary formula in each of the first n - c cells of column c; `first` is that of column 0."""
    rect = spot.rect
    return tuple(
        _write(
            tree if column or first is None else first,
            _Cell(sheet, spot, 0, column),
            scope,
            rect.part(0, column, rect.height - column, 1),
            "fill" if column < rect.height - 1 else "cell",
        )
        for column in range(rect.width)
    )


def condition(tree: Node, sheet: str, spot: Spot, scope: Scope) -> str:
    """A condition as a conditional format has it: written for the first cell."""
    return _write(tree, _Cell(sheet, spot), scope, spot.rect, "fill").text


def label(tree: Node, rect: Rect, index: Rect, scope: Scope) -> Formula:
    """The text of an axis, filled over `rect`; `index` is the cell that `index` stands for in the first cell."""
    across = rect.height == 1 and index.top != rect.top

    def rewrite(node: Node) -> Node:
        if isinstance(node, Name) and node.name == "index":
            return Reference(index.top, index.left, index.top, index.left, across, not across, across, not across)
        if isinstance(node, Name) and node.name not in scope.places:
            raise TemplateError(f"axes.toml: the formula uses `{node.name}`, which no step defines")
        return node

    return Formula(rect, unparse(transform(tree, rewrite), file=True), "cell" if rect.size == 1 else "fill")


def _write(tree: Node, cell: _Cell, scope: Scope, rect: Rect, mode: Mode) -> Formula:
    """The formula over `rect`, as `tree` says it for `cell`."""
    tree = _plain(tree, cell, scope)
    if scope.fixed:
        tree = _fixed(tree, cell.spot.rect)
    text = unparse(tree, file=True)
    if len(text) > MAX_FORMULA_TEXT:
        raise TemplateError(
            f"{scope.where}: the formula has {len(text)} characters; Excel's limit is {MAX_FORMULA_TEXT}"
        )
    return Formula(rect, text, mode, tree)


def _fixed(tree: Node, filled: Rect) -> Node:
    """References with a `$` on each side along which the formula is not filled."""
    rows, columns = filled.height == 1, filled.width == 1

    def fix(node: Node) -> Node:
        if not isinstance(node, Reference):
            return node
        return replace(
            node,
            top_fixed=node.top_fixed or rows,
            bottom_fixed=node.bottom_fixed or rows,
            left_fixed=node.left_fixed or columns,
            right_fixed=node.right_fixed or columns,
        )

    return transform(tree, fix)


def _plain(tree: Node, cell: _Cell, scope: Scope) -> Node:
    """The tree without the templates' additions. Parents first: the name in at(x) is no reference of its own."""
    if isinstance(tree, Call) and tree.name == "AT":
        return _at(tree, cell, scope)
    if isinstance(tree, Call) and tree.name == "ROW_OF":
        rect, sheet = _place(tree, cell, scope)
        row, fixed = (rect.top, True) if rect.height == 1 else (rect.top + cell.down, False)
        return Reference(row, rect.left, row, rect.right, fixed, True, fixed, True, sheet)
    if isinstance(tree, Call) and tree.name == "COLUMN_OF":
        rect, sheet = _place(tree, cell, scope)
        column, fixed = (rect.left, True) if rect.width == 1 else (rect.left + cell.right, False)
        return Reference(rect.top, column, rect.bottom, column, True, fixed, True, fixed, sheet)
    if isinstance(tree, Call) and tree.name == "PART":
        rect, sheet = _place(tree, cell, scope)
        usual = (Number(1.0), Number(1.0), Number(0.0), Number(0.0))
        given = tree.arguments[1:]
        rows, columns, down, right = (_number(argument, scope) for argument in (*given, *usual[len(given) :]))
        found = rect.part(down, right, rows, columns)
        return Reference(found.top, found.left, found.bottom, found.right, True, True, True, True, sheet)
    if isinstance(tree, Name):
        return _name(tree, cell, scope)
    if isinstance(tree, Call) and tree.name == "MMULT":
        first, second = tree.arguments
        whole = replace(scope, own={**scope.own, **scope.above})
        return Call(tree.name, (_plain(first, cell, scope), _plain(second, cell, whole)))
    if isinstance(tree, Call):
        return Call(tree.name, tuple(_plain(argument, cell, scope) for argument in tree.arguments))
    if isinstance(tree, Binary):
        return Binary(tree.operator, _plain(tree.left, cell, scope), _plain(tree.right, cell, scope))
    if isinstance(tree, Unary):
        return Unary(tree.operator, _plain(tree.operand, cell, scope))
    if isinstance(tree, Percent):
        return Percent(_plain(tree.operand, cell, scope))
    return tree


def _name(node: Name, cell: _Cell, scope: Scope) -> Node:
    if node.name == "row":
        column = cell.spot.row_label
        return Reference(cell.top, column, cell.top, column, False, True, False, True)
    if node.name == "col":
        row = cell.spot.column_label
        return Reference(row, cell.left, row, cell.left, True, False, True, False)
    if node.name not in scope.places:
        raise TemplateError(f"{scope.where}: the formula uses `{node.name}`, which no earlier step defines")
    if node.name in scope.own:
        place = scope.places[node.name]
        return Reference.of(scope.own[node.name], None if place.sheet == cell.sheet else place.sheet)
    if not scope.is_earlier(node.name):
        raise TemplateError(
            f"{scope.where}: the formula uses `{node.name}`, which comes later; a step uses earlier ones"
        )
    return node


def _at(node: Call, cell: _Cell, scope: Scope) -> Node:
    rect, sheet = _place(node, cell, scope)
    down, right = (_number(argument, scope) for argument in (*node.arguments[1:], Number(0.0), Number(0.0))[:2])
    row, row_fixed = (rect.top + down, True) if rect.height == 1 else (rect.top + cell.down + down, False)
    if rect.width == 1:
        return Reference(row, rect.left, row, rect.left, row_fixed, True, row_fixed, True, sheet)
    column = rect.left + cell.right + right
    return Reference(row, column, row, column, row_fixed, False, row_fixed, False, sheet)


def _place(node: Call, cell: _Cell, scope: Scope) -> tuple[Rect, str | None]:
    """The rectangle of x in at(x, …) or row_of(x), and its sheet where it is another one."""
    name = node.arguments[0] if node.arguments else None
    if not isinstance(name, Name) or name.name not in scope.places:
        said = unparse(name) if name is not None else "nothing"
        raise TemplateError(f"{scope.where}: {node.name.lower()}(…) takes the name of an earlier step, not {said}")
    place = scope.places[name.name]
    return scope.own.get(name.name, place.rect), None if place.sheet == cell.sheet else place.sheet


def _number(node: Node, scope: Scope) -> int:
    match node:
        case Number(value):
            return int(value)
        case Unary("-", Number(value)):
            return -int(value)
    raise TemplateError(f"{scope.where}: at(…) moves by whole numbers")
