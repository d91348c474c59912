"""The formulas of a book: where they stand, and which of them are copies of one another."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from gpt2xl.errors import FormulaError, FormulaSyntaxError
from gpt2xl.formula.graph import rectangles
from gpt2xl.formula.lexer import check_length, outline, relative_key, tokenize
from gpt2xl.formula.parser import parse
from gpt2xl.formula.precedents import readings
from gpt2xl.formula.printer import unparse
from gpt2xl.formula.tree import Missing, Node, moved
from gpt2xl.formula.unit import Block, Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpt2xl.a1 import Rect
    from gpt2xl.formula.names import Names

_MODES = ("cell", "array", "fill")


class Formulas:
    """Blocks of formulas, by sheet and first cell. Sheets are given by their names as the book spells them."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._blocks: dict[tuple[str, int, int], Block] = {}
        self._keys: set[tuple[str, ...]] = set()
        self._outlines: dict[str, tuple[str, ...]] = {}

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks.values())

    def add(self, sheet: str, rect: Rect, text: str, mode: str, tree: Node | None = None) -> None:
        """Put a formula into cells; raises `FormulaSyntaxError` for a text that is none. `tree` is its, if at hand."""
        if mode not in _MODES:
            raise ValueError(f"mode is one of {', '.join(_MODES)}")
        if mode == "cell" and rect.size != 1:
            raise ValueError("an ordinary formula stands in one cell")
        check_length(text)
        key = None
        if mode == "cell":
            key = self._key(sheet, text.removeprefix("="), rect.top, rect.left)
        elif tree is None:
            parse(text)
        self._blocks[sheet, rect.top, rect.left] = Block(sheet, rect, text, mode, rect.top, rect.left, key, tree=tree)

    def add_unreadable(self, sheet: str, rect: Rect, error: FormulaSyntaxError) -> None:
        """Put a text into cells that is no formula: what needs their values gets `error`."""
        block = Block(sheet, rect, error.text, "array", rect.top, rect.left, error=error)
        self._blocks[sheet, rect.top, rect.left] = block

    def _key(self, sheet: str, text: str, row: int, column: int) -> tuple[str, ...]:
        """What copies of one relative formula share; each of them is parsed once."""
        if "[" in text:
            parse(text)
            return (*relative_key(tokenize(text), row, column), *self._names.cell_key(sheet, row, column))
        drawn = outline(text, row, column)
        known = self._outlines.get(drawn) if drawn is not None else None
        if known is not None:
            return known
        key = relative_key(tokenize(text), row, column)
        if key not in self._keys:
            parse(text)
            self._keys.add(key)
        if drawn is not None:
            self._outlines[drawn] = key
        return key

    def tree(self, block: Block) -> Node:
        """A formula's tree, its tables as plain references; raises `FormulaSyntaxError` for what is no formula."""
        return (
            self._names.formula(block.text, block.sheet, block.row, block.column) if block.tree is None else block.tree
        )

    def remove(self, sheet: str, rect: Rect) -> bool:
        """Take away the formulas of a rectangle, and say whether there were any; part of an array cannot be changed."""
        kept: list[Block] = []
        hit = False
        for block in self._blocks.values():
            if block.sheet != sheet or not block.rect.intersects(rect):
                kept.append(block)
                continue
            if block.mode == "array" and not rect.contains(block.rect):
                raise FormulaError(
                    f"{sheet}!{rect} is part of the array formula in {block.rect}, which only changes whole"
                )
            hit = True
            kept.extend(
                Block(block.sheet, part, block.text, block.mode, block.row, block.column, block.key, block.stale)
                for part in block.rect.without(rect)
            )
        if hit:
            self._blocks = {(block.sheet, block.rect.top, block.rect.left): block for block in kept}
        return hit

    def grouped(self) -> list[Group]:
        """The formulas as groups: adjacent cells with copies of one relative formula are one rectangle."""
        groups: list[Group] = []
        copies: dict[tuple[str, tuple[str, ...] | None], dict[Rect, Block]] = defaultdict(dict)
        for block in self._blocks.values():
            if block.mode == "cell":
                copies[block.sheet, block.key][block.rect] = block
            else:
                groups.append(self._group([block], block.rect))
        for blocks in copies.values():
            for rect in rectangles(blocks):
                cells = [rect.cell(row, column) for row in range(rect.height) for column in range(rect.width)]
                groups.append(self._group([blocks[cell] for cell in cells], rect))
        return groups

    def _group(self, blocks: list[Block], rect: Rect) -> Group:
        first = blocks[0]
        error, tree = first.error, None
        try:
            tree = self.tree(first) if error is None else None
        except FormulaSyntaxError as found:
            error = found  # a reference to the table around the cell, and there is none
        if tree is None:
            group = Group(blocks, first.sheet, rect, first.row, first.column, True, Missing())
            group.error = error
            return group
        group = Group(blocks, first.sheet, rect, first.row, first.column, first.mode == "array", tree)
        try:
            group.readings = readings(group.tree, self._names, first.sheet)
        except FormulaError as error:
            group.error = error  # a name that needs itself, or that is no formula
        return group


def text_at(block: Block, row: int, column: int) -> str:
    """The formula's text as the cell (row, column) of its block has it."""
    rows, columns = row - block.row, column - block.column
    if block.mode == "array" or not (rows or columns):
        return block.text
    return "=" + unparse(moved(parse(block.text), rows, columns))
