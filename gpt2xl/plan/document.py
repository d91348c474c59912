"""What a folder of templates holds, read: sheets with their entries, axes, activation functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Size = int | str
Value = str | float | list[float]
Spans = Mapping[str, tuple[Size, Size]]


@dataclass(frozen=True)
class Entry:
    """One input, table, parameter or step as its template has it, placeholders and all.

    `number` counts the steps of a sheet's template from 1; `role` is what its colour says: input, parameter,
    activation, intermediate or output. `columns` and `parts` are named ranges inside it; `across` merges cells of a
    form to the right of it. `generated` has the formulas of generated tokens where these differ, `patched` is the
    formula of a run in which a row is copied from the main one.
    """

    kind: str
    name: str
    title: str
    note: str
    shape: tuple[Size, Size]
    where: str
    number: int = 0
    role: str = "intermediate"
    way: str | None = None
    formula: str | None = None
    first: str | None = None
    patched: str | None = None
    data: str | None = None
    value: Value | None = None
    cell: str | None = None
    repeat: str | None = None
    loop: str | None = None
    style: str | None = None
    labels: str | None = None
    only: str | None = None
    per: str | None = None
    math: str = ""
    source: str = ""
    beside: bool = False
    across: int = 1
    shades: Mapping[str, str] = field(default_factory=dict)
    columns: Spans = field(default_factory=dict)
    parts: Spans = field(default_factory=dict)
    generated: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """Words in a cell of a form. `link` is a name or a sheet that a click leads to; `across` merges cells."""

    cell: str
    text: str
    style: str = "text"
    link: str | None = None
    across: int = 1


@dataclass(frozen=True)
class Series:
    """The values of a chart by name, what stands on the other axis, and the words of the legend."""

    values: str
    title: str
    x: str | None = None
    labels: str | None = None


@dataclass(frozen=True)
class Chart:
    """A native chart: its kind, where its corner stands, its size in centimetres, and its series."""

    kind: str
    title: str
    cell: str
    width: float
    height: float
    x_title: str
    y_title: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class SheetTemplate:
    """A sheet and its entries in reading order. `repeat` is "block" where the sheet stands once a block.

    `surface` says that the model computes without it, so that it can be left out; `only` says when it is there at all;
    `generated` that its steps go on for each generated token.
    """

    name: str
    title: str
    note: str
    layout: str
    group: str
    repeat: str | None
    reads: str | None
    writes: str | None
    row_labels: str | None
    column_labels: int | None
    numbers: str
    surface: bool
    generated: bool
    only: str | None
    freeze: str | None
    widths: Mapping[str, float]
    heights: Mapping[str, float]
    entries: tuple[Entry, ...]
    texts: tuple[Text, ...]
    charts: tuple[Chart, ...]
    file: str


@dataclass(frozen=True)
class Axis:
    """What stands beside the rows (or above the columns) of an axis: a title, and a formula or data for its text.

    `later` and `later_text` are the steps with index and text of generated tokens.
    """

    title: str
    text: str | None = None
    data: str | None = None
    later: str | None = None
    later_text: str | None = None


@dataclass(frozen=True)
class Activation:
    """An activation function as a formula of x, one array formula for the block or one ordinary formula a cell."""

    way: str
    formula: str


@dataclass(frozen=True)
class Document:
    """A folder of templates, read."""

    sheets: tuple[SheetTemplate, ...]
    axes: Mapping[str, Axis]
    activations: Mapping[str, Activation]
    scales: Mapping[str, str]
