"""Rows of plain numbers, read without looking at each cell.

expat is exact for all XML but calls Python several times a cell. In the large sheets nearly all bytes are
`<c r="B2" s="1"><v>0.5</v></c>` again and again (with `<f t="shared" si="3"/>` where a formula is filled down), so
this module looks for such runs in the raw bytes, converts them as a whole, and gives expat everything else. A run
counts only if it is nothing but such cells, to the last byte; expat's own state says in which row it stands. Where
raw bytes could mean something else (comments, CDATA, prefixes, other encodings), everything goes to expat.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gpt2xl.a1 import MAX_COLUMNS, column_letters, column_number
from gpt2xl.xlsx.narrow import Cells, read_rows
from gpt2xl.xlsx.numbers import parsed_numbers
from gpt2xl.xlsx.xml import MAIN

if TYPE_CHECKING:
    from xml.parsers import expat

    from gpt2xl.xlsx.numbers import Array
    from gpt2xl.xlsx.parse import RunReader

_FIRST = re.compile(
    rb'<c(?: r="([A-Z]{1,3})([1-9][0-9]{0,6})")?( s="[0-9]+")?(>(?:<f t="shared" si="([0-9]{1,9})"/>)?<v>)'
)
_END = b"</v></c>"
_STYLE = re.compile(rb' s="[0-9]+"')
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NO_NAME = b"0123456789+-.e"
_NAMES = re.compile(rb"[A-Z]{1,3}\|(?:,[A-Z]{1,3}\|)*")
_EXPONENT = re.compile(rb"([0-9.])E")
_BAR = ord("|")

# Comments, CDATA, instructions, other namespaces; each with a byte of it that is rare, hence found fast.
_ONLY_EXPAT = ((b"!", b"<!"), (b"?", b"<?"), (b"x", b"xmlns"))
_RARE = b"".join(rare for rare, _ in _ONLY_EXPAT)
_MAIN = re.compile(rb"""(?:^|\s)xmlns\s*=\s*["'](?:%b|%b)["']""" % tuple(re.escape(name.encode()) for name in MAIN))
_RUN_WORTH_IT = 256  # bytes
_NARROW = 8192  # bytes of a row
_RUNS_A_ROW = 64
_LABELS = 4
_LONGEST_ROW = 8 << 20


class RowState(Protocol):
    """What the handlers behind the parser know."""

    in_row: bool
    row: int
    column: int  # of the cell that was read last

    @property
    def between_rows(self) -> bool: ...
    def put_cells(self, cells: Cells) -> None: ...
    def put_columns(self, columns: Array | int, numbers: Array, shared: str | None) -> None: ...


class DenseFeeder:
    """Feeds a sheet's bytes to `parser`, except for the runs, which go to `state` directly."""

    def __init__(self, parser: expat.XMLParserType, state: RowState, size: int) -> None:
        """`size` is how many bytes will come if these, or those of all sheets, are many; else 0."""
        self._parser = parser
        self._state = state
        self._reader: RunReader | None = None
        if size:
            from gpt2xl.xlsx.parse import RunReader  # which takes its time to import

            self._reader = RunReader(size)
        self._kept = b""
        self._header = True  # before <sheetData>
        self._in_data = False  # no header before the next rows
        self._pure = False

    def feed(self, data: bytes) -> None:
        data = self._kept + data
        self._kept = b""
        if self._header and not self._pure:
            begin = data.find(b"<sheetData")
            if begin < 0:
                self._pure = len(data) > _LONGEST_ROW
                if not self._pure:
                    self._kept = data
                    return
            else:
                self._pure = not _is_plain_header(data[:begin])
                self._header = False
        if self._pure:
            self._parser.Parse(data, False)
            return
        end = data.rfind(b"</row>") + len(b"</row>")
        if end < len(b"</row>"):
            if len(data) <= _LONGEST_ROW:
                self._kept = data
                return
            self._pure = True
            self._parser.Parse(data, False)
            return
        self._kept = data[end:]
        self._rows(data, end)

    def close(self) -> None:
        self._parser.Parse(self._kept, True)

    def _rows(self, data: bytes, end: int) -> None:
        """Feed `data` up to `end`, which is the end of a row."""
        header = 0 if self._in_data else data.find(b"<sheetData", 0, end) + 1
        self._in_data = True
        looked_at = self._reader is not None and not self._reader.has_one_of(_RARE, data)
        if not looked_at and any(rare in data and data.find(mark, header, end) >= 0 for rare, mark in _ONLY_EXPAT):
            self._pure = True
            self._parser.Parse(data[:end] + self._kept, False)
            self._kept = b""
            return
        fed = scan = 0
        while (begin := data.find(b"<row", scan, end)) >= 0:
            row_end = _end_of_row(data, begin, end)
            if row_end - begin < _NARROW and (taken := self._narrow_rows(data, fed, begin, end)):
                fed = scan = taken
                continue
            if row_end - begin >= _RUN_WORTH_IT:
                fed = self._row(data, fed, begin, row_end)
            scan = row_end + len(b"</row>")
        self._parser.Parse(data[fed:end], False)

    def _narrow_rows(self, data: bytes, fed: int, begin: int, end: int) -> int | None:
        """Take rows of few cells, from the one that begins at `begin`; returns where they end, None without any."""
        found = read_rows(data, begin, end)
        if found is None:
            return None
        self._parser.Parse(data[fed:begin], False)
        cells, rows_end = found
        if self._state.between_rows:
            self._state.put_cells(cells)
        else:  # inside of an element of another kind
            self._parser.Parse(data[begin:rows_end], False)
        return rows_end

    def _row(self, data: bytes, fed: int, begin: int, row_end: int) -> int:
        """Take the runs of the row between `begin` and `row_end`; returns up to where `data` is done with."""
        state = self._state
        for attempt in range(_RUNS_A_ROW):
            first = _first_of_run(data, begin, row_end)
            if not first or row_end - first.start() < _RUN_WORTH_IT:
                break
            start, shared = first.start(), None if first[5] is None else first[5].decode()
            self._parser.Parse(data[fed:start], False)
            fed = start
            if not state.in_row:
                break
            if self._reader and (not first[1] or int(first[2]) == state.row):
                column = column_number(first[1].decode()) if first[1] else state.column + 1
                separator = _END + b"<c" + (first[3] or b"") + first[4]
                numbers, end_of_run = self._reader.read(data, first.end(), row_end, separator)
                if end_of_run - start >= _RUN_WORTH_IT and column + len(numbers) - 1 <= MAX_COLUMNS:
                    state.put_columns(column, numbers, shared)
                    fed = begin = end_of_run
                    continue
            # Often all the rest of the row is one run; if not, see how far it goes.
            if attempt or not (run := read_run(data[start:row_end], state.row, state.column + 1)):
                same = _cells_like(first[4]).match(data, start, row_end)
                row_end_of_run = same.end() if same else start
                begin = max(row_end_of_run, start + 1)
                if row_end_of_run - start < _RUN_WORTH_IT:
                    continue
                run = read_run(data[start:row_end_of_run], state.row, state.column + 1)
                if not run:
                    break
                state.put_columns(*run, shared)
                fed = row_end_of_run
                continue
            state.put_columns(*run, shared)
            return row_end
        return fed


def _end_of_row(data: bytes, begin: int, end: int) -> int:
    """Where the row's closing tag begins: found by its w, of which numbers have none, much faster than as a whole."""
    place = data.find(b"w", begin + len(b"<row"), end)
    while place >= 0 and data[place - 4 : place + 2] != b"</row>":
        place = data.find(b"w", place + 1, end)
    return place - 4 if place >= 0 else end


def _first_of_run(data: bytes, begin: int, end: int) -> re.Match[bytes] | None:
    """The first cell of plain numbers that the next cell resembles: labels stand before many rows."""
    first = _FIRST.search(data, begin, end)
    for _ in range(_LABELS):
        if not first:
            break
        close = data.find(_END, first.end(), end)
        if close < 0:
            break
        following = _FIRST.match(data, close + len(_END), end)
        if following and (bool(following[1]), following[3]) == (bool(first[1]), first[3]):
            break
        following = following or _FIRST.search(data, close, end)
        if not following:
            break
        first = following
    return first


@lru_cache(maxsize=256)
def _cells_like(middle: bytes) -> re.Pattern[bytes]:
    """Cells one after another with `middle` between attributes and number. No attribute but r and s is without a t."""
    return re.compile(rb"(?:<c[^<>/t]*" + re.escape(middle) + rb"[^<]*</v></c>)+")


def _is_plain_header(header: bytes) -> bool:
    """Whether all names without a prefix are the format's own, in UTF-8, and nothing can hide in comments."""
    encoding = re.match(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)""", header.removeprefix(b"\xef\xbb\xbf"))
    if encoding and encoding[1].lower() not in (b"utf-8", b"us-ascii"):
        return False
    root = re.search(rb"<worksheet\s([^>]*)", header)
    return root is not None and _MAIN.search(root[1]) is not None and b"<!" not in header and header.count(b"<?") <= 1


def read_run(run: bytes, row: int, column: int) -> tuple[Array | int, Array] | None:
    """The columns and numbers of `run`, cells of plain numbers in `row`; None where it is something else.

    `column` is that of the first cell if it does not name its own. Columns side by side are given by the first.
    """
    first = _FIRST.match(run)
    if not first or not run.endswith(_END):
        return None
    letters, in_row, style, middle, _ = first.groups(default=b"")
    if letters:
        if int(in_row) != row:
            return None
        column = column_number(letters.decode())
    separator = _END + b"<c" + style + middle
    if letters and separator not in run:
        return _with_references(run, row, column, style, middle)
    numbers = run[first.end() : -len(_END)].replace(separator, b",")
    if b"<" in numbers:  # more than one style, most likely
        numbers = _STYLE.sub(b"", run[first.end() : -len(_END)]).replace(_END + b"<c" + middle, b",")
    values = parsed_numbers(numbers)
    if values is None and letters:
        return _with_references(run, row, column, b"", middle)
    if values is None or column + len(values) - 1 > MAX_COLUMNS:
        return None
    return column, values


def _with_references(
    run: bytes, row: int, column: int, style: bytes, middle: bytes
) -> tuple[Array | int, Array] | None:
    """`read_run` where every cell has its r. `<c r="B7" s="1"><v>0.5</v></c>` becomes `B|0.5`, all in C."""
    joined = _joined(run, row, style + middle)
    if b"<" in joined:  # more than one style
        joined = _joined(_STYLE.sub(b"", run), row, middle)
    count = joined.count(b"|")
    expected = _names(column, count) if column + count - 1 <= MAX_COLUMNS else b""
    names = joined.translate(None, _NO_NAME)
    if names != expected and b"E" in names:  # E may stand for a column or for "times ten to the power of"
        joined = _EXPONENT.sub(rb"\1e", joined)
        names = joined.translate(None, _NO_NAME)
    values = parsed_numbers(joined.translate(None, _LETTERS + b"|"))
    if values is None or len(values) != count:
        return None
    raw = np.frombuffer(joined, dtype=np.uint8)
    if (raw[np.flatnonzero(raw == _BAR) - 1] < _LETTERS[0]).any():
        return None  # a digit before the bar: in another row, such as B17 in row 7
    if names == expected:
        return column, values
    if not _NAMES.fullmatch(names):
        return None
    columns = np.array([column_number(name.decode()) for name in names[:-1].split(b"|,")])
    return (columns, values) if (np.diff(columns) > 0).all() else None


def _joined(run: bytes, row: int, rest: bytes) -> bytes:
    """What stands between the cells' markup, as `B|0.5,C|0.25`, if all are in `row` and have the same `rest`."""
    inside = run.removeprefix(b'<c r="').removesuffix(_END)
    return inside.replace(b'%d"%b' % (row, rest), b"|").replace(_END + b'<c r="', b",")


@lru_cache(maxsize=256)
def _names(column: int, count: int) -> bytes:
    """`B|,C|,D|`."""
    return b",".join(column_letters(each).encode() + b"|" for each in range(column, column + count))
