"""What the sheets for learners bring as constants: reference values, words to compare, the axes they are drawn on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpt2xl.errors import ModelError
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.forward import NumpyReference
from gpt2xl.model.loss import LOSS, surprise
from gpt2xl.model.steps import not_finite
from gpt2xl.model.vocabulary import Vocabulary
from gpt2xl.plan.plan import Plan
from gpt2xl.tables import Column

Floats = NDArray[np.float64]

# Taken in this order as far as the vocabulary has them as one token: animals, days, numbers, colours.
WORDS = (
    *("cat", "dog", "bird", "Monday", "Tuesday", "Wednesday", "one", "two", "three", "red", "blue", "green"),
    *("the", "a", "of", "and", "to", "in", "he", "she", "it", "is", "was", "on"),
)
# As `gpt2xl check` has it: of each step's largest value, at least of 1.
TOLERANCE = 1e-6
# Numbers in the reference of a model of many parameters, about 5 MB of the file.
SHORT_REFERENCE = 400_000
_ROWS_AT_A_TIME = 256  # whose doubles fit a processor's cache


def constants(checkpoint: Checkpoint, points: int) -> dict[str, Column]:
    """The constants of the sheets "Words near words" and "Near at work", by their `data` key.

    The axes are the first two principal axes (Pearson 1901) of the embeddings of the `points` words that the chart
    begins with; a model of fewer words or dimensions has zeros for the axes that it lacks. Raises `ModelError` for a
    vector whose length is not finite.
    """
    vocabulary, wte = checkpoint.vocabulary, checkpoint.tensors["wte"]
    words, ids = chosen_words(vocabulary, min(checkpoint.config.vocab_size, len(wte)), points)
    centre, axes = principal_axes(wte[sorted(set(ids))].astype(np.float64))
    with np.errstate(over="ignore"):
        lengths = np.concatenate(
            [
                np.sqrt(np.square(wte[row : row + _ROWS_AT_A_TIME].astype(np.float64)).sum(axis=1))
                for row in range(0, len(wte), _ROWS_AT_A_TIME)
            ]
        )
    if not np.isfinite(lengths).all():
        raise ModelError(
            f"the length of row {np.argmin(np.isfinite(lengths)) + 1} of `wte` is beyond what a cell can hold; "
            f"train or fetch the model again, or leave the words' neighbours out with --plain"
        )
    return {
        "near.words": words[:2],
        "near.chosen": words,
        "near.axis.x": axes[0],
        "near.axis.y": axes[1],
        "near.centre": axes @ centre,
        "near.length": np.where(lengths > 0, lengths, 1.0),  # a vector of zeros has no direction: cosine 0
    }


@dataclass(frozen=True)
class Reference:
    """A step as numpy computes it: the last rows, how many rows there are before them, and what may be different."""

    values: Floats
    before: int
    allowed: float


def reference(checkpoint: Checkpoint, prompt: str, *, short: bool, loss: bool = False) -> dict[str, Reference]:
    """Every step of `prompt`, with `loss` its tokens' surprise too.

    `short` is for a model of many parameters, whose workbook is not to grow much by it: then
    numbers are rounded to a hundredth of what is allowed, and of many tokens the last ones are taken. A mistake in an
    earlier row reaches these through attention. Raises `ModelError` where a step is not finite.
    """
    ids = checkpoint.vocabulary.encode(prompt)
    steps = NumpyReference(checkpoint).run(ids)
    if loss:
        steps |= surprise(checkpoint, steps, ids)
        for name in LOSS:
            if np.isinf(steps[name]).any():
                raise not_finite(name)
    tokens = len(steps["embed"])
    numbers = sum(values.size for values in steps.values() if values.ndim == 2)
    kept = max(1, min(tokens, SHORT_REFERENCE * tokens // numbers)) if short else tokens
    found = {}
    for name, values in steps.items():
        matrix = values[-kept:] if values.ndim == 2 else values.reshape(-1, 1)
        matrix = matrix[~np.isnan(matrix[:, 0])]  # the first token's surprise
        if not matrix.size:
            continue
        scale = float(np.nanmax(np.abs(values), initial=1.0))
        if short:
            matrix = np.round(matrix, 8 - len(str(int(scale))))
        found[name] = Reference(matrix, values.shape[0] - matrix.shape[0], TOLERANCE * scale)
    return found


def checks(steps: Mapping[str, Reference], prompt: str) -> dict[str, Column]:
    """The constants of the sheets Reference and Check, by their `data` key."""
    return {
        "check.prompt": [prompt],
        "check.step": list(steps),
        "check.tolerance": np.array([step.allowed for step in steps.values()]),
        **{f"reference.{name}": step.values.ravel() for name, step in steps.items()},
    }


def exercises(plan: Plan, names: Sequence[str]) -> dict[str, Column]:
    """The constants of the sheet Exercise, by their `data` key."""
    steps = {item.name: item for item in plan.steps()}
    return {
        "exercise.step": list(names),
        "exercise.title": [steps[name].title for name in names],
        "exercise.math": [steps[name].math for name in names],
    }


def patching(checkpoint: Checkpoint, steps: Mapping[str, Reference], prompt: str, corrupted: str) -> dict[str, Column]:
    """What the sheet Patching begins with: the first position in which the prompts differ, the first one's answer."""
    ids, others = (checkpoint.vocabulary.encode(text) for text in (prompt, corrupted))
    pairs = list(zip(ids, others, strict=False))
    differing = [place for place, (one, other) in enumerate(pairs) if one != other]
    return {
        "corrupted": [corrupted],
        "patch.position": np.array([float(differing[0] if differing else len(pairs) - 1)]),
        "patch.token": np.array([float(np.argmax(steps["logits"].values))]),
    }


def chosen_words(vocabulary: Vocabulary, known: int, count: int) -> tuple[list[str], list[int]]:
    """`count` words that are one token each, with a space before them or as they are, and the ids of those tokens.

    `known` is how many ids have an embedding. A vocabulary that has too few of the usual words brings its own tokens.
    """
    by_text: dict[str, int] = {}
    for index in range(min(vocabulary.size, known)):
        by_text.setdefault(vocabulary.text(index), index)
    candidates = [*WORDS, *(text.strip() for text in by_text if text.strip() and "‹" not in text)]
    found: dict[str, int] = {}
    for word in candidates:
        token = by_text.get(f" {word}", by_text.get(word))
        if token is not None and len(found) < count:
            found.setdefault(word, token)
    words, ids = list(found), list(found.values())
    rounds = -(-count // len(words)) if words else 0
    return (words * rounds)[:count] or [""] * count, ids or [0]


def principal_axes(vectors: Floats) -> tuple[Floats, Floats]:
    """The mean [D] of vectors [n, D] and their first two principal axes [2, D], signs fixed so that they are the same
    on every machine: the largest component is positive.
    """
    centre = vectors.mean(axis=0)
    _, _, rows = np.linalg.svd(vectors - centre, full_matrices=False)
    axes = np.zeros((2, vectors.shape[1]))
    axes[: min(2, len(rows))] = rows[:2]
    for axis in axes:
        axis *= np.sign(axis[np.argmax(np.abs(axis))]) or 1.0
    return centre, axes
