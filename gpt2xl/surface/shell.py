"""The whole of the surface: a shell with its sheets in the order in which a person meets them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from openpyxl import Workbook as Shell
from openpyxl.workbook.defined_name import DefinedName

from gpt2xl.formula import Book
from gpt2xl.plan.plan import Plan
from gpt2xl.plan.template import template_folder
from gpt2xl.surface.cells import Cells, Computed
from gpt2xl.surface.charts import add_chart
from gpt2xl.surface.diagram import draw, read_diagram
from gpt2xl.surface.navigation import MAP, Navigation
from gpt2xl.surface.painter import Painter
from gpt2xl.surface.reading import GLOSSARY, NAMES, glossary, names
from gpt2xl.surface.styles import Styles
from gpt2xl.surface.view import arrange, page
from gpt2xl.xlsx import Array, Block, Rows

# The sheets that are not computed, with their groups.
_READ = {MAP: "front", GLOSSARY: "guide", NAMES: "guide"}


class Surface:
    """A workbook's shell, and the cells of those of its sheets that are painted.

    `shell` has all sheets, in the order in which a person meets them, and their charts; `cells` are a sheet's by its
    name, with the values that the book will have.
    """

    def __init__(self, plan: Plan, *, creator: str, words: Mapping[str, str], plain: bool = False) -> None:
        """`creator` is what the file's properties say of who made it; `words` stand for placeholders of the map that
        are no sizes; `plain` leaves out what the model computes without.
        """
        self.shell = shell = Shell()
        self.cells: dict[str, Cells] = {}
        self._plan, self._plain = plan, plain
        self._sheets = {sheet.name: sheet for sheet in plan.sheets}
        shell.remove(shell.worksheets[0])
        shell.properties.creator = creator
        shell.properties.title = "GPT-2 in a spreadsheet"
        self._styles = Styles(shell)
        for defined, place in plan.names.items():
            shell.defined_names[defined] = DefinedName(defined, attr_text=place.formula)
        self._diagram = None if plain else read_diagram(template_folder() / "map.toml", plan, words)
        boxes = self._diagram.boxes if self._diagram else {}
        self._navigation = Navigation(plan, boxes, [] if plain else [GLOSSARY, NAMES])
        for name in _in_view_order(plan, plain):
            shell.create_sheet(name)
        for sheet in plan.sheets:
            for chart in sheet.charts:
                add_chart(shell[sheet.name], chart, plan.names, shell)

    def paint(self, sheets: Container[str], book: Book, parameters: Mapping[str, Array | Rows]) -> None:
        """Paint the `sheets`, of which `book` has the constants by now."""
        for name in self.shell.sheetnames:
            if name in sheets:
                self.cells[name] = Cells(self._painted(name, book, parameters))

    def paint_guide(self) -> None:
        """Paint the sheets that are read and not computed."""
        plan, styles, navigation = self._plan, self._styles, self._navigation
        if self._diagram is None:
            return
        for name, group in _READ.items():
            page(self.shell[name], group, grid=False)
        self.cells[MAP] = Cells(draw(self.shell[MAP], self._diagram, plan, styles, navigation))
        words = template_folder() / "glossary.toml"
        self.cells[GLOSSARY] = Cells(glossary(self.shell[GLOSSARY], words, styles, navigation))
        self.cells[NAMES] = Cells(names(self.shell[NAMES], plan, styles, navigation))

    def _painted(self, name: str, book: Book, parameters: Mapping[str, Array | Rows]) -> Iterator[Block | Computed]:
        worksheet, sheet = self.shell[name], self._sheets[name]
        arrange(worksheet, sheet)
        painter = Painter(worksheet, sheet, self._styles, self._navigation)
        yield from painter.headings()
        yield from painter.labels(book)
        yield from painter.items(book, parameters, plain=self._plain)


def _in_view_order(plan: Plan, plain: bool) -> list[str]:
    """First what one begins with, then the model, what explains it, tables, the parameters, other runs."""
    groups: dict[str, list[str]] = {group: [] for group in ("front", "model", "guide", "tables", "weights", "runs")}
    for sheet in plan.sheets:
        groups[sheet.group].append(sheet.name)
    for name, group in () if plain else _READ.items():
        groups[group].append(name)
    return [name for of_group in groups.values() for name in of_group]
