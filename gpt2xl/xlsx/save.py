"""The package written again with some values exchanged: parts without changes keep their compressed bytes."""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gpt2xl.a1 import NUMBER, TEXT, Rect
from gpt2xl.errors import WorkbookError
from gpt2xl.xlsx.archive import Archive
from gpt2xl.xlsx.inflate import deflated, whole
from gpt2xl.xlsx.numbers import Array
from gpt2xl.xlsx.output import output_file
from gpt2xl.xlsx.splice import splice

if TYPE_CHECKING:
    from pathlib import Path

    from gpt2xl.xlsx.locate import Value

# The cells of a sheet whose value changed: where, numbers, kinds (None: all numbers), strings, as in `Block`.
SheetChanges = Iterable[tuple[Rect, Array, Array | None, Array | None]]


def save_package(source: zipfile.ZipFile, target: Path, changes: Mapping[str, SheetChanges]) -> None:
    """Write `source` to `target` with `changes` by part; the entries keep their order, times and attributes."""
    with output_file(target) as stream, Archive(stream) as archive:
        for info in source.infolist():
            rows = _by_row(changes.get(info.filename, ()))
            if rows:
                try:
                    changed = splice(whole(source, info), rows)
                except WorkbookError as error:
                    raise WorkbookError(f"{error} (in {info.filename})") from error
                entry = zipfile.ZipInfo(info.filename, info.date_time)
                entry.external_attr = info.external_attr
                entry.comment = info.comment
                archive.write(entry, changed)
            else:
                archive.copy(copy.copy(info), deflated(source, info))
        archive.comment = source.comment


def _by_row(blocks: SheetChanges) -> dict[int, dict[int, Value]]:
    rows: dict[int, dict[int, Value]] = {}
    for rect, numbers, kinds, texts in blocks:
        for row in range(rect.height):
            of_row = rows.setdefault(rect.top + row, {})
            row_kinds = kinds[row].tolist() if kinds is not None else [NUMBER] * rect.width
            row_texts = texts[row].tolist() if texts is not None else [None] * rect.width
            for column, figure in enumerate(numbers[row].tolist()):
                kind = row_kinds[column]
                text = row_texts[column] if kind == TEXT else None
                of_row[rect.left + column] = (kind, figure, text)
    return rows
