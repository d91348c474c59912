"""A finished file against the reference, step by step.

The file is read as a stranger would read it: names, formulas, inputs. An engine (ours, LibreOffice, IronCalc) computes
every step from the formulas alone, and each is compared with what the reference model gives for the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gpt2xl.errors import EngineError, ModelError, NameNotFound, PromptError, WorkbookError
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.workbook import Workbook

Engine = Literal["python", "libreoffice", "ironcalc"]
Reference = Literal["torch", "numpy"]
Floats = NDArray[np.float64]

ENGINES: tuple[Engine, ...] = ("python", "libreoffice", "ironcalc")
REFERENCES: tuple[Reference, ...] = ("torch", "numpy")
# Parameters are written as the shortest decimals of float32, which differ from the float32 in the ninth digit.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Step:
    """One compared step: its shape, the largest absolute difference, and whether that is within tolerance.

    A step is within tolerance where the difference is at most the tolerance times the reference's largest absolute
    value, or times 1 if that is smaller: residual streams hold numbers in the thousands.
    """

    name: str
    shape: tuple[int, ...]
    max_abs_diff: float
    ok: bool


@dataclass(frozen=True)
class Comparison:
    """One prompt: its tokens, both next tokens, all steps in order, and the first that diverges.

    `blank` are steps that a student copy leaves to its reader and that nobody has filled in yet.
    """

    prompt: str
    token_ids: list[int]
    next_token_id: int | None
    reference_next_token_id: int
    steps: list[Step] = field(default_factory=list)
    first_divergence: str | None = None
    blank: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.first_divergence is None and self.next_token_id == self.reference_next_token_id


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
            "prompts": [_finite(asdict(prompt)) for prompt in self.prompts],
        }


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a step that holds no numbers has null for its difference."""
    if not record["blank"]:
        del record["blank"]
    for step in record["steps"]:
        if not np.isfinite(step["max_abs_diff"]):
            step["max_abs_diff"] = None
    return record


class Calculator(Protocol):
    """What computes the file: sets the prompt, gives ranges back."""

    def set(self, ref: str, value: str) -> None: ...

    def get_numbers(self, ref: str) -> Floats: ...

    def get(self, ref: str) -> list[list[Any]]: ...


def check(
    path: str | Path,
    *,
    model: str | Path | None = None,
    prompts: Sequence[str] = (),
    engine: Engine = "python",
    reference: Reference = "torch",
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Compare every named step of the workbook at `path` with the reference, for each prompt (the file's own if none).

    `model` is the checkpoint, by default the one the workbook names. Raises `WorkbookError`, `ModelError`,
    `PromptError` and `EngineError` where it cannot compare.
    """
    if engine not in ENGINES or reference not in REFERENCES:
        raise EngineError(f"there is no engine {engine!r} or no reference {reference!r}; see gpt2xl check --help")
    if not tolerance > 0:
        raise EngineError(f"the tolerance is {tolerance}; it is to be greater than 0")
    workbook = Workbook.open(path)
    checkpoint = _checkpoint(workbook, model)
    steps = _reference(checkpoint, reference)
    comparisons = []
    with _calculator(workbook, Path(path), engine) as calculator:
        for prompt in prompts or [_text(workbook["prompt"])]:
            calculator.set("prompt", prompt)
            comparisons.append(_compare(calculator, workbook, checkpoint, prompt, steps, tolerance))
    return Verdict(engine, reference, comparisons)


def _checkpoint(workbook: Workbook, model: str | Path | None) -> Checkpoint:
    """The checkpoint that `model` or the workbook names; it must be the one the workbook was made from."""
    for name in ("prompt", "token_ids", "logits"):
        if name not in workbook:
            raise WorkbookError(f"{workbook.path} has no cell named `{name}`; check takes a workbook that gpt2xl built")
    made_from = _text(workbook["model.name"]) if "model.name" in workbook else "tiny"
    try:
        checkpoint = load_checkpoint(model if model is not None else made_from)
    except ModelError as error:
        if model is not None:
            raise
        raise ModelError(f"the workbook was made from the model {made_from!r}: {error}; name it with --model") from None
    if "model.fingerprint" in workbook and workbook["model.fingerprint"] != checkpoint.fingerprint:
        raise ModelError(
            f"the model {checkpoint.name!r} is not the one that {workbook.path.name} was made from ({made_from!r} with "
            "other files); name that one with --model"
        )
    return checkpoint


def _reference(checkpoint: Checkpoint, reference: Reference) -> Any:
    from gpt2xl.model.reference import NumpyReference, TorchReference

    return TorchReference(checkpoint) if reference == "torch" else NumpyReference(checkpoint)


@contextmanager
def _calculator(workbook: Workbook, path: Path, engine: Engine) -> Iterator[Calculator]:
    if engine == "python":
        workbook.recalculate()
        yield _Own(workbook)
    elif engine == "libreoffice":
        from gpt2xl.engines.libreoffice import LibreOffice

        with LibreOffice() as office:
            yield office.open(path)
    else:
        from gpt2xl.engines.ironcalc import IronCalc

        with IronCalc() as ironcalc:
            yield ironcalc.open(path)


class _Own:
    """Our own engine with the interface of the others."""

    def __init__(self, workbook: Workbook) -> None:
        self.workbook = workbook

    def set(self, ref: str, value: str) -> None:
        self.workbook[ref] = value

    def get(self, ref: str) -> list[list[Any]]:
        return self.workbook.book.get(*self.workbook.book.resolve(ref)).tolist()

    def get_numbers(self, ref: str) -> Floats:
        array = self.workbook.book.get(*self.workbook.book.resolve(ref))
        if array.kind is not None:
            raise EngineError(f"{ref} holds something that is no number")
        return array.num


def _compare(
    calculator: Calculator, workbook: Workbook, checkpoint: Checkpoint, prompt: str, reference: Any, tolerance: float
) -> Comparison:
    """One prompt through both."""
    expected_ids = checkpoint.vocabulary.encode(prompt)
    state = calculator.get("state")[0][0]
    if isinstance(state, str) and state and not _is_error(state):
        raise PromptError(f"the workbook cannot answer {prompt!r}: {state}")
    found = calculator.get("next_token_id")[0][0]
    next_token_id = int(found) if isinstance(found, float | int) else None
    token_ids = [int(number) for number in _numbers(calculator, "token_ids")[:, 0] if np.isfinite(number)]
    token_ids = token_ids[: len(expected_ids)]
    values = reference.run(expected_ids)
    reference_next_token_id = int(np.argmax(values["logits"]))
    if token_ids != expected_ids or _numbers(calculator, "n_tokens")[0, 0] != len(expected_ids):
        return Comparison(prompt, token_ids, next_token_id, reference_next_token_id, [], "token_ids")
    missing = [name for name in values if name not in workbook]
    if missing:
        raise NameNotFound(f"{workbook.path.name} has no name `{missing[0]}`; build it again")
    steps = [_step(name, calculator, value, tolerance) for name, value in values.items()]
    diverged = [step.name for step in steps if not step.ok]
    return Comparison(
        prompt=prompt,
        token_ids=token_ids,
        next_token_id=next_token_id,
        reference_next_token_id=reference_next_token_id,
        steps=steps,
        first_divergence=diverged[0] if diverged else None,
        blank=_blank(calculator, workbook),
    )


def _blank(calculator: Calculator, workbook: Workbook) -> list[str]:
    """The exercises of a student copy in which no cell is filled in."""
    if "exercise.step" not in workbook:
        return []
    names = [str(name) for (name,) in calculator.get("exercise.step")]
    return [name for name in names if all(cell is None or cell == "" for row in calculator.get(name) for cell in row)]


def _step(name: str, calculator: Calculator, expected: Floats, tolerance: float) -> Step:
    """Compare the rows (and, for scores and patterns, columns) that the prompt fills; the rest is padding.

    A cell that holds no number differs infinitely.
    """
    computed = _numbers(calculator, name)
    filled = (slice(None), 0) if expected.ndim == 1 else (slice(expected.shape[0]), slice(expected.shape[1]))
    computed = computed[filled]
    if computed.shape != expected.shape:
        raise WorkbookError(f"`{name}` has shape {computed.shape} in the workbook and {expected.shape} in the model")
    apart = np.abs(computed - expected)
    difference = float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0.0))
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    return Step(name, expected.shape, difference, difference <= tolerance * scale)


def _numbers(calculator: Calculator, ref: str) -> Floats:
    """The numbers of a range, NaN where a cell holds something else."""
    try:
        return calculator.get_numbers(ref)
    except EngineError:
        rows = calculator.get(ref)
        return np.array([[cell if isinstance(cell, float | int) else np.nan for cell in row] for row in rows])


def _is_error(text: str) -> bool:
    """Whether an engine's text is an error value: they come as a class of their own that is a str."""
    return type(text) is not str


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)
