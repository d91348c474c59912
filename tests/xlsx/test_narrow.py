"""Rows of few cells are read many at a time: what comes of it is what expat's handlers make of the same rows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from xlsx_helpers import values, worksheet

from gpt2xl.errors import WorkbookError
from gpt2xl.xlsx import dense
from gpt2xl.xlsx.narrow import read_rows
from gpt2xl.xlsx.sheet import read_sheet

STRINGS = ["no", "yes", "_x0041_"]
PLACES = [' r="{cell}"', ' r="{cell}"', ' r="{cell}"', ' r="{cell}"', "", ' r="{beside}"', ' r="ZZZ1"', ' r="{lower}"']
TYPES = ["", "", "", ' t="n"', ' t="str"', ' t="inlineStr"', ' t="s"', ' t="b"', ' t="e"', ' t="d"', ' t="x"']
FORMULAS = [
    *["", "", "", '<f t="shared" si="0"/>', '<f t="shared" si="0"/>', '<f t="shared" si="1"/>'],
    *["<f>A1+1</f>", '<f aca="false">SUM(A1:A2)</f>', "<f>A1&amp;1</f>", "<f></f>", '<f t="array" ref="{cell}">A1</f>'],
    '<f t="shared" ref="{cell}" si="0">A1</f>',
]
CONTENTS = ["1", "0", "-0.5", "1e-7", "1", "-0", " 7 ", "1_0", "", "a", "#N/A", "2024-03-01", "é", "_x0041_", "a&amp;b"]
CONTENTS += ["1,2", "]", "[1", "nan", "a>b", "a\tb", "2"]
CELLS = ["<c{r}{s}{t}>{f}<v>{v}</v></c>"] * 6 + [
    *["<c{r}{s}/>", "<c{r}{s}{t}/>", "<c{r}{s}{t}></c>", "<c{r}{t}{s}>{f}<v>{v}</v></c>"],
    *[
        '<c{r}{s}{t}>{f}<v xml:space="preserve">{v}</v></c>',
        "<c{r}{s}{t}>{f}</c>",
        "<c{r}{s}{t}><is><t>{v}</t></is></c>",
    ],
    *['<c{r}{s}{t}><is><t xml:space="preserve">{v}</t></is></c>', "<c{r}{s}{t}><v>{v}</v>{f}</c>", "<c{r}><v/></c>"],
    *["<c{r}{s}{t}>{f}<v>{v}</v><!-- c --></c>", "<c{r}{s}{t}><v>{v}<v>{v}</v></v></c>", "<x><c{r}><v>{v}</v></c></x>"],
]
ROWS = ['<row r="{row}">{cells}</row>'] * 8 + [
    *['<row r="{row}" spans="1:3" ht="15.5" customHeight="1">{cells}</row>', "<row>{cells}</row>", '<row r="{row}"/>'],
    *["<row r='{row}'>{cells}</row>", "<x>{cells}</x>", "<x><row r='{row}'>{cells}</row></x>", "{cells}"],
]


def rows(chance: random.Random, odd: float) -> str:
    """Some rows; the part `odd` of their ingredients may be anything, the others are the usual ones."""

    def one(choices: list[str]) -> str:
        return chance.choice(choices) if chance.random() < odd else choices[0]

    found = []
    for row in range(1, chance.randint(2, 9)):
        cells = [
            one(CELLS)
            .format(r=one(PLACES), s=chance.choice(["", ' s="2"']), t=one(TYPES), f=one(FORMULAS), v=one(CONTENTS))
            .format(cell=f"{chr(64 + column)}{row}", beside=f"{chr(64 + column)}{row + 1}", lower=f"b{row}")
            for column in sorted(chance.sample(range(1, 12), chance.randint(0, 9)))
        ]
        found.append(one(ROWS).format(row=row, cells="".join(cells)))
    return "".join(found)


def outcome(markup: str) -> tuple[Any, ...]:
    data = markup.encode()
    try:
        sheet = read_sheet([data[:40], data[40:]], lambda: STRINGS)
    except WorkbookError as error:
        return "refused", str(error)
    formulas = sorted((str(one.rect), one.text, one.mode, one.origin) for one in sheet.formulas)
    return values(sheet), formulas, sheet.rect, sheet.unfilled


@pytest.mark.parametrize("odd", [0.0, 0.02, 0.1, 0.4])
def test_as_expat_reads_them(odd: float, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(odd)
    sheets = [worksheet(rows(chance, odd)) for _ in range(400)]
    fast = [outcome(markup) for markup in sheets]
    taken = sum(read_rows(markup.encode(), markup.find("<row"), len(markup)) is not None for markup in sheets)
    monkeypatch.setattr(dense, "read_rows", lambda *_: None)
    assert fast == [outcome(markup) for markup in sheets]
    assert taken > (250 if odd < 0.05 else 20)
    assert odd < 0.1 or sum(found[0] == "refused" for found in fast) > 20


def test_wide_rows_are_left_to_runs() -> None:
    cells = "".join(f'<c r="A{letter}1"><v>1</v></c>' for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    cells += cells.replace('r="A', 'r="B')
    row = f'<row r="1">{cells}</row>'.encode()
    assert read_rows(row, 0, len(row)) is None
