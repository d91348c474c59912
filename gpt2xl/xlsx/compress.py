"""Deflating a piece of a part (RFC 1951).

Each piece becomes complete blocks that end at a whole byte and refer to nothing before them, so pieces can be made
at the same time and written one after another.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

from isal import isal_zlib
from zlib_ng import zlib_ng

from gpt2xl.xlsx.deflate import deflate_rows
from gpt2xl.xlsx.numbers import NumberRows

Compression = Literal["fast", "default", "small"]
Piece = bytes | NumberRows

_LIBRARIES = {"fast": (isal_zlib, 1), "default": (zlib_ng, 6), "small": (zlib_ng, 9)}


@dataclass(frozen=True, slots=True)
class Packed:
    """A piece deflated, the checksum (CRC-32) of what it was, and the bytes that it had."""

    deflated: bytes
    crc: int
    size: int


def pack(piece: Piece, compression: Compression) -> Packed:
    """One piece. Raises `ValueError` for numbers that no cell can hold."""
    text, deflated = (piece, None) if isinstance(piece, bytes) else _rows(piece, compression)
    if deflated is None:
        library, level = _LIBRARIES[compression]
        stream = library.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)
    return Packed(deflated, zlib_ng.crc32(text), len(text))


def _rows(rows: NumberRows, compression: Compression) -> tuple[bytes, bytes | None]:
    """The markup of `rows`, and that deflated where our own way is better than the library's."""
    decimals = rows.decimals()
    text = rows.markup(decimals)
    if compression == "fast":
        return text, None
    return text, deflate_rows(decimals, rows.opens, rows.separator, rows.close)
