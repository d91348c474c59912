"""Deflating a piece of a part (RFC 1951).

Each piece becomes complete blocks that end at a whole byte and refer to nothing before them, so pieces can be made
at the same time and written one after another.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from isal import isal_zlib
from zlib_ng import zlib_ng

from gpt2xl.xlsx.numbers import NumberRows

if TYPE_CHECKING:
    from collections.abc import Callable

Compression = Literal["fast", "default", "small"]
Piece = bytes | NumberRows

# With how many cells before it each cell of plain numbers is compared: of GPT-2's size, with 2 a file is 7 % larger
# than with 4, with 8 it is 2 % smaller.
_NEAR: dict[Compression, int] = {"fast": 2, "default": 4, "small": 8}
_RAW = (zlib.DEFLATED, -zlib.MAX_WBITS)
_LIBRARIES: dict[Compression, Callable[[], Any]] = {
    "fast": partial(isal_zlib.compressobj, 1, *_RAW),
    "default": partial(zlib_ng.compressobj, 4, *_RAW),
    # "Filtered" data are mostly random digits: matches of a few characters are left alone, for 5 % less.
    "small": partial(zlib_ng.compressobj, 9, *_RAW, zlib.DEF_MEM_LEVEL, zlib.Z_FILTERED),
}


@dataclass(frozen=True, slots=True)
class Packed:
    """A piece deflated, the checksum (CRC-32) of what it was, and the bytes that it had."""

    deflated: bytes
    crc: int
    size: int


def pack(piece: Piece, compression: Compression, *, many: bool = False) -> Packed:
    """One piece; plain numbers in our own way where there are `many`. Raises `ValueError` for what no cell can hold."""
    if many and isinstance(piece, NumberRows):
        from gpt2xl.xlsx.deflate import deflate_rows  # which takes its time to import

        made = deflate_rows(piece.read(), piece.opens, piece.separator, piece.close, _NEAR[compression])
        if made:
            deflated, text = made
            return Packed(deflated, isal_zlib.crc32(text), len(text))
    data = piece if isinstance(piece, bytes) else piece.markup()
    # Beside many numbers all the rest is little: a tenth more of it, in a quarter of the time.
    stream = _LIBRARIES["fast" if many and compression == "default" else compression]()
    return Packed(stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH), isal_zlib.crc32(data), len(data))
