"""The package: openpyxl's parts, with our cells streamed into its sheets (ECMA-376 part 2, 10: the ZIP mapping).

openpyxl writes the *shell*: everything that a person looks at, and no cells. Each sheet's `<sheetData>` is then
exchanged for a stream of ours. The same shell and blocks give the same bytes: all times in the file are fixed.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from openpyxl.writer.excel import ExcelWriter

from gpt2xl.a1 import MAX_SHEET_NAME
from gpt2xl.errors import LimitError
from gpt2xl.xlsx.archive import Archive, entry
from gpt2xl.xlsx.output import output_file
from gpt2xl.xlsx.packer import Packer
from gpt2xl.xlsx.rows import sheet_data, used
from gpt2xl.xlsx.text import utf16_length

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from openpyxl import Workbook

    from gpt2xl.xlsx.block import Block
    from gpt2xl.xlsx.compress import Compression, Packed, Piece

MAX_STYLES = 65_490
MAX_HYPERLINKS = 65_530

_CONTENT_TYPES = "[Content_Types].xml"
_SHEET_DATA = re.compile(rb"<sheetData\s*(?:/>|>(.*?)</sheetData>)", re.DOTALL)
_DIMENSION = re.compile(rb"<dimension\b[^>]*>(?:</dimension>)?")
_ROW = re.compile(rb'<row r="([0-9]+)"([^>]*?)\s*/?>')
_CALC = re.compile(rb"<calcPr\b[^>]*>")
_DATES = re.compile(rb"(<dcterms:(?:created|modified)\b[^>]*>)[^<]*")
_SHARED = re.compile(rb"(<sst\b[^>]*?)(?:\s(?:count|uniqueCount)=\"[0-9]+\")*\s*(?:/>|>.*</sst>)", re.DOTALL)

_FONT = re.compile(rb"(<font>)(.*?)(</font>)", re.DOTALL)
_FONT_CHILD = re.compile(rb"<([A-Za-z]+)\b[^>]*?(?:/>|></\1>)")
# openpyxl writes a font's properties in an order of its own, which Excel mends and its validator reports.
_FONT_ORDER = (
    b"b i strike condense extend outline shadow u vertAlign sz color name family charset scheme".split()
)  # ECMA-376 part 1, 18.8.22

# Excel 2019 and later; nothing to calculate on loading, since every formula carries its value. The rest of what the
# shell says about calculation stays (ECMA-376 part 1, 18.2.2).
_CALC_ID = (re.compile(rb'\bcalcId="[0-9]*"'), b'calcId="191029"')
_CALC_ON_LOAD = (re.compile(rb'\bfullCalcOnLoad="[^"]*"'), b'fullCalcOnLoad="0"')
_FIXED_DATE = rb"\g<1>1980-01-01T00:00:00Z"
# Twice the longest usual cell: a part that may pass 2 GiB must say so before its first byte.
_BYTES_A_CELL = 96
# So many cells of plain numbers are worth compiling how to deflate them.
_MANY_CELLS = 4_000_000
# Seconds after which a thread that waits for Python's lock gets it: those that pack need it often and for a moment.
_TURN = 0.0002


def write_workbook(
    target: str | Path | BinaryIO,
    shell: Workbook,
    sheets: Mapping[str, Iterable[Block]],
    *,
    references: bool = True,
    compression: Compression = "default",
    progress: Callable[[int], None] = lambda _: None,
    ahead: Collection[str] = (),
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Write `shell` with `sheets`' blocks as cells, to a file or to an open stream.

    What cells the shell itself has (those that carry hyperlinks or notes) give way to the blocks. `references` says
    whether cells carry their r. `progress` is called now and then with the number of cells written since. A file
    appears under its name only when it is complete; what was written to a stream before a failure stays there.

    The sheets `ahead` are written first, by a thread of their own, while `meanwhile` runs, which may still change the
    shell's other sheets, all but their drawings, and `sheets`. Only then the blocks of the others are asked for, and
    what is made of them waits, deflated, for its turn. `progress` is called from that thread too, but never from two at
    a time.

    Raises `LimitError` for what Excel cannot hold, `OutputError` where the target cannot be written, `ValueError`
    for blocks that overlap, numbers that are none, sheets that the shell lacks, or a shell that changed too late.
    """
    if not isinstance(target, str | Path):
        _write_package(target, shell, sheets, references, compression, progress, ahead, meanwhile)
        return
    with output_file(Path(target)) as stream:
        _write_package(stream, shell, sheets, references, compression, progress, ahead, meanwhile)


def _write_package(
    stream: BinaryIO,
    shell: Workbook,
    sheets: Mapping[str, Iterable[Block]],
    references: bool,
    compression: Compression,
    progress: Callable[[int], None],
    ahead: Collection[str],
    meanwhile: Callable[[], object],
) -> None:
    _check(shell, [*sheets, *ahead])
    first = {name: list(sheets.get(name, ())) for name in ahead}
    plain = sum(block.rect.size for blocks in first.values() for block in blocks if block.mode == "constant")
    with (
        Archive(stream) as package,
        ThreadPoolExecutor(1, "ahead") as thread,
        closing(Packer(compression, many=plain > _MANY_CELLS)) as packer,
        _short_turns(),
    ):
        turn = Lock()

        def report(cells: int) -> None:
            with turn:
                progress(cells)

        def sheet(part: str, blocks: list[Block], pack: Callable[[Iterable[Piece]], Iterator[Packed]]) -> _Sheet:
            large = sum(block.rect.size for block in blocks) * _BYTES_A_CELL > zipfile.ZIP64_LIMIT
            return _Sheet(part, large, pack(_markup(part, shell_parts[part], blocks, references, report)))

        def write_ahead(names: list[str]) -> None:
            for name in names:
                _write_sheet(package, sheet(name, first[titles[name]], packer.packed))

        if not ahead:
            meanwhile()
        shell_parts, titles = _parts(shell)
        now = [name for name, title in titles.items() if title in first]
        # First the content types, by which other programs tell the kind of file.
        package.write(entry(_CONTENT_TYPES), shell_parts[_CONTENT_TYPES])
        writing = thread.submit(write_ahead, now)
        if ahead:
            meanwhile()
            complete, _ = _parts(shell)
            if late := [name for name in (_CONTENT_TYPES, *now) if complete[name] != shell_parts[name]]:
                raise ValueError(f"the shell's {late} changed after they were written")
            shell_parts.update(complete)
        _check(shell, sheets)
        waiting: list[_Sheet] = []

        def write_waiting() -> None:
            writing.result()
            for made in waiting:
                _write_sheet(package, made)
            waiting.clear()

        for name, title in titles.items():
            if name not in now:
                blocks = list(sheets.get(title, ()))
                if writing.done():
                    write_waiting()
                    _write_sheet(package, sheet(name, blocks, packer.packed))
                else:
                    waiting.append(sheet(name, blocks, packer.begun))
        write_waiting()
        for name, data in shell_parts.items():
            if name not in titles and name != _CONTENT_TYPES:
                package.write(entry(name), _of_ours(name, data))


def _parts(shell: Workbook) -> tuple[dict[str, bytes], dict[str, str]]:
    """All parts as openpyxl writes them, by name, and for those that are sheets their titles."""
    for sheet in shell.worksheets:
        sheet.column_dimensions.to_tree()  # from which openpyxl learns what it writes before them
    written = io.BytesIO()
    ExcelWriter(shell, _Undated(written, "w", strict_timestamps=False)).save()
    with zipfile.ZipFile(written) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    return contents, {sheet.path.lstrip("/"): sheet.title for sheet in shell.worksheets}


@contextmanager
def _short_turns() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _of_ours(name: str, data: bytes) -> bytes:
    """A part of openpyxl's with what we say otherwise."""
    match name:
        case "xl/workbook.xml":
            return _CALC.sub(_calculated, data)
        case "docProps/core.xml":
            return _DATES.sub(_FIXED_DATE, data)
        case "xl/styles.xml":
            return _FONT.sub(_font_in_order, data)
        case "xl/sharedStrings.xml":  # of the shell's cells, none of which is left
            return _SHARED.sub(rb'\1 count="0" uniqueCount="0"/>', data)
    return data


class _Undated(zipfile.ZipFile):
    """What openpyxl writes into: no time comes from a clock, which may stand outside of a zip's 1980 to 2107."""

    def writestr(self, name: zipfile.ZipInfo | str, data: bytes | str, *_: object) -> None:  # type: ignore[override]
        super().writestr(entry(name) if isinstance(name, str) else name, data)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A sheet's part, which may pass 2 GiB if `large`, in pieces."""

    name: str
    large: bool
    packed: Iterable[Packed]


def _write_sheet(package: Archive, sheet: _Sheet) -> None:
    with package.part(entry(sheet.name), large=sheet.large) as part:
        for packed in sheet.packed:
            part.add(packed)


def _markup(
    name: str, shell_part: bytes, blocks: list[Block], references: bool, progress: Callable[[int], None]
) -> Iterator[Piece]:
    """A sheet's part as openpyxl wrote it, with our cells."""
    found = _SHEET_DATA.search(shell_part)
    if not found:
        raise ValueError(f"openpyxl wrote {name} without sheetData")
    row_attributes = {int(row): attributes for row, attributes in _ROW.findall(found[1] or b"") if attributes}
    before = shell_part[: found.start()]
    dimension = b'<dimension ref="%b"/>' % str(used(blocks) or "A1").encode()
    before = _DIMENSION.sub(dimension, before, count=1)
    yield before
    yield from sheet_data(blocks, references=references, row_attributes=row_attributes, progress=progress)
    yield shell_part[found.end() :]


def _calculated(properties: re.Match[bytes]) -> bytes:
    tag = properties[0]
    for attribute, ours in (_CALC_ID, _CALC_ON_LOAD):
        tag = attribute.sub(ours, tag)
    return tag


def _font_in_order(font: re.Match[bytes]) -> bytes:
    children = {child[1]: child[0] for child in _FONT_CHILD.finditer(font[2])}
    return font[1] + b"".join(children[name] for name in _FONT_ORDER if name in children) + font[3]


def _check(shell: Workbook, titles: Iterable[str]) -> None:
    if unknown := set(titles) - set(shell.sheetnames):
        raise ValueError(f"the shell has no sheet {sorted(unknown)}")
    seen: set[str] = set()
    for name in shell.sheetnames:
        if utf16_length(name) > MAX_SHEET_NAME:
            raise LimitError(
                f"the sheet name `{name}` of {utf16_length(name)} characters exceeds Excel's limit of {MAX_SHEET_NAME}"
            )
        if not name or re.search(r"[\[\]:*?/\\]", name) or name[0] == "'" or name[-1] == "'":
            raise LimitError(
                f"the sheet name `{name}` is empty, begins or ends with an apostrophe, "
                r"or holds one of the 7 characters [ ] : * ? / \ that Excel forbids"
            )
        if name.casefold() in seen:
            raise LimitError(f"the sheet name `{name}` occurs twice, and Excel allows 1, without regard to case")
        seen.add(name.casefold())
    if len(shell._cell_styles) > MAX_STYLES:
        raise LimitError(f"{len(shell._cell_styles):,} cell formats exceed Excel's limit of {MAX_STYLES:,}")
    for sheet in shell.worksheets:
        links = sum(cell.hyperlink is not None for cell in sheet._cells.values())
        if links > MAX_HYPERLINKS:
            raise LimitError(
                f"{links:,} hyperlinks on sheet `{sheet.title}` exceed Excel's limit of {MAX_HYPERLINKS:,} a sheet"
            )
