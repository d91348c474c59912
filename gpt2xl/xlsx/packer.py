"""Deflating pieces on all cores, in order.

How a part is cut does not depend on how many cores there are: the same cells give the same bytes.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from threading import get_native_id
from typing import TYPE_CHECKING

from gpt2xl.xlsx.compress import pack
from gpt2xl.xlsx.ordered import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from gpt2xl.xlsx.compress import Compression, Packed, Piece

_LEAST_PIECE = 1 << 20
_PIECES_A_THREAD = 2
_MOST_BEGUN = 16
_NICE = 10


class Packer:
    """Packs on all cores, plain numbers in our own way where there are `many`. To be closed, which abandons what nobody
    has asked for yet."""

    def __init__(self, compression: Compression, *, many: bool = False) -> None:
        self._compression = compression
        self._many = many and sys.byteorder == "little"  # eight characters are a number there
        # One that waits for Python's lock leaves its core to another.
        self._threads = (os.cpu_count() or 1) + 1
        self._begun: deque[Future[Packed]] = deque()
        self._pool = ThreadPoolExecutor(self._threads, "deflate", _step_back)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def packed(self, pieces: Iterable[Piece]) -> Iterator[Packed]:
        """All pieces in order, small ones joined; few are held at a time, however many there are."""
        return in_order(self._pool, self._pack, _joined(pieces), _PIECES_A_THREAD * self._threads)

    def begun(self, pieces: Iterable[Piece]) -> Iterator[Packed]:
        """As `packed`, but the pieces are taken now, whenever the results are asked for."""
        futures = []
        for piece in _joined(pieces):
            if len(self._begun) >= _MOST_BEGUN:
                wait([self._begun.popleft()])
            futures.append(self._pool.submit(self._pack, piece))
            self._begun.append(futures[-1])
        return (future.result() for future in futures)

    def _pack(self, piece: Piece) -> Packed:
        return pack(piece, self._compression, many=self._many)


def _step_back() -> None:
    """Let others go first who make what is to be packed: on Linux a thread has a priority of its own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, get_native_id(), _NICE)


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
