"""The whole of a plan: templates x configuration -> sheets, formulas, names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from gpt2xl.a1 import MAX_SHEET_NAME, Rect, quote_sheet
from gpt2xl.errors import TemplateError
from gpt2xl.model.config import Config
from gpt2xl.plan import expand, later, layout
from gpt2xl.plan.document import Document, Entry, SheetTemplate, Size
from gpt2xl.plan.labels import add_labels, add_later_labels, add_part_label
from gpt2xl.plan.layout import Shape, Spot
from gpt2xl.plan.plan import Formula, Item, Label, Place, Plan, Sheet
from gpt2xl.plan.runs import CLEAN, COMPARED, CORRUPTED, PATCHED, with_runs
from gpt2xl.plan.template import formulas
from gpt2xl.plan.words import PLACEHOLDER, Filler
from gpt2xl.plan.writer import Writer

# Of a formula with some for each sheet: what fits into Excel's 8,192 characters.
_MOST_RANGES = 150
_WASTE = 4  # times as many cells as a rectangle was to hold


def check_templates(document: Document) -> None:
    """Parse every formula of a document, so that a mistake shows before any model is at hand."""
    for where, formula in formulas(document):
        expand.read(PLACEHOLDER.sub("1", formula), where)


def make_plan(
    document: Document,
    config: Config,
    sizes: Mapping[str, int],
    *,
    checks: Mapping[str, tuple[int, ...]] | None = None,
    exercises: Sequence[str] = (),
    solution: bool = False,
    only: Collection[str] = (),
) -> Plan:
    """The plan of a workbook for a model of `config` with `sizes` (see `dimensions.dimensions`).

    `checks` are the steps that a reference has, with its rows, its columns and the rows before them; without it the
    sheets are left out that the model computes without, the undisturbed run, and all charts and words of forms.
    `exercises` are the steps that a student fills in: their formulas are left out, or only marked where a `solution` is
    asked for. Sheets and entries with `only` are there where it is in `only`, those with "untied" where the
    configuration has an `lm_head.weight`, those with "full" with `checks` and those with "plain" without; those with
    "undisturbed" where nothing is left to a student; those with "corrupted" where there is a second prompt, which
    `only` says, and else those with "alone".

    Raises `TemplateError` for a template that does not fit the configuration, `LimitError` where a sheet would exceed
    Excel's rows or columns.
    """
    check_templates(document)
    compared = "corrupted" in only
    only = {*only, *([] if config.tied else ["untied"]), *(["exercise"] if exercises else [])}
    only.update(_depth(checks is not None, compared, bool(exercises)))
    sheets = [sheet for sheet in document.sheets if sheet.only is None or sheet.only in only]
    if checks is None:
        sheets = [replace(sheet, charts=(), texts=()) for sheet in sheets if not sheet.surface]
    document = replace(document, sheets=tuple(sheets))
    if checks is not None:
        runs = [COMPARED, CORRUPTED, PATCHED] if compared else [] if exercises else [CLEAN]
        document = with_runs(document, runs, config.activation_function)
    return _Planner(document, config, sizes, checks or {}, exercises, solution, only).plan()


def _depth(full: bool, compared: bool, exercise: bool) -> tuple[str, ...]:
    """What entries call a workbook with or without what the model computes without, and with or without two prompts.

    A student copy has no undisturbed run, whose formulas would be the answers.
    """
    if not full:
        return ("plain",)
    return ("full", *(() if exercise else ("undisturbed",)), "corrupted" if compared else "alone")


@dataclass
class _Draft:
    """A sheet while it is planned: entries with their numbers filled in, then spots."""

    template: SheetTemplate
    name: str
    words: Mapping[str, str]
    entries: list[tuple[Entry, Mapping[str, str]]] = field(default_factory=list)


class _Planner:
    def __init__(
        self,
        document: Document,
        config: Config,
        sizes: Mapping[str, int],
        checks: Mapping[str, tuple[int, ...]],
        exercises: Sequence[str],
        solution: bool,
        only: Collection[str],
    ) -> None:
        self.document = document
        self.config = config
        self.sizes = {**sizes, "checks": len(checks), "exercises": len(exercises)}
        self.checks = [
            {"step": name, "check": str(number)}
            | dict(zip(("rows", "columns", "before"), map(str, shape), strict=True))
            for number, (name, shape) in enumerate(checks.items(), start=1)
        ]
        self.exercises = [words for words in self.checks if words["step"] in exercises]
        self.marks = {words["step"]: number for number, words in enumerate(self.exercises, start=1)}
        self.solution = solution
        self.later = later.Later(sizes["later"])
        self.only = {*only, *(["generated"] if sizes["later"] else [])}
        self.names: dict[str, Place] = {}
        self.filler = Filler(document, config, self.sizes)
        blocks = [{"i": str(block)} for block in range(config.n_layer)]
        halvings = [{"power": str(2**bit)} for bit in reversed(range(sizes["halvings"]))]
        new = [{"n": str(token)} for token in range(sizes["new"])]
        rows = {"check": self.checks, "exercise": self.exercises, "block": blocks, "halving": halvings}
        rows |= {"new": new, "later": new[:-1]}
        self.writer = Writer(self.filler, self.names, rows, self.later)
        self.defined: set[str] = set()  # by the entries up to the one at hand

    def plan(self) -> Plan:
        drafts = self._drafts()
        placed = [(draft, self._arrange(draft)) for draft in drafts]
        sheets: dict[str, Sheet] = {}
        arrays = {"arrays": " + ".join(f"COUNT({cells})" for cells in self._arrays(placed))}
        for draft, spots in placed:
            sheet = sheets.setdefault(draft.name, self._sheet(draft, sheets))
            sheet.charts += draft.template.charts
            sheet.texts += tuple(
                replace(text, text=self.filler.fill(text.text, draft.words)) for text in draft.template.texts
            )
            for (entry, words), spot in zip(draft.entries, spots, strict=True):
                self._item(sheet, draft.template, entry, {**words, **arrays}, spot)
        for sheet in sheets.values():
            if sheet.layout == "":
                raise TemplateError(f"sheet `{sheet.name}` has no layout")
        return Plan(tuple(sheets.values()), self.names, self.sizes)

    @staticmethod
    def _arrays(placed: Sequence[tuple[_Draft, Sequence[Spot]]]) -> list[str]:
        """For each sheet rectangles around its array formulas, but for those of the sheet that asks for them.

        Other runs of the model come last: where there are too many sheets for one formula, those are left out.
        """
        around: dict[str, list[Rect]] = {}
        for draft, spots in sorted(placed, key=lambda item: item[0].template.group == "runs"):
            if any("{arrays}" in (entry.formula or "") for entry, _ in draft.entries):
                continue
            for (entry, _), spot in zip(draft.entries, spots, strict=True):
                if entry.way in ("array", "block"):
                    _join(around.setdefault(draft.name, []), spot.rect)
        ranges = [f"{quote_sheet(sheet)}!{rect.absolute}" for sheet, rects in around.items() for rect in rects]
        return ranges[:_MOST_RANGES]

    # -- what stands where -------------------------------------------------------------------------------------

    def _drafts(self) -> list[_Draft]:
        """Every sheet with its entries, repeated as the templates ask, and the numbers that go into their texts."""
        drafts = []
        residual = ""
        for template in self.document.sheets:
            for index in range(self.config.n_layer) if template.repeat == "block" else [None]:
                words = self.filler.words(index, residual)
                if template.reads is not None and index == 0:
                    residual = template.reads
                    words = self.filler.words(index, residual)
                name = self.filler.fill(template.name, words)
                draft = _Draft(template, name, words)
                draft.entries = list(self._entries(template, words))
                drafts.append(draft)
                if template.writes is not None:
                    residual = self.filler.fill(template.writes, words)
        return drafts

    def _entries(self, template: SheetTemplate, words: Mapping[str, str]) -> Iterator[tuple[Entry, Mapping[str, str]]]:
        """The entries, those that follow each other with `repeat = "head"` once together for each head."""
        entries = [entry for entry in template.entries if entry.only is None or entry.only in self.only]
        heads = [{"j": str(head)} for head in range(self.config.n_head)]
        for repeat, run in groupby(entries, key=lambda entry: entry.repeat):
            together = list(run)
            if repeat is None:
                yield from ((entry, words) for entry in together)
                continue
            for more in heads if repeat == "head" else self.checks:
                yield from ((entry, {**words, **more}) for entry in together)

    def _arrange(self, draft: _Draft) -> list[Spot]:
        """Place the entries of a sheet and define their names."""
        template = draft.template
        form = next((sheet for sheet in self.document.sheets if sheet.name == template.name and sheet.layout), template)
        shapes = []
        for entry, words in draft.entries:
            rows, columns = (self.filler.measure(size, words) for size in entry.shape)
            down, right = self.later.room(template, entry)
            shapes.append(Shape(rows + down, columns + right, entry.beside, entry.cell, entry.shape[0] == 1))
        arrangement = layout.arrange(
            draft.name, form.layout, shapes, row_labels=form.row_labels, column_labels=form.column_labels
        )
        spots = []
        for (entry, words), roomy in zip(draft.entries, arrangement.spots, strict=True):
            down, right = self.later.room(template, entry)
            rect = roomy.rect.part(0, 0, roomy.rect.height - down, roomy.rect.width - right)
            spot = replace(roomy, rect=rect)
            spots.append(spot)
            name = self.filler.fill(entry.name, words)
            self._define(name, Place(draft.name, spot.rect, single=entry.shape == (1, 1)), entry)
            self._define_later(draft, entry, name, spot.rect)
            for part, rect in self.filler.parts(entry, words, spot.rect):
                self._define(part, Place(draft.name, rect), entry)
                self._define_later(draft, entry, part, rect)
            if entry.labels is not None:
                rect = Rect(spot.rect.top, spot.row_label, spot.rect.bottom, spot.row_label)
                self._define(self.filler.fill(entry.labels, words), Place(draft.name, rect), entry)
        return spots

    def _define_later(self, draft: _Draft, entry: Entry, name: str, rect: Rect) -> None:
        """The name of what a step goes on with for the generated tokens."""
        where = self.later.add(draft.template, entry, name, rect)
        if where is not None:
            self._define(later.PREFIX + name, Place(draft.name, where), entry)

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
            self.filler.fill(template.title, draft.words),
            self.filler.fill(template.note, draft.words),
            template.layout,
            template.group,
            corner or (Rect.parse(template.freeze) if template.freeze else Rect(1, 1, 1, 1)),
            widths=template.widths,
            heights=template.heights,
        )

    # -- what stands there -------------------------------------------------------------------------------------

    def _item(self, sheet: Sheet, template: SheetTemplate, entry: Entry, words: Mapping[str, str], spot: Spot) -> None:
        name = self.filler.fill(entry.name, words)
        where = f"{entry.where} ({name})"
        earlier = self._earlier(entry.loop)
        scope = expand.Scope(self.names, earlier, where)
        exercise = name in self.marks
        blank = exercise and not self.solution
        sheet.items.append(
            Item(
                kind=entry.kind,
                name=name,
                title=self.filler.fill(entry.title, words),
                note=self.filler.fill(entry.note, words),
                rect=spot.rect,
                heading=spot.heading,
                first_of_band=spot.first_of_band,
                number=entry.number,
                role=entry.role,
                formulas=self.writer.formulas(entry, words, sheet.name, spot, scope)
                if entry.kind == "step" and not blank
                else (),
                blank=blank,
                exercise=exercise,
                data=None if entry.data is None else self.filler.fill(entry.data, words),
                value=entry.value,
                style=entry.style or ("integer" if template.numbers == "integer" else None),
                shades=self._shades(entry, words, sheet.name, spot, scope),
                row_title=self._axis_title(entry.shape[0]),
                padded=entry.shape[0] == "T" and sheet.layout == "blocks",
                across=entry.across,
                math=self.filler.fill(entry.math, words),
                source=self.filler.fill(entry.source, words),
                generated=self._generated(template, entry, words, sheet.name, spot, scope),
                later=self.names[later.PREFIX + name].rect if later.PREFIX + name in self.names else None,
            )
        )
        for known in [name, *(part for part, _ in self.filler.parts(entry, words, spot.rect)), entry.labels]:
            if known is not None:
                self.defined.add(known)
        if exercise:
            mark = spot.heading.top + layout.HEADINGS["blocks"].formula
            cell = Rect.of(mark, spot.heading.left + (0 if blank else 4), 1, 1)
            sheet.labels.append(Label(cell, "mark", f"INDEX(exercise.mark,{self.marks[name]})"))
        axes = {} if template.group == "runs" else self.document.axes
        add_labels(sheet, entry, spot, axes, scope)
        if later.PREFIX + name in self.names:
            add_later_labels(sheet, entry, spot, self.names[later.PREFIX + name].rect, self.document.axes, scope)
        for part, rect in self.filler.parts(entry, words, spot.rect):
            if any("{j}" in template for template in (*entry.columns, *entry.parts)) and rect.width < spot.rect.width:
                add_part_label(sheet, spot, part, rect)

    def _generated(
        self,
        template: SheetTemplate,
        entry: Entry,
        words: Mapping[str, str],
        sheet: str,
        spot: Spot,
        scope: expand.Scope,
    ) -> tuple[Formula, ...]:
        """The formulas of the generated tokens. They wait for each other, so they may name steps that come later."""
        if not later.goes_on(template, entry):
            return ()
        return tuple(
            formula
            for token in range(self.later.count)
            for formula in self.writer.generated(entry, words, sheet, spot, replace(scope, is_earlier=_any), token)
        )

    def _shades(
        self, entry: Entry, words: Mapping[str, str], sheet: str, spot: Spot, scope: expand.Scope
    ) -> dict[str, str]:
        where = f"{entry.where}, `shades`"
        return {
            colour: expand.condition(expand.read(self.filler.fill(condition, words), where), sheet, spot, scope)
            for colour, condition in entry.shades.items()
        }

    def _earlier(self, loop: str | None) -> Callable[[str], bool]:
        """Whether a name may be used: it is defined already, or belongs to the same loop of steps."""
        if loop is None:
            return self.defined.__contains__
        members = {entry.name for sheet in self.document.sheets for entry in sheet.entries if entry.loop == loop}
        return lambda name: name in self.defined or name in members

    def _axis_title(self, size: Size) -> str:
        axis = self.document.axes.get(str(size))
        return axis.title if axis is not None else ""


def _any(_: str) -> bool:
    return True


def _join(rects: list[Rect], rect: Rect) -> None:
    """Add a rectangle, or let the last one grow around it where that takes in few other cells."""
    both = rects[-1].around(rect) if rects else rect
    if rects and both.size <= _WASTE * (rects[-1].size + rect.size):
        rects[-1] = both
    else:
        rects.append(rect)
