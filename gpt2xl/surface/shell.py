"""The whole of the surface: a shell with its sheets in the order in which a person meets them."""

from __future__ import annotations

from collections.abc import Mapping

from openpyxl import Workbook as Shell
from openpyxl.workbook.defined_name import DefinedName

from gpt2xl.formula import Book
from gpt2xl.plan.plan import Plan, Sheet
from gpt2xl.plan.template import template_folder
from gpt2xl.surface.charts import add_chart
from gpt2xl.surface.diagram import draw, read_diagram
from gpt2xl.surface.navigation import MAP, Navigation
from gpt2xl.surface.painter import Painter
from gpt2xl.surface.styles import Styles
from gpt2xl.surface.view import arrange, page
from gpt2xl.xlsx import Array, Block, Rows


def surface(
    plan: Plan,
    book: Book,
    parameters: Mapping[str, Array | Rows],
    *,
    creator: str,
    words: Mapping[str, str],
    plain: bool = False,
) -> tuple[Shell, dict[str, list[Block]]]:
    """The shell and, for each sheet, its cells with the values that `book` has computed.

    `creator` is what the file's properties say of who made it; `words` stand for placeholders of the map that are no
    sizes; `plain` leaves out what the model computes without.
    """
    shell = Shell()
    shell.remove(shell.worksheets[0])
    shell.properties.creator = creator
    shell.properties.title = "GPT-2 in a spreadsheet"
    styles = Styles(shell)
    for name, place in plan.names.items():
        shell.defined_names[name] = DefinedName(name, attr_text=place.formula)
    diagram = None if plain else read_diagram(template_folder() / "map.toml", plan, words)
    navigation = Navigation(plan, diagram.boxes if diagram else {})
    blocks: dict[str, list[Block]] = {}
    for number, sheet in enumerate(_in_view_order(plan)):
        if number == 1 and diagram is not None:
            worksheet = shell.create_sheet(MAP)
            page(worksheet, "front", grid=False)
            blocks[MAP] = list(draw(worksheet, diagram, plan, styles, navigation))
        worksheet = shell.create_sheet(sheet.name)
        arrange(worksheet, sheet)
        painter = Painter(worksheet, sheet, styles, navigation)
        blocks[sheet.name] = [
            *painter.headings(),
            *painter.labels(book),
            *painter.items(book, parameters, plain=plain),
        ]
    for sheet in plan.sheets:
        for chart in sheet.charts:
            add_chart(shell[sheet.name], chart, plan.names, shell)
    return shell, blocks


def _in_view_order(plan: Plan) -> list[Sheet]:
    """First what one begins with, then the model, what explains it, the tokenizer's tables, the parameters."""
    order = {group: place for place, group in enumerate(("front", "model", "guide", "tables", "weights"))}
    return sorted(plan.sheets, key=lambda sheet: order[sheet.group])
