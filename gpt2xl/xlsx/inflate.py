"""An entry's bytes, inflated ahead of who wants them."""

from __future__ import annotations

import queue
import struct
import threading
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., lengths of name and extra field (APPNOTE 4.3.7)
_ENCRYPTED = 0x01
_PIECE = 1 << 20
_AHEAD = 4


def deflated(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """An entry's compressed bytes as they are."""
    stream: Any = source.fp
    stream.seek(info.header_offset)
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"no entry where {info.filename} should begin")
    stream.seek(info.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
    left = info.compress_size
    while left:
        piece = stream.read(min(left, _PIECE))
        if not piece:
            raise zipfile.BadZipFile(f"{info.filename} ends too early")
        yield piece
        left -= len(piece)


def inflated(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> Generator[bytes]:
    """An entry's bytes in pieces, inflated by another thread while the last ones are looked at.

    Raises what `zipfile` does: `BadZipFile` for damage, `RuntimeError` for encrypted entries.
    """
    pieces = _inflated(source, info)
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for piece in pieces:
                put(piece)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # for whoever waits
            put(error)

    thread = threading.Thread(target=work, name="inflate", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def whole(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """All of an entry's bytes, never more than it says to have; raises as `inflated` does."""
    return b"".join(_inflated(source, info))


def _inflated(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    if info.compress_type != zipfile.ZIP_DEFLATED or info.flag_bits & _ENCRYPTED:
        with source.open(info) as stream:
            while piece := stream.read(_PIECE):
                yield piece
        return
    with source.open(info):
        pass  # looks at the local header as `zipfile` does
    crc = size = 0
    for piece in _pieces(deflated(source, info), info.filename):
        crc = isal_zlib.crc32(piece, crc)
        size += len(piece)
        if size > info.file_size:
            raise zipfile.BadZipFile(f"{info.filename} is larger than it says")
        yield piece
    if size != info.file_size or crc != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")


def _pieces(compressed: Iterable[bytes], name: str) -> Iterator[bytes]:
    """A deflated stream, inflated a piece at a time, to its end."""
    inflater = isal_zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for data in compressed:
            rest = data
            while rest and not inflater.eof:
                piece = inflater.decompress(rest, _PIECE)
                rest = inflater.unconsumed_tail
                if piece:
                    yield piece
        if piece := inflater.flush():
            yield piece
    except isal_zlib.error as error:  # type: ignore[misc]  # an alias that its types do not tell
        raise zipfile.BadZipFile(f"{name} cannot be inflated ({error})") from error
    if not inflater.eof:
        raise zipfile.BadZipFile(f"{name} ends too early")
