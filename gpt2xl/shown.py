"""A cell's value, for JSON and for people."""

from __future__ import annotations

from gpt2xl.errors import printable
from gpt2xl.formula import ExcelError, Scalar


def plain(value: Scalar) -> float | str | bool | None:
    """A value as JSON has it: errors as their text, a blank cell as null."""
    return value.text if isinstance(value, ExcelError) else value


def shown(value: Scalar) -> str:
    """A value as the command line prints it: texts in quotes, truth values as Excel shows them."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return '"' + printable(value.replace('"', '""')) + '"'
    return "blank" if value is None else value.text if isinstance(value, ExcelError) else f"{value:.15g}"
