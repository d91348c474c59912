"""Deflating pieces on all cores, in order.

How a part is cut does not depend on how many cores there are: the same cells give the same bytes.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from gpt2xl.xlsx.compress import pack
from gpt2xl.xlsx.helper import Gone, Helper, can_start

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from gpt2xl.xlsx.compress import Compression, Packed, Piece

_LEAST_PIECE = 1 << 20
_PIECES_A_THREAD = 2
_MOST_HELPERS = 8


class Packer:
    """Packs on all cores. To be closed, which abandons what nobody has asked for yet.

    With ``helpers`` each thread has a process do its work, for it is mostly work under Python's lock, for which threads
    queue. That takes a second to pay.
    """

    def __init__(self, compression: Compression, *, helpers: bool = False) -> None:
        self.compression = compression
        self._threads = os.cpu_count() or 1
        self._helpers: list[Helper] = []
        self._idle: SimpleQueue[Helper] = SimpleQueue()
        if helpers and self._threads > 1 and can_start():
            self._threads = min(self._threads, _MOST_HELPERS)
            with suppress(OSError):  # of no more processes, say: threads without one do the work themselves
                for _ in range(self._threads):
                    self._helpers.append(Helper(compression))
                    self._idle.put(self._helpers[-1])
        self._pool = ThreadPoolExecutor(self._threads, "deflate")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for helper in self._helpers:
            helper.close()

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
        try:
            helper = self._idle.get_nowait()
        except Empty:
            return pack(piece, self.compression)
        try:
            packed = helper.pack(piece)
        except Gone:  # for want of memory, say: the others go on without it
            return pack(piece, self.compression)
        except ValueError:
            self._idle.put(helper)
            raise
        self._idle.put(helper)
        return packed


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
