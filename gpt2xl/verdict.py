"""What a check found: prompts, steps, how far they are apart, as `check --json` prints it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Step:
    """One compared step: its shape, the largest absolute difference, and whether that is within tolerance.

    A step is within tolerance where the difference is at most the tolerance times the reference's largest absolute
    value, or times 1 if that is smaller: residual streams hold numbers in the thousands. `moved` is by how much
    rounding the parameters (`build --digits`) changed the step in the reference, None where nothing was rounded.
    """

    name: str
    shape: tuple[int, ...]
    max_abs_diff: float
    ok: bool
    moved: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One prompt: its tokens, both next tokens, all steps in order, and the first that diverges.

    `blank` are steps that a student copy leaves to its reader and that nobody has filled in yet;
    `generated_ids` are all tokens that follow, both lists empty in a workbook of one; `unrounded_next_token_id` is the
    next token before rounding, None where nothing was rounded.
    """

    prompt: str
    token_ids: list[int]
    next_token_id: int | None
    reference_next_token_id: int
    steps: list[Step] = field(default_factory=list)
    first_divergence: str | None = None
    blank: list[str] = field(default_factory=list)
    unrounded_next_token_id: int | None = None
    generated_ids: list[int] = field(default_factory=list)
    reference_generated_ids: list[int] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        same = self.next_token_id == self.reference_next_token_id
        return self.first_divergence is None and same and self.generated_ids == self.reference_generated_ids


@dataclass(frozen=True)
class Verdict:
    """All prompts of a check."""

    engine: str
    reference: str
    prompts: list[Comparison]

    @property
    def ok(self) -> bool:
        return all(prompt.ok for prompt in self.prompts)

    def as_json(self) -> dict[str, Any]:
        """As `check --json` prints it."""
        return {
            "ok": self.ok,
            "engine": self.engine,
            "reference": self.reference,
            "prompts": [_plain(asdict(prompt)) for prompt in self.prompts],
        }


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """What was not rounded or is not blank has no keys about it; a step without numbers has null, as JSON has no
    infinity.
    """
    if not record["blank"]:
        del record["blank"]
    if not record["reference_generated_ids"]:
        del record["generated_ids"], record["reference_generated_ids"]
    rounded = record["unrounded_next_token_id"] is not None
    if not rounded:
        del record["unrounded_next_token_id"]
    for step in record["steps"]:
        if not rounded:
            del step["moved"]
        if not np.isfinite(step["max_abs_diff"]):
            step["max_abs_diff"] = None
    return record
