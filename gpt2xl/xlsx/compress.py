"""Deflating pieces of a part on all cores (RFC 1951).

Each piece becomes complete blocks that end at a whole byte and refer to nothing before them, so pieces can be made
at the same time and written one after another. How a part is cut does not depend on the number of threads: the same
cells give the same bytes.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from isal import isal_zlib
from zlib_ng import zlib_ng

from gpt2xl.xlsx.deflate import deflate_rows
from gpt2xl.xlsx.numbers import NumberRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

Compression = Literal["fast", "default", "small"]
Piece = bytes | NumberRows

_LIBRARIES = {"fast": (isal_zlib, 1), "default": (zlib_ng, 6), "small": (zlib_ng, 9)}
_LEAST_PIECE = 1 << 20
_PIECES_A_THREAD = 2


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


class Packer:
    """Packs on all cores. To be closed, which abandons what nobody has asked for yet."""

    def __init__(self, compression: Compression) -> None:
        self.compression = compression
        self._threads = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, "deflate")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def packed(self, pieces: Iterable[Piece]) -> Iterator[Packed]:
        """All pieces in order, small ones joined; few are held at a time, however many there are."""
        waiting: deque[Future[Packed]] = deque()
        for piece in _joined(pieces):
            waiting.append(self._pool.submit(pack, piece, self.compression))
            if len(waiting) > _PIECES_A_THREAD * self._threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Bytes joined to pieces that are worth a thread's while."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            small.append(piece)
            size += len(piece)
            if size < _LEAST_PIECE:
                continue
        if small:
            yield b"".join(small)
            small, size = [], 0
        if not isinstance(piece, bytes):
            yield piece
    if small:
        yield b"".join(small)
