"""What a formula reads: rectangles, with names resolved, as seen from a rectangle of cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from gpt2xl.a1 import MAX_COLUMNS, MAX_NESTING, MAX_ROWS, Rect
from gpt2xl.errors import CircularReference, FormulaError
from gpt2xl.formula.tree import Binary, Call, Name, Node, Reference, children


class Names(Protocol):
    """Who knows the defined names."""

    def name_tree(self, name: str, sheet: str) -> Node | None: ...


# Names that one formula may lead to, each as often as it is reached.
_MOST_NAMES = 4096

# These look at where a reference lies, never at what its cells hold.
_PLACES = frozenset({"ROW", "COLUMN", "ROWS", "COLUMNS", "ISREF"})


@dataclass(frozen=True, slots=True)
class Reading:
    """A reference in a formula: its sheet (in small letters), the sides, and whether it counts from A1."""

    sheet: str
    reference: Reference
    from_a1: bool

    def seen(self, rect: Rect, row: int, column: int) -> Rect:
        """All cells read by the cells of `rect`, where the formula is written for (row, column)."""
        ref = self.reference
        if ref.fixed:
            return ref.rect
        if self.from_a1:
            row = column = 1
        down, across = rect.top - row, rect.left - column
        more_down, more_across = rect.height - 1, rect.width - 1
        rows = [ref.top if ref.top_fixed else ref.top + down, ref.bottom if ref.bottom_fixed else ref.bottom + down]
        rows += [
            ref.top if ref.top_fixed else rows[0] + more_down,
            ref.bottom if ref.bottom_fixed else rows[1] + more_down,
        ]
        columns = [
            ref.left if ref.left_fixed else ref.left + across,
            ref.right if ref.right_fixed else ref.right + across,
        ]
        columns += [
            ref.left if ref.left_fixed else columns[0] + more_across,
            ref.right if ref.right_fixed else columns[1] + more_across,
        ]
        top, bottom = max(1, min(MAX_ROWS, *rows)), max(1, min(MAX_ROWS, max(rows)))
        left, right = max(1, min(MAX_COLUMNS, *columns)), max(1, min(MAX_COLUMNS, max(columns)))
        return Rect(top, left, bottom, right)


def readings(tree: Node, names: Names, sheet: str) -> list[Reading]:
    """All references of a formula on a sheet.

    Raises `CircularReference` for a name that needs itself, `FormulaError` for names that lead to too many others.
    """
    found: dict[Reading, None] = {}
    _collect(tree, _Followed(names), sheet, False, (), found)
    return list(found)


class _Followed:
    """The names that one formula leads to, counted: a few that each say the next one twice would never end."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._count = 0

    def tree(self, node: Name, sheet: str, naming: tuple[str, ...]) -> Node | None:
        """What a name means that is reached by way of the names `naming`."""
        key = node.name.lower()
        if key in naming:
            raise CircularReference([*naming, key])
        self._count += 1
        check_names(self._count, len(naming), naming[0] if naming else key)
        return self._names.name_tree(node.name, node.sheet or sheet)


def check_names(count: int, depth: int, first: str) -> None:
    """Raise `FormulaError` where a formula leads to too many names, or through too many of them to one."""
    if count > _MOST_NAMES:
        raise FormulaError(f"a formula with the name {first} leads to more than {_MOST_NAMES:,} others")
    if depth > MAX_NESTING:
        raise FormulaError(f"the name {first} leads through more than {MAX_NESTING} others to what it means")


def _collect(
    node: Node, names: _Followed, sheet: str, from_a1: bool, naming: tuple[str, ...], found: dict[Reading, None]
) -> None:
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, Reference):
            found[Reading((node.sheet or sheet).lower(), node, from_a1 and not node.fixed)] = None
            continue
        if isinstance(node, Name):
            tree = names.tree(node, sheet, naming)
            if tree is not None:
                _collect(tree, names, sheet, True, (*naming, node.name.lower()), found)
            continue
        if isinstance(node, Binary) and node.operator == ":":
            ends: dict[Reading, None] = {}
            for end in _ends(node):
                _collect(end, names, sheet, from_a1, naming, ends)
            found.update(dict.fromkeys(_hull(list(ends))))
        if isinstance(node, Call) and node.name in ("SUMIF", "AVERAGEIF") and len(node.arguments) == 3:
            cells, _, numbers = node.arguments
            if isinstance(cells, Reference) and isinstance(numbers, Reference):
                stack.append(resized(cells, numbers))
        places = isinstance(node, Call) and node.name in _PLACES
        stack += [part for part in reversed(children(node)) if not (places and isinstance(part, Reference | Name))]


def _ends(node: Node) -> list[Node]:
    """The references that a range operator spans: INDEX gives some cell of its first argument."""
    if isinstance(node, Binary) and node.operator == ":":
        return [*_ends(node.left), *_ends(node.right)]
    if isinstance(node, Call) and node.name == "INDEX" and node.arguments:
        return _ends(node.arguments[0])
    return [node]


def resized(cells: Reference, numbers: Reference) -> Reference:
    """The numbers that SUMIF takes: as many rows and columns as the cells it looks at, from the first given one."""
    height, width = cells.rect.shape
    if numbers.rect.shape == (height, width):
        return numbers
    return replace(
        numbers,
        bottom=min(MAX_ROWS, numbers.top + height - 1),
        right=min(MAX_COLUMNS, numbers.left + width - 1),
        bottom_fixed=numbers.top_fixed,
        right_fixed=numbers.left_fixed,
        whole=cells.whole,
    )


def _hull(ends: list[Reading]) -> list[Reading]:
    """Everything between the ends of a range operator."""
    if len(ends) < 2 or len({(end.sheet, end.from_a1) for end in ends}) > 1:
        return ends
    rects = [end.reference.rect for end in ends]
    hull = Reference(
        min(rect.top for rect in rects),
        min(rect.left for rect in rects),
        max(rect.bottom for rect in rects),
        max(rect.right for rect in rects),
        all(end.reference.top_fixed for end in ends),
        all(end.reference.left_fixed for end in ends),
        all(end.reference.bottom_fixed for end in ends),
        all(end.reference.right_fixed for end in ends),
    )
    return [*ends, Reading(ends[0].sheet, hull, ends[0].from_a1)]
