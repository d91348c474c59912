"""Pieces deflated on several threads and put together again: order, bytes, sizes, streams, failures."""

from __future__ import annotations

import io
import os
import threading
import zipfile
import zlib
from contextlib import closing
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2xl.xlsx import Compression, archive
from gpt2xl.xlsx import packer as packer_module
from gpt2xl.xlsx.archive import Archive, entry
from gpt2xl.xlsx.compress import pack
from gpt2xl.xlsx.numbers import NumberRows
from gpt2xl.xlsx.packer import _PIECES_A_THREAD, Packer

COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)


def numbers(rows: int, columns: int = 500, seed: int = 0) -> NumberRows:
    values = (0.02 * np.random.default_rng(seed).standard_normal((rows, columns))).astype(np.float32)
    opens = [b'<row r="%d"><c r="A%d"><v>' % (row, row) for row in range(1, rows + 1)]
    return NumberRows(values, opens, b"</v></c><c><v>", b"</v></c></row>")


def text_of(piece: bytes | NumberRows) -> bytes:
    return piece if isinstance(piece, bytes) else piece.markup()


PIECES: list[bytes | NumberRows] = [
    b"<sheetData>",
    numbers(130),
    b"a row of its own",
    b"",
    numbers(1, seed=1),
    b"x" * 3_000_000,
    numbers(200, seed=2),
    *(b"%d," % number for number in range(5000)),
    b"</sheetData>",
]


class OneWay(io.RawIOBase):
    """A stream that cannot go back, as a pipe."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("not seekable")


def zipped(
    pieces: list[bytes | NumberRows],
    compression: Compression,
    stream: Any,
    *,
    large: bool = False,
    packer: Packer | None = None,
) -> bytes:
    packer = packer or Packer(compression)
    try:
        with Archive(stream) as package:
            package.write(entry("first.xml"), b"<first/>")
            with package.part(entry("pieces.xml"), large=large) as part:
                for packed in packer.packed(pieces):
                    part.add(packed)
            package.write(entry("last.xml"), b"<last/>")
    finally:
        packer.close()
    return bytes(stream.data) if isinstance(stream, OneWay) else stream.getvalue()


def check(data: bytes, pieces: list[bytes | NumberRows]) -> zipfile.ZipInfo:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
        assert package.namelist() == ["first.xml", "pieces.xml", "last.xml"]
        assert package.read("pieces.xml") == b"".join(map(text_of, pieces))
        assert package.read("last.xml") == b"<last/>"
        return package.getinfo("pieces.xml")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_piece_is_whole_blocks_to_a_whole_byte(compression: Compression) -> None:
    for piece in (b"", b"a", numbers(70)):
        packed = pack(piece, compression)
        text = text_of(piece)
        assert (packed.size, packed.crc) == (len(text), zlib.crc32(text))
        inflater = zlib.decompressobj(-15)
        assert inflater.decompress(packed.deflated) == text
        assert not inflater.eof  # more may follow
        assert inflater.decompress(b"\x03\x00") == b""
        assert inflater.eof


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_in_order_and_the_same_on_any_number_of_threads(
    compression: Compression, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    data = zipped(PIECES, compression, io.BytesIO())
    check(data, PIECES)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert zipped(PIECES, compression, io.BytesIO()) == data


@given(st.lists(st.one_of(st.binary(max_size=50), st.integers(1, 3).map(numbers)), max_size=8))
def test_any_pieces(pieces: list[bytes | NumberRows]) -> None:
    check(zipped(pieces, "fast", io.BytesIO()), pieces)


def test_little_is_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    taken = 0

    def pieces() -> Any:
        nonlocal taken
        for seed in range(50):
            taken += 1
            yield numbers(1, 10, seed)

    with closing(Packer("fast")) as packer:
        for done, _ in enumerate(packer.packed(pieces()), start=1):
            assert taken <= done + (2 + 1) * _PIECES_A_THREAD + 1  # one thread more than cores
    assert (done, taken) == (50, 50)


@pytest.mark.parametrize("large", [False, True])
def test_a_stream_that_cannot_go_back(large: bool) -> None:
    data = zipped(PIECES, "fast", OneWay(), large=large)
    info = check(data, PIECES)
    assert info.flag_bits & 0x08
    descriptor = data.index(b"PK\x07\x08", info.header_offset)
    sizes = data[descriptor + 8 : descriptor + (24 if large else 16)]
    width = 8 if large else 4
    found = [int.from_bytes(sizes[:width], "little"), int.from_bytes(sizes[width:], "little")]
    assert found == [info.compress_size, info.file_size]


def test_large_parts_have_room_for_their_sizes() -> None:
    """Zip64: header and directory hold eight bytes a size where the part was said to be large (APPNOTE 4.5.3)."""
    info = check(data := zipped(PIECES, "fast", io.BytesIO(), large=True), PIECES)
    header = data[info.header_offset : info.header_offset + 30]
    assert header[18:26] == b"\xff" * 8
    extra = data[info.header_offset + 30 + len("pieces.xml") :][:20]
    assert extra[:4] == b"\x01\x00\x10\x00"
    assert int.from_bytes(extra[4:12], "little") == info.file_size
    assert int.from_bytes(extra[12:20], "little") == info.compress_size
    small = zipped(PIECES, "fast", io.BytesIO())
    assert len(small) < len(data)


def test_beyond_two_gibibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive.zipfile, "ZIP64_LIMIT", 1_000_000)
    with pytest.raises(RuntimeError, match=r"pieces\.xml passed 2 GiB without having said so"):
        zipped(PIECES, "fast", io.BytesIO())
    check(zipped(PIECES, "fast", io.BytesIO(), large=True), PIECES)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(bad: float) -> None:
    piece = numbers(3)
    piece.values[1, 7] = bad
    with pytest.raises(ValueError, match="NaN or an infinity"):
        zipped([numbers(5), piece, numbers(5)], "fast", io.BytesIO())
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("deflate")] == []


def test_a_failure_leaves_no_directory() -> None:
    """What is thrown away gets no end that would make it look whole, and no warning when it is collected."""
    stream = io.BytesIO()

    def fail() -> None:
        with Archive(stream) as package:
            package.write(entry("first.xml"), b"<first/>")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not zipfile.is_zipfile(io.BytesIO(stream.getvalue()))


def test_begun_at_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pieces are taken, few more than a bound at a time; the results are the same and keep their order."""
    monkeypatch.setattr(packer_module, "_MOST_BEGUN", 2)
    packer = Packer("fast")
    try:
        begun = [packer.begun(PIECES), packer.begun(reversed(PIECES))]
        assert [list(results) for results in begun] == [
            list(packer.packed(pieces)) for pieces in (PIECES, reversed(PIECES))
        ]
    finally:
        packer.close()


def test_what_is_begun_and_wrong_is_said_when_it_is_asked_for() -> None:
    piece = numbers(3)
    piece.values[1, 7] = np.nan
    packer = Packer("fast")
    try:
        begun = packer.begun([numbers(5), piece])
        next(begun)
        with pytest.raises(ValueError, match="NaN or an infinity"):
            next(begun)
    finally:
        packer.close()
