"""Inputs of a workbook as a command line has them: `NAME=VALUE`, a matrix as JSON, one cell of it by its place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpt2xl.a1 import cell_name, quote_sheet
from gpt2xl.errors import WorkbookError
from gpt2xl.workbook import Workbook

_NUMBERS_OR_WORDS = ("patch.token",)
_CELL = re.compile(r"(.+)\[\s*([0-9]+)\s*(?:,\s*([0-9]+)\s*)?\]")


def set_inputs(workbook: Workbook, prompt: str | None, settings: Sequence[str]) -> None:
    """Set the prompt and `NAME=VALUE` inputs.

    A value that reads as a number is one, but never for `prompt`. A list (`[0,1]`) or a list of rows (`[[1,1],[0,1]]`)
    fills the cells of a name. `NAME[ROW,COLUMN]`, both from 0, is one cell of it; one number will do where there is
    but one row or column. Raises `WorkbookError` for anything else.
    """
    if prompt is not None:
        workbook["prompt"] = prompt
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise WorkbookError(
                f"--set {setting!r} is not of the form NAME=VALUE; write for instance --set prompt=Hello"
            )
        _set(workbook, name.strip(), value)


def _set(workbook: Workbook, name: str, value: str) -> None:
    if name.casefold() == "prompt":
        workbook[name] = value
        return
    if place := _CELL.fullmatch(name):
        workbook[_one_cell(workbook, place[1], place[2], place[3])] = _number(value)
        return
    rect = workbook.book.resolve(name)[1]
    typed = _matrix(name, value, rect.shape) if value.lstrip().startswith("[") else _number(value)
    held_numbers = isinstance(typed, str) and name not in _NUMBERS_OR_WORDS and _are_numbers(workbook[name])
    workbook[name] = typed
    if held_numbers and not _objects(workbook):
        raise WorkbookError(f"{name} holds numbers, and {typed!r} is none; give a number, such as --set {name}=1")


def _one_cell(workbook: Workbook, name: str, row: str, column: str | None) -> str:
    """The reference of one cell of a name."""
    sheet, rect = workbook.book.resolve(name)
    down, right = int(row), int(column or 0)
    if column is None and rect.height == 1:
        down, right = right, down
    if (column is None and 1 not in rect.shape) or down >= rect.height or right >= rect.width:
        raise WorkbookError(
            f"{name} has {rect.height} × {rect.width} cells: its last one is {name}[{rect.height - 1},{rect.width - 1}]"
        )
    return f"{quote_sheet(sheet)}!{cell_name(rect.top + down, rect.left + right)}"


def _matrix(name: str, text: str, shape: tuple[int, int]) -> Any:
    """A JSON list as an array of cells; a list of numbers is a row or a column, whichever `shape` is."""
    try:
        rows = json.loads(text)
    except json.JSONDecodeError:
        raise WorkbookError(
            f"the value for {name} begins as a list and is none; write it as in [[1,1],[0,1]]"
        ) from None
    flat = not any(isinstance(row, list) for row in rows)
    if flat and 1 in shape and len(rows) == max(shape):
        rows = [rows] if shape[0] == 1 else [[cell] for cell in rows]
    if [len(row) if isinstance(row, list) else -1 for row in rows] != [shape[1]] * shape[0]:
        raise WorkbookError(f"{name} takes {shape[0]} rows of {shape[1]} values; write them as in [[1,1],[0,1]]")
    cells = [[_cell(name, cell) for cell in row] for row in rows]
    numbers = all(type(cell) is float for row in cells for cell in row)
    return np.array(cells, dtype=np.float64 if numbers else object)


def _cell(name: str, value: object) -> object:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise WorkbookError(f"a cell of {name} cannot hold {json.dumps(value)}; give a number or a text")


def _objects(workbook: Workbook) -> bool:
    """Whether the workbook itself says what is wrong, as it does with its settings."""
    return "state" in workbook and workbook["state"] != ""


def _are_numbers(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype != object)


def _number(text: str) -> float | str:
    """A finite number where `text` is one, else `text` itself: "nan" and "inf" are words to a spreadsheet."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
