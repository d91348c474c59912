"""A workbook before it has values: sheets, what stands on them, formulas and defined names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gpt2xl.a1 import Rect, quote_sheet
from gpt2xl.formula.tree import Node, Reference
from gpt2xl.plan.document import Chart, Text, Value

Mode = Literal["cell", "fill", "array"]


@dataclass(frozen=True)
class Formula:
    """A formula over a rectangle: `text` as the file has it, without "=", written for the first cell; and its `tree`,
    where that is at hand: what `parse` makes of the text."""

    rect: Rect
    text: str
    mode: Mode
    tree: Node | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Label:
    """What stands beside rows or above columns: an index from 0, a formula for its text, texts by `data`, or a text.

    A "mark" is a formula too: above an exercise, whether the answer is right.
    """

    rect: Rect
    kind: Literal["index", "formula", "data", "text", "mark"]
    text: str = ""

    @property
    def formula(self) -> Formula | None:
        """What computes it, where something does."""
        if self.kind not in ("formula", "mark"):
            return None
        return Formula(self.rect, self.text, "fill" if self.rect.size > 1 else "cell")


@dataclass(frozen=True)
class Item:
    """One entry on its place: an input, a table, a parameter or a step.

    `number` counts the steps of a sheet as its template does, so that all heads have the same; `role` is what its
    colour says. `formulas` are empty but for steps; `data` names what fills a table or an input, `value` is an input's
    own. `padded` says that the rows are tokens, of which those past the end of the prompt are padding; an `exercise` is
    marked, and `blank` where a student is to fill it in; `row_title` is what the rows' index means; `shades` are the
    conditions, written for the first cell, of the cells to set off, by colour. `math` is the formula as mathematics
    writes it, `source` where it is published. `later` is the rectangle and `generated` are the formulas of the
    tokens that follow the first, below the prompt's rows or beside the first one's column.
    """

    kind: str
    name: str
    title: str
    note: str
    rect: Rect
    heading: Rect
    first_of_band: bool
    number: int = 0
    role: str = "intermediate"
    formulas: tuple[Formula, ...] = ()
    data: str | None = None
    value: Value | None = None
    style: str | None = None
    shades: Mapping[str, str] = field(default_factory=dict)
    row_title: str = ""
    padded: bool = False
    across: int = 1
    exercise: bool = False
    blank: bool = False
    math: str = ""
    source: str = ""
    generated: tuple[Formula, ...] = ()
    later: Rect | None = None

    @property
    def all_formulas(self) -> tuple[Formula, ...]:
        """Those of the prompt and those of the generated tokens."""
        return self.formulas + self.generated


@dataclass
class Sheet:
    """A sheet: its words, its items in reading order, labels, and the first cell that scrolls.

    `texts`, `charts`, `widths` of columns and `heights` of rows are a form's.
    """

    name: str
    title: str
    note: str
    layout: str
    group: str
    freeze: Rect
    items: list[Item] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    texts: tuple[Text, ...] = ()
    charts: tuple[Chart, ...] = ()
    widths: Mapping[str, float] = field(default_factory=dict)
    heights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A rectangle on a sheet: what a defined name refers to. `single` is a cell that never has more beside it."""

    sheet: str
    rect: Rect
    single: bool = False

    @property
    def formula(self) -> str:
        """As a defined name's text: absolute, with the sheet.

        A list that happens to have one row is `$A$1:$A$1`: IronCalc's INDEX takes no bare cell (docs/engines.md).
        """
        corners = self.rect.absolute
        if self.rect.size == 1 and not self.single:
            corners = f"{corners}:{corners}"
        return f"{quote_sheet(self.sheet)}!{corners}"

    @property
    def tree(self) -> Reference:
        """The same as `parse` reads it."""
        return Reference.of(self.rect, self.sheet)


@dataclass(frozen=True)
class Plan:
    """Everything but values: sheets in reading order (the order of evaluation), names, and the sizes used."""

    sheets: tuple[Sheet, ...]
    names: Mapping[str, Place]
    sizes: Mapping[str, int]

    def steps(self) -> list[Item]:
        """All steps in the order of evaluation."""
        return [item for sheet in self.sheets for item in sheet.items if item.kind == "step"]

    def formula_rects(self) -> list[Rect]:
        """Where formulas stand, those of labels included."""
        rects = [formula.rect for step in self.steps() for formula in step.all_formulas]
        labels = [label.rect for sheet in self.sheets for label in sheet.labels if label.formula]
        return rects + labels
