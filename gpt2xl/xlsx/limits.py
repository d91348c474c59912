"""What a workbook file may claim before it is read: a small file does not become a large one.

A sheet that a program wrote is 4 to 30 times as long as its compressed bytes, since every cell has a position or a
value of its own. Deflate can reach 1,032, which only a file made for that does.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from gpt2xl.errors import WorkbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

# A part up to this size may be compressed as well as it can be; a larger one is at most so many times its packed size.
PART_FREE = 64 << 20
PART_RATIO = 200
# The same for all parts together and the whole file.
TOTAL_FREE = 256 << 20
# Parts that are read as a tree: the workbook, relationships, tables.
TREE = 16 << 20
TREE_DEPTH = 64
# Cells that array formulas fill beyond those that are in the file: programs that know arrays write all of them, a few
# write the first one only.
ARRAY_FREE = 1 << 22


def check_archive(entries: Sequence[zipfile.ZipInfo], file_size: int) -> None:
    """Raise `WorkbookError` for parts that no package has twice, compresses so (ECMA-376 part 2), or expands so far."""
    seen: set[str] = set()
    total = 0
    for entry in entries:
        name = entry.filename.lower()
        if name in seen and not entry.is_dir():
            raise WorkbookError(f"it holds the part {entry.filename} twice, so that programs disagree on what it says")
        seen.add(name)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WorkbookError(
                f"{entry.filename} is compressed by method {entry.compress_type}, and workbooks only deflate or store"
            )
        total += entry.file_size
        _check_size(entry.filename, entry.file_size, entry.compress_size, PART_FREE)
    _check_size("the whole file", total, file_size, TOTAL_FREE)


def _check_size(what: str, size: int, packed: int, free: int) -> None:
    if size > free and size > PART_RATIO * packed:
        raise WorkbookError(
            f"{what} would expand from {packed:,} to {size:,} bytes, and gpt2xl expands what is larger than "
            f"{free >> 20} MiB at most {PART_RATIO} times"
        )
