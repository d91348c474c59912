"""One block's cells as markup, row by row (ECMA-376 part 1, 18.3.1.4: c).

A stretch of plain numbers costs one step of Python a row: its numbers come as one comma-separated text, and the
commas are exchanged for the markup between two cells. Only text, booleans, errors and blanks are handled one by
one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpt2xl.a1 import BLANK, BOOL, ERROR, ERROR_TEXTS, NUMBER, TEXT, column_letters
from gpt2xl.xlsx.numbers import Array, number_rows
from gpt2xl.xlsx.text import cell_text, formula_text, result_text

if TYPE_CHECKING:
    from gpt2xl.xlsx.block import Block

CLOSE = b"</v></c>"
_INLINE = b' t="inlineStr"><is><t xml:space="preserve">'
_INLINE_CLOSE = b"</t></is></c>"
# Cells of a block that are made at once, and wait for their rows.
_MOST_MADE = 32_768
_ERRORS = tuple(text.encode() for text in ERROR_TEXTS)


class BlockWriter:
    """Writes the cells of `block`, row by row.

    With ``references`` every cell says where it is (attribute r). Without, only the cells that hold a formula's
    text and those that do not directly follow another cell do. ``shared`` is the number of the block's shared formula.
    """

    def __init__(self, block: Block, *, references: bool, shared: int = 0) -> None:
        self.block = block
        self._references = references
        self._style = f' s="{block.style}"'.encode() if block.style else b""
        self._opening = b'<c r="' + column_letters(block.rect.left).encode()
        self._first_formula, self._formula = _formulas(block, shared)
        self._made: dict[bool, list[bytes]] = {}
        # For the cells after a row's first: the end of the cell before, then the beginning of this one.
        separator = CLOSE + b"<c" + self._style + b">" + self._formula + b"<v>"
        if references:
            letters = (column_letters(column).encode() for column in range(block.rect.left, block.rect.right + 1))
            rest = b'#"' + separator.removeprefix(CLOSE + b"<c")
            self._separators = b",".join(CLOSE + b'<c r="' + letter + rest for letter in letters)
        else:
            self._separators = separator

    @property
    def plain(self) -> bool:
        """Whether all cells are alike but for their numbers."""
        block = self.block
        return (
            not self._references
            and block.mode == "constant"
            and (block.kind is None or not block.kind.any())
            and block.num.dtype in (np.float32, np.float64)
        )

    @property
    def separator(self) -> bytes:
        """What stands between the numbers of a `plain` block."""
        return self._separators

    def opening(self, row: int, follows: bool) -> bytes:
        """What stands before the first number of a row of a `plain` block."""
        return self._open(row, 0, follows) + b"><v>"

    def rows(self, first: int, count: int, follows: bool) -> list[bytes]:
        """The cells of `count` rows from `first` (counted from 0 inside the block).

        `follows` says that there is a cell directly before each row's first.
        """
        block = self.block
        height = block.rect.height
        if height == 1 and block.rect.width == 1:
            return [self._single(follows)]
        if count == height or block.rect.size > _MOST_MADE:
            return self._rows(first, count, follows)
        # Beside blocks that end here and there it is asked for few rows at a time.
        if follows not in self._made:
            self._made[follows] = self._rows(0, height, follows)
        rows = self._made[follows][first : first + count]
        if first + count == height:
            self._made.clear()
        return rows

    def _single(self, follows: bool) -> bytes:
        """The only cell."""
        block = self.block
        kind = NUMBER if block.kind is None else int(block.kind[0, 0])
        if kind != NUMBER:
            return self._other(0, 0, kind, follows)
        return self._plain(0, number_rows(block.num[:1])[0], follows)

    def _rows(self, first: int, count: int, follows: bool) -> list[bytes]:
        block = self.block
        values = block.num[first : first + count]
        kinds = None if block.kind is None else block.kind[first : first + count]
        if block.rect.width == 1:
            return self._column(
                first, number_rows(values if kinds is None else _numbers(values, kinds)), kinds, follows
            )
        if kinds is None or not kinds.any():
            return [self._plain(first + index, numbers, follows) for index, numbers in enumerate(number_rows(values))]
        numbers = number_rows(_numbers(values, kinds))
        repeated = self._repeated(first, values, kinds, follows)
        rows: list[bytes] = []
        for index in range(count):
            if repeated[index]:
                rows.append(rows[-1])
            elif kinds[index].any():
                rows.append(self._mixed(first + index, numbers[index], kinds[index], follows))
            else:
                rows.append(self._plain(first + index, numbers[index], follows))
        return rows

    def _repeated(self, first: int, values: Array, kinds: Array, follows: bool) -> list[bool]:
        """Which rows are, to the byte, as the one before: errors of a matrix that is not computed, say."""
        if self._references or not follows:
            return [False] * len(values)
        same = (kinds[1:] == kinds[:-1]).all(axis=1) & (values[1:] == values[:-1]).all(axis=1)
        same &= (kinds[1:] != TEXT).all(axis=1)
        if first == 0:
            same[:1] = False  # the formula's text is in the first row
        return [False, *same.tolist()]

    def _column(self, first: int, numbers: list[bytes], kinds: Array | None, follows: bool) -> list[bytes]:
        """The cells of a block that is one column wide: most rows of a workbook have several of these."""
        middle = b">" + self._formula + b"<v>"
        if self._references or not follows:
            top, opening, close = self.block.rect.top + first, self._opening, b'"' + self._style + middle
            starts = [b"%b%d%b" % (opening, row, close) for row in range(top, top + len(numbers))]
        else:
            starts = [b"<c" + self._style + middle] * len(numbers)
            if kinds is not None and self.block.mode == "constant" and (kinds == TEXT).all():
                return self._texts(first, len(numbers))
        if kinds is None:
            cells = [start + value + CLOSE for start, value in zip(starts, numbers, strict=True)]
        else:
            cells = [
                start + value + CLOSE if kind == NUMBER else self._other(row, 0, kind, follows)
                for row, (start, value, kind) in enumerate(
                    zip(starts, numbers, kinds[:, 0].tolist(), strict=True), start=first
                )
            ]
        if not first and self._first_formula and (kinds is None or kinds[0, 0] == NUMBER):
            cells[0] = self._plain(0, numbers[0], follows)
        return cells

    def _texts(self, first: int, count: int) -> list[bytes]:
        """The cells of a column that holds nothing but texts, after another."""
        start = b"<c" + self._style + _INLINE
        return [start + cell_text(self._text(row, 0)) + _INLINE_CLOSE for row in range(first, first + count)]

    def _text(self, row: int, column: int) -> str:
        words = None if self.block.text is None else self.block.text[row, column]
        if not isinstance(words, str):
            raise ValueError(f"{self.block.rect.cell(row, column)} is text without its text")
        return words

    def _open(self, row: int, column: int, follows: bool) -> bytes:
        """`<c r="B2" s="1"`, without what closes the tag."""
        rect = self.block.rect
        first_formula = self._first_formula and not row and not column
        if self._references or first_formula or (not column and not follows):
            opening = self._opening if not column else b'<c r="' + column_letters(rect.left + column).encode()
            return b'%b%d"%b' % (opening, rect.top + row, self._style)
        return b"<c" + self._style

    def _formula_of(self, row: int, column: int) -> bytes:
        return self._formula if row or column else self._first_formula

    def _plain(self, row: int, numbers: bytes, follows: bool) -> bytes:
        start = self._open(row, 0, follows) + b">" + self._formula_of(row, 0) + b"<v>"
        if not self._references:
            return start + numbers.replace(b",", self._separators) + CLOSE
        if self.block.rect.width == 1:
            return start + numbers + CLOSE
        parts = self._between(row)
        parts[0] = start
        return _interleave(parts, numbers.split(b",")) + CLOSE

    def _between(self, row: int) -> list[bytes]:
        """For every cell of a row with references, the markup before its number."""
        return self._separators.replace(b"#", str(self.block.rect.top + row).encode()).split(b",")

    def _mixed(self, row: int, numbers: bytes, kinds: Array, follows: bool) -> bytes:
        width = self.block.rect.width
        values = numbers.split(b",")
        if self._references:
            starts = [start.removeprefix(CLOSE) for start in self._between(row)]
        else:
            starts = [self._separators.removeprefix(CLOSE)] * width
        starts[0] = self._open(row, 0, follows) + b">" + self._formula_of(row, 0) + b"<v>"
        ends = [CLOSE] * width
        for column in kinds.nonzero()[0].tolist():
            starts[column] = b""
            values[column] = self._other(row, column, int(kinds[column]), follows)
            ends[column] = b""
        cells = [b""] * (3 * width)
        cells[0::3] = starts
        cells[1::3] = values
        cells[2::3] = ends
        return b"".join(cells)

    def _other(self, row: int, column: int, kind: int, follows: bool) -> bytes:
        """A whole cell that holds no number."""
        block = self.block
        start, formula = self._open(row, column, follows), self._formula_of(row, column)
        if kind == BLANK:
            if formula:
                return start + b">" + formula + b"</c>"
            # Where positions are implied, a cell left out would move all that follow it; and IronCalc needs
            # every cell of an array formula.
            needed = self._style or not self._references or block.mode != "constant"
            return start + b"/>" if needed else b""
        if kind == TEXT:
            words = self._text(row, column)
            if block.mode == "constant":
                return start + _INLINE + cell_text(words) + _INLINE_CLOSE
            return start + b' t="str">' + formula + result_text(words) + b"</c>"
        value = int(block.num[row : row + 1][0, column])
        if kind == BOOL and value in (0, 1):
            return start + b' t="b">' + formula + b"<v>" + str(value).encode() + CLOSE
        if kind == ERROR and 0 <= value < len(_ERRORS):
            return start + b' t="e">' + formula + b"<v>" + _ERRORS[value] + CLOSE
        raise ValueError(f"{block.rect.cell(row, column)} has kind {kind} and value {value}")


def _numbers(values: Array, kinds: Array) -> Array:
    """The numbers, 0 where there is something else."""
    return np.where(kinds == NUMBER, values, 0)


def _formulas(block: Block, shared: int) -> tuple[bytes, bytes]:
    """The element f of the block's first cell and that of the others (ECMA-376 part 1, 18.3.1.40)."""
    if block.formula is None:
        return b"", b""
    text = formula_text(block.formula)
    ref = str(block.rect).encode()
    if block.mode == "array":
        return b'<f t="array" ref="' + ref + b'">' + text + b"</f>", b""
    if block.mode == "fill" and block.rect.size > 1:
        start = b'<f t="shared" '
        index = b'si="' + str(shared).encode() + b'"'
        return start + b'ref="' + ref + b'" ' + index + b">" + text + b"</f>", start + index + b"/>"
    return b"<f>" + text + b"</f>", b""


def _interleave(first: list[bytes], second: list[bytes]) -> bytes:
    parts = [b""] * (2 * len(first))
    parts[0::2] = first
    parts[1::2] = second
    return b"".join(parts)
