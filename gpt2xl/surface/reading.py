"""Sheets to read: the glossary, and the list of all names with a link to each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.plan.plan import Plan
from gpt2xl.surface.cells import link, text
from gpt2xl.surface.navigation import Navigation
from gpt2xl.surface.styles import Styles
from gpt2xl.xlsx import Block

GLOSSARY, NAMES = "Glossary", "Names"
_FIRST_ROW = 5
# Characters in a line of the glossary's wide column, and the height of a line in points.
_LINE, _POINTS = 118, 14.0


def read_glossary(path: Path) -> tuple[str, str, dict[str, str], dict[str, str]]:
    """Title, note, terms and questions of glossary.toml."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return content["title"], content["note"], content["terms"], content["questions"]


def glossary(worksheet: Worksheet, path: Path, styles: Styles, navigation: Navigation) -> Iterator[Block]:
    """A term or a question a row, with what it means beside it."""
    title, note, terms, questions = read_glossary(path)
    yield from _top(worksheet, title, note, styles, navigation)
    worksheet.column_dimensions["B"].width = 34.0
    worksheet.column_dimensions["C"].width = 110.0
    worksheet.freeze_panes = "A4"
    entries = [*sorted(terms.items(), key=lambda item: item[0].casefold()), None, *questions.items()]
    for row, entry in enumerate(entries, start=_FIRST_ROW):
        if entry is None:
            yield text(row, 2, "Questions", styles.strong)
            continue
        words, meaning = entry
        lines = max(-(-len(meaning) // _LINE), -(-len(words) // 32))
        worksheet.row_dimensions[row].height = _POINTS * lines + 3
        yield text(row, 2, words, styles.term)
        yield text(row, 3, meaning, styles.paragraph)


def names(worksheet: Worksheet, plan: Plan, styles: Styles, navigation: Navigation) -> Iterator[Block]:
    """Every step, table and parameter: its name with a link, its sheet, what it is, its shape, its role."""
    note = "What a formula, the Name Box or `gpt2xl run --get` can ask for. A click leads to it."
    yield from _top(worksheet, "All names", note, styles, navigation)
    for letter, width in zip("BCDEF", (32.0, 18.0, 48.0, 16.0, 14.0), strict=True):
        worksheet.column_dimensions[letter].width = width
    for column, words in enumerate(("Name", "Sheet", "What it is", "Rows × columns", "Role"), start=2):
        yield text(_FIRST_ROW - 1, column, words, styles.strong)
    worksheet.freeze_panes = f"A{_FIRST_ROW}"
    row = _FIRST_ROW
    for sheet in plan.sheets:
        for item in sheet.items:
            stop = navigation.to(item.name)
            assert stop is not None
            yield text(row, 2, item.name, styles.link)
            link(worksheet, row, 2, stop.sheet, stop.ref)
            shape = f"{item.rect.height:,} × {item.rect.width:,}"
            for column, words in enumerate((sheet.name, item.title, shape, item.role), start=3):
                yield text(row, column, words, styles.text)
            row += 1


def _top(worksheet: Worksheet, title: str, note: str, styles: Styles, navigation: Navigation) -> Iterator[Block]:
    worksheet.column_dimensions["A"].width = 2.0
    yield text(1, 2, title, styles.title)
    yield text(2, 2, note, styles.note)
    start = navigation.start
    yield text(3, 2, f"↩ {start.name}", styles.link)
    link(worksheet, 3, 2, start.sheet, start.ref)
