"""Text to tokens.

The lexical rules are ECMA-376 part 1, 18.17.2. What looks like a cell is one only if its column exists (up to XFD) and
nothing that a name may contain follows it: `ln_1`, `h.0.ln_1`, `XFE1` and `LOG10(` are no cells.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from gpt2xl.a1 import MAX_COLUMNS, MAX_FORMULA_TEXT, MAX_ROWS, column_letters
from gpt2xl.errors import FormulaSyntaxError, WorkbookError
from gpt2xl.formula.tree import Reference

MOST_READ = 4 * MAX_FORMULA_TEXT

_LETTER = r"[^\W\d]|[\\]"
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\r\n]+)
    | (?P<string>"(?:[^"]|"")*")
    | (?P<error>\#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|GETTING_DATA
        |SPILL!|CONNECT!|BLOCKED!|UNKNOWN!|FIELD!|CALC!))
    | (?P<external>\[[^\]]*\][\w.]*!|'(?:[^'\[]|'')*\[[^\]]*\](?:[^']|'')*'!)
    | (?P<span>[\w.]+:[\w.]+!|'(?:[^':]|'')*:(?:[^']|'')*'!)
    | (?P<sheet>'(?:[^']|'')+'!|(?:{_LETTER})[\w.\\]*!)
    | (?P<table>(?:(?:{_LETTER})[\w.\\]*)?\[(?:[^\[\]']|'.|\[(?:[^\[\]']|'.)*\])*\])
    | (?P<columns>\$?[A-Za-z]{{1,3}}:\$?[A-Za-z]{{1,3}}(?![\w.(!\\?]))
    | (?P<rows>\$?[1-9]\d{{0,6}}:\$?[1-9]\d{{0,6}}(?![\w.(!]))
    | (?P<cell>\$?[A-Za-z]{{1,3}}\$?[1-9]\d{{0,6}}(?![\w.(!\\?]))
    | (?P<function>(?:{_LETTER})[\w.]*(?=\())
    | (?P<name>(?:{_LETTER})[\w.\\?]*)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<op><=|>=|<>|[-+*/^&=<>%:,;(){{}}@\#~])
    """,
    re.VERBOSE,
)
_CELL = re.compile(r"(\$?)([A-Za-z]+)(\$?)(\d+)")
_SIDE = re.compile(r"(\$?)(\w+)")


class Token(NamedTuple):
    """One word of a formula: its class, its text, where it stands (from 0) and whether space comes before it."""

    kind: str
    text: str
    start: int
    spaced: bool = False


def check_length(text: str) -> None:
    """Raise `FormulaSyntaxError` for a text too long to be taken apart.

    Excel's limit of 8,192 characters is for what is typed; in a file the same formula has prefixes and names of sheets.
    """
    if len(text) > MOST_READ:
        raise FormulaSyntaxError(
            f"the formula has {len(text):,} characters, and Excel's limit is {MAX_FORMULA_TEXT:,}", text, 1
        )


def tokenize(text: str) -> list[Token]:
    """The tokens of a formula (without its "="), an "end" token last; raises `FormulaSyntaxError`."""
    check_length(text)
    tokens: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            what = "a text without its closing quote" if text[position] == '"' else f"`{text[position]}` has no place"
            raise FormulaSyntaxError(what, text, position + 1)
        kind = match.lastgroup or ""
        if kind == "space":
            spaced = True
        else:
            if kind in ("cell", "columns") and not _exists(kind, match.group()):
                match = re.compile(r"[\w.\\?]+").match(text, position) or match
                kind = "name"
            tokens.append(Token(kind, match.group(), position, spaced))
            spaced = False
        position = match.end()
    tokens.append(Token("end", "", len(text), spaced))
    return tokens


def _exists(kind: str, text: str) -> bool:
    """Whether the letters name columns and the digits a row of a sheet."""
    sides = text.split(":")
    if kind == "columns":
        return all(_column(side.lstrip("$")) <= MAX_COLUMNS for side in sides)
    match = _CELL.fullmatch(text)
    return match is not None and _column(match[2]) <= MAX_COLUMNS and int(match[4]) <= MAX_ROWS


@lru_cache(maxsize=1 << 16)
def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def reference(token: Token, sheet: str | None) -> Reference:
    """The reference that a "cell", "columns" or "rows" token spells."""
    if token.kind == "cell":
        match = _CELL.fullmatch(token.text)
        if match is None:
            raise WorkbookError(f"`{token.text}` is no cell reference")
        row, column = int(match[4]), _column(match[2])
        return Reference(
            row, column, row, column, bool(match[3]), bool(match[1]), bool(match[3]), bool(match[1]), sheet
        )
    (first_fixed, first), (last_fixed, last) = _SIDE.findall(token.text)
    if token.kind == "columns":
        return Reference(
            1,
            _column(first),
            MAX_ROWS,
            _column(last),
            True,
            bool(first_fixed),
            True,
            bool(last_fixed),
            sheet,
            "columns",
        ).ordered()
    return Reference(
        int(first), 1, int(last), MAX_COLUMNS, bool(first_fixed), True, bool(last_fixed), True, sheet, "rows"
    ).ordered()


def relative_key(tokens: list[Token], row: int, column: int) -> tuple[str, ...]:
    """What copies of one relative formula share: the tokens, with moving sides as distances from the cell."""
    key = []
    for token in tokens:
        if token.kind == "cell":
            match = _CELL.fullmatch(token.text)
            if match is not None:
                down = match[4] if match[3] else f"[{int(match[4]) - row}]"
                across = match[2].upper() if match[1] else f"[{_column(match[2]) - column}]"
                key.append(f" R{down}C{across}")
                continue
        elif token.kind in ("columns", "rows"):
            here = column if token.kind == "columns" else row
            for fixed, side in _SIDE.findall(token.text):
                place = _column(side) if token.kind == "columns" else int(side)
                key.append(f"{token.kind}{side.upper()}" if fixed else f"{token.kind}[{place - here}]")
            continue
        key.append(" " + token.text if token.spaced else token.text)
    return tuple(key)


# Literals first, so that what looks like a cell inside them stays as it is.
_QUOTED_OR_CELL = re.compile(
    r"""("[^"]*"|'[^']*')|(?<![\w.$\\?])(\$?)([A-Za-z]{1,3})(\$?)([1-9][0-9]{0,6})(?![\w.(\\?!])"""
)
_WHOLE = re.compile(r"(?<![\w.])\$?(?:[A-Za-z]{1,3}:\$?[A-Za-z]{1,3}|[0-9]+:\$?[0-9]+)(?![\w.(])")


def outline(text: str, row: int, column: int) -> str | None:
    """A text that only copies of one relative formula share, made without taking it apart; None where that is not sure.

    Much quicker than `relative_key`: a file that another program saved may hold a hundred thousand copies.
    """
    if _WHOLE.search(text):
        return None

    def moved(match: re.Match[str]) -> str:
        quoted, fixed_column, letters, fixed_row, digits = match.groups()
        if quoted is not None:
            return quoted
        across, down = _column(letters), int(digits)
        if across > MAX_COLUMNS or down > MAX_ROWS:
            return match.group()  # a name
        # \x00 stands in no formula, so that nothing a formula says can look like this.
        down -= 0 if fixed_row else row
        across -= 0 if fixed_column else column
        return f"\0{down}{fixed_row},{across}{fixed_column}"

    return _QUOTED_OR_CELL.sub(moved, text)


def sheet_name(text: str) -> str:
    """`Sheet1!` or `'It''s'!` -> the sheet's name."""
    text = text[:-1]
    return text[1:-1].replace("''", "'") if text.startswith("'") else text


def letters(reference_column: int, fixed: bool) -> str:
    """A column as a formula writes it."""
    return ("$" if fixed else "") + column_letters(reference_column)
