"""A cell's value, for JSON and for people."""

from __future__ import annotations

from unicodedata import category

from gpt2xl.formula import ExcelError, Scalar


def plain(value: Scalar) -> float | str | bool | None:
    """A value as JSON has it: errors as their text, a blank cell as null."""
    return value.text if isinstance(value, ExcelError) else value


def printable(text: str) -> str:
    """A text without what a terminal obeys or cannot show: control characters and halves of surrogate pairs."""
    return "".join(letter if category(letter) not in ("Cc", "Cs") else ascii(letter)[1:-1] for letter in text)


def shown(value: Scalar) -> str:
    """A value as the command line prints it: texts in quotes, truth values as Excel shows them."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return '"' + printable(value.replace('"', '""')) + '"'
    return "blank" if value is None else value.text if isinstance(value, ExcelError) else f"{value:.15g}"
