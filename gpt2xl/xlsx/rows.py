"""All blocks of a sheet as one stream of rows (ECMA-376 part 1, 18.3.1.80 sheetData and 18.3.1.73 row)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gpt2xl.a1 import Rect
from gpt2xl.xlsx.cells import CLOSE, BlockWriter
from gpt2xl.xlsx.numbers import NumberRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpt2xl.xlsx.block import Block
    from gpt2xl.xlsx.compress import Piece

# Cells that are turned into text at a time: enough to make Python's share small, little enough for the cache.
_CELLS_AT_A_TIME = 32_768
# The same where a thread makes and deflates the text, and the least width of a row for that.
_CELLS_A_PIECE = 262_144
_WIDE = 64
_FILLED = 4


def sheet_data(
    blocks: Sequence[Block],
    *,
    references: bool,
    row_attributes: Mapping[int, bytes],
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Piece]:
    """The element sheetData in pieces; wide rows of plain numbers are not turned into text yet.

    Blocks may come in any order; raises `ValueError` where two overlap. `row_attributes` holds, for a row number, the
    markup of its attributes besides r. `progress` hears of every piece that was taken, how many cells it had.
    """
    writers: list[BlockWriter] = []
    shared = 0
    for block in sorted(blocks, key=lambda block: (block.rect.top, block.rect.left)):
        writers.append(BlockWriter(block, references=references, shared=shared))
        shared += block.mode == "fill" and block.rect.size > 1
    yield b"<sheetData>"
    next_row = 1
    for top, bottom, active in _bands(writers):
        yield from _empty_rows(row_attributes, next_row, top)
        yield from _band(top, bottom, active, row_attributes, progress)
        next_row = bottom + 1
    yield from _empty_rows(row_attributes, next_row, None)
    yield b"</sheetData>"


def used(blocks: Sequence[Block]) -> Rect | None:
    """The smallest rectangle around all blocks."""
    if not blocks:
        return None
    rects = [block.rect for block in blocks]
    return Rect(
        min(rect.top for rect in rects),
        min(rect.left for rect in rects),
        max(rect.bottom for rect in rects),
        max(rect.right for rect in rects),
    )


def _bands(writers: list[BlockWriter]) -> Iterator[tuple[int, int, list[BlockWriter]]]:
    """Stretches of rows, each with the same blocks side by side: first row, last row, blocks from left to right."""
    edges = sorted({edge for w in writers for edge in (w.block.rect.top, w.block.rect.bottom + 1)})
    active: list[BlockWriter] = []
    coming = 0
    for top, end in pairwise(edges):
        active = [writer for writer in active if writer.block.rect.bottom >= top]
        arrived = coming
        while coming < len(writers) and writers[coming].block.rect.top == top:
            coming += 1
        if arrived < coming:
            active = sorted(active + writers[arrived:coming], key=lambda writer: writer.block.rect.left)
            for left, right in pairwise(active):
                if left.block.rect.right >= right.block.rect.left:
                    raise ValueError(f"the blocks {left.block.rect} and {right.block.rect} overlap")
        if active:
            yield top, end - 1, active


def _band(
    top: int,
    bottom: int,
    active: list[BlockWriter],
    row_attributes: Mapping[int, bytes],
    progress: Callable[[int], None],
) -> Iterator[Piece]:
    # Without references a row whose first cell is in column A needs no position, nor does a block after another.
    ends = [0] + [writer.block.rect.right for writer in active]
    follows = [writer.block.rect.left == end + 1 for writer, end in zip(active, ends, strict=False)]
    width = sum(writer.block.rect.width for writer in active)
    if active[-1].plain and active[-1].block.rect.width >= _WIDE:
        for piece in _wide_rows(top, bottom, active, follows, row_attributes):
            yield piece
            progress(len(piece.opens) * width)
        return
    step = max(1, _CELLS_AT_A_TIME // width)
    for first in range(top, bottom + 1, step):
        count = min(step, bottom + 1 - first)
        columns = [
            writer.rows(first - writer.block.rect.top, count, follow)
            for writer, follow in zip(active, follows, strict=True)
        ]
        pieces: list[bytes] = []
        for row, cells in enumerate(zip(*columns, strict=True), first):
            attributes = row_attributes.get(row, b"")
            if attributes or any(cells):
                pieces.append(b'<row r="%d"%b>' % (row, attributes))
                pieces.extend(cells)
                pieces.append(b"</row>")
        yield b"".join(pieces)
        progress(count * width)


def _wide_rows(
    top: int, bottom: int, active: list[BlockWriter], follows: list[bool], row_attributes: Mapping[int, bytes]
) -> Iterator[NumberRows]:
    """Rows of which all but a few cells at the left are plain numbers."""
    *left, wide = active
    block = wide.block
    # A few blank cells are shorter than a position, and the numbers then follow what stands before them.
    gap = block.rect.left - (left[-1].block.rect.right if left else 0) - 1
    blanks, follows_on = (b"<c/>" * gap, True) if gap <= _FILLED else (b"", False)
    step = max(1, _CELLS_A_PIECE // block.rect.width)
    for first in range(top, bottom + 1, step):
        count = min(step, bottom + 1 - first)
        columns = [
            writer.rows(first - writer.block.rect.top, count, follow)
            for writer, follow in zip(left, follows, strict=False)
        ]
        opens = [
            b'<row r="%d"%b>%b%b%b'
            % (
                row,
                row_attributes.get(row, b""),
                b"".join(cells),
                blanks,
                wide.opening(row - block.rect.top, follows_on),
            )
            for row, cells in enumerate(zip(*columns, strict=True) if columns else [()] * count, first)
        ]
        yield NumberRows(block.num, opens, wide.separator, CLOSE + b"</row>", first - block.rect.top)


def _empty_rows(row_attributes: Mapping[int, bytes], first: int, end: int | None) -> Iterator[bytes]:
    """Rows without cells that have a height or a style of their own."""
    for row in sorted(row_attributes):
        if row >= first and (end is None or row < end):
            yield b'<row r="%d"%b/>' % (row, row_attributes[row])
