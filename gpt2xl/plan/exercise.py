"""Which steps a student copy leaves blank."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from gpt2xl.errors import ExerciseError
from gpt2xl.plan.document import Document

# What `build --exercise` blanks unless it is told otherwise: a step of each kind, all in the first block.
USUAL = ("ln_1", "attn.pattern", "mlp.post", "resid_post", "probs")


def blanked(wanted: Sequence[str], known: Iterable[str], document: Document) -> list[str]:
    """The names of the steps that `wanted` means, in the order of `known`: only what has formulas of its own.

    A name is written in full (`h.1.attn.pattern.2`), short for the first block and its first head (`attn.pattern`), or
    with `*` (`h.*.ln_1`). Raises `ExerciseError` for one that means no step.
    """
    sheets = [sheet for sheet in document.sheets if sheet.layout == "blocks"]  # where there is room for marks
    own = [entry.name for sheet in sheets for entry in sheet.entries if entry.kind == "step"]
    written = re.compile("|".join(re.sub(r"\\{[ij]\\}", "[0-9]+", re.escape(name)) for name in own))
    names = [name for name in known if written.fullmatch(name)]
    chosen: set[str] = set()
    for want in wanted:
        short = {want, f"h.0.{want}", f"h.0.{want}.0"}
        found = [name for name in names if (fnmatchcase(name, want) if "*" in want else name in short)]
        if not found:
            known_here = ", ".join(name.removeprefix("h.0.").removesuffix(".0") for name in names if _is_first(name))
            raise ExerciseError(
                f"--blank {want!r} is none of the steps that can be left blank: {known_here}, or a full name such as "
                "h.1.attn.pattern.2"
            )
        chosen.update(found)
    return [name for name in names if name in chosen]


def _is_first(name: str) -> bool:
    """Whether a step belongs to no block, or to the first block and in it to no head or the first."""
    return not name.startswith("h.") or re.fullmatch(r"h\.0\.[^0-9]*(_[12])?(\.0)?", name) is not None
