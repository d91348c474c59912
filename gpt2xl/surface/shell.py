"""The whole of the surface: a shell with its sheets in the order in which a person meets them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from openpyxl import Workbook as Shell
from openpyxl.workbook.defined_name import DefinedName

from gpt2xl.formula import Book
from gpt2xl.plan.plan import Plan
from gpt2xl.plan.template import template_folder
from gpt2xl.surface.cells import Cells
from gpt2xl.surface.charts import add_chart
from gpt2xl.surface.diagram import draw, read_diagram
from gpt2xl.surface.navigation import MAP, Navigation
from gpt2xl.surface.painter import Painter
from gpt2xl.surface.reading import GLOSSARY, NAMES, glossary, names
from gpt2xl.surface.styles import Styles
from gpt2xl.surface.view import arrange, page
from gpt2xl.xlsx import Array, Rows

# The sheets that are not computed, with their groups.
_READ = {MAP: "front", GLOSSARY: "guide", NAMES: "guide"}


def surface(
    plan: Plan,
    book: Book,
    parameters: Mapping[str, Array | Rows],
    *,
    creator: str,
    words: Mapping[str, str],
    plain: bool = False,
) -> tuple[Shell, dict[str, Cells]]:
    """The shell and, for each sheet, its cells with the values that `book` computes; now it has constants alone.

    `creator` is what the file's properties say of who made it; `words` stand for placeholders of the map that are no
    sizes; `plain` leaves out what the model computes without.
    """
    shell = Shell()
    shell.remove(shell.worksheets[0])
    shell.properties.creator = creator
    shell.properties.title = "GPT-2 in a spreadsheet"
    styles = Styles(shell)
    for defined, place in plan.names.items():
        shell.defined_names[defined] = DefinedName(defined, attr_text=place.formula)
    diagram = None if plain else read_diagram(template_folder() / "map.toml", plan, words)
    by_name = {sheet.name: sheet for sheet in plan.sheets}
    navigation = Navigation(plan, diagram.boxes if diagram else {}, [] if plain else [GLOSSARY, NAMES])
    cells: dict[str, Cells] = {}
    for name in _in_view_order(plan, plain):
        worksheet = shell.create_sheet(name)
        if name not in _READ or diagram is None:
            sheet = by_name[name]
            arrange(worksheet, sheet)
            painter = Painter(worksheet, sheet, styles, navigation)
            cells[name] = Cells(
                chain(painter.headings(), painter.labels(book), painter.items(book, parameters, plain=plain))
            )
            continue
        page(worksheet, _READ[name], grid=False)
        if name == MAP:
            cells[name] = Cells(draw(worksheet, diagram, plan, styles, navigation))
        elif name == GLOSSARY:
            cells[name] = Cells(glossary(worksheet, template_folder() / "glossary.toml", styles, navigation))
        else:
            cells[name] = Cells(names(worksheet, plan, styles, navigation))
    for sheet in plan.sheets:
        for chart in sheet.charts:
            add_chart(shell[sheet.name], chart, plan.names, shell)
    return shell, cells


def _in_view_order(plan: Plan, plain: bool) -> list[str]:
    """First what one begins with, then the model, what explains it, tables, the parameters, other runs."""
    groups: dict[str, list[str]] = {group: [] for group in ("front", "model", "guide", "tables", "weights", "runs")}
    for sheet in plan.sheets:
        groups[sheet.group].append(sheet.name)
    for name, group in () if plain else _READ.items():
        groups[group].append(name)
    return [name for of_group in groups.values() for name in of_group]
