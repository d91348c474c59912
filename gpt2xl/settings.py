"""What a workbook has switched or steered and how it chooses tokens, as the reference takes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpt2xl.errors import WorkbookError
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.generation import Sampling
from gpt2xl.model.interventions import Interventions
from gpt2xl.workbook import Workbook

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """The inputs of the sheets What if and Steering; `words` stand for the direction from the second to the first."""

    typed: Interventions
    words: tuple[str, str] | None = None

    def interventions(self, checkpoint: Checkpoint) -> Interventions:
        """What is changed in `checkpoint`'s forward pass; raises `WorkbookError` for a word that is no token."""
        if self.words is None:
            return self.typed
        towards, away = (
            checkpoint.tensors.rows("wte", [_token(checkpoint, word)])[0].astype(np.float64) for word in self.words
        )
        return replace(self.typed, direction=towards - away)


def read_settings(workbook: Workbook) -> Settings | None:
    """The settings of a workbook whose `switch.state` has no objection; None where it has no switches at all."""
    if "switch.heads" not in workbook:
        return None
    words = None
    if "steer.from" in workbook and workbook["steer.from"] == "words":
        first, second = np.ravel(workbook["steer.words"])
        words = str(first), str(second)
    typed = Interventions(
        heads=_matrix(workbook, "switch.heads"),
        attention=_matrix(workbook, "switch.attention")[:, 0],
        mlp=_matrix(workbook, "switch.mlp")[:, 0],
        positions=float(workbook["switch.positions"]),
        mask=float(workbook["switch.mask"]),
        direction=np.zeros(0) if words else _matrix(workbook, "steer.vector")[0],
        block=int(workbook["steer.block"]),
        scale=float(workbook["steer.scale"]),
    )
    return Settings(typed, words)


def read_sampling(workbook: Workbook) -> Sampling:
    """How the workbook chooses tokens; the most probable one where it knows nothing else."""
    if "random" not in workbook:
        return Sampling()
    random = tuple(float(number) for number in np.ravel(workbook["random"]))
    end = int(workbook["end.id"])
    return Sampling(workbook["temperature"], int(workbook["top_k"]), workbook["top_p"], random, end)


def _matrix(workbook: Workbook, name: str) -> Floats:
    value: Any = workbook[name]
    return np.atleast_2d(np.asarray(value, np.float64))


def _token(checkpoint: Checkpoint, word: str) -> int:
    """The token of a word with a space before it, else as it is: of several with that text the first."""
    vocabulary = checkpoint.vocabulary
    texts = [vocabulary.text(index) for index in range(min(vocabulary.size, checkpoint.config.vocab_size))]
    for text in (f" {word}", word):
        if text in texts:
            return texts.index(text)
    raise WorkbookError(f"the word {word!r} of steer.words is no single token; take another one")
