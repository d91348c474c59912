"""Dependencies between units, and the order in which they are computed.

A formula filled over many cells is one unit as long as none of its cells needs another of them, directly or through
other formulas. Where some do, the groups of the circle are taken apart into cells, put in order, and cells
of one group that may be computed at the same time are put together again.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from gpt2xl.a1 import Rect
from gpt2xl.errors import CircularReference, LimitError
from gpt2xl.formula.rectindex import RectIndex
from gpt2xl.formula.unit import Group, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Pairs of formulas of which one reads the other's cells: each takes some 100 bytes while they are put in order.
_MOST_NEEDS = 1 << 23


class Graph:
    """Units in computing order, their successors, and indexes over what they write and read."""

    def __init__(self, groups: Sequence[Group]) -> None:
        ordered = _ordered([Unit(group, group.rect) for group in groups])
        self.units: list[Unit] = ordered
        for number, precedents in enumerate(_needs(ordered)):
            unit = ordered[number]
            unit.precedents = [item for item in precedents if item != number]
            for item in unit.precedents:
                ordered[item].successors.append(number)
        self._writes = _index((unit.group.sheet.lower(), unit.rect, number) for number, unit in enumerate(ordered))
        self._reads = _index(
            (sheet, rect, number) for number, unit in enumerate(ordered) for sheet, rect in unit.readings()
        )

    def writing(self, sheet: str, rect: Rect) -> list[int]:
        """The units whose cells meet a rectangle."""
        index = self._writes.get(sheet.lower())
        return [] if index is None else index.meeting(rect)

    def reading(self, sheet: str, rect: Rect) -> set[int]:
        """The units that read a cell of a rectangle."""
        index = self._reads.get(sheet.lower())
        return set() if index is None else set(index.meeting(rect))

    def spread(self, numbers: Iterable[int]) -> None:
        """Mark units and all that depends on them as stale."""
        stack = [number for number in numbers if not self.units[number].stale]
        for number in stack:
            self.units[number].stale = True
        while stack:
            for number in self.units[stack.pop()].successors:
                unit = self.units[number]
                if not unit.stale:
                    unit.stale = True
                    stack.append(number)

    def needed(self, numbers: Iterable[int]) -> list[int]:
        """The stale units among these and the stale ones they need, in computing order."""
        found = {number for number in numbers if self.units[number].stale}
        stack = list(found)
        while stack:
            for number in self.units[stack.pop()].precedents:
                if number not in found and self.units[number].stale:
                    found.add(number)
                    stack.append(number)
        return sorted(found)


def _index(entries: Iterable[tuple[str, Rect, int]]) -> dict[str, RectIndex]:
    by_sheet: dict[str, list[tuple[Rect, int]]] = defaultdict(list)
    for sheet, rect, number in entries:
        by_sheet[sheet].append((rect, number))
    return {sheet: RectIndex(items) for sheet, items in by_sheet.items()}


def _needs(units: Sequence[Unit]) -> list[list[int]]:
    """For each unit the units whose cells it reads; raises `LimitError` where that is more than can be followed."""
    index = _index((unit.group.sheet.lower(), unit.rect, number) for number, unit in enumerate(units))
    read = [unit.readings() for unit in units]
    rects: dict[str, dict[Rect, None]] = {sheet: {} for sheet in index}
    for sheet, rect in chain.from_iterable(read):
        if sheet in rects:
            rects[sheet][rect] = None
    following = {sheet: at.meeting_each(list(rects[sheet])) for sheet, at in index.items()}
    known: dict[tuple[str, Rect], list[int]] = {}
    result = []
    count = 0
    for keys in read:
        found: dict[int, None] = {}
        for key in keys:
            meeting = known.get(key)
            if meeting is None:
                meeting = known[key] = next(following[key[0]]) if key[0] in following else []
            found.update(dict.fromkeys(meeting))
        count += len(found)
        if count > _MOST_NEEDS:
            raise LimitError(
                f"its {len(units):,} different formulas need one another in more than {_MOST_NEEDS:,} ways, which is "
                "more than gpt2xl follows"
            )
        result.append(list(found))
    return result


def components(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Strongly connected components, those that others need first (Tarjan 1972, without recursion)."""
    count = len(needs)
    index, low = [-1] * count, [0] * count
    on_stack = [False] * count
    stack: list[int] = []
    result: list[list[int]] = []
    clock = 0
    for root in range(count):
        if index[root] >= 0:
            continue
        work = [(root, 0)]
        while work:
            node, place = work.pop()
            if place == 0:
                index[node] = low[node] = clock
                clock += 1
                stack.append(node)
                on_stack[node] = True
            following = needs[node]
            descended = False
            while place < len(following):
                other = following[place]
                place += 1
                if index[other] < 0:
                    work.append((node, place))
                    work.append((other, 0))
                    descended = True
                    break
                if on_stack[other]:
                    low[node] = min(low[node], index[other])
            if descended:
                continue
            if low[node] == index[node]:
                members = []
                while True:
                    other = stack.pop()
                    on_stack[other] = False
                    members.append(other)
                    if other == node:
                        break
                result.append(members[::-1])
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return result


def _ordered(units: list[Unit]) -> list[Unit]:
    """Units in computing order; those that need each other in a circle are taken apart first."""
    needs = _needs(units)
    result: list[Unit] = []
    for members in components(needs):
        if len(members) == 1 and members[0] not in needs[members[0]]:
            result.append(units[members[0]])
        else:
            inside = set(members)
            result.extend(
                _untangled(
                    [units[member] for member in members], [len(inside & {*needs[member]}) for member in members]
                )
            )
    return result


def _untangled(units: list[Unit], needed: list[int]) -> list[Unit]:
    """Groups in a circle in computing order; `needed` counts for each how many of the others it needs.

    It often suffices to take apart those that need the most: of one row of look-ups into many columns, the row.
    """
    apart = [unit.rect.size > 1 and not unit.group.array for unit in units]
    most = max((count for count, able in zip(needed, apart, strict=True) if able), default=0)
    busy = [able and 2 * count > most for count, able in zip(needed, apart, strict=True)]
    if most > 1 and busy != apart:
        return _ordered([part for unit, split in zip(units, busy, strict=True) for part in _cells_of(unit, split)])
    return _cell_by_cell([cell for unit, split in zip(units, apart, strict=True) for cell in _cells_of(unit, split)])


def _cells_of(unit: Unit, apart: bool) -> list[Unit]:
    rect = unit.rect
    if not apart:
        return [unit]
    return [Unit(unit.group, rect.cell(row, column)) for row in range(rect.height) for column in range(rect.width)]


def _cell_by_cell(cells: list[Unit]) -> list[Unit]:
    """Cells of groups in a circle, put together again level by level; true circles get their error."""
    needs = _needs(cells)
    levels = [0] * len(cells)
    circular: list[Unit] = []
    for members in components(needs):
        first = members[0]
        if len(members) > 1 or first in needs[first]:
            error = CircularReference(_path(members, needs, cells))
            for member in members:
                cells[member].error = cells[member].error or error
                circular.append(cells[member])
        outside = set(members)
        level = max(
            (levels[item] + 1 for member in members for item in needs[member] if item not in outside), default=0
        )
        for member in members:
            levels[member] = level
    together: dict[tuple[int, int], list[Unit]] = defaultdict(list)
    result: list[tuple[int, Unit]] = []
    for number, cell in enumerate(cells):
        if cell.error is not None or cell.group.array:
            result.append((levels[number], cell))
        else:
            together[levels[number], id(cell.group)].append(cell)
    for (level, _), members_of_group in together.items():
        group = members_of_group[0].group
        result.extend((level, Unit(group, rect)) for rect in rectangles([cell.rect for cell in members_of_group]))
    result.sort(key=lambda item: item[0])
    return [unit for _, unit in result]


def _path(members: list[int], needs: list[list[int]], cells: list[Unit]) -> list[str]:
    """A circle among the members, as cells' names."""
    inside = set(members)
    walk, seen = [members[0]], {members[0]: 0}
    while True:
        following = next(item for item in needs[walk[-1]] if item in inside)
        if following in seen:
            circle = [*walk[seen[following] :], following]
            return [f"{cells[item].group.sheet}!{cells[item].rect}" for item in circle]
        seen[following] = len(walk)
        walk.append(following)


def rectangles(rects: Iterable[Rect]) -> list[Rect]:
    """Rectangles that cover the same cells, joined by columns or by rows, whichever gives fewer.

    Where both give as many, by columns: in a table whose rows end at different places, a row often needs itself.
    """
    cells = list(rects)
    turned = [Rect(*_turn(rect)) for rect in _joined(_turn(cell) for cell in cells)]
    straight = [Rect(*rect) for rect in _joined((cell.top, cell.left, cell.bottom, cell.right) for cell in cells)]
    return straight if len(straight) < len(turned) else turned


_Sides = tuple[int, int, int, int]


def _turn(rect: Rect | _Sides) -> _Sides:
    """Rows for columns and columns for rows."""
    top, left, bottom, right = (rect.top, rect.left, rect.bottom, rect.right) if isinstance(rect, Rect) else rect
    return left, top, right, bottom


def _joined(rects: Iterable[_Sides]) -> list[_Sides]:
    """Neighbours in a row joined, then equal rows one below another."""
    runs: list[_Sides] = []
    for top, left, bottom, right in sorted(rects, key=lambda item: (item[0], item[2], item[1])):
        last = runs[-1] if runs else None
        if last and (last[0], last[2]) == (top, bottom) and last[3] + 1 == left:
            runs[-1] = (top, last[1], bottom, right)
        else:
            runs.append((top, left, bottom, right))
    result: list[_Sides] = []
    open_at: dict[tuple[int, int], int] = {}
    for top, left, bottom, right in runs:
        place = open_at.get((left, right))
        if place is not None and result[place][2] + 1 == top:
            result[place] = (result[place][0], left, bottom, right)
        else:
            open_at[left, right] = len(result)
            result.append((top, left, bottom, right))
    return result
