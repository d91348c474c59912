"""Every link of the workbook, followed: it leads to the step that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest

from gpt2xl.a1 import Rect

Cell = tuple[str, str]


class Links:
    """The cells of a workbook, its links and its names, as an independent reader has them."""

    def __init__(self, book: openpyxl.Workbook) -> None:
        self.book = book
        self.links = {
            (sheet.title, cell.coordinate): self._target(cell.hyperlink.location)
            for sheet in self.book
            for row in sheet.iter_rows()
            for cell in row
            if cell.hyperlink
        }
        self.names = {
            name: (text.rpartition("!")[0].strip("'"), text.rpartition("!")[2].split(":")[0].replace("$", ""))
            for name, text in ((name, defined.attr_text) for name, defined in self.book.defined_names.items())
        }

    @staticmethod
    def _target(location: str) -> Cell:
        sheet, cell = re.fullmatch(r"'?([^'!]*)'?!([A-Z]+[0-9]+)", location).groups()  # type: ignore[union-attr]
        return sheet, cell

    def value(self, cell: Cell) -> Any:
        return self.book[cell[0]][cell[1]].value

    def name_at(self, cell: Cell) -> str:
        """The step whose heading begins at a cell, or the sheet whose title stands there."""
        if cell[1] == "A1":
            return cell[0]
        row = Rect.parse(cell[1])
        below = self.book[cell[0]].cell(row.top + 1, row.left).value
        return str(below).split(" · ")[0]

    def headings(self) -> Iterator[tuple[str, Cell]]:
        """Every step that has a heading, with the heading's first cell."""
        for name, (sheet, corner) in self.names.items():
            column = re.match("[A-Z]+", corner)[0]  # type: ignore[index]
            for row in range(1, 10):
                cell = sheet, f"{column}{int(corner[len(column) :]) - row}"
                if int(cell[1][len(column) :]) <= 3:
                    continue
                words = str(self.value(cell))
                if words.startswith(f"{name} · ") or (words == name and cell in self.links):
                    yield name, (sheet, f"{column}{int(cell[1][len(column) :]) - 1}")


@pytest.fixture(scope="module")
def links(read_values: openpyxl.Workbook) -> Links:
    return Links(read_values)


def around(links: Links, heading: Cell) -> dict[str, Cell]:
    """The links below a heading by their first sign: back, previous, next."""
    sheet, corner = heading
    place = Rect.parse(corner)
    found = {}
    for column in range(place.left, place.left + 3):
        for row in range(place.top + 1, place.top + 4):
            cell = sheet, links.book[sheet].cell(row, column).coordinate
            if cell in links.links:
                words = str(links.value(cell))
                found.setdefault("▸" if "▸" in words else words[0], links.links[cell])
    return found


def test_every_link_leads_to_a_cell_with_something_in_it(links: Links) -> None:
    assert len(links.links) > 200
    empty = {(cell, target) for cell, target in links.links.items() if links.value(target) is None}
    # A step may hold an empty text, which this reader gives as None.
    assert {(cell, target) for cell, target in empty if target[1] != "A1"} <= {
        (cell, target) for cell, target in empty if links.names.get(str(links.value(cell))) == target
    }
    assert {sheet for _, (sheet, _) in empty} <= set(links.book.sheetnames)


def test_previous_and_next_are_each_others_opposites(links: Links) -> None:
    headings = dict(links.headings())
    assert {"h.0.ln_1", "h.1.attn.pattern.2", "h.1.mlp.post", "logits", "char.code", "wte"} <= set(headings)
    followed = 0
    for name, heading in headings.items():
        after = around(links, heading).get("▸")
        if after is None or links.name_at(after) not in headings:
            continue
        back = around(links, after)["◂"]
        assert links.name_at(back) == name, f"{name} -> {links.name_at(after)} -> {links.name_at(back)}"
        followed += 1
    assert followed > 100


def test_next_goes_through_a_block_in_the_order_of_computation(links: Links) -> None:
    headings = dict(links.headings())
    name, seen = "h.0.resid_pre", ["h.0.resid_pre"]
    while name != "h.1.resid_pre":
        name = links.name_at(around(links, headings[name])["▸"])
        seen.append(name)
    steps = (
        "ln_1.mean ln_1.var ln_1 attn.qkv attn.scores.0 attn.pattern.0 attn.scores.3 attn.z attn.out resid_mid mlp.out"
    )
    order = [f"h.0.{step}" for step in steps.split()]
    assert [step for step in seen if step in order] == order


def test_every_box_of_the_map_leads_to_its_step_and_each_step_back_to_its_box(links: Links) -> None:
    headings = dict(links.headings())
    boxes = {cell: target for cell, target in links.links.items() if cell[0] == "Map" and target[0] != "Start"}
    assert len(boxes) > 40
    reached = {links.name_at(target) for target in boxes.values()}
    assert {"word.start", "token_ids", "embed", "h.0.ln_1", "h.1.attn.pattern.2", "h.1.mlp.out", "logits"} <= reached
    for cell, target in boxes.items():
        if links.name_at(target) in headings:
            assert back(links, target) == cell


def back(links: Links, heading: Cell) -> Cell:
    """Where the link back from a heading leads."""
    sheet, corner = heading
    name = links.book[sheet].cell(Rect.parse(corner).top + 1, Rect.parse(corner).left).coordinate
    return links.links[sheet, name] if (sheet, name) in links.links else around(links, heading)["▴"]


def test_every_step_leads_back_to_the_box_that_it_belongs_to(links: Links) -> None:
    backs = {name: links.value(back(links, heading)) for name, heading in links.headings()}
    assert len(backs) > 100
    assert backs["h.0.ln_1.var"] == backs["h.0.ln_1"] == "Layer norm"
    assert backs["h.0.attn.masked.1"] == backs["h.0.attn.pattern.1"] == "1"
    assert backs["logits.exp"] == backs["probs"] == "Probabilities"
