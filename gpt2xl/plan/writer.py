"""The formulas of a step, in the way that its template says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gpt2xl.a1 import Rect
from gpt2xl.errors import TemplateError
from gpt2xl.formula.tree import Name, Node, transform
from gpt2xl.plan import expand, later
from gpt2xl.plan.document import Activation, Entry
from gpt2xl.plan.layout import Spot
from gpt2xl.plan.plan import Formula, Place
from gpt2xl.plan.words import Filler


@dataclass(frozen=True)
class Writer:
    """Writes formulas where the places of all names are known; `rows` are what `per` goes through, by its word, and
    `later` has the cells of generated tokens.
    """

    filler: Filler
    names: Mapping[str, Place]
    rows: Mapping[str, Sequence[Mapping[str, str]]]
    later: later.Later

    def formulas(
        self, entry: Entry, words: Mapping[str, str], sheet: str, spot: Spot, scope: expand.Scope
    ) -> tuple[Formula, ...]:
        """All formulas of `entry`; `words` stand for its placeholders."""
        where = f"{entry.where}, `{entry.way}`"
        assert entry.formula is not None
        if entry.way == "activation":
            activation = self._activation(entry.where)
            tree = self._of_block(activation.formula, self.filler.fill(entry.formula, words))
            if activation.way == "each":
                return expand.each(tree, sheet, spot, scope)
            return (expand.block(tree, spot.rect, sheet, spot, scope),)
        if entry.parts:
            (part,) = entry.parts
            heads = [{**words, "j": str(head)} for head in range(self.filler.config.n_head)]
            return tuple(
                expand.block(
                    expand.read(self.filler.fill(entry.formula, head), where),
                    scope.own.get(self.filler.fill(part, head), self.names[self.filler.fill(part, head)].rect),
                    sheet,
                    spot,
                    scope,
                )
                for head in heads
            )
        if entry.per is not None:
            return tuple(
                formula
                for more, rect in self._pieces(entry, spot.rect)
                for formula in self._one_way(
                    _first(entry, more), {**words, **more}, sheet, _piece(spot, rect), self._of_row(scope, entry, more)
                )
            )
        return self._one_way(entry, words, sheet, spot, scope)

    def generated(
        self, entry: Entry, words: Mapping[str, str], sheet: str, spot: Spot, scope: expand.Scope, token: int
    ) -> tuple[Formula, ...]:
        """All formulas of `entry` for one generated token, counted from 0."""
        words = later.words_of(words, token)
        own, above = self.later.places[token], self.later.above[token]
        rect = own[self.filler.fill(entry.name, words)]
        scope = replace(scope, own=own, above=above, fixed=True)
        changed = later.formula_of(entry)
        formulas = self.formulas(changed, words, sheet, _piece(spot, rect), scope)
        if "own" not in entry.generated:
            return formulas
        prompt = spot.rect.width
        own_columns = replace(entry, way=changed.way, formula=entry.generated["own"])
        return (
            *self.formulas(changed, words, sheet, _piece(spot, rect.part(0, 0, 1, prompt)), scope),
            *self.formulas(
                own_columns, words, sheet, _piece(spot, rect.part(0, prompt, 1, rect.width - prompt)), scope
            ),
        )

    def _of_row(self, scope: expand.Scope, entry: Entry, more: Mapping[str, str]) -> expand.Scope:
        """The scope of a row that is written by itself: of one generated token, or of one halving."""
        if entry.per == "new":
            token = int(more["n"]) - 1
            return replace(scope, own=self.later.places[token] if token >= 0 else {}, fixed=True)
        return replace(scope, fixed=True) if entry.per in ("halving", "later") else scope

    def _pieces(self, entry: Entry, rect: Rect) -> Iterator[tuple[Mapping[str, str], Rect]]:
        """The rows of a step that are written one by one, its columns where these are the blocks, or its cells."""
        if entry.per == "head":
            for row, block in enumerate(self.rows["block"]):
                for head in range(self.filler.config.n_head):
                    yield {**block, "j": str(head)}, rect.part(row, head, 1, 1)
            return
        across = entry.shape[0] != "L" and entry.per == "block"
        for place, more in enumerate(self.rows[entry.per or "block"]):
            yield more, rect.part(0, place, rect.height, 1) if across else rect.part(place, 0, 1, rect.width)

    def _one_way(
        self, entry: Entry, words: Mapping[str, str], sheet: str, spot: Spot, scope: expand.Scope
    ) -> tuple[Formula, ...]:
        """A rectangle with the formula of the step as `words` make it, in the way that the step is written."""
        where = f"{entry.where}, `{entry.way}`"
        assert entry.formula is not None
        tree = expand.read(self.filler.fill(entry.formula, words), where)
        match entry.way:
            case "each":
                return expand.each(tree, sheet, spot, scope)
            case "array":
                return expand.array(tree, sheet, spot, scope)
            case "triangle":
                first = None
                if entry.first is not None:
                    first = expand.read(self.filler.fill(entry.first, words), f"{entry.where}, `first`")
                return expand.triangle(tree, first, sheet, spot, scope)
        return (expand.block(tree, spot.rect, sheet, spot, scope),)

    def _activation(self, where: str) -> Activation:
        """The activation function that the model's configuration names."""
        function = self.filler.config.activation_function
        if function not in self.filler.document.activations:
            known = ", ".join(sorted(self.filler.document.activations))
            raise TemplateError(
                f"{where}: activations.toml has no `{function}`, which the model asks for; it has {known}"
            )
        return self.filler.document.activations[function]

    def _of_block(self, formula: str, block: str) -> Node:
        """The formula of x for the block of that name."""
        tree = expand.read(formula, "activations.toml")
        return transform(tree, lambda node: replace(node, name=block) if node == Name("x") else node)


def _piece(spot: Spot, rect: Rect) -> Spot:
    """The part `rect` of an entry's place."""
    return replace(spot, rect=rect, down=rect.top - spot.rect.top, right=rect.left - spot.rect.left)


def _first(entry: Entry, more: Mapping[str, str]) -> Entry:
    """The entry as it is for the first token, where that has a formula of its own."""
    return replace(entry, formula=entry.first) if more.get("n") == "0" and entry.first is not None else entry
