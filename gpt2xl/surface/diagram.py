"""The map: the architecture as a diagram in cells, read from map.toml beside the templates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.a1 import cell_name
from gpt2xl.errors import TemplateError
from gpt2xl.plan.dimensions import measure
from gpt2xl.plan.plan import Plan
from gpt2xl.surface.cells import link, text
from gpt2xl.surface.navigation import Navigation
from gpt2xl.surface.styles import Styles
from gpt2xl.xlsx import Block

_FIRST_ROW, _FIRST_COLUMN = 4, 2
_BOX = re.compile(r"\[([^\]]+)\] ?(.*)")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Cell:
    """A box (with the step that it leads to) or words on an arrow."""

    row: int
    column: int
    words: str
    step: str | None = None


@dataclass(frozen=True)
class Diagram:
    """What stands on the map, cell by cell."""

    title: str
    note: str
    cells: tuple[Cell, ...]

    @property
    def boxes(self) -> dict[str, str]:
        """For each step that has a box, the cell."""
        return {cell.step: cell_name(cell.row, cell.column) for cell in self.cells if cell.step is not None}


def read_diagram(path: Path, plan: Plan, words: Mapping[str, str]) -> Diagram:
    """The map of a plan; `words` stand for placeholders that are no sizes.

    Raises `TemplateError` for a box of no step.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    cells: list[Cell] = []
    row = _FIRST_ROW
    for part in content["part"]:
        for block in range(plan.sizes["L"]) if part.get("repeat") == "block" else [None]:
            more = {**words, **({} if block is None else {"i": str(block)})}
            for line in part["rows"]:
                cells += _line(row, line, plan, more)
                row += 1
    known = {item.name for sheet in plan.sheets for item in sheet.items}
    for cell in cells:
        if cell.step is not None and cell.step not in known:
            raise TemplateError(f"{path.name}: there is a box for `{cell.step}`, which is no step")
    return Diagram(content["title"], content["note"], tuple(cells))


def _line(row: int, line: list[str], plan: Plan, words: Mapping[str, str]) -> Iterator[Cell]:
    column = _FIRST_COLUMN
    for entry in line:
        for head in range(plan.sizes["H"]) if "{j}" in entry else [None]:
            more = {**words, **({} if head is None else {"j": str(head)})}
            filled = _PLACEHOLDER.sub(lambda found, more=more: _value(found[1], plan, more), entry)  # type: ignore[misc]
            box = _BOX.fullmatch(filled)
            if filled:
                yield Cell(row, column, box[2] if box else filled, box[1] if box else None)
            column += 1


def _value(name: str, plan: Plan, words: Mapping[str, str]) -> str:
    return words[name] if name in words else f"{measure(name, plan.sizes):,}"


def draw(worksheet: Worksheet, diagram: Diagram, plan: Plan, styles: Styles, navigation: Navigation) -> Iterator[Block]:
    """The map's cells; widths and heights on the way."""
    roles = {item.name: item.role for sheet in plan.sheets for item in sheet.items}
    last = max(cell.column for cell in diagram.cells)
    worksheet.column_dimensions["A"].width = 2.0
    for column in range(_FIRST_COLUMN, last + 1):
        letters = cell_name(1, column)[:-1]
        worksheet.column_dimensions[letters].width = 17.0 if column % 2 == 0 else 12.0
    yield text(1, _FIRST_COLUMN, diagram.title, styles.title)
    yield text(2, _FIRST_COLUMN, diagram.note, styles.note)
    start = navigation.start
    yield text(3, _FIRST_COLUMN, f"↩ {start.name}", styles.link)
    link(worksheet, 3, _FIRST_COLUMN, start.sheet, start.ref)
    for cell in diagram.cells:
        if cell.step is None:
            yield text(cell.row, cell.column, cell.words, styles.arrow)
            continue
        worksheet.row_dimensions[cell.row].height = 30.0
        yield text(cell.row, cell.column, cell.words, styles.boxes[roles[cell.step]])
        stop = navigation.to(cell.step)
        assert stop is not None
        link(worksheet, cell.row, cell.column, stop.sheet, stop.ref)
