"""Checkpoint and prompt to workbook: plan, compute every value with our own engine, write."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any, get_args

import numpy as np
from threadpoolctl import threadpool_limits

from gpt2xl import __version__, lessons, tables
from gpt2xl.a1 import MAX_CELL_TEXT, MAX_COLUMNS, Rect
from gpt2xl.decimals import Doubles
from gpt2xl.errors import ExerciseError, LimitError, OutputError, PromptError
from gpt2xl.formula import Book
from gpt2xl.model.checkpoint import Checkpoint, expected_shapes, load_checkpoint
from gpt2xl.model.reduced import reduced
from gpt2xl.model.tensors import Tensors
from gpt2xl.outlook import FLOAT32_DIGITS, FLOAT64_DIGITS, Outlook, foresee
from gpt2xl.plan.dimensions import Capacity, dimensions
from gpt2xl.plan.exercise import USUAL, blanked
from gpt2xl.plan.plan import Plan, Sheet
from gpt2xl.plan.planner import make_plan
from gpt2xl.plan.template import load_templates
from gpt2xl.refusals import check_answer, too_large
from gpt2xl.surface import Surface
from gpt2xl.xlsx import Array, Compression, Rows, refuse_unwritable, write_workbook

COMPRESSIONS = get_args(Compression)

LEAST_TOKENS = 16
LEAST_CHARS = 80
# A round of merging a byte, a column a byte: what Excel's columns leave for characters of four bytes.
MOST_CHARS = (MAX_COLUMNS - 32) // 4
# Beyond so many parameters size decides: they are written as the shortest decimals of float32, which read as doubles
# differ in the ninth digit, and no cell carries its reference that need not (`--refs` writes all). Up to here every
# parameter is written as the exact double.
MANY_PARAMETERS = 20_000_000


class Parameter:
    """A tensor of a checkpoint as a matrix (one row for a vector) that is read when asked for, some rows at a time."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        shape = tensors.shape(name)
        self._tensors, self._name, self._vector = tensors, name, len(shape) == 1
        self.shape = (1, *shape) if self._vector else shape
        self.dtype = tensors.dtype(name)
        self.doubles = Doubles(self)

    def __getitem__(self, rows: slice) -> Array:
        if self._vector:
            return self._tensors[self._name].reshape(1, -1)[rows]
        return self._tensors.rows(self._name, rows)


@dataclass(frozen=True)
class Built:
    """What `build` made."""

    path: Path
    next_token: str
    token_ids: tuple[int, ...]
    cells: int
    formulas: int
    size: int
    blank: tuple[str, ...] = ()


def build(
    prompt: str,
    output: str | Path,
    *,
    model: str | Path = "tiny",
    max_tokens: int | None = None,
    max_chars: int | None = None,
    generate: int = 1,
    vocab: int | None = None,
    digits: int | None = None,
    compression: Compression = "default",
    refs: bool = False,
    loss: bool = False,
    exercise: bool = False,
    blank: Sequence[str] = (),
    solution: bool = False,
    plain: bool = False,
    corrupted: str | None = None,
    force: bool = False,
    announce: Callable[[Outlook], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Built:
    """Write the workbook of `model` with `prompt` to `output`.

    `max_tokens` and `max_chars` say what later prompts may have; by default 16 tokens and 80 characters, or as many
    as `prompt` has. `generate` is how many tokens follow the prompt, each but the first with a row of its own in every
    step. `vocab` keeps only the first so many tokens, `digits` rounds every parameter to so many significant digits;
    the workbook says both. `refs` writes the cell references of large models too. `loss` adds the surprise of every
    token of the prompt. `announce` is called once, before the work begins, with what will come of it; `progress` is
    called while the file is written, with the number of cells written since.

    `exercise` leaves steps blank for a student to fill in, `blank` says which, and `solution` is the key to the same
    copy. `plain` leaves out everything that the model computes without. `corrupted` is a second prompt, on which the
    model runs too, once as it is and once with a row of the residual stream copied from the first (patching).

    Raises `PromptError`, `ModelError`, `LimitError`, `OutputError`; an existing file is kept unless `force` is given.
    """
    target = Path(output)
    _check_target(target, force)
    if compression not in COMPRESSIONS:
        raise PromptError(f"compression is one of {', '.join(COMPRESSIONS)}, not {compression!r}")
    checkpoint = reduced(load_checkpoint(model), vocab, digits)
    if plain and corrupted is not None:
        raise PromptError("--plain leaves out the runs that --corrupted compares; leave out one of the two")
    capacities = [
        _capacity(checkpoint, text, max_tokens, max_chars, generate) for text in (prompt, corrupted) if text is not None
    ]
    capacity = replace(
        capacities[0],
        max_tokens=max(one.max_tokens for one in capacities),
        max_chars=max(one.max_chars for one in capacities),
    )
    weights = sum(math.prod(checkpoint.tensors.shape(name)) for name in checkpoint.tensors)
    exact = weights <= MANY_PARAMETERS
    exercise = exercise or solution or bool(blank)
    if plain and exercise:
        raise ExerciseError("--plain leaves out the sheets that mark a student's answers; leave out one of the two")
    for option, shows in (("--generate", generate > 1), ("--corrupted", corrupted is not None)):
        if exercise and shows:
            raise ExerciseError(f"{option} would show a student the answers; leave it out")
    # What takes its time and will be wanted, while others compute or wait for nobody.
    if not exact:
        Thread(target=import_module, args=("gpt2xl.xlsx.deflate",)).start()
    hashing = Thread(target=_take_fingerprint, args=(checkpoint,), daemon=True)
    hashing.start()
    steps = None if plain else lessons.reference(checkpoint, prompt, short=not exact, loss=loss)
    exercises = blanked(blank or USUAL, steps, load_templates()) if exercise and steps else []
    kept = {option: number for option, number in (("vocab", vocab), ("digits", digits)) if number is not None}
    there = [*kept, *(option for option, on in (("loss", loss), ("corrupted", corrupted is not None)) if on)]
    plan = plan_for(checkpoint, capacity, steps, exercises, solution=solution, only=there)
    decimals = digits or (FLOAT64_DIGITS if exact else FLOAT32_DIGITS)
    announce(foresee(plan, compression, min(decimals, FLOAT64_DIGITS), references=exact or refs))
    parameters: dict[str, Array | Rows] = {
        name: np.atleast_2d(checkpoint.tensors[name]).astype(np.float64)
        if exact
        else Parameter(checkpoint.tensors, name)
        for name in checkpoint.tensors
    }
    options = {"model": None if str(model) == "tiny" else model, "max-tokens": max_tokens, "max-chars": max_chars}
    options["generate"] = generate if generate > 1 else None
    options |= kept | {
        "loss": loss,
        "exercise": exercise and not solution,
        "blank": ",".join(blank),
        "solution": solution,
        "plain": plain,
        "corrupted": corrupted,
        "compression": None if compression == "default" else compression,
        "refs": refs,
    }
    book = empty_book(plan)
    seen = Surface(
        plan,
        creator=f"gpt2xl {__version__}",
        plain=plain,
        words={"activation": checkpoint.config.activation_function},
    )
    columns = tables.columns(checkpoint.vocabulary, plan.sizes["K"])

    def paint(sheets: Sequence[Sheet]) -> None:
        for sheet in sheets:
            add_constants(sheet, book, parameters, columns, prompt)
        seen.paint([sheet.name for sheet in sheets], book, parameters)

    def compute() -> None:
        columns["end.id"] = np.array([float(checkpoint.end_id)])
        if steps is not None:
            columns.update(lessons.constants(checkpoint, plan.sizes["points"]) | {"lens.on": np.array([float(exact)])})
            columns.update(lessons.checks(steps, prompt))
            columns.update(lessons.exercises(plan, exercises))
        if steps is not None and corrupted is not None:
            columns.update(lessons.patching(checkpoint, steps, prompt, corrupted))
        hashing.join()
        columns.update(_facts(checkpoint, weights, _command(prompt, target, options)))
        columns.update({f"model.{option}": np.array([float(number)]) for option, number in kept.items()})
        paint([sheet for sheet in plan.sheets if sheet.name not in seen.cells])
        seen.paint_guide()
        # What packs the parameters meanwhile needs all cores: threads of BLAS would wait for each other, busily.
        with threadpool_limits(1, "blas") if large else nullcontext():
            add_formulas(plan, book)
            book.recalculate()
        if solution or not exercises:
            check_answer(book, plan.names, checkpoint.config)
        book.forget_code()  # the sheets' text takes its place

    # Many parameters are packed while all the rest is made.
    large = [] if exact else [sheet for sheet in plan.sheets if sheet.group == "weights"]
    paint(large)
    write_workbook(
        target,
        seen.shell,
        seen.cells,
        references=exact or refs,
        compression=compression,
        progress=progress,
        ahead=[sheet.name for sheet in large if seen.cells[sheet.name].constant],
        meanwhile=compute,
    )
    answer = book.get(*book.resolve("next_token")).item()
    return Built(
        path=target,
        next_token=str(answer),
        token_ids=tuple(checkpoint.vocabulary.encode(prompt)),
        cells=sum(of_sheet.count for of_sheet in seen.cells.values()),
        formulas=sum(rect.size for rect in plan.formula_rects()),
        size=target.stat().st_size,
        blank=() if solution else tuple(exercises),
    )


def _take_fingerprint(checkpoint: Checkpoint) -> None:
    with suppress(OSError):  # whoever asks for it will meet that again
        _ = checkpoint.fingerprint


def _facts(checkpoint: Checkpoint, parameters: int, command: str) -> dict[str, tables.Column]:
    """Where a workbook comes from, for the first sheet: from inputs alone, so that the same command gives the same."""
    return {
        "model.name": [checkpoint.name],
        "model.parameters": np.array([float(parameters)]),
        "model.fingerprint": [checkpoint.fingerprint],
        "made.by": [f"gpt2xl {__version__}"],
        "made.with": [command],
    }


def _command(prompt: str, target: Path, options: Mapping[str, object]) -> str:
    """The command line that makes the same workbook; an option that is not given is None, False or empty."""
    parts = ["gpt2xl", "build", *(["--"] if prompt.startswith("-") else []), prompt, "-o", target.name]
    for option, value in options.items():
        if value:
            parts += [f"--{option}", *([] if value is True else [str(value)])]
    return shlex.join(parts)


def plan_for(
    checkpoint: Checkpoint,
    capacity: Capacity,
    steps: Mapping[str, lessons.Reference] | None,
    exercises: Sequence[str] = (),
    *,
    solution: bool = False,
    only: Collection[str] = (),
) -> Plan:
    """The plan of a checkpoint's workbook; `steps` are the reference's, None for a plain one.

    `only` are the options that add something: "vocab" and "digits" where they keep some of the model, "loss",
    "corrupted". Raises `LimitError` where a sheet would have too many rows or columns.
    """
    vocabulary = checkpoint.vocabulary
    shapes = None if steps is None else {name: (*step.values.shape, step.before) for name, step in steps.items()}

    def attempt(vocab: int | None, capacity: Capacity) -> Plan:
        config = checkpoint.config if vocab is None else replace(checkpoint.config, vocab_size=vocab)
        sizes = dimensions(
            config,
            capacity,
            vocabulary=vocab or vocabulary.size,
            merges=min(len(vocabulary.merges), vocab or len(vocabulary.merges)),
            special=len(vocabulary.special),
            ranges=len(tables.unicode_classes()[0]),
        )
        return make_plan(
            load_templates(), config, sizes, checks=shapes, exercises=exercises, solution=solution, only=only
        )

    try:
        plan = attempt(None, capacity)
    except LimitError as error:
        raise too_large(error, checkpoint, capacity, attempt) from None
    _check_parameters(plan, checkpoint)
    return plan


def empty_book(plan: Plan) -> Book:
    """The plan's sheets and names in the engine."""
    book = Book()
    for sheet in plan.sheets:
        book.add_sheet(sheet.name)
    for name, place in plan.names.items():
        book.define(name, place.formula, tree=place.tree)
    return book


def add_constants(
    sheet: Sheet,
    book: Book,
    parameters: Mapping[str, Array | Rows],
    columns: Mapping[str, tables.Column],
    prompt: str,
) -> None:
    """What formulas may read of a sheet before anything is computed: labels, tables, parameters, the prompt."""
    grid = book.sheet(sheet.name)

    def add(rect: Rect, values: Any) -> None:
        if isinstance(values, np.ndarray):
            grid.hold(rect, values)
        else:
            grid.set_apart(rect)
            grid.put(rect, values)

    for label in sheet.labels:
        if label.kind == "index":
            add(label.rect, _counted(label.rect.size).reshape(label.rect.shape))
        elif label.kind == "data":
            add(label.rect, _in_shape(columns[label.text], label.rect))
    for item in sheet.items:
        if item.name == "prompt":
            add(item.rect, prompt)
        elif item.data is not None:
            add(item.rect, _in_shape(columns[item.data], item.rect))
        elif item.value is not None:
            add(item.rect, [item.value] if isinstance(item.value, list) else item.value)
        elif item.kind == "parameter":
            numbers = parameters[item.name]
            if isinstance(numbers, Parameter):
                grid.hold(item.rect, numbers.doubles)
            else:
                add(item.rect, numbers)
        else:
            for rect in (item.rect, item.later):
                if rect is not None:
                    grid.set_apart(rect)


@lru_cache(64)
def _counted(size: int) -> Array:
    """0, 1, 2, ...: many axes have the same length. Nobody writes to it."""
    return np.arange(float(size))


def add_formulas(plan: Plan, book: Book) -> None:
    """Every formula of the plan; nothing is computed yet."""
    for sheet in plan.sheets:
        of_labels = (label.formula for label in sheet.labels if label.formula)
        for formula in chain(of_labels, *(item.all_formulas for item in sheet.items)):
            book.add_formula(sheet.name, formula.rect, formula.text, formula.mode, formula.tree)


def _in_shape(column: tables.Column, rect: Rect) -> Any:
    """As many values as `rect` has cells, row by row."""
    values = column[: rect.size]
    if not isinstance(values, list):
        return values.reshape(rect.shape)
    if rect.width == 1:
        return [[value] for value in values]
    return [values[row * rect.width : (row + 1) * rect.width] for row in range(rect.height)]


def _check_target(target: Path, force: bool) -> None:
    """Refuse what cannot be written before any work is done."""
    if target.suffix.lower() != ".xlsx" and not os.path.isdir(target):
        raise OutputError(f"{target} does not end in .xlsx, the only format that gpt2xl writes; call it {target}.xlsx")
    refuse_unwritable(target)
    if target.exists() and not force:
        raise OutputError(f"{target} exists already; choose another name, or use --force to replace it")


def _capacity(
    checkpoint: Checkpoint, prompt: str, max_tokens: int | None, max_chars: int | None, generate: int
) -> Capacity:
    """How many tokens and characters the workbook holds; raises where `prompt` or the model has other ideas."""
    if not prompt:
        raise PromptError("the prompt is empty; give at least one character to continue from")
    if len(prompt.encode("utf-16-le", "surrogatepass")) // 2 > MAX_CELL_TEXT:
        raise LimitError(f"the prompt has {len(prompt):,} characters; a cell holds {MAX_CELL_TEXT:,}")
    context = checkpoint.config.n_positions
    ids = checkpoint.vocabulary.encode(prompt)
    if not ids:
        raise PromptError("the model's vocabulary has no token for any character of the prompt; write another prompt")
    for option, value, most, what in (
        ("--max-tokens", max_tokens, context, "the model's context"),
        ("--max-chars", max_chars, MOST_CHARS, "what Excel's columns hold"),
        ("--generate", generate, context, "the model's context"),
    ):
        if value is not None and not 1 <= value <= most:
            raise LimitError(f"{option} is {value:,}; it goes from 1 to {most:,}, {what}")
    tokens = max_tokens if max_tokens is not None else min(max(LEAST_TOKENS, len(ids)), context)
    chars = max_chars if max_chars is not None else min(max(LEAST_CHARS, len(prompt)), MOST_CHARS)
    if len(ids) > tokens:
        way = f"a larger --max-tokens (up to {context:,})" if tokens < context else "a model with a longer context"
        raise PromptError(
            f"the prompt has {len(ids):,} tokens and the workbook would hold {tokens:,}; shorten it, or use {way}"
        )
    if len(prompt) > chars:
        raise PromptError(
            f"the prompt has {len(prompt):,} characters and the workbook would hold {chars:,}; shorten it, or use a "
            f"larger --max-chars (up to {MOST_CHARS:,})"
        )
    embedded = checkpoint.config.vocab_size
    if max(ids) >= embedded:
        token = checkpoint.vocabulary.text(max(ids))
        raise PromptError(f"the prompt holds the token {token!r}, for which this model has no embedding; leave it out")
    return Capacity(tokens, chars, generate)


def _check_parameters(plan: Plan, checkpoint: Checkpoint) -> None:
    """The templates name exactly the checkpoint's tensors, with their shapes. Anything else is a mistake of ours."""
    planned = {item.name: item.rect.shape for sheet in plan.sheets for item in sheet.items if item.kind == "parameter"}
    expected = {
        name: shape if len(shape) == 2 else (1, *shape) for name, shape in expected_shapes(checkpoint.config).items()
    }
    if planned != expected:
        different = sorted(set(planned.items()) ^ set(expected.items()))
        raise AssertionError(f"templates and configuration disagree about parameters: {different}")
