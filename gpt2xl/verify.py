"""A finished file against the reference, step by step.

The file is read as a stranger would read it: names, formulas, inputs. An engine (ours, LibreOffice, IronCalc) computes
every step from the formulas alone, and each is compared with what the reference model gives for the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gpt2xl.errors import EngineError, ModelError, NameNotFound, PromptError, WorkbookError
from gpt2xl.model.attribution import ATTRIBUTION, attribution, token_of
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.model.generation import (
    PREFIX,
    SAMPLED,
    Generated,
    Sampling,
    generate,
    numpy_distribution,
    torch_distribution,
)
from gpt2xl.model.loss import LOSS, surprise
from gpt2xl.model.reduced import reduced
from gpt2xl.model.reference import NumpyReference, Reference, TorchReference, require_torch
from gpt2xl.model.steps import Steps, step_names
from gpt2xl.settings import Settings, other_runs, read_sampling, read_settings
from gpt2xl.verdict import Comparison, Step, Verdict
from gpt2xl.workbook import Workbook, joined_text

Engine = Literal["python", "libreoffice", "ironcalc"]
ReferenceName = Literal["torch", "numpy"]
Floats = NDArray[np.float64]

ENGINES: tuple[Engine, ...] = ("python", "libreoffice", "ironcalc")
REFERENCES: tuple[ReferenceName, ...] = ("torch", "numpy")
# Parameters are written as the shortest decimals of float32, which differ from the float32 in the ninth digit.
TOLERANCE = 1e-6
# Seconds for one request to another program; GPT-2's full size takes LibreOffice about two minutes.
TIMEOUT = 600.0
LONGEST = 1e6
_SHOWN = 60  # characters of a prompt that a sentence repeats


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
    reference: ReferenceName = "torch",
    tolerance: float = TOLERANCE,
    timeout: float = TIMEOUT,
) -> Verdict:
    """Compare every named step of the workbook at `path` with the reference, for each prompt (the file's own if none).

    `model` is the checkpoint, by default the one the workbook names; of it the reference has what the workbook says it
    kept (`build --vocab` and `--digits`), switched and steered as the workbook is. `timeout` is the most seconds that
    LibreOffice or IronCalc may take for one request, such as loading the file. Raises `WorkbookError`, `ModelError`,
    `PromptError` and `EngineError` where it cannot compare.
    """
    if engine not in ENGINES or reference not in REFERENCES:
        raise EngineError(f"there is no engine {engine!r} or no reference {reference!r}; see gpt2xl check --help")
    if not 0 < tolerance < math.inf:
        raise EngineError(f"the tolerance is {tolerance}; it is to be a number greater than 0, such as 1e-6")
    if not 0 < timeout <= LONGEST:
        raise EngineError(f"the timeout is {timeout:g} seconds; it goes up from 0 to {LONGEST:,.0f}")
    if isinstance(prompts, str):
        prompts = [prompts]
    if reference == "torch":
        require_torch()  # before half a minute of work
    whole, checkpoint, answers, settings = _computed(Path(path), model, prompts, engine, timeout)
    # The workbook's numbers and the reference's are never held at the same time: a large model has a gigabyte of each.
    steps = _reference(checkpoint, reference)
    expected = [_expected(answer, checkpoint, steps, settings) for answer in answers]
    comparisons = [_compare(answer, generated, tolerance) for answer, generated in zip(answers, expected, strict=True)]
    if checkpoint is not whole:
        del steps
        unrounded = _reference(whole, reference)
        comparisons = [
            _moved(comparison, generated.steps, _expected(answer, whole, unrounded, settings, generated.ids))
            for answer, comparison, generated in zip(answers, comparisons, expected, strict=True)
        ]
    return Verdict(engine, reference, comparisons)


@dataclass(frozen=True)
class Answer:
    """What the workbook computed for one prompt, by name, other runs too, and what of a student copy is blank.

    `attributed` is the word whose logit is taken apart, empty for the next token, None where the workbook does not.
    """

    prompt: str
    expected_ids: list[int]
    token_ids: list[int]
    n_tokens: float
    next_token_id: int | None
    steps: dict[str, Floats]
    blank: list[str]
    attributed: str | None
    sampling: Sampling
    generated_ids: list[int]


def _computed(
    path: Path, model: str | Path | None, prompts: Sequence[str], engine: Engine, timeout: float
) -> tuple[Checkpoint, Checkpoint, list[Answer], Settings | None]:
    """The workbook's model, the same as it was kept in the workbook, the workbook's answers, what it has switched."""
    workbook = Workbook.open(path)
    vocab, digits = _kept(workbook, "model.vocab"), _kept(workbook, "model.digits")
    whole = reduced(_checkpoint(workbook, model), vocab, None)
    checkpoint = whole if digits is None else reduced(whole, None, digits)
    with _calculator(workbook, path, engine, timeout) as calculator:
        answers = []
        for prompt in prompts or [joined_text(workbook, "prompt")]:
            if prompts or not workbook.formula_at(*workbook.book.resolve("prompt")):
                calculator.set("prompt", prompt)
            answers.append(_answer(calculator, workbook, checkpoint, prompt))
    return whole, checkpoint, answers, read_settings(workbook)


def _kept(workbook: Workbook, name: str) -> int | None:
    """The number in a cell that says what of the model was kept; None where all was."""
    if name not in workbook:
        return None
    value = workbook[name]
    return int(value) if isinstance(value, float) else None


def _moved(comparison: Comparison, values: Steps, before: Generated) -> Comparison:
    """The same with how far `values`, the reference's with rounded parameters, are from those of the model itself."""
    steps = [
        replace(
            step, moved=float(np.max(np.abs(np.nan_to_num(values[step.name] - before.steps[step.name])), initial=0.0))
        )
        for step in comparison.steps
    ]
    return replace(comparison, steps=steps, unrounded_next_token_id=before.chosen[0])


def _checkpoint(workbook: Workbook, model: str | Path | None) -> Checkpoint:
    """The checkpoint that `model` or the workbook names; it must be the one the workbook was made from."""
    for name in ("prompt", "token_ids", "logits"):
        if name not in workbook:
            raise WorkbookError(f"{workbook.path} has no cell named `{name}`; check takes a workbook that gpt2xl built")
    made_from = joined_text(workbook, "model.name") if "model.name" in workbook else "tiny"
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


def _reference(checkpoint: Checkpoint, reference: ReferenceName) -> Reference:
    return TorchReference(checkpoint) if reference == "torch" else NumpyReference(checkpoint)


@contextmanager
def _calculator(workbook: Workbook, path: Path, engine: Engine, timeout: float) -> Iterator[Calculator]:
    if engine == "python":
        workbook.recalculate()
        yield _Own(workbook)
    elif engine == "libreoffice":
        from gpt2xl.engines.libreoffice import LibreOffice

        with LibreOffice(timeout=timeout) as office:
            yield office.open(path)
    else:
        from gpt2xl.engines.apart import Apart

        with Apart("gpt2xl.engines.ironcalc", "IronCalc", timeout=timeout) as ironcalc:
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


def _answer(calculator: Calculator, workbook: Workbook, checkpoint: Checkpoint, prompt: str) -> Answer:
    """What the workbook makes of a prompt."""
    expected_ids = checkpoint.vocabulary.encode(prompt)
    state = calculator.get("state")[0][0]
    if isinstance(state, str) and state and not _is_error(state):
        shown = prompt if len(prompt) <= _SHOWN else f"{prompt[:_SHOWN]}…"
        raise PromptError(f"the workbook cannot answer {shown!r}: {state}")
    names = step_names(checkpoint.config)
    names += [name for name in (*ATTRIBUTION, *LOSS) if name in workbook]
    sampling = read_sampling(workbook)
    sampled = [SAMPLED] if sampling.temperature else []
    names += sampled
    if len(sampling.random) > 1:
        names += [PREFIX + name for name in (*step_names(checkpoint.config), *sampled)]
    missing = [name for name in names if name not in workbook]
    if missing:
        raise NameNotFound(f"{workbook.path.name} has no name `{missing[0]}`; build it again")
    found = calculator.get("next_token_id")[0][0]
    token_ids = [int(number) for number in _numbers(calculator, "token_ids")[:, 0] if np.isfinite(number)]
    names += [prefix + name for prefix in _runs(calculator, workbook) for name in names if prefix + name in workbook]
    steps = {name: _numbers(calculator, name) for name in names}
    most = workbook.book.resolve("token_ids")[1].height
    for name, values in steps.items():
        if name.startswith(PREFIX) and (".scores." in name or ".pattern." in name):
            steps[name] = np.hstack([values[:, : len(expected_ids)], values[:, most:]])  # without the padding between
    return Answer(
        prompt=prompt,
        expected_ids=expected_ids,
        token_ids=token_ids[: len(expected_ids)],
        n_tokens=float(_numbers(calculator, "n_tokens")[0, 0]),
        next_token_id=int(found) if isinstance(found, float | int) else None,
        steps=steps,
        blank=_blank(calculator, workbook),
        attributed=_word(calculator.get("attribution.token")[0][0]) if "attribution.token" in workbook else None,
        sampling=sampling,
        generated_ids=[int(number) for number in _generated(calculator, workbook) if np.isfinite(number)],
    )


def _runs(calculator: Calculator, workbook: Workbook) -> Iterator[str]:
    """How the names of the other runs begin that the workbook computes now."""
    if "clean.next_token_id" in workbook and calculator.get("what_if.on")[0][0] == 1:
        yield "clean."
    if "corrupted" in workbook and calculator.get("corrupted.state")[0][0] in ("", None):
        yield "corrupted."
        if calculator.get("patch.state")[0][0] in ("", None):
            yield "patched."


def _generated(calculator: Calculator, workbook: Workbook) -> Floats:
    """The tokens that the workbook generates, NaN after the end."""
    return np.ravel(_numbers(calculator, "generated_ids" if "generated_ids" in workbook else "next_token_id"))


def _expected(
    answer: Answer,
    checkpoint: Checkpoint,
    reference: Reference,
    settings: Settings | None,
    led: Sequence[int] | None = None,
) -> Generated:
    """The reference's steps under `settings` for an answer's prompt and what it generates (or is `led` to), and what it
    makes of the workbook's further questions.
    """
    ids = answer.expected_ids
    changes = None if settings is None else settings.interventions(checkpoint, reference.run, ids)
    distribution = torch_distribution if isinstance(reference, TorchReference) else numpy_distribution
    context = checkpoint.config.n_positions
    generated = generate(reference, context, ids, answer.sampling, distribution, changes, led)
    values = generated.steps
    if answer.attributed is not None:
        known = checkpoint.config.vocab_size
        token: int | None = generated.ids[0]
        if answer.attributed:
            token = token_of(checkpoint.vocabulary, known, answer.attributed)
        if token is None:
            raise PromptError(
                f"the workbook's cell `attribution.token` holds {answer.attributed!r}, which is no single token; empty "
                "it, or write another word"
            )
        parts = attribution(checkpoint, values, ids, token)
        values |= {name: part for name, part in parts.items() if name in answer.steps}
    if "loss.bits" in answer.steps:
        values |= surprise(checkpoint, values, ids)
    if settings is not None:
        values |= other_runs(checkpoint, reference.run, ids, settings, values, answer.steps)
    return generated


def _compare(answer: Answer, expected: Generated, tolerance: float) -> Comparison:
    """One answer beside the reference's."""
    found = (answer.prompt, answer.token_ids, answer.next_token_id, expected.ids[0])
    if answer.token_ids != answer.expected_ids or answer.n_tokens != len(answer.expected_ids):
        return Comparison(*found, [], "token_ids")
    steps = [_step(name, answer.steps[name], value, tolerance) for name, value in expected.steps.items()]
    diverged = [step.name for step in steps if not step.ok]
    several = len(answer.sampling.random) > 1
    return Comparison(
        *found,
        steps,
        diverged[0] if diverged else None,
        blank=answer.blank,
        generated_ids=answer.generated_ids if several else [],
        reference_generated_ids=expected.ids if several else [],
    )


def _blank(calculator: Calculator, workbook: Workbook) -> list[str]:
    """The exercises of a student copy in which no cell is filled in."""
    if "exercise.step" not in workbook:
        return []
    names = [str(name) for (name,) in calculator.get("exercise.step")]
    return [name for name in names if all(cell is None or cell == "" for row in calculator.get(name) for cell in row)]


def _step(name: str, computed: Floats, expected: Floats, tolerance: float) -> Step:
    """Compare the rows (and, for scores and patterns, columns) that the prompt fills; the rest is padding.

    A cell that holds no number differs infinitely, unless it is to hold none.
    """
    filled: tuple[slice, slice | int] = (
        (slice(None), 0) if expected.ndim == 1 else (slice(expected.shape[0]), slice(expected.shape[1]))
    )
    computed = computed[filled]
    if computed.shape != expected.shape:
        raise WorkbookError(f"`{name}` has shape {computed.shape} in the workbook and {expected.shape} in the model")
    apart = np.where(np.isnan(computed) & np.isnan(expected), 0.0, np.abs(computed - expected))
    difference = float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0.0))
    scale = max(1.0, float(np.max(np.abs(np.nan_to_num(expected)), initial=0.0)))
    return Step(name, expected.shape, difference, difference <= tolerance * scale)


def _numbers(calculator: Calculator, ref: str) -> Floats:
    """The numbers of a range, NaN where a cell holds something else."""
    try:
        return calculator.get_numbers(ref)
    except EngineError:
        rows = calculator.get(ref)
        return np.array([[cell if isinstance(cell, float | int) else np.nan for cell in row] for row in rows])


def _word(value: object) -> str:
    """What a person typed, as formulas read it: a whole number without a point."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_error(text: str) -> bool:
    """Whether an engine's text is an error value: they come as a class of their own that is a str."""
    return type(text) is not str
