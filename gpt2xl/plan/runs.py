"""The model once more in the same workbook: other runs, made of the templates' own formulas.

A run is named by a prefix. Its steps are copies of those that lead from what is different in it to the target: their
names get the prefix, and so do the names in their formulas where the run has a step of its own. What is the same in
every run (parameters, the tokens of the same prompt) is not copied but referred to. No run but the main one is switched
or steered: there the switches are left out of the formulas, which thus read as the model is published. Steps that only
one other reads are written into that one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gpt2xl.formula import parse, unparse
from gpt2xl.formula.tree import Binary, Call, Name, Node, Number, transform, walk
from gpt2xl.plan.document import Activation, Document, Entry, SheetTemplate
from gpt2xl.plan.fused import Step, fused

# What the switches are where everything is on and nothing is added.
UNUSED = {
    **dict.fromkeys(("switch.heads", "switch.attention", "switch.mlp", "switch.positions", "switch.mask"), 1.0),
    "steer.at": 0.0,
}
# The files before which runs stand: what steers the main run may refer to them, or they refer to the main run.
_STEERED, _ANSWERED = "40_steering.toml", "60_answer.toml"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_HIDDEN = re.compile(r"placeholder_([0-9a-f]*)_")


@dataclass(frozen=True)
class Run:
    """A run: its prefix, the word that its sheets begin with, and the name that is 1 where it is to be computed."""

    prefix: str
    word: str
    gate: str | None = None
    targets: tuple[str, ...] = ("probs",)
    inputs: Mapping[str, str] = field(default_factory=dict)  # what it takes in place of the main run's
    base: Run | None = None  # the run that it is patched from, whose steps it takes where it has none of its own
    kept: tuple[str, ...] | None = ()  # steps to keep though only one other reads them; None for all
    before: str = _STEERED


CLEAN = Run("clean.", "Clean", gate="what_if.on")
# The same where the difference of the two prompts can be steered by.
COMPARED = replace(CLEAN, kept=("h.{i}.resid_pre",))
CORRUPTED = Run("corrupted.", "Corrupted", targets=("probs", "tokens"), inputs={"prompt": "corrupted"}, kept=None)
PATCHED = Run("patched.", "Patched", base=CORRUPTED, kept=None, before=_ANSWERED)


def with_runs(document: Document, runs: Sequence[Run], activation: str) -> Document:
    """The document with the sheets of other runs, each where all that it refers to stands before it.

    `activation` is the activation function of the model's configuration.
    """
    function = document.activations.get(activation)
    copies: dict[str, list[SheetTemplate]] = {}
    for run in runs:
        copies.setdefault(run.before, []).extend(_Copy(document, run, function).sheets())
    sheets = [both for sheet in document.sheets for both in (*copies.pop(sheet.file, []), sheet)]
    return replace(document, sheets=tuple(sheets))


class _Copy:
    """The sheets of one run."""

    def __init__(self, document: Document, run: Run, activation: Activation | None) -> None:
        self.document, self.run, self.activation = document, run, activation
        self.streams = [
            _hide(name) for sheet in document.sheets for name in (sheet.reads, sheet.writes) if name is not None
        ]
        own = self._own()
        self.names = {_hide(name) for entry in own for name in _names(entry)}
        self.base = None if run.base is None else _Copy(document, run.base, activation)
        steps = [self._step(entry) for entry in own]
        kept = {*self.streams, *run.targets, *map(_hide, run.kept or ())}
        self.steps = steps if run.kept is None else fused(steps, kept)

    def sheets(self) -> Iterator[SheetTemplate]:
        """Copies of the sheets that have steps of the run's own, with these."""
        steps = {id(step.entry): step for step in self.steps}
        for sheet in self.document.sheets:
            entries = tuple(self._entry(steps[id(entry)]) for entry in sheet.entries if id(entry) in steps)
            if entries:
                yield replace(
                    sheet,
                    name=f"{self.run.word} {sheet.name}",
                    title=f"{self.run.word}: {sheet.title}",
                    group="runs",
                    surface=True,
                    generated=False,
                    reads=None if sheet.reads is None else self._name(sheet.reads),
                    writes=None if sheet.writes is None else self._name(sheet.writes),
                    entries=entries,
                    texts=(),
                    charts=(),
                )

    def _own(self) -> list[Entry]:
        """The steps that depend on what is different in the run, directly or by others, and lead to its targets.

        What stands on a form shows or chooses something and is no step on the way.
        """
        forms = {sheet.name for sheet in self.document.sheets if sheet.layout == "form"}
        steps = [
            entry
            for sheet in self.document.sheets
            for entry in sheet.entries
            if entry.kind == "step" and sheet.name not in forms
        ]
        # Steps of a loop read each other, so both questions are asked until no more steps come of them.
        changed, after = {*UNUSED, *self.run.inputs} if self.run.base is None else set(), list[Entry]()
        while len(after) < len(after := [step for step in steps if self._differs(step, changed)]):
            changed.update(_hide(name) for step in after for name in _names(step))
        needed, own = set(self.run.targets), list[Entry]()
        while len(own) < len(own := [step for step in after if needed.intersection(map(_hide, _names(step)))]):
            needed.update(name for step in own for name in self._reads(step))
        return own

    def _differs(self, step: Entry, changed: Collection[str]) -> bool:
        """Whether a step is another one in this run, where what is `changed` is."""
        if self.run.base is not None and step.patched:
            return True
        return any(name in changed for name in self._reads(step))

    def _reads(self, entry: Entry) -> Iterator[str]:
        """The names that an entry's formulas refer to."""
        for formula in (entry.formula, entry.first):
            for node in walk(parse(_hide(formula))) if formula else ():
                if isinstance(node, Name):
                    yield from self.streams if node.name == _hide("{residual}") else [node.name]

    def _step(self, entry: Entry) -> Step:
        """An entry with its formulas, nothing switched or steered, names not yet the run's."""
        assert entry.formula is not None
        assert entry.way is not None
        way, tree = entry.way, parse(_hide(entry.formula))
        if way == "activation" and self.activation is not None:
            way, block = self.activation.way, tree
            tree = transform(parse(self.activation.formula), lambda node: block if node == Name("x") else node)
        first = None if entry.first is None else transform(parse(_hide(entry.first)), _unused)
        return Step(entry, _hide(entry.name), way, transform(tree, _unused), first)

    def _entry(self, step: Step) -> Entry:
        prefix, entry = self.run.prefix, step.entry
        return replace(
            entry,
            name=prefix + entry.name,
            way=step.way,
            formula=self._formula(step.tree, entry.patched if self.run.base else None),
            first=None if step.first is None else self._formula(step.first),
            patched=None,
            loop=None if entry.loop is None else prefix + entry.loop,
            labels=None if entry.labels is None else prefix + entry.labels,
            shades={},
            columns={prefix + name: span for name, span in entry.columns.items()},
            parts={prefix + name: span for name, span in entry.parts.items()},
            generated={},
            math="",
            source="",
        )

    def _formula(self, tree: Node, patched: str | None = None) -> str:
        """The formula as it is in this run, behind its gate; `patched` is what is made of it where a row is copied."""
        tree = transform(tree, self._renamed)
        if patched is not None:
            usual = tree
            tree = transform(parse(_hide(patched)), lambda node: usual if node == Name("x") else node)
        if self.run.gate is not None:
            tree = Call("IF", (Binary("=", Name(self.run.gate), Number(1.0)), tree, Number(0.0)))
        return _show(tree)

    def _renamed(self, node: Node) -> Node:
        return replace(node, name=self._name(node.name)) if isinstance(node, Name) else node

    def _name(self, name: str) -> str:
        """The name of what the main run calls `name`."""
        if name in self.run.inputs:
            return self.run.inputs[name]
        if _hide(name) in self.names:
            return self.run.prefix + name
        return name if self.base is None else self.base._name(name)


def _unused(node: Node) -> Node:
    """A node whose parts are done, with nothing switched or steered."""
    match node:
        case Name(name) if name in UNUSED:
            return Number(UNUSED[name])
        case Call("PART", (Number() as switch, *_)):
            return switch
        case Call("OR", arguments):
            possible = [argument for argument in arguments if argument != Binary("=", Number(1.0), Number(0.0))]
            return possible[0] if len(possible) == 1 else replace(node, arguments=tuple(possible))
        case Binary("*", left, Number(1.0)) | Binary("+", left, Number(0.0)):
            return left
        case Binary("*", Number(0.0), _):
            return Number(0.0)
    return node


def _names(entry: Entry) -> list[str]:
    """All names that an entry defines."""
    return [entry.name, *entry.columns, *entry.parts, *([entry.labels] if entry.labels else [])]


def _hide(text: str) -> str:
    """A template's text with its placeholders as letters, so that it can be parsed as it stands."""
    return _PLACEHOLDER.sub(lambda found: f"placeholder_{found[1].encode().hex()}_", text)


def _show(tree: Node) -> str:
    """The text of a template again."""
    return _HIDDEN.sub(lambda found: "{" + bytes.fromhex(found[1]).decode() + "}", unparse(tree))
