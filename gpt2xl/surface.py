"""What a person sees: openpyxl's shell (styles, widths, panes, links, names) and the cells' blocks for a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from openpyxl import Workbook as Shell
from openpyxl.formatting.rule import ColorScaleRule, FormulaRule, Rule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.styles.differential import DifferentialStyle
from openpyxl.styles.numbers import NumberFormat
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.a1 import BLANK, TEXT, Rect, cell_name, quote_sheet
from gpt2xl.formula import Book
from gpt2xl.plan.layout import COLUMN_INDEX, FORMULA, NAME, NOTE
from gpt2xl.plan.plan import Formula, Item, Place, Plan, Sheet
from gpt2xl.xlsx import Array, Block, Rows, style_id

LIST_GAP = 3
_INPUT, _PARAMETER, _HEADING, _LABEL = "FFF2CC", "E8F0E4", "DDEBF7", "F2F2F2"

_SHADE = "F8CBAD"
_PADDING = "BFBFBF"
_LINE = Side(style="thin", color="BFBFBF")


@dataclass(frozen=True)
class Facts:
    """Where a workbook comes from: the model as the user named it, its fingerprint, how many parameters it has."""

    model: str
    fingerprint: str
    parameters: int
    version: str


class Styles:
    """The cell formats, registered with a shell: each is an index in cellXfs."""

    def __init__(self, shell: Shell) -> None:
        def register(**properties: Any) -> int:
            return style_id(shell, **properties)

        wrap = Alignment(wrap_text=True, vertical="top")
        box = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
        self.title = register(font=Font(name="Calibri", size=16, bold=True, color="1F3864"))
        self.note = register(font=Font(name="Calibri", size=10, italic=True, color="595959"))
        self.wrapped = register(font=Font(name="Calibri", size=9, italic=True, color="595959"), alignment=wrap)
        self.link = register(font=Font(name="Calibri", size=9, underline="single", color="0563C1"))
        self.heading = register(font=Font(name="Calibri", size=11, bold=True, color="1F3864"), fill=_fill(_HEADING))
        self.code = register(font=Font(name="Consolas", size=9, color="7F6000"), number_format="@")
        self.index = register(font=Font(name="Calibri", size=9, color="7F7F7F"), fill=_fill(_LABEL), number_format="0")
        self.label = register(font=Font(name="Calibri", size=10, color="404040"), fill=_fill(_LABEL), number_format="@")
        self.text = register(font=Font(name="Calibri", size=10))
        self.input = register(
            font=Font(name="Calibri", size=14, bold=True), fill=_fill(_INPUT), border=box, number_format="@",
            alignment=Alignment(wrap_text=True, vertical="center"),
        )  # fmt: skip
        self.answer = register(font=Font(name="Calibri", size=20, bold=True, color="C00000"))
        self.chip = register(
            font=Font(name="Calibri", size=11, bold=True), fill=_fill("FCE4D6"), border=box,
            alignment=Alignment(horizontal="center"),
        )  # fmt: skip
        self.percent = register(font=Font(name="Calibri", size=10), number_format="0.00%")
        self.general = register(font=Font(name="Calibri", size=10))
        self.table = register(font=Font(name="Calibri", size=10), fill=_fill(_PARAMETER))
        self.decimals = register(font=Font(name="Calibri", size=10), number_format="0.0000")
        self.parameter = register(font=Font(name="Calibri", size=10), fill=_fill(_PARAMETER), number_format="0.0000")

    def of(self, item: Item, layout: str) -> int:
        """The format of an item's cells."""
        by_name = {
            "percent": self.percent,
            "answer": self.answer,
            "chip": self.chip,
            "decimal": self.decimals,
            "integer": self.general,
        }
        if item.style in by_name:
            return by_name[item.style]
        if item.kind in ("input", "table", "parameter"):
            return {"input": self.input, "table": self.table, "parameter": self.parameter}[item.kind]
        return self.decimals if layout == "blocks" else self.general


def surface(
    plan: Plan, book: Book, parameters: Mapping[str, Array | Rows], facts: Facts
) -> tuple[Shell, dict[str, list[Block]]]:
    """The shell and, for each sheet, its cells with the values that `book` has computed."""
    shell = Shell()
    shell.remove(shell.worksheets[0])
    shell.properties.creator = f"gpt2xl {facts.version}"
    shell.properties.title = "GPT-2 in a spreadsheet"
    styles = Styles(shell)
    for name, place in plan.names.items():
        shell.defined_names[name] = DefinedName(name, attr_text=place.formula)
    blocks: dict[str, list[Block]] = {}
    first = plan.sheets[0]
    directory = _directory(plan)
    for sheet in _in_view_order(plan):
        worksheet = shell.create_sheet(sheet.name)
        _view(worksheet, sheet)
        painter = _Painter(worksheet, sheet, styles, first.name, directory)
        cells = [*painter.headings(), *painter.labels(book), *painter.items(book, parameters)]
        if sheet is first:
            cells += _start(worksheet, shell, styles, directory, facts)
        blocks[sheet.name] = cells
    return shell, blocks


def _in_view_order(plan: Plan) -> list[Sheet]:
    """Model first, then the tokenizer's tables, then the parameters; inside these in reading order."""
    order = {"model": 0, "tables": 1, "weights": 2}
    return sorted(plan.sheets, key=lambda sheet: order[sheet.group])


@dataclass(frozen=True)
class Entry:
    """A line of the first sheet's directory: an item and the row it stands in."""

    sheet: str
    item: Item
    row: int


def _directory(plan: Plan) -> dict[str, Entry]:
    """Every item that the first sheet links to, by name, with its row there."""
    first = plan.sheets[0]
    row = max(item.rect.bottom for item in first.items) + LIST_GAP
    entries: dict[str, Entry] = {}
    for sheet in _in_view_order(plan):
        for item in sheet.items if sheet is not first else []:
            row += 1
            entries[item.name] = Entry(sheet.name, item, row)
    return entries


def _view(worksheet: Worksheet, sheet: Sheet) -> None:
    """Widths, heights, frozen panes."""
    widths = {"form": 14.0, "columns": 14.0, "blocks": 9.5}
    worksheet.sheet_format.defaultColWidth = widths[sheet.layout]
    worksheet.sheet_format.baseColWidth = 10
    worksheet.column_dimensions["A"].width = {"form": 3.0, "columns": 9.0, "blocks": 9.0}[sheet.layout]
    if sheet.layout != "columns":
        worksheet.column_dimensions["B"].width = 16.0 if sheet.layout == "form" else 14.0
    if sheet.layout != "form":
        worksheet.freeze_panes = str(sheet.freeze)
        for item in sheet.items:
            worksheet.row_dimensions[item.heading.top + NOTE].height = 78.0 if sheet.layout == "columns" else 26.0
    worksheet.page_setup.orientation = "landscape"
    worksheet.page_setup.fitToHeight = 0
    worksheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    worksheet.sheet_view.showGridLines = sheet.layout != "form"
    if sheet.group == "weights":
        worksheet.sheet_properties.tabColor = "A9D08E"
    elif sheet.group == "tables":
        worksheet.sheet_properties.tabColor = "BFBFBF"
    else:
        worksheet.sheet_properties.tabColor = "2F75B5"


class _Painter:
    """Writes one sheet's cells."""

    def __init__(
        self, worksheet: Worksheet, sheet: Sheet, styles: Styles, home: str, directory: Mapping[str, Entry]
    ) -> None:
        self.worksheet = worksheet
        self.sheet = sheet
        self.styles = styles
        self.home = home
        self.directory = directory

    def headings(self) -> Iterator[Block]:
        """The sheet's title, and for each item title, name and shape (a link back), note, and formula."""
        styles, sheet = self.styles, self.sheet
        corner = 2 if sheet.layout == "form" else 1
        yield _text(1, corner, sheet.title, styles.title)
        yield _text(2, corner, sheet.note, styles.note)
        if sheet.layout == "form":
            yield from self._form_headings()
            return
        yield _text(3, 1, f"↩ {self.home}", styles.link)
        _link(self.worksheet, 3, 1, self.home, "A1")
        for item in sheet.items:
            yield from self._item_heading(item)

    def _item_heading(self, item: Item) -> Iterator[Block]:
        styles = self.styles
        top, left, last = item.heading.top, item.heading.left, item.heading.right
        yield _text(top, left, item.title, styles.heading)
        for column in range(left + 1, last + 1):
            yield _blank(top, column, styles.heading)
        shape = "" if self.sheet.layout == "columns" else f"  {item.rect.height} × {item.rect.width}"
        yield _text(top + NAME, left, f"{item.name}{shape} ↩", styles.link)
        _link(self.worksheet, top + NAME, left, self.home, f"B{self.directory[item.name].row}")
        if item.note:
            yield _text(top + NOTE, left, item.note, styles.wrapped)
            if last > left:
                self.worksheet.merge_cells(start_row=top + NOTE, end_row=top + NOTE, start_column=left, end_column=last)
        if item.formulas:
            yield _text(top + FORMULA, left, shown(item.formulas), styles.code)
        if item.first_of_band and item.row_title:
            yield _text(top + COLUMN_INDEX, 1, item.row_title, styles.index)

    def _form_headings(self) -> Iterator[Block]:
        for item in self.sheet.items:
            yield _text(item.heading.top, item.heading.left, item.title, self.styles.heading)

    def labels(self, book: Book) -> Iterator[Block]:
        """Index and text of the axes."""
        for label in self.sheet.labels:
            style = self.styles.index if label.kind == "index" else self.styles.label
            style = self.styles.code if label.kind == "text" else style
            if label.kind == "formula":
                formula = Formula(label.rect, label.text, "fill" if label.rect.size > 1 else "cell")
                yield _formula_block(formula, book, self.sheet.name, style)
            else:
                yield _stored(label.rect, book, self.sheet.name, style)

    def items(self, book: Book, parameters: Mapping[str, Array | Rows]) -> Iterator[Block]:
        """The data: inputs, tables, parameters as float32, formulas with their values."""
        for item in self.sheet.items:
            style = self.styles.of(item, self.sheet.layout)
            if item.kind == "parameter":
                numbers = parameters[item.name]
                large = not isinstance(numbers, np.ndarray)
                if large:  # six bytes less for each of a hundred million cells
                    self.worksheet.conditional_formatting.add(str(item.rect), _parameter_rule())
                yield Block(item.rect, numbers, style=0 if large else style)
            elif item.kind != "step":
                yield _stored(item.rect, book, self.sheet.name, style)
            for formula in item.formulas:
                yield _formula_block(formula, book, self.sheet.name, style)
            if item.shade is not None:
                self.worksheet.conditional_formatting.add(
                    str(item.rect), FormulaRule(formula=[item.shade], fill=PatternFill(bgColor=_SHADE))
                )
            if item.padded:
                first = f"$A{item.rect.top}"
                self.worksheet.conditional_formatting.add(
                    str(item.rect), FormulaRule(formula=[f"{first}>=n_tokens"], font=Font(color=_PADDING))
                )
            if item.style == "heat":
                self.worksheet.conditional_formatting.add(
                    str(item.rect),
                    ColorScaleRule(start_type="num", start_value=0, start_color="FFFFFF",
                                   end_type="num", end_value=1, end_color="2F75B5"),
                )  # fmt: skip


def shown(formulas: tuple[Formula, ...]) -> str:
    """A formula as Excel's formula bar shows it: array formulas in braces, no `_xlfn.`.

    It is the first; of a triangle the second, since its first column begins differently.
    """
    formula = formulas[1] if formulas[0].mode == "fill" and len(formulas) > 1 else formulas[0]
    text = "=" + formula.text.replace("_xlfn.", "")
    return "{" + text + "}" if formula.mode == "array" else text


def _start(
    worksheet: Worksheet, shell: Shell, styles: Styles, directory: Mapping[str, Entry], facts: Facts
) -> Iterator[Block]:
    """The first sheet's own: where the model comes from, and a link to every item."""
    lines: list[tuple[str, str | int, str]] = [
        ("Model", facts.model, "model.name"),
        ("Parameters", facts.parameters, "model.parameters"),
        ("Fingerprint", facts.fingerprint, "model.fingerprint"),
    ]
    for row, (title, value, name) in enumerate(lines, start=15):
        yield _text(row, 9, title, styles.heading)
        yield _text(row, 10, value, styles.text) if isinstance(value, str) else _number(row, 10, value, styles.general)
        place = Place(worksheet.title, Rect(row, 10, row, 10), single=True)
        shell.defined_names[name] = DefinedName(name, attr_text=place.formula)
    worksheet.merge_cells("C4:K4")
    worksheet.row_dimensions[4].height = 36.0
    worksheet.row_dimensions[8].height = 28.0
    top = min(entry.row for entry in directory.values()) - 1
    for column, text in ((2, "Sheet"), (3, "Name"), (5, "What it is"), (9, "Rows × columns")):
        yield _text(top, column, text, styles.heading)
    for entry in directory.values():
        item = entry.item
        yield _text(entry.row, 2, entry.sheet, styles.text)
        yield _text(entry.row, 3, item.name, styles.link)
        _link(worksheet, entry.row, 3, entry.sheet, cell_name(item.heading.top, item.heading.left))
        yield _text(entry.row, 5, item.title, styles.text)
        yield _text(entry.row, 9, f"{item.rect.height} × {item.rect.width}", styles.text)


def _formula_block(formula: Formula, book: Book, sheet: str, style: int) -> Block:
    values = book.get(sheet, formula.rect)
    return Block(formula.rect, values.num, values.kind, values.text, style, formula.text, formula.mode)


def _stored(rect: Rect, book: Book, sheet: str, style: int) -> Block:
    values = book.sheet(sheet).take(rect)
    return Block(rect, values.num, values.kind, values.text, style)


def _text(row: int, column: int, text: str, style: int) -> Block:
    return Block(
        Rect(row, column, row, column),
        np.zeros((1, 1)),
        np.full((1, 1), TEXT, dtype=np.uint8),
        np.full((1, 1), text, dtype=object),
        style,
    )


def _number(row: int, column: int, number: float, style: int) -> Block:
    return Block(Rect(row, column, row, column), np.full((1, 1), float(number)), style=style)


def _blank(row: int, column: int, style: int) -> Block:
    return Block(Rect(row, column, row, column), np.zeros((1, 1)), np.full((1, 1), BLANK, dtype=np.uint8), style=style)


def _link(worksheet: Worksheet, row: int, column: int, sheet: str, ref: str) -> None:
    cell = worksheet.cell(row, column)
    cell.hyperlink = Hyperlink(ref=cell.coordinate, location=f"{quote_sheet(sheet)}!{ref}")


def _parameter_rule() -> Rule:
    """The format of parameters for all cells of a rectangle, which then need no style of their own."""
    look = DifferentialStyle(
        numFmt=NumberFormat(numFmtId=200, formatCode="0.0000"), fill=PatternFill(bgColor=_PARAMETER)
    )
    return Rule(type="expression", dxf=look, formula=["TRUE"])


def _fill(color: str) -> PatternFill:
    return PatternFill("solid", start_color=color, end_color=color)
