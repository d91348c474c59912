"""What a workbook of ours answers: the prediction as a record, and what the file holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpt2xl.errors import PromptError, WorkbookError
from gpt2xl.formula import ExcelError
from gpt2xl.workbook import Workbook, joined_text

_NAMES = ("prompt", "token_ids", "tokens", "n_tokens", "next_token_id", "next_token", "logits", "probs")


def is_ours(workbook: Workbook) -> bool:
    """Whether a workbook has all the names that an answer is read from."""
    return all(name in workbook for name in _NAMES)


def read_values(workbook: Workbook, wanted: Sequence[str]) -> dict[str, Any]:
    """The values of names and ranges, as JSON has them."""
    return {name: _plain(workbook[name]) for name in wanted}


def read_answer(workbook: Workbook, top: int = 10, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """The record that `run --json` prints.

    Of a student copy it has `unfinished`, the steps that are blank or wrong, where there are any.

    Raises `PromptError` with the workbook's own sentence where it cannot serve the prompt, `WorkbookError` for a file
    that is no workbook of ours.
    """
    for name in _NAMES:
        if name not in workbook:
            raise WorkbookError(f"{workbook.path} has no cell named `{name}`; run takes a workbook that gpt2xl built")
    open_steps = unfinished(workbook)
    next_token_id = workbook["next_token_id"]
    if open_steps and not (isinstance(next_token_id, float) and _all_numbers(workbook, "logits", "probs")):
        raise WorkbookError(
            f"{workbook.path} is a student copy, and there is no prediction before these steps are filled in: "
            f"{', '.join(open_steps)}; fill them in, or run the copy that build --solution makes"
        )
    if not isinstance(next_token_id, float):
        sentence = workbook["next_token"]
        if isinstance(sentence, str):
            raise PromptError(sentence)
        raise WorkbookError(
            f"{workbook.path} has {sentence} in `next_token`, not a token; give the inputs values that formulas can use"
        )
    if "patch.state" in workbook and workbook["patch.on"] != 0 and (sentence := workbook["patch.state"]):
        raise PromptError(str(sentence))
    count = int(_float(workbook["n_tokens"]))
    logits, probs = np.ravel(workbook["logits"]), np.ravel(workbook["probs"])
    texts = np.ravel(np.asarray(workbook["vocabulary.text"], dtype=object))
    best = np.argsort(-logits, kind="stable")[:top]
    return {
        "prompt": joined_text(workbook, "prompt"),
        "token_ids": [int(number) for number in np.ravel(workbook["token_ids"])[:count]],
        "tokens": [str(text) for text in np.ravel(np.asarray(workbook["tokens"], dtype=object))[:count]],
        "n_tokens": count,
        "next_token_id": int(next_token_id),
        "next_token": workbook["next_token"],
        "top": [
            {"id": int(index), "token": str(texts[index]), "logit": float(logits[index]), "prob": float(probs[index])}
            for index in best
        ],
        **_generated(workbook, int(next_token_id)),
        "values": read_values(workbook, wanted),
    } | ({"unfinished": open_steps} if open_steps else {})


def unfinished(workbook: Workbook) -> list[str]:
    """The steps of a student copy that are blank or wrong; wrong only where the workbook can tell (`exercise.mark`)."""
    if "exercise.step" not in workbook:
        return []
    names, marks = (
        np.atleast_2d(np.asarray(workbook[f"exercise.{part}"], dtype=object))[:, 0] for part in ("step", "mark")
    )
    return [name for name, mark in zip(names, marks, strict=True) if mark == "wrong" or _is_blank(workbook[name])]


def _is_blank(values: object) -> bool:
    return all(value is None or value == "" for value in np.ravel(np.asarray(values, dtype=object)))


def _all_numbers(workbook: Workbook, *names: str) -> bool:
    return all(np.asarray(workbook[name]).dtype == np.float64 for name in names)


def _generated(workbook: Workbook, next_token_id: int) -> dict[str, Any]:
    """All tokens that follow, their text, and why they are fewer than were asked for ("" where they are not)."""
    if "generated_ids" not in workbook:
        return {"generated_ids": [next_token_id], "generated_text": workbook["next_token"], "generated_end": ""}
    found = np.ravel(np.asarray(workbook["generated_ids"], dtype=object)).tolist()
    return {
        "generated_ids": [int(number) for number in found if isinstance(number, float)],
        "generated_text": str(workbook["generated_text"]),
        "generated_end": str(workbook["generated_end"]),
    }


def describe(workbook: Workbook) -> dict[str, Any]:
    """The record that `info --json` prints: what the file holds, in numbers."""
    formulas = list(workbook.formulas())
    facts: dict[str, Any] = {
        "file": str(workbook.path),
        "sheets": workbook.sheets,
        "formulas": sum(rect.size for _, rect, _ in formulas),
        "names": len(workbook.names),
    }
    for key, name in (
        ("model", "model.name"),
        ("parameters", "model.parameters"),
        ("vocab", "model.vocab"),
        ("digits", "model.digits"),
        ("fingerprint", "model.fingerprint"),
        ("prompt", "prompt"),
        ("next_token", "next_token"),
    ):
        if name in workbook:
            value = workbook[name]
            if name == "prompt" and not isinstance(value, ExcelError):
                value = joined_text(workbook, name)
            facts[key] = int(value) if isinstance(value, float) else _plain(value)
    if "token_ids" in workbook:
        facts["max_tokens"] = workbook.book.resolve("token_ids")[1].height
    if "char.code" in workbook:
        facts["max_chars"] = workbook.book.resolve("char.code")[1].height // 2
    return facts


def _float(value: object) -> float:
    return value if isinstance(value, float) else 0.0


def _plain(value: Any) -> Any:
    """Values as JSON has them: arrays as lists of rows, errors as their text."""
    if isinstance(value, np.ndarray):
        return [[_plain(item) for item in row] for row in value.tolist()]
    return value.text if isinstance(value, ExcelError) else value
