"""Numbers and words into the placeholders of templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpt2xl.a1 import Rect
from gpt2xl.formula.printer import number_text
from gpt2xl.model.config import Config
from gpt2xl.plan.dimensions import measure
from gpt2xl.plan.document import Document, Entry, Size
from gpt2xl.plan.template import SCALES

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
# Those of the words that are numbers, so that sizes can be made of them.
_NUMBERS = ("i", "j", "rows", "columns", "before", "check", "g", "n", "power")


@dataclass(frozen=True)
class Filler:
    """Fills the placeholders of a document for one model and the sizes of one workbook."""

    document: Document
    config: Config
    sizes: Mapping[str, int]

    def words(self, block: int | None, residual: str) -> dict[str, str]:
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
            words["attention_scale"] = self.fill(scale, words)
        return words

    def measure(self, size: Size, words: Mapping[str, str]) -> int:
        """A size as a number; raises `TemplateError` for one that is none."""
        letters = {**self.sizes, **{letter: int(words[letter]) for letter in _NUMBERS if letter in words}}
        return measure(size, letters)

    def fill(self, text: str, words: Mapping[str, str]) -> str:
        """`text` with what `words` have, or else the size, in place of each `{...}`."""
        return PLACEHOLDER.sub(lambda found: words.get(found[1]) or str(self.measure(found[1], words)), text)

    def parts(self, entry: Entry, words: Mapping[str, str], rect: Rect) -> Iterator[tuple[str, Rect]]:
        """The named ranges of columns of an entry, those with {j} once a head, those with a new {i} once a block."""
        for name, (first, count) in {**entry.columns, **entry.parts}.items():
            for more in self._letters(name, words):
                filled = {**words, **more}
                left, width = self.measure(first, filled), self.measure(count, filled)
                yield self.fill(name, filled), rect.part(0, left, rect.height, width)

    def _letters(self, name: str, words: Mapping[str, str]) -> list[dict[str, str]]:
        """The heads where a name has {j}, the blocks where it has {i} and stands on no block's sheet."""
        if "{j}" in name:
            return [{"j": str(head)} for head in range(self.config.n_head)]
        if "{i}" in name and "i" not in words:
            return [{"i": str(block)} for block in range(self.config.n_layer)]
        return [{}]
