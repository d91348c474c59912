"""The whole of a plan: templates x configuration -> sheets, formulas, names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gpt2xl.a1 import MAX_SHEET_NAME, Rect
from gpt2xl.errors import TemplateError
from gpt2xl.formula.printer import number_text
from gpt2xl.formula.tree import Name, Node, transform
from gpt2xl.model.config import Config
from gpt2xl.plan import expand, layout
from gpt2xl.plan.dimensions import measure
from gpt2xl.plan.layout import Shape, Spot
from gpt2xl.plan.plan import Formula, Item, Label, Place, Plan, Sheet
from gpt2xl.plan.template import SCALES, Activation, Axis, Document, Entry, SheetTemplate, Size, formulas

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def check_templates(document: Document) -> None:
    """Parse every formula of a document, so that a mistake shows before any model is at hand."""
    for where, formula in formulas(document):
        expand.read(_PLACEHOLDER.sub("1", formula), where)


def make_plan(document: Document, config: Config, sizes: Mapping[str, int]) -> Plan:
    """The plan of a workbook for a model of `config` with `sizes` (see `dimensions.dimensions`).

    Raises `TemplateError` for a template that does not fit the configuration, `LimitError` where a sheet would
    exceed Excel's rows or columns.
    """
    check_templates(document)
    return _Planner(document, config, sizes).plan()


@dataclass
class _Draft:
    """A sheet while it is planned: entries with their numbers filled in, then spots."""

    template: SheetTemplate
    name: str
    words: Mapping[str, str]
    entries: list[tuple[Entry, Mapping[str, str]]] = field(default_factory=list)


class _Planner:
    def __init__(self, document: Document, config: Config, sizes: Mapping[str, int]) -> None:
        self.document = document
        self.config = config
        self.sizes = sizes
        self.names: dict[str, Place] = {}
        self.defined: set[str] = set()  # by the entries up to the one at hand

    def plan(self) -> Plan:
        drafts = self._drafts()
        placed = [(draft, self._arrange(draft)) for draft in drafts]
        sheets: dict[str, Sheet] = {}
        for draft, spots in placed:
            sheet = sheets.setdefault(draft.name, self._sheet(draft, sheets))
            for (entry, words), spot in zip(draft.entries, spots, strict=True):
                self._item(sheet, draft.template, entry, words, spot)
        for sheet in sheets.values():
            if sheet.layout == "":
                raise TemplateError(f"sheet `{sheet.name}` has no layout")
        return Plan(tuple(sheets.values()), self.names, self.sizes)

    # -- what stands where -------------------------------------------------------------------------------------

    def _drafts(self) -> list[_Draft]:
        """Every sheet with its entries, repeated as the templates ask, and the numbers that go into their texts."""
        drafts = []
        residual = ""
        for template in self.document.sheets:
            for index in range(self.config.n_layer) if template.repeat == "block" else [None]:
                words = self._words(index, residual)
                if template.reads is not None and index == 0:
                    residual = template.reads
                    words = self._words(index, residual)
                name = self._fill(template.name, words)
                draft = _Draft(template, name, words)
                draft.entries = list(self._entries(template, words))
                drafts.append(draft)
                if template.writes is not None:
                    residual = self._fill(template.writes, words)
        return drafts

    def _words(self, block: int | None, residual: str) -> dict[str, str]:
        """What stands for the placeholders that are no arithmetic on sizes."""
        config = self.config
        words = {
            "eps": number_text(config.layer_norm_epsilon),
            "head": "wte" if config.tied else "lm_head.weight",
            "activation": config.activation_function,
        }
        if residual:
            words["residual"] = residual
        if block is not None:
            words["i"] = str(block)
            asked = config.scale_attn_weights, config.scale_attn_by_inverse_layer_idx
            (scale,) = (self.document.scales[name] for name, flags in SCALES.items() if flags == asked)
            words["attention_scale"] = self._fill(scale, words)
        return words

    def _entries(self, template: SheetTemplate, words: Mapping[str, str]) -> Iterator[tuple[Entry, Mapping[str, str]]]:
        """The entries, those that follow each other with `repeat = "head"` once together for each head."""
        entries = [entry for entry in template.entries if entry.only != "untied" or not self.config.tied]
        while entries:
            run = 0
            while run < len(entries) and entries[run].repeat == "head":
                run += 1
            for head in range(self.config.n_head) if run else []:
                for entry in entries[:run]:
                    yield entry, {**words, "j": str(head)}
            if not run:
                yield entries[0], words
            entries = entries[run or 1 :]

    def _arrange(self, draft: _Draft) -> list[Spot]:
        """Place the entries of a sheet and define their names."""
        template = draft.template
        form = next((sheet for sheet in self.document.sheets if sheet.name == template.name and sheet.layout), template)
        shapes = [
            Shape(self._measure(entry.shape[0], words), self._measure(entry.shape[1], words), entry.beside, entry.cell)
            for entry, words in draft.entries
        ]
        arrangement = layout.arrange(
            draft.name, form.layout, shapes, row_labels=form.row_labels, column_labels=form.column_labels
        )
        for (entry, words), spot in zip(draft.entries, arrangement.spots, strict=True):
            name = self._fill(entry.name, words)
            self._define(name, Place(draft.name, spot.rect, single=entry.shape == (1, 1)), entry)
            for part, rect in self._parts(entry, words, spot.rect):
                self._define(part, Place(draft.name, rect), entry)
            if entry.labels is not None:
                rect = Rect(spot.rect.top, spot.row_label, spot.rect.bottom, spot.row_label)
                self._define(self._fill(entry.labels, words), Place(draft.name, rect), entry)
        return arrangement.spots

    def _parts(self, entry: Entry, words: Mapping[str, str], rect: Rect) -> Iterator[tuple[str, Rect]]:
        """The named ranges of columns of an entry, those with {j} once a head."""
        for name, (first, count) in {**entry.columns, **entry.parts}.items():
            for head in range(self.config.n_head) if "{j}" in name else [None]:
                filled = words if head is None else {**words, "j": str(head)}
                left, width = self._measure(first, filled), self._measure(count, filled)
                yield self._fill(name, filled), rect.part(0, left, rect.height, width)

    def _define(self, name: str, place: Place, entry: Entry) -> None:
        if name in self.names:
            raise TemplateError(f"{entry.where}: the name `{name}` is defined twice")
        self.names[name] = place

    def _sheet(self, draft: _Draft, sheets: Mapping[str, Sheet]) -> Sheet:
        if draft.name in sheets:
            return sheets[draft.name]
        if len(draft.name) > MAX_SHEET_NAME:
            raise TemplateError(f"{draft.template.file}: `{draft.name}` exceeds Excel's {MAX_SHEET_NAME} characters")
        template = draft.template
        corner = layout.arrange(draft.name, template.layout, []).freeze if template.layout != "form" else None
        return Sheet(
            draft.name,
            self._fill(template.title, draft.words),
            self._fill(template.note, draft.words),
            template.layout,
            template.group,
            corner or Rect(1, 1, 1, 1),
        )

    # -- what stands there -------------------------------------------------------------------------------------

    def _item(self, sheet: Sheet, template: SheetTemplate, entry: Entry, words: Mapping[str, str], spot: Spot) -> None:
        name = self._fill(entry.name, words)
        where = f"{entry.where} ({name})"
        earlier = self._earlier(entry.loop)
        scope = expand.Scope(self.names, earlier, where)
        sheet.items.append(
            Item(
                kind=entry.kind,
                name=name,
                title=self._fill(entry.title, words),
                note=self._fill(entry.note, words),
                rect=spot.rect,
                heading=spot.heading,
                first_of_band=spot.first_of_band,
                formulas=self._formulas(entry, words, sheet.name, spot, scope) if entry.kind == "step" else (),
                data=entry.data,
                style=entry.style or ("integer" if template.numbers == "integer" else None),
                shade=self._shade(entry, words, sheet.name, spot, scope),
                row_title=self._axis_title(entry.shape[0]),
                padded=entry.shape[0] == "T" and sheet.layout == "blocks",
            )
        )
        for known in [name, *(part for part, _ in self._parts(entry, words, spot.rect)), entry.labels]:
            if known is not None:
                self.defined.add(known)
        self._labels(sheet, entry, spot, scope)
        for part, rect in self._parts(entry, words, spot.rect):
            if any("{j}" in template for template in (*entry.columns, *entry.parts)) and rect.width < spot.rect.width:
                self._part_label(sheet, spot, part, rect)

    def _shade(self, entry: Entry, words: Mapping[str, str], sheet: str, spot: Spot, scope: expand.Scope) -> str | None:
        if entry.shade is None:
            return None
        tree = expand.read(self._fill(entry.shade, words), f"{entry.where}, `shade`")
        return expand.condition(tree, sheet, spot, scope)

    def _part_label(self, sheet: Sheet, spot: Spot, part: str, rect: Rect) -> None:
        """The name of a part above its first column; where several begin there, of the narrowest."""
        cell = Rect(spot.column_label - 1, rect.left, spot.column_label - 1, rect.left)
        sheet.labels[:] = [label for label in sheet.labels if label.rect != cell]
        sheet.labels.append(Label(cell, "text", part))

    def _earlier(self, loop: str | None) -> Callable[[str], bool]:
        """Whether a name may be used: it is defined already, or belongs to the same loop of steps."""
        members = {
            entry.name
            for sheet in self.document.sheets
            for entry in sheet.entries
            if loop is not None and entry.loop == loop
        }
        return lambda name: name in self.defined or name in members

    def _formulas(
        self, entry: Entry, words: Mapping[str, str], sheet: str, spot: Spot, scope: expand.Scope
    ) -> tuple[Formula, ...]:
        where = f"{entry.where}, `{entry.way}`"
        assert entry.formula is not None
        if entry.way == "activation":
            activation = self._activation(entry.where)
            tree = self._of_block(activation.formula, self._fill(entry.formula, words))
            if activation.way == "each":
                return expand.each(tree, sheet, spot, scope)
            return (expand.block(tree, spot.rect, sheet, spot, scope),)
        if entry.parts:
            (part,) = entry.parts
            return tuple(
                expand.block(
                    expand.read(self._fill(entry.formula, {**words, "j": str(head)}), where),
                    self.names[self._fill(part, {**words, "j": str(head)})].rect,
                    sheet,
                    spot,
                    scope,
                )
                for head in range(self.config.n_head)
            )
        tree = expand.read(self._fill(entry.formula, words), where)
        match entry.way:
            case "each":
                return expand.each(tree, sheet, spot, scope)
            case "array":
                return expand.array(tree, sheet, spot, scope)
            case "triangle":
                first = None
                if entry.first is not None:
                    first = expand.read(self._fill(entry.first, words), f"{entry.where}, `first`")
                return expand.triangle(tree, first, sheet, spot, scope)
        return (expand.block(tree, spot.rect, sheet, spot, scope),)

    def _activation(self, where: str) -> Activation:
        """The activation function that the model's configuration names."""
        function = self.config.activation_function
        if function not in self.document.activations:
            known = ", ".join(sorted(self.document.activations))
            raise TemplateError(
                f"{where}: activations.toml has no `{function}`, which the model asks for; it has {known}"
            )
        return self.document.activations[function]

    def _of_block(self, formula: str, block: str) -> Node:
        """The formula of x for the block of that name."""
        tree = expand.read(formula, "activations.toml")
        return transform(tree, lambda node: replace(node, name=block) if node == Name("x") else node)

    def _labels(self, sheet: Sheet, entry: Entry, spot: Spot, scope: expand.Scope) -> None:
        """Index and text beside the rows (once for a band) and above the columns."""
        rect = spot.rect
        if sheet.layout == "form":
            self._form_labels(sheet, spot)
            return
        axes = self.document.axes
        band = [label for label in sheet.labels if label.rect.left == 1 and label.rect.intersects(_column(rect, 1))]
        if not band or max(label.rect.bottom for label in band) < rect.bottom:
            for label in band:
                sheet.labels.remove(label)
            index = _column(rect, spot.row_label)
            sheet.labels.append(Label(index, "index"))
            if sheet.layout == "blocks":
                self._text(sheet, axes.get(str(entry.shape[0])), _column(rect, 2), index, scope)
        if rect.width > 1:
            index = Rect(spot.column_label, rect.left, spot.column_label, rect.right)
            sheet.labels.append(Label(index, "index"))
            text = Rect(index.top - 1, rect.left, index.top - 1, rect.right)
            if sheet.layout == "blocks":
                self._text(sheet, axes.get(str(entry.shape[1])), text, index, scope)

    def _form_labels(self, sheet: Sheet, spot: Spot) -> None:
        rect = spot.rect
        labels = []
        if rect.height > 1:
            labels.append(_column(rect, spot.row_label))
        if rect.width > 1:
            labels.append(Rect(spot.column_label, rect.left, spot.column_label, rect.right))
        for label in labels:
            if not any(known.rect.contains(label) for known in sheet.labels):
                sheet.labels[:] = [known for known in sheet.labels if not label.contains(known.rect)]
                sheet.labels.append(Label(label, "index"))

    def _text(self, sheet: Sheet, axis: Axis | None, rect: Rect, index: Rect, scope: expand.Scope) -> None:
        if axis is None:
            return
        if axis.data is not None:
            sheet.labels.append(Label(rect, "data", axis.data))
        elif axis.text is not None:
            tree = expand.read(axis.text, "axes.toml")
            sheet.labels.append(Label(rect, "formula", expand.label(tree, rect, index, scope).text))

    def _axis_title(self, size: Size) -> str:
        axis = self.document.axes.get(str(size))
        return axis.title if axis is not None else ""

    # -- numbers into words ------------------------------------------------------------------------------------

    def _measure(self, size: Size, words: Mapping[str, str]) -> int:
        letters = {**self.sizes, **{letter: int(words[letter]) for letter in ("i", "j") if letter in words}}
        return measure(size, letters)

    def _fill(self, text: str, words: Mapping[str, str]) -> str:
        return _PLACEHOLDER.sub(lambda found: words.get(found[1]) or str(self._measure(found[1], words)), text)


def _column(rect: Rect, column: int) -> Rect:
    return Rect(rect.top, column, rect.bottom, column)
