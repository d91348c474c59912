"""What a workbook has switched or steered and how it chooses tokens, as the reference takes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpt2xl.errors import WorkbookError
from gpt2xl.model.attribution import token_of
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.generation import Sampling
from gpt2xl.model.interventions import Interventions, Patch
from gpt2xl.model.steps import Steps
from gpt2xl.workbook import Workbook

RunOf = Callable[[Sequence[int], Interventions | None], Steps]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Patching:
    """The inputs of the sheet Patching; `block` and `position` are None where nothing is copied."""

    corrupted: str
    block: int | None
    position: int | None

    def ids(self, checkpoint: Checkpoint) -> list[int]:
        """The second prompt's tokens."""
        return checkpoint.vocabulary.encode(self.corrupted)


@dataclass(frozen=True)
class Settings:
    """The inputs of the sheets What if, Steering and Patching.

    `words` stand for the direction from the second to the first, `between` for that from the second prompt to the
    first.
    """

    typed: Interventions
    words: tuple[str, str] | None = None
    between: bool = False
    patching: Patching | None = None

    def interventions(self, checkpoint: Checkpoint, run: RunOf, ids: Sequence[int]) -> Interventions:
        """What is changed in `checkpoint`'s forward pass of a prompt of these `ids`; `run` is its reference.

        Raises `WorkbookError` for a word that is no token.
        """
        if self.words is not None:
            towards, away = (
                checkpoint.tensors.rows("wte", [_token(checkpoint, word)])[0].astype(np.float64) for word in self.words
            )
            return replace(self.typed, direction=towards - away)
        if self.between and self.patching is not None:
            stream = f"h.{self.typed.block}.resid_pre"
            others = self.patching.ids(checkpoint)
            return replace(self.typed, direction=run(ids, None)[stream][-1] - run(others, None)[stream][-1])
        return self.typed


def read_settings(workbook: Workbook) -> Settings | None:
    """The settings of a workbook whose `switch.state` has no objection; None where it has no switches at all."""
    if "switch.heads" not in workbook:
        return None
    chosen = str(workbook["steer.from"]) if "steer.from" in workbook else "vector"
    words = None
    if chosen == "words":
        first, second = np.ravel(workbook["steer.words"])
        words = str(first), str(second)
    typed = Interventions(
        heads=_matrix(workbook, "switch.heads"),
        attention=_matrix(workbook, "switch.attention")[:, 0],
        mlp=_matrix(workbook, "switch.mlp")[:, 0],
        positions=float(workbook["switch.positions"]),
        mask=float(workbook["switch.mask"]),
        direction=_matrix(workbook, "steer.vector")[0] if chosen == "vector" else np.zeros(0),
        block=int(workbook["steer.block"]),
        scale=float(workbook["steer.scale"]),
    )
    return Settings(typed, words, chosen == "prompts", _patching(workbook))


def other_runs(
    checkpoint: Checkpoint,
    run: RunOf,
    ids: Sequence[int],
    settings: Settings,
    values: Steps,
    names: Collection[str],
) -> Steps:
    """What a workbook of these settings is to have in other runs than the main one, for a prompt of these ids.

    Only the steps among `names`. `run` is the reference of `checkpoint`, `values` are the steps of the main run.
    """
    others: dict[str, Steps] = {}
    if _any(names, "clean."):
        others["clean."] = run(ids, None)
    if settings.patching is not None:
        second, block, position = settings.patching.ids(checkpoint), settings.patching.block, settings.patching.position
        if _any(names, "corrupted."):
            others["corrupted."] = run(second, None)
        if _any(names, "patched."):
            changes = Interventions.none(checkpoint.config)
            if block is not None and position is not None:
                copied = Patch(block, position, values[f"h.{block}.resid_pre"][position])
                changes = replace(changes, patch=copied)
            others["patched."] = run(second, changes)
    return {
        prefix + name: value
        for prefix, steps in others.items()
        for name, value in steps.items()
        if prefix + name in names
    }


def _any(names: Collection[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _patching(workbook: Workbook) -> Patching | None:
    if "corrupted" not in workbook:
        return None
    corrupted = str(workbook["corrupted"])
    block, position = workbook["patch.block"], workbook["patch.position"]
    if workbook["patch.on"] != 1 or not isinstance(block, float) or not isinstance(position, float):
        return Patching(corrupted, None, None)
    return Patching(corrupted, int(block), int(position))


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
    """The token of a word of the steering direction."""
    token = token_of(checkpoint.vocabulary, checkpoint.config.vocab_size, word)
    if token is None:
        raise WorkbookError(f"the word {word!r} of steer.words is no single token; take another one")
    return token
