"""Rows deflated from their numbers: against the XML they stand for, inflated by zlib."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2xl.xlsx.deflate import deflate_rows, rows
from gpt2xl.xlsx.deflate.codes import code_lengths, codes, distance_symbols, length_symbol
from gpt2xl.xlsx.numbers import Array

SEPARATOR = b"</v></c><c><v>"
CLOSE = b"</v></c></row>"


def serialised(values: Array) -> bytes:
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]


def row_opens(count: int, first: int = 7) -> list[bytes]:
    return [b'<row r="%d"><c><v>' % row for row in range(first, first + count)]


def xml(numbers: bytes, opens: list[bytes], separator: bytes = SEPARATOR, close: bytes = CLOSE) -> bytes:
    lines = numbers.split(b"],[")
    return b"".join(one + line.replace(b",", separator) + close for one, line in zip(opens, lines, strict=True))


def deflated(numbers: bytes, opens: list[bytes], separator: bytes = SEPARATOR, close: bytes = CLOSE) -> bytes | None:
    """What `deflate_rows` makes of them, which inflates to their XML."""
    result = deflate_rows(numbers, opens, separator, close)
    if result is not None:
        inflater = zlib.decompressobj(-15)
        assert inflater.decompress(result) == xml(numbers, opens, separator, close)
        assert not inflater.eof
        assert not inflater.unused_data
        assert result.endswith(b"\x00\x00\xff\xff")
    return result


def normals(scale: float, shape: tuple[int, int] = (43, 768), dtype: str = "float32") -> Array:
    return np.random.default_rng(1).normal(0, scale, shape).astype(dtype)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few or unfit the numbers are."""
    for name in ("_FEWEST_CELLS", "_NARROWEST_ROW", "_SHORTEST_NUMBERS", "_WORTH_IT"):
        monkeypatch.setattr(rows, name, 0)
    monkeypatch.setattr(rows, "_TOO_MANY_REPEATED", 1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", range(-6, 7))
@pytest.mark.usefixtures("always")
def test_normals_of_all_scales(exponent: int, dtype: str) -> None:
    assert deflated(serialised(normals(10.0**exponent, (11, 500), dtype)), row_opens(11))


@pytest.mark.parametrize(
    ("shape", "first"),
    [((1, 5000), 1), ((1, 16384), 1), ((3, 16384), 99), ((500, 20), 1), ((5000, 1), 98), ((2500, 2), 1), ((2, 9), 1)],
    ids=str,
)
@pytest.mark.usefixtures("always")
def test_all_shapes(shape: tuple[int, int], first: int) -> None:
    assert deflated(serialised(normals(0.1, shape)), row_opens(shape[0], first))


@pytest.mark.parametrize("width", [1, 7, 1500])
@pytest.mark.usefixtures("always")
def test_odd_text_between_rows(width: int) -> None:
    opens = [b"<row>" * (row % 7) + bytes([65 + row % 60]) * (row % 11) for row in range(40)]
    numbers = serialised(normals(0.1, (40, width)))
    assert deflated(numbers, opens, b"</v></c><c s='12'><v>", b"")
    assert deflated(numbers, [b""] * 40, b"-0.", b"=")
    assert deflated(numbers, [b"x" * 700] * 40, b"y" * 250, b"z" * 300)


@pytest.mark.usefixtures("always")
def test_numbers_of_all_kinds() -> None:
    rng = np.random.default_rng(2)
    mixed = normals(1.0, (40, 300), "float64") * 10.0 ** rng.integers(-320, 300, (40, 300))
    mixed[rng.random(mixed.shape) < 0.2] = 0.0
    mixed[rng.random(mixed.shape) < 0.2] = -1.0
    assert deflated(serialised(mixed), row_opens(40))
    assert deflated(serialised(mixed).replace(b".0,", b",").replace(b".0]", b"]"), row_opens(40))
    assert deflated(serialised(rng.integers(-(2**62), 2**62, (40, 300))), row_opens(40))


@pytest.mark.usefixtures("always")
def test_a_few_long_numbers_among_short_ones() -> None:
    values = normals(0.02, dtype="float64").round(4)
    values[::5, ::100] *= np.pi * 1e-200
    assert deflated(serialised(values), row_opens(len(values)))


@pytest.mark.usefixtures("always")
def test_a_number_that_is_far_from_its_like() -> None:
    """No match goes back more than 32768 bytes: inflating would fail."""
    values = normals(0.1, (1, 16384))
    values[0, ::4000] = -123456.5
    assert deflated(serialised(values), row_opens(1))
    assert deflated(serialised(normals(0.1, (3, 2000))), row_opens(3), b"s" * 250)


@pytest.mark.usefixtures("always")
@given(
    values=st.integers(1, 12).flatmap(
        lambda width: st.lists(
            st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=width, max_size=width), min_size=1
        )
    ),
    separator=st.binary(min_size=3, max_size=60).filter(lambda text: b"," not in text and b"\x00" not in text),
)
@settings(deadline=None, max_examples=200)
def test_any_numbers(values: list[list[float]], separator: bytes) -> None:
    assert deflated(serialised(np.array(values)), row_opens(len(values)), separator)


def test_pieces_are_joined_in_any_order() -> None:
    numbers, opens = serialised(normals(0.02)), row_opens(43)
    mine, text = deflated(numbers, opens), xml(numbers, opens)
    assert mine
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
    theirs = compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH)
    stream = theirs + mine + mine + theirs + mine + b"\x03\x00"
    inflater = zlib.decompressobj(-15)
    assert inflater.decompress(stream) == text * 5
    assert inflater.eof


@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.14, 1.0])
@pytest.mark.parametrize("separator", [SEPARATOR, b'</v></c><c s="12"><v>'])
def test_weights_take_about_five_bytes(scale: float, separator: bytes) -> None:
    numbers = serialised(normals(scale))
    result = deflated(numbers, row_opens(43), separator)
    assert result
    assert len(result) < 5.1 * 43 * 768
    assert len(result) < 0.92 * len(zlib.compress(xml(numbers, row_opens(43), separator), 6))


def values_of_all_sorts() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    plain = normals(0.14)
    return {
        "zeros": np.zeros((43, 768), np.float32),
        "ones": np.ones((43, 768), np.float32),
        "ids": np.arange(43 * 768, dtype=np.float32).reshape(43, 768),
        "steps": np.linspace(0, 1, 43 * 768, dtype=np.float32).reshape(43, 768),
        "sorted": np.sort(plain, axis=None).reshape(43, 768),
        "half": plain.astype(np.float16).astype(np.float32),
        "eight bits": (plain * 127 / 0.6).round().astype(np.float32) * np.float32(0.6 / 127),
        "two places": plain.round(2),
        "four places": plain.round(4),
        "equal rows": np.repeat(plain[:1], 43, axis=0),
        "pairs of rows": np.repeat(plain, 2, axis=0),
        "period of 100": np.tile(plain[:, :100], (1, 8)),
        "mostly zeros": np.where(rng.random(plain.shape) < 0.7, 0, plain),
        "tiny": normals(1e-6),
        "large": normals(1e6),
        "sines": np.sin(np.outer(np.arange(43), np.arange(768))),
        "uniform": rng.random((43, 768)),
    }


@pytest.mark.parametrize("name", values_of_all_sorts())
def test_no_result_is_longer_than_a_librarys(name: str) -> None:
    values = values_of_all_sorts()[name]
    numbers, opens = serialised(values), row_opens(len(values))
    result = deflated(numbers, opens)
    assert result is None or len(result) < 1.02 * len(zlib.compress(xml(numbers, opens), 1))


def test_leaves_to_libraries_what_they_do_better() -> None:
    numbers, opens = serialised(normals(0.1)), row_opens(43)
    assert deflate_rows(numbers, opens, b",", CLOSE) is None
    assert deflate_rows(numbers, opens, b"s" * 252, CLOSE) is None
    assert deflate_rows(serialised(normals(0.1, (4, 500))), row_opens(4), SEPARATOR, CLOSE) is None
    assert deflate_rows(serialised(normals(0.1, (4000, 8))), row_opens(4000), SEPARATOR, CLOSE) is None
    assert deflate_rows(serialised(np.ones((43, 768))), opens, SEPARATOR, CLOSE) is None
    assert deflate_rows(serialised(np.where(normals(1) > 3, np.nan, normals(1))), opens, SEPARATOR, CLOSE) is None
    assert deflate_rows(numbers.replace(b"-", b"-" + b"1" * 20), opens, SEPARATOR, CLOSE) is None


@pytest.mark.parametrize("count", [0, 1, 42, 44, 86])
def test_refuses_rows_of_another_number(count: int) -> None:
    with pytest.raises(ValueError, match=rf"not {count} rows"):
        deflate_rows(serialised(normals(0.1)), row_opens(count), SEPARATOR, CLOSE)


def test_threads_do_not_disturb_each_other() -> None:
    pieces = [serialised(normals(scale)) for scale in (0.01, 0.02, 0.1, 0.5, 1.0, 5.0)]
    alone = [deflate_rows(piece, row_opens(43), SEPARATOR, CLOSE) for piece in pieces]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda piece: deflated(piece, row_opens(43)), pieces)) == alone


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=286).filter(lambda counts: sum(map(bool, counts)) > 1))
def test_codes_are_complete_and_short(counts: list[int]) -> None:
    lengths = code_lengths(counts, 14)
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]
    assert max(lengths) <= 14
    assert sum(2.0**-length for length in lengths if length) == 1.0  # Kraft's sum
    words = [f"{code >> 6:0{code & 63}b}"[::-1] for code in codes(lengths).tolist() if code]
    assert all(not one.startswith(other) for one in words for other in words if one is not other)


def test_a_code_that_would_be_too_long() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths(fibonacci, 14)
    assert max(lengths) <= 14
    assert sum(2.0**-length for length in lengths) == 1.0


def test_symbols_are_those_of_the_tables() -> None:
    """RFC 1951, 3.2.5."""
    assert [length_symbol(length)[0] for length in (3, 10, 11, 12, 13, 34, 35, 227, 257, 258)] == [
        *(257, 264, 265, 265, 266, 272, 273, 284, 284, 285)
    ]
    distances = np.array([1, 4, 5, 6, 7, 24, 25, 192, 193, 24576, 24577, 32768])
    assert distance_symbols(distances).tolist() == [0, 3, 4, 4, 5, 8, 9, 14, 15, 28, 29, 29]
