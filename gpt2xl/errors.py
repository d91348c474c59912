"""What can go wrong, as one tree.

::

    Gpt2xlError                    a person can put it right; the command line ends with exit status 2
    ├── ModelError                 a checkpoint, its configuration or its tokenizer cannot be used
    ├── PromptError                a prompt that the workbook or the model cannot hold
    ├── ExerciseError              a step that no student copy can leave blank
    ├── TemplateError              a mistake in templates/, with file, step and column
    ├── WorkbookError              a file that is no readable workbook, or lacks what was asked of it
    │   └── NameNotFound           no such sheet, cell, range or defined name
    ├── FormulaError               a formula that cannot be computed
    │   ├── FormulaSyntaxError     text that is no formula: column and the text around it
    │   ├── UnsupportedFunction    a function the engine does not know: function, sheet and cell
    │   └── CircularReference      cells that need themselves, with their path
    ├── LimitError                 a limit of the file format or of Excel, with its number
    ├── OutputError                a target that cannot be written
    └── EngineError                LibreOffice, IronCalc or PyTorch is missing or failed

Anything else that is raised is a mistake of ours and keeps its traceback.
"""

from __future__ import annotations

from unicodedata import category

_LONGEST = 1000


class Gpt2xlError(Exception):
    """The base of all errors that a user can put right. Its text is one sentence that names the way out.

    What a file put into it is cut short, and its control characters and halves of surrogate pairs are shown as escapes.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(_shown(item) if isinstance(item, str) else item for item in arguments))


def _shown(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def printable(text: str) -> str:
    """A text without what a terminal obeys or cannot show: control characters and halves of surrogate pairs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if category(letter) not in ("Cc", "Cs") else ascii(letter)[1:-1] for letter in text)


class ModelError(Gpt2xlError):
    """A checkpoint, its configuration or its tokenizer cannot be used."""


class PromptError(Gpt2xlError):
    """A prompt that the workbook or the model cannot hold."""


class ExerciseError(Gpt2xlError):
    """A step that no student copy can leave blank, or options that exclude each other."""


class TemplateError(Gpt2xlError):
    """A mistake in a template; the text names file, step and column."""


class WorkbookError(Gpt2xlError):
    """A file that is no readable workbook, or lacks what was asked of it."""


class NameNotFound(WorkbookError, KeyError):
    """No such sheet, cell, range or defined name."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FormulaError(Gpt2xlError):
    """A formula that cannot be computed."""


class FormulaSyntaxError(FormulaError):
    """Text that is no formula.

    ``column`` is the 1-based place of the mistake in ``text``.
    """

    def __init__(self, message: str, text: str, column: int) -> None:
        self.text = text
        self.column = column
        start = max(0, column - 31)
        around = text[start : column + 29]
        super().__init__(f"{message} at column {column} of the formula, near `{around}`")


class UnsupportedFunction(FormulaError):
    """A function that the engine does not know, or a kind of reference that it does not follow.

    ``function`` is its name in capitals, or what the reference is; ``sheet`` and ``ref`` say where it stands, once
    that is known.
    """

    def __init__(self, function: str, sheet: str | None = None, ref: str | None = None) -> None:
        self.function = function
        self.sheet = sheet
        self.ref = ref
        where = f" in {sheet}!{ref}" if sheet is not None else ""
        what = f"function {function}" if function.isupper() and " " not in function else function
        super().__init__(f"the {what}{where} is not one that gpt2xl's engine computes")


class CircularReference(FormulaError):
    """Cells that need themselves. ``path`` lists them in order, the first once more at the end."""

    def __init__(self, path: list[str]) -> None:
        self.path = path
        super().__init__(f"circular reference: {' -> '.join(path)}")


class LimitError(Gpt2xlError):
    """A limit of the file format or of Excel, named with its number."""


class OutputError(Gpt2xlError):
    """A target that cannot be written."""


class EngineError(Gpt2xlError):
    """A program or library that computes for us is missing or failed."""
