"""Several tokens, one after the other: the next one by temperature, top k, top p and a given random number.

n tokens of the prompt, m that are generated, V = vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gpt2xl.model.forward import softmax
from gpt2xl.model.interventions import Interventions
from gpt2xl.model.reference import Reference
from gpt2xl.model.steps import Array, Steps

# The names of what is generated begin with this.
PREFIX = "generated."
SAMPLED = "sampling.probs"


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen: at `temperature` 0 the most probable, of equals the one with the lowest id; above by
    `random`, of which there is one for each token. `end` is the id after which nothing follows, -1 for none.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    random: tuple[float, ...] = (0.5,)
    end: int = -1


Distribution = Callable[[Array, Sampling], Array]


def numpy_distribution(logits: Array, sampling: Sampling) -> Array:
    """What is sampled from, [V] -> [V]: the definitions of transformers' logits processors, in numpy."""
    scores = logits / sampling.temperature
    if sampling.top_k:
        least = np.sort(scores)[-min(sampling.top_k, len(scores))]
        scores = np.where(scores < least, -np.inf, scores)
    if sampling.top_p < 1:
        upwards = np.argsort(scores, kind="stable")  # equals in the order of their ids
        gone = np.cumsum(softmax(scores[upwards])) <= 1 - sampling.top_p
        gone[-1] = False
        scores[upwards[gone]] = -np.inf
    return softmax(scores)


def torch_distribution(logits: Array, sampling: Sampling) -> Array:
    """The same by transformers' own logits processors, in the order in which `generate` applies them.

    TopPLogitsWarper sorts with torch.sort, which from 17 numbers on gives equals in any order. How many of them go it
    says all the same; which, is decided here: those with the lowest ids.
    """
    import torch
    from transformers.generation import logits_process

    processors: list[Any] = [logits_process.TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k:
        processors.append(logits_process.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(logits_process.TopPLogitsWarper(sampling.top_p))
    scores = before = torch.from_numpy(logits)[None]  # [1, V]
    for processor in processors:
        before, scores = scores, processor(torch.zeros((1, 1), dtype=torch.long), scores)
    kept = torch.isfinite(scores)
    equals = (before == scores[kept].min()).nonzero()[:, 1]  # in the order of ids
    if sampling.top_p < 1:
        gone = len(equals) - int(kept[0, equals].sum())
        scores[0, equals[:gone]] = -torch.inf
        scores[0, equals[gone:]] = before[0, equals[gone:]]
    probs: Array = scores.softmax(dim=-1)[0].numpy()
    return probs


def picked(probs: Array, random: float) -> int:
    """The id whose interval of the cumulative distribution, in the order of ids, holds `random`."""
    found = int(np.searchsorted(np.cumsum(probs), random, side="right"))
    return min(found, int(np.flatnonzero(probs)[-1]))  # where rounding leaves the sum below 1


@dataclass
class Generated:
    """What a reference generates: `ids` [m], what it would choose at each place (`chosen`, the same unless it was led),
    and the steps, those of the prompt under their names, those of generated tokens under names with `PREFIX`.
    """

    ids: list[int] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)
    steps: Steps = field(default_factory=dict)


def generate(
    reference: Reference,
    context: int,
    token_ids: Sequence[int],
    sampling: Sampling,
    distribution: Distribution,
    changes: Interventions | None = None,
    led: Sequence[int] | None = None,
) -> Generated:
    """As many tokens as `sampling` have random numbers, until the end of the text or of the model's `context`,
    with `changes` made on the way.

    `led` are the tokens to go on with in place of those that are chosen, as many as are to be generated.
    """
    if changes is not None:  # with the mask off a token sees all of the prompt, but none that is yet to be generated
        changes = replace(changes, prompt=len(token_ids))
    found = Generated()
    columns: dict[str, list[Array]] = {"logits": [], "probs": [], SAMPLED: []}
    steps: Steps = {}
    wanted = len(sampling.random) if led is None else len(led)
    while len(found.ids) < wanted and len(token_ids) + len(found.ids) <= context:
        steps = reference.run([*token_ids, *found.ids], changes)
        if not found.ids:
            found.steps = dict(steps)
        probs = None
        if sampling.temperature:
            probs = distribution(steps["logits"], sampling)
            columns[SAMPLED].append(probs)
        for name in ("logits", "probs"):
            columns[name].append(steps[name])
        chosen = int(np.argmax(steps["logits"])) if probs is None else picked(probs, sampling.random[len(found.ids)])
        found.chosen.append(chosen)
        found.ids.append(chosen if led is None else led[len(found.ids)])
        if led is None and chosen == sampling.end:
            break
    if columns[SAMPLED]:
        found.steps[SAMPLED] = columns[SAMPLED][0]
    if len(found.ids) > 1:
        found.steps |= _later(steps, len(token_ids), columns)
    return found


def _later(steps: Steps, prompt: int, columns: dict[str, list[Array]]) -> Steps:
    """Rows of the last run from the prompt's end on, and what was computed once a token as columns.

    A token's scores and pattern end with itself; what would come after it is NaN, since a spreadsheet that computes
    one token after the other has nothing there.
    """
    later: Steps = {}
    for name, values in steps.items():
        if name in columns:
            continue
        rows = values[prompt:].copy()  # [m - 1, …]
        if ".scores." in name or ".pattern." in name:
            rows[:, prompt:][np.triu_indices(len(rows), k=1)] = np.nan
        later[PREFIX + name] = rows
    return later | {PREFIX + name: np.stack(found[1:], axis=1) for name, found in columns.items() if found}
