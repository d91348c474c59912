"""Where things stand: each entry's rectangle, its heading and its labels.

Three layouts. ``blocks``: headings and data one below the other, entries with `beside` to the right of the one
before; column A has the rows' index, B their text. ``columns``: a table, all entries side by side from column B on,
column A has the index. ``form``: each entry at the cell that its template names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gpt2xl.a1 import Rect, column_number
from gpt2xl.errors import LimitError, TemplateError


@dataclass(frozen=True)
class Heading:
    """The rows above an entry's data, counted from the first: what stands in which. None where there is no such row.

    `links` is where the links to the previous and the next step stand: side by side, or below each other in columns.
    """

    name: int
    links: int
    note: int
    math: int | None
    formula: int
    source: int | None
    column_text: int
    column_index: int

    @property
    def height(self) -> int:
        return self.column_index + 1


HEADINGS = {
    "blocks": Heading(name=1, links=2, note=3, math=4, formula=5, source=6, column_text=7, column_index=8),
    "columns": Heading(name=1, links=2, note=4, math=None, formula=5, source=None, column_text=6, column_index=7),
}
FIRST_BAND = 5
# So that at(x, 1) and at(x, 2) of a last row are blank, and a heading does not touch the data above it.
GAP = 2
# A title needs some width, however narrow its data.
LEAST_WIDTH = 3


@dataclass(frozen=True)
class Shape:
    """An entry before it has a place: rows and columns, and whether it stands beside the one before.

    On a form the title of a `row` stands to its left, that of anything else above it.
    """

    rows: int
    columns: int
    beside: bool = False
    cell: str | None = None
    row: bool = False


@dataclass(frozen=True)
class Spot:
    """The place of an entry on its sheet.

    `row_label` is the column with the index of its rows, `column_label` the row with the index of its columns;
    0 where there is none. `heading` is where its title stands. Of a piece of an entry, `down` and `right` say where in
    the entry it begins.
    """

    rect: Rect
    heading: Rect
    row_label: int
    column_label: int
    first_of_band: bool
    down: int = 0
    right: int = 0


@dataclass
class Arrangement:
    """All spots of a sheet, and the first cell that scrolls."""

    spots: list[Spot] = field(default_factory=list)
    freeze: Rect = field(default_factory=lambda: Rect(1, 1, 1, 1))


def arrange(
    sheet: str, layout: str, shapes: Iterable[Shape], *, row_labels: str | None = None, column_labels: int | None = None
) -> Arrangement:
    """Place `shapes` in order; raises `LimitError` where Excel's rows or columns do not suffice."""
    shapes = list(shapes)
    try:
        if layout == "blocks":
            return _blocks(shapes)
        if layout == "columns":
            return _columns(shapes)
        return _form(shapes, column_number(row_labels) if row_labels else 0, column_labels or 0)
    except LimitError as error:
        raise LimitError(f"sheet `{sheet}` does not fit: {error}") from None


def _blocks(shapes: list[Shape]) -> Arrangement:
    spots: list[Spot] = []
    heading_rows = HEADINGS["blocks"]
    top, left, bottom = FIRST_BAND, 3, FIRST_BAND - 1 - GAP
    for shape in shapes:
        beside = shape.beside and bool(spots)
        if not beside:
            top, left = bottom + 1 + GAP, 3
        rect = Rect.of(top + heading_rows.height, left, shape.rows, shape.columns)
        heading = Rect.of(top, left, 1, min(max(shape.columns, LEAST_WIDTH), 12))
        spots.append(Spot(rect, heading, 1, top + heading_rows.column_index, not beside))
        left += max(shape.columns, LEAST_WIDTH) + 1
        bottom = max(bottom, rect.bottom)
    return Arrangement(spots, Rect(4, 3, 4, 3))


def _columns(shapes: list[Shape]) -> Arrangement:
    spots: list[Spot] = []
    heading_rows = HEADINGS["columns"]
    top, left = FIRST_BAND - 1, 2
    for shape in shapes:
        rect = Rect.of(top + heading_rows.height, left, shape.rows, shape.columns)
        spots.append(Spot(rect, Rect.of(top, left, 1, 1), 1, top + heading_rows.column_index, not spots))
        left += shape.columns
    return Arrangement(spots, Rect.of(top + heading_rows.height, 2, 1, 1))


def _form(shapes: list[Shape], row_label: int, column_label: int) -> Arrangement:
    spots = []
    for shape in shapes:
        if shape.cell is None:
            raise TemplateError("on a sheet with the layout `form` every entry needs a `cell`")
        corner = Rect.parse(shape.cell)
        rect = Rect.of(corner.top, corner.left, shape.rows, shape.columns)
        heading = Rect.of(rect.top, rect.left - 1, 1, 1) if shape.row else Rect.of(rect.top - 1, rect.left, 1, 1)
        spots.append(Spot(rect, heading, row_label, column_label, False))
    return Arrangement(spots, Rect(1, 1, 1, 1))
