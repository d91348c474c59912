"""Deflating pieces on all cores, in order.

How a part is cut does not depend on how many cores there are: the same cells give the same bytes.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from gpt2xl.xlsx.compress import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from gpt2xl.xlsx.compress import Compression, Packed, Piece

_LEAST_PIECE = 1 << 20
_PIECES_A_THREAD = 2


class Packer:
    """Packs on all cores, plain numbers in our own way where there are `many`. To be closed, which abandons what nobody
    has asked for yet."""

    def __init__(self, compression: Compression, *, many: bool = False) -> None:
        self._compression = compression
        self._many = many
        self._threads = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, "deflate")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def packed(self, pieces: Iterable[Piece]) -> Iterator[Packed]:
        """All pieces in order, small ones joined; few are held at a time, however many there are."""
        waiting: deque[Future[Packed]] = deque()
        for piece in _joined(pieces):
            waiting.append(self._pool.submit(self._pack, piece))
            if len(waiting) > _PIECES_A_THREAD * self._threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _pack(self, piece: Piece) -> Packed:
        return pack(piece, self._compression, many=self._many)


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
