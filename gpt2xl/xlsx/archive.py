"""A zip file whose entries come deflated already (APPNOTE 4.3; ECMA-376 part 2, 10).

`zipfile` writes everything but has no call for an entry that is compressed elsewhere, in pieces or in another
archive. What we touch of its insides for that is in this module alone.
"""

from __future__ import annotations

import struct
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from zlib_ng.zlib_ng import crc32_combine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from gpt2xl.xlsx.compress import Packed

_DATA_DESCRIPTOR = 0x08
_LAST_BLOCK = b"\x03\x00"  # an empty block with fixed codes that says it is the last (RFC 1951, 3.2.3)
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class Archive:
    """A zip file being written, forward only. The same entries give the same bytes: all times are fixed."""

    def __init__(self, stream: BinaryIO) -> None:
        # zipfile's insides have no types.
        self._zip: Any = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED)
        self.comment = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._zip.comment = self.comment
            self._zip.close()
        else:
            self._zip.fp = None  # neither a directory nor a warning for what is thrown away

    def write(self, entry: zipfile.ZipInfo, data: bytes) -> None:
        """A whole entry, deflated here."""
        self._zip.writestr(entry, data, zipfile.ZIP_DEFLATED)

    @contextmanager
    def part(self, entry: zipfile.ZipInfo, *, large: bool) -> Iterator[Part]:
        """An entry in pieces; `large` says that it may pass 2 GiB, which has to be known before its first byte."""
        out = self._zip.fp
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.flag_bits = 0 if self._zip._seekable else _DATA_DESCRIPTOR
        entry.CRC = entry.compress_size = entry.file_size = 0
        entry.header_offset = out.tell()
        out.write(entry.FileHeader(large))
        part = Part(out)
        yield part
        part.finish()
        entry.CRC, entry.compress_size, entry.file_size = part.crc, part.packed_size, part.size
        if not large and max(part.size, part.packed_size) > zipfile.ZIP64_LIMIT:
            raise RuntimeError(f"{entry.filename} passed 2 GiB without having said so")
        end = out.tell()
        if self._zip._seekable:
            out.seek(entry.header_offset)
            out.write(entry.FileHeader(large))
            out.seek(end)
        else:
            sizes = struct.Struct("<4sLQQ" if large else "<4sLLL")
            out.write(sizes.pack(b"PK\x07\x08", part.crc, part.packed_size, part.size))
        self._finish(entry)

    def copy(self, entry: zipfile.ZipInfo, deflated: Iterator[bytes]) -> None:
        """An entry as it stands in another archive: `entry` says its sizes."""
        entry.extra = b""  # of another archive's offsets
        entry.flag_bits &= ~_DATA_DESCRIPTOR  # sizes are known and stand in the header
        out = self._zip.fp
        entry.header_offset = out.tell()
        out.write(entry.FileHeader())
        for piece in deflated:
            out.write(piece)
        self._finish(entry)

    def _finish(self, entry: zipfile.ZipInfo) -> None:
        self._zip.filelist.append(entry)
        self._zip.NameToInfo[entry.filename] = entry
        self._zip.start_dir = self._zip.fp.tell()
        self._zip._didModify = True


class Part:
    """An entry's content as it grows."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.crc = self.size = self.packed_size = 0

    def add(self, packed: Packed) -> None:
        """The next piece, as `gpt2xl.xlsx.compress` makes them: complete blocks, to a whole byte."""
        self._out.write(packed.deflated)
        self.crc = crc32_combine(self.crc, packed.crc, packed.size)
        self.size += packed.size
        self.packed_size += len(packed.deflated)

    def finish(self) -> None:
        """Say that the last block was the last."""
        self._out.write(_LAST_BLOCK)
        self.packed_size += len(_LAST_BLOCK)


def entry(name: str) -> zipfile.ZipInfo:
    """An entry of our own, with fixed time."""
    info = zipfile.ZipInfo(name, _FIXED_TIME)
    info.external_attr = 0o600 << 16
    return info
