"""From every step a link back to its box on the map, to the step before and to the step after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpt2xl.a1 import cell_name
from gpt2xl.plan.plan import Item, Plan, Sheet

MAP = "Map"


@dataclass(frozen=True)
class Stop:
    """A place that links lead to: an entry's heading, or a form as a whole."""

    sheet: str
    ref: str
    name: str


def stop_of(sheet: Sheet, item: Item) -> Stop:
    """Where a link to `item` leads: its heading, on a form its first cell."""
    where = item.rect if sheet.layout == "form" else item.heading
    return Stop(sheet.name, cell_name(where.top, where.left), item.name)


class Navigation:
    """The stops of a workbook in reading order, those of the model, the tables, the parameters and other runs apart."""

    def __init__(self, plan: Plan, boxes: Mapping[str, str], others: Sequence[str] = ()) -> None:
        """`boxes` are the cells of the map by the name of their step, empty where there is no map; `others` are sheets
        that the plan does not have.
        """
        self.start = Stop(plan.sheets[0].name, "A1", plan.sheets[0].name)
        self._places = {
            name: Stop(place.sheet, cell_name(place.rect.top, place.rect.left), name)
            for name, place in plan.names.items()
        }
        self._places |= {item.name: stop_of(sheet, item) for sheet in plan.sheets for item in sheet.items}
        self._places |= {sheet.name: Stop(sheet.name, "A1", sheet.name) for sheet in plan.sheets}
        self._places |= {name: Stop(name, "A1", name) for name in ([MAP, *others] if boxes else others)}
        chains: dict[str, list[Stop]] = {}
        for sheet in plan.sheets:
            chain = chains.setdefault(sheet.group if sheet.group in ("tables", "weights", "runs") else "model", [])
            form = [Stop(sheet.name, "A1", sheet.name)]
            chain += form if sheet.layout == "form" else [stop_of(sheet, item) for item in sheet.items]
        self._previous: dict[tuple[str, str], Stop] = {}
        self._next: dict[tuple[str, str], Stop] = {}
        for chain in chains.values():
            for one, other in pairwise(chain):
                self._next[one.sheet, one.name] = other
                self._previous[other.sheet, other.name] = one
        self._backs = self._boxes(plan, boxes)

    def _boxes(self, plan: Plan, boxes: Mapping[str, str]) -> dict[str, str]:
        """For each item the cell of its box: a box stands for its step and for those before that have none."""
        backs: dict[str, str] = {}
        waiting: list[str] = []
        cell = "A1"
        for sheet in plan.sheets:
            for item in sheet.items:
                waiting.append(item.name)
                if item.name in boxes:
                    cell = boxes[item.name]
                    backs |= dict.fromkeys(waiting, cell)
                    waiting = []
        return backs | dict.fromkeys(waiting, cell) if boxes else {}

    def to(self, name: str) -> Stop | None:
        """Where a link to a step or a sheet of that name leads."""
        return self._places.get(name)

    def back(self, item: str) -> Stop:
        """The item's box on the map, or the first sheet where there is no map."""
        return Stop(MAP, self._backs[item], MAP) if item in self._backs else self.start

    def around(self, sheet: str, name: str) -> tuple[Stop | None, Stop | None]:
        """The stops before and after one."""
        return self._previous.get((sheet, name)), self._next.get((sheet, name))
