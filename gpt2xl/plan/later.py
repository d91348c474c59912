"""The tokens that a workbook generates after the first: their cells, and their formulas out of those of the prompt.

A token's key and value stay: a new token is one more row in every step, below the prompt's rows, and attends to all
rows above it and to itself. Steps of one column (logits, what is sampled from them) go on to the right instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gpt2xl.a1 import Rect
from gpt2xl.plan.document import Entry, SheetTemplate

PREFIX = "generated."


def goes_on(template: SheetTemplate, entry: Entry) -> str:
    """Where an entry goes on for generated tokens: "down", "right", or "" for one that does not."""
    if not template.generated or entry.kind != "step":
        return ""
    if entry.shape[0] == "T":
        return "down"
    return "right" if entry.shape[1] == 1 else ""


@dataclass
class Later:
    """The cells of `count` generated tokens, by the name of the step: a row or a column for each token."""

    count: int
    places: list[dict[str, Rect]] = field(default_factory=list)
    above: list[dict[str, Rect]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = [{} for _ in range(self.count)]
        self.above = [{} for _ in range(self.count)]

    def room(self, template: SheetTemplate, entry: Entry) -> tuple[int, int]:
        """How many more rows and columns an entry takes."""
        where = goes_on(template, entry)
        down = self.count if where == "down" else 0
        square = where == "down" and entry.shape[1] == "T"
        return down, self.count if where == "right" or square else 0

    def add(self, template: SheetTemplate, entry: Entry, name: str, rect: Rect) -> Rect | None:
        """Note where the step `name`, or a part of it, at `rect` goes on; the rectangle of all later tokens, or None
        where there is none.
        """
        where = goes_on(template, entry)
        if not where or not self.count:
            return None
        square = entry.shape[1] == "T"
        for token in range(self.count):
            if where == "right":
                self.places[token][name] = rect.part(0, token + 1, rect.height, 1)
                continue
            width = rect.width + token + 1 if square else rect.width  # a token sees none that comes after it
            self.places[token][name] = rect.part(rect.height + token, 0, 1, width)
            self.above[token][name] = rect.part(0, 0, rect.height + token + 1, rect.width)
        if where == "right":
            return rect.part(0, 1, rect.height, self.count)
        return rect.part(rect.height, 0, self.count, rect.width + (self.count if square else 0))


def formula_of(entry: Entry) -> Entry:
    """The entry with the formula of its generated tokens."""
    ways = {way: formula for way, formula in entry.generated.items() if way != "own"}
    if not ways:
        return entry
    ((way, formula),) = ways.items()
    return replace(entry, way=way, formula=formula, generated={})


def words_of(words: Mapping[str, str], token: int) -> dict[str, str]:
    """The words of a generated token's formulas, counted from 0."""
    return {**words, "g": str(token)}
