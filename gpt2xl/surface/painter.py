"""The cells of one sheet of the plan: title, headings with their links, labels, data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.a1 import Rect
from gpt2xl.formula import Book
from gpt2xl.plan.layout import HEADINGS, Heading
from gpt2xl.plan.plan import Formula, Item, Sheet
from gpt2xl.surface.cells import Computed, blank, link, merge, stored, text
from gpt2xl.surface.formats import add_formats, add_parameter_look
from gpt2xl.surface.navigation import Navigation, Stop
from gpt2xl.surface.styles import Styles
from gpt2xl.xlsx import Array, Block, Rows

# Forms have their links in row 3, from column B on; the other layouts one link there.
_LINKS_ROW = 3


class Painter:
    """Writes one sheet's cells."""

    def __init__(self, worksheet: Worksheet, sheet: Sheet, styles: Styles, navigation: Navigation) -> None:
        self.worksheet = worksheet
        self.sheet = sheet
        self.styles = styles
        self.navigation = navigation

    def headings(self) -> Iterator[Block]:
        """The sheet's title, and for each item what stands above it."""
        styles, sheet = self.styles, self.sheet
        corner = 2 if sheet.layout == "form" else 1
        yield text(1, corner, sheet.title, styles.title)
        yield text(2, corner, sheet.note, styles.note)
        if sheet.layout == "form":
            yield from self._form()
            return
        yield self._link(_LINKS_ROW, 1, f"↩ {self.navigation.start.name}", self.navigation.start)
        for item in sheet.items:
            yield from self._heading(item, HEADINGS[sheet.layout])

    def _heading(self, item: Item, rows: Heading) -> Iterator[Block]:
        styles = self.styles
        top, left, last = item.heading.top, item.heading.left, item.heading.right
        narrow = self.sheet.layout == "columns"
        coloured = (styles.narrow_headings if narrow else styles.headings)[item.role]
        yield text(top, left, f"{item.number}. {item.title}" if item.number else item.title, coloured)
        if last > left:
            yield blank(Rect(top, left + 1, top, last), coloured)
        if narrow:  # a line each, or the next column would hide the role
            yield text(top + rows.name, left, item.name, styles.name)
            yield text(top + rows.column_text, left, item.role, styles.source)
        else:
            shape = f"{item.rect.height} × {item.rect.width}"
            # Names of other runs are longer, and the heading's colour says the role too.
            role = "" if self.sheet.group == "runs" else f" · {item.role}"
            yield text(top + rows.name, left, f"{item.name} · {shape}{role}", styles.name)
        yield from self._links(item, rows)
        yield text(top + rows.note, left, item.note, styles.wrapped)
        if last > left:
            merge(self.worksheet, Rect(top + rows.note, left, top + rows.note, last))
        if rows.math is not None and item.math:
            yield text(top + rows.math, left, item.math, styles.math)
        if item.formulas:
            yield text(top + rows.formula, left, shown(item.formulas), styles.code)
        if rows.source is not None and item.source:
            yield text(top + rows.source, left, item.source, styles.source)
        if item.first_of_band and item.row_title:
            yield text(top + rows.column_index, 1, item.row_title, styles.index)

    def _links(self, item: Item, rows: Heading) -> Iterator[Block]:
        """To the step before, to the map and to the step after: side by side, in columns the outer two below."""
        before, after = self.navigation.around(self.sheet.name, item.name)
        back = self.navigation.back(item.name)
        row, column = item.heading.top + rows.links, item.heading.left
        if self.sheet.layout == "columns":
            if before is not None:
                yield self._link(row, column, f"◂ {before.name}", before)
            if after is not None:
                yield self._link(row + 1, column, f"▸ {after.name}", after)
            row -= 1  # the name of the step is the link to the map
            link(self.worksheet, row, column, back.sheet, back.ref)
            return
        if before is not None:
            yield self._link(row, column, "◂ previous", before)
        yield self._link(row, column + 1, f"▴ {back.name.lower()}", back)
        if after is not None:
            yield self._link(row, column + 2, "next ▸", after)

    def _form(self) -> Iterator[Block]:
        """A form's own links, the titles of what stands on it, and its words."""
        styles, sheet = self.styles, self.sheet
        before, after = self.navigation.around(sheet.name, sheet.name)
        back = self.navigation.to("Map")
        stops = [("◂ ", before), ("▴ ", back), ("▸ ", after)]
        for column, (arrow, stop) in enumerate(((arrow, stop) for arrow, stop in stops if stop), start=2):
            yield self._link(_LINKS_ROW, column, f"{arrow}{stop.sheet}", stop)
        for item in sheet.items:
            if item.title:
                yield text(item.heading.top, item.heading.left, item.title, styles.form_heading)
        for words in sheet.texts:
            cell = Rect.parse(words.cell)
            style = styles.by_name[words.style]
            yield text(cell.top, cell.left, words.text, style)
            if words.across > 1:
                merge(self.worksheet, Rect.of(cell.top, cell.left, 1, words.across))
                yield blank(Rect.of(cell.top, cell.left + 1, 1, words.across - 1), style)
            if words.link is not None:
                target = self.navigation.to(words.link)
                assert target is not None, f"{sheet.name}!{words.cell} links to {words.link}, which is nowhere"
                link(self.worksheet, cell.top, cell.left, target.sheet, target.ref)

    def labels(self, book: Book) -> Iterator[Block | Computed]:
        """Index and text of the axes."""
        styles = self.styles
        for label in self.sheet.labels:
            words = styles.label if label.rect.left <= 2 else styles.label_across
            style = {"index": styles.index, "text": styles.code}.get(label.kind, words)
            if label.kind == "formula" and self._is_index(label.rect):
                style = styles.index
            if label.formula is not None:
                style = styles.by_name["mark"] if label.kind == "mark" else style
                yield Computed(label.formula, book, self.sheet.name, style)
            elif label.kind == "text":  # which no formula reads
                yield text(label.rect.top, label.rect.left, label.text, style)
            else:
                yield stored(label.rect, book, self.sheet.name, style)

    def _is_index(self, rect: Rect) -> bool:
        """Whether a label stands where indices do: in column A, or above columns in the row of their numbers."""
        if self.sheet.layout != "blocks":
            return False
        index = HEADINGS["blocks"].column_index
        return rect.left == 1 or any(
            rect.top == item.heading.top + index and item.rect.left <= rect.left for item in self.sheet.items
        )

    def items(self, book: Book, parameters: Mapping[str, Array | Rows], *, plain: bool) -> Iterator[Block | Computed]:
        """The data: inputs, tables, parameters as they are, formulas with their values."""
        for item in self.sheet.items:
            style = self.styles.of(item, self.sheet.layout)
            if item.kind == "parameter":
                numbers = parameters[item.name]
                large = not isinstance(numbers, np.ndarray)
                if large:  # six bytes less for each of a hundred million cells
                    add_parameter_look(self.worksheet, item.rect)
                yield Block(item.rect, numbers, style=0 if large else style)
            elif item.kind != "step":
                yield stored(item.rect, book, self.sheet.name, style)
            for formula in item.all_formulas:
                yield Computed(formula, book, self.sheet.name, style)
            if item.blank:
                yield blank(item.rect, style)
            if item.style == "links":
                self._link_cells(item, book)
            if item.across > 1:
                merged = Rect.of(item.rect.top, item.rect.left, 1, item.across)
                merge(self.worksheet, merged)
                yield blank(merged.part(0, 1, 1, item.across - 1), style)
            if not plain:
                add_formats(self.worksheet, item)

    def _link_cells(self, item: Item, book: Book) -> None:
        """Make each cell with the name of a step a link to it."""
        for row, (name,) in enumerate(book.sheet(self.sheet.name).take(item.rect).tolist()):
            stop = self.navigation.to(str(name))
            assert stop is not None, f"{self.sheet.name} names {name}, which is no step"
            link(self.worksheet, item.rect.top + row, item.rect.left, stop.sheet, stop.ref)

    def _link(self, row: int, column: int, words: str, stop: Stop) -> Block:
        link(self.worksheet, row, column, stop.sheet, stop.ref)
        return text(row, column, words, self.styles.link)


def shown(formulas: tuple[Formula, ...]) -> str:
    """A formula as Excel's formula bar shows it: array formulas in braces, no `_xlfn.`.

    It is the first; of a triangle the second, since its first column begins differently.
    """
    formula = formulas[1] if formulas[0].mode == "fill" and len(formulas) > 1 else formulas[0]
    words = "=" + formula.text.replace("_xlfn.", "")
    return "{" + words + "}" if formula.mode == "array" else words
