"""A sheet's XML with some cells' values exchanged, every other byte as it was.

Only the bytes of the cells concerned are written anew, and of those the formula stays. Names are taken as they
stand, with their prefix.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING
from xml.parsers import expat

from gpt2xl.a1 import BLANK, BOOL, ERROR_TEXTS, NUMBER, TEXT, Rect, cell_name
from gpt2xl.errors import Gpt2xlError, WorkbookError
from gpt2xl.xlsx.locate import Layout, Locator, Place, Rows, Value, kept_stretches
from gpt2xl.xlsx.numbers import number
from gpt2xl.xlsx.text import cell_text, result_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Edit = tuple[int, int, bytes]  # from, to, what takes its place

_TYPE = re.compile(rb"""\s(?:t|vm)\s*=\s*(?:"[^"]*"|'[^']*')""")


def splice(source: bytes, changes: Rows) -> bytes:
    """`source`, a worksheet part in UTF-8, with `changes`; raises `WorkbookError` where it is none."""
    if not changes:
        return source
    if source.startswith((b"\xff\xfe", b"\xfe\xff")):  # what we splice in is UTF-8
        source = re.sub(r"""(<\?xml[^>]*?)\sencoding\s*=\s*["'][^"']*["']""", r"\1", source.decode("utf-16")).encode()
    kept = kept_stretches(source, changes)
    concerned = b"".join(source[start:end] for start, end in kept)
    try:
        layout = Locator(concerned, changes).layout
    except expat.ExpatError as error:
        raise WorkbookError(f"it is no well-formed XML ({error})") from error
    # From offsets in what is concerned to offsets in the source.
    begins = list(accumulate((end - start for start, end in kept), initial=0))
    pieces: list[bytes | memoryview] = []
    view, done = memoryview(source), 0
    for start, end, replacement in sorted(_edits(concerned, layout, changes)):
        index = bisect_right(begins, start) - 1
        at = kept[index][0] + start - begins[index] if index < len(kept) else len(source)
        pieces += (view[done:at], replacement)
        done = at + end - start
    pieces.append(view[done:])
    return b"".join(pieces)


def _edits(source: bytes, layout: Layout, changes: Rows) -> Iterator[Edit]:
    data = layout.data
    if not data.end:
        raise WorkbookError("it has no sheetData")
    name = re.match(rb"<([^\s/>]+)", source[data.start : data.tag_end])
    prefix = name[1].removesuffix(b"sheetData") if name else b""
    rows = {place.number: place for place in layout.rows}
    new_rows = [row for row in sorted(changes) if row not in rows]
    yield from _new_rows(source, layout, changes, new_rows, prefix)
    inserted: list[tuple[int, int]] = [(row, column) for row in new_rows for column in changes[row]]
    for row, place in rows.items():
        if row not in changes:
            continue
        cells = {cell.number: cell for cell in layout.cells[row]}
        for column, value in changes[row].items():
            if column in cells:
                cell = cells[column]
                yield cell.start, cell.end, _changed(source, cell, value, prefix)
        new = sorted(column for column in changes[row] if column not in cells)
        inserted += [(row, column) for column in new]
        yield from _new_cells(source, place, layout.cells[row], {c: changes[row][c] for c in new}, prefix)
    yield from _dimension(source, layout, inserted)


def _new_rows(source: bytes, layout: Layout, changes: Rows, new_rows: list[int], prefix: bytes) -> Iterator[Edit]:
    data = layout.data
    pieces: dict[int, list[bytes]] = {}
    numbers = [place.number for place in layout.rows]
    for row in new_rows:
        cells = b"".join(_cell(row, column, value, prefix) for column, value in sorted(changes[row].items()))
        markup = b'<%brow r="%d">%b</%brow>' % (prefix, row, cells, prefix)
        at = _before(layout.rows, numbers, row, otherwise=data.tag_end)
        pieces.setdefault(at, []).append(markup)
    if pieces and data.empty:
        yield data.start, data.end, _opened(source, data) + b"".join(pieces[data.tag_end]) + b"</%bsheetData>" % prefix
        return
    for at, markups in pieces.items():
        yield at, at, b"".join(markups)


def _new_cells(
    source: bytes, row: Place, cells: list[Place], new: Mapping[int, Value], prefix: bytes
) -> Iterator[Edit]:
    """Cells that the row does not have yet, each before the first that stands to its right."""
    pieces: dict[int, list[bytes]] = {}
    numbers = [cell.number for cell in cells]
    for column, value in new.items():
        at = _before(cells, numbers, column, otherwise=row.tag_end)
        pieces.setdefault(at, []).append(_cell(row.number, column, value, prefix))
    if pieces and row.empty:
        yield row.start, row.end, _opened(source, row) + b"".join(pieces[row.tag_end]) + b"</%brow>" % prefix
        return
    for at, markups in pieces.items():
        yield at, at, b"".join(markups)


def _before(places: list[Place], numbers: list[int], new: int, otherwise: int) -> int:
    """The offset before the first of `places` whose number is beyond `new`, or behind all of them."""
    if not places:
        return otherwise
    after = bisect_right(numbers, new)
    return places[after].start if after < len(places) else places[-1].end


def _opened(source: bytes, place: Place) -> bytes:
    """The tag of an empty element as a start tag."""
    return source[place.start : place.tag_end - 2].rstrip() + b">"


def _dimension(source: bytes, layout: Layout, inserted: list[tuple[int, int]]) -> Iterator[Edit]:
    """The claimed dimension, where new cells lie outside of it."""
    if not layout.dimension or not inserted:
        return
    start, end, ref = layout.dimension
    try:
        old = Rect.parse(ref)
    except Gpt2xlError:
        return
    rows, columns = [row for row, _ in inserted], [column for _, column in inserted]
    new = Rect(min(old.top, *rows), min(old.left, *columns), max(old.bottom, *rows), max(old.right, *columns))
    if new != old:
        tag = source[start:end]
        yield start, end, re.sub(rb"""(\sref\s*=\s*)(?:"[^"]*"|'[^']*')""", rb'\1"%b"' % str(new).encode(), tag)


def _cell(row: int, column: int, value: Value, prefix: bytes) -> bytes:
    start = b'<%bc r="%b"' % (prefix, cell_name(row, column).encode())
    return start + _rest(value, prefix, formula=b"", extension=b"", result=False)


def _changed(source: bytes, cell: Place, value: Value, prefix: bytes) -> bytes:
    tag = source[cell.start : cell.tag_end]
    start = tag[: -2 if cell.empty else -1].rstrip()
    was_result = re.search(rb"""\st\s*=\s*["']str["']""", start) is not None
    formula = source[cell.formula.start : cell.formula.end] if cell.formula else b""
    extension = source[cell.extension.start : cell.extension.end] if cell.extension else b""
    # vm is the metadata of the old value (18.3.1.4).
    return _TYPE.sub(b"", start) + _rest(value, prefix, formula, extension, result=bool(formula) or was_result)


def _rest(value: Value, prefix: bytes, formula: bytes, extension: bytes, result: bool) -> bytes:
    """A cell from behind its tag's attributes: type, formula, value. The text of a result is no inline string."""
    kind, figure, text = value
    content = b""
    attribute = b""
    if kind == TEXT:
        if result:
            attribute, content = b' t="str"', result_text(text or "", prefix)
        else:
            attribute = b' t="inlineStr"'
            inner = b'<%bt xml:space="preserve">%b</%bt>' % (prefix, cell_text(text or ""), prefix)
            content = b"<%bis>%b</%bis>" % (prefix, inner, prefix)
    elif kind != BLANK:
        if kind == NUMBER:
            shown = number(figure)
        elif kind == BOOL:
            attribute, shown = b' t="b"', b"%d" % bool(figure)
        else:
            attribute, shown = b' t="e"', ERROR_TEXTS[int(figure)].encode()
        content = b"<%bv>%b</%bv>" % (prefix, shown, prefix)
    inside = formula + content + extension
    return attribute + (b">" + inside + b"</%bc>" % prefix if inside else b"/>")
