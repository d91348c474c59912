"""Rows of numbers, written and deflated: the text against the numbers, the deflated bytes against zlib's inflating."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2xl.xlsx.deflate import deflate_rows, rows
from gpt2xl.xlsx.deflate.codes import DISTANCE_SYMBOLS, LENGTHS, code_lengths, codes
from gpt2xl.xlsx.numbers import Array

SEPARATOR = b"</v></c><c><v>"
CLOSE = b"</v></c></row>"


def row_opens(count: int, first: int = 7) -> list[bytes]:
    return [b'<row r="%d"><c><v>' % row for row in range(first, first + count)]


def spelled(number: np.floating[Any]) -> bytes:
    """A number as a cell has it: the shortest decimals, without an exponent where it is neither large nor small."""
    if number.dtype == np.float64:
        return orjson.dumps(float(number))
    sign, figures, exponent = Decimal(str(number)).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, figures)).lstrip("0")
    point = len(digits) + exponent
    digits = digits.rstrip("0")
    minus = "-" * sign
    if not digits:
        return b"-0.0" if sign else b"0"
    if -4 <= point <= 0:
        return f"{minus}0.{'0' * -point}{digits}".encode()
    if 0 < point <= 16:
        whole, rest = digits[:point].ljust(point, "0"), digits[point:]
        return f"{minus}{whole}{'.' * bool(rest)}{rest}".encode()
    rest = digits[1:]
    return f"{minus}{digits[0]}{'.' * bool(rest)}{rest}e{point - 1}".encode()


def xml(values: Array, opens: list[bytes], separator: bytes = SEPARATOR, close: bytes = CLOSE) -> bytes:
    """The text, which has these numbers and nothing else between the markup."""
    numbers = [[spelled(number) for number in row] for row in values]
    assert np.array([[float(number) for number in row] for row in numbers], values.dtype).tobytes() == values.tobytes()
    return b"".join(one + separator.join(row) + close for one, row in zip(opens, numbers, strict=True))


def deflated(
    values: Array, opens: list[bytes], separator: bytes = SEPARATOR, close: bytes = CLOSE, near: int = 4
) -> bytes | None:
    """What `deflate_rows` makes of them, which inflates to their XML."""
    made = deflate_rows(values, opens, separator, close, near)
    if made is None:
        return None
    result, text = made
    expected = xml(values, opens, separator, close)
    assert text.tobytes() == expected
    inflater = zlib.decompressobj(-15)
    assert inflater.decompress(result) == expected
    assert not inflater.eof
    assert not inflater.unused_data
    assert result.endswith(b"\x00\x00\xff\xff")
    return result


def normals(scale: float, shape: tuple[int, int] = (43, 768), dtype: str = "float32") -> Array:
    return np.random.default_rng(1).normal(0, scale, shape).astype(dtype)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few or unfit the numbers are."""
    for name in ("_FEWEST_CELLS", "_NARROWEST_ROW", "_WORTH_IT"):
        monkeypatch.setattr(rows, name, 0)
    monkeypatch.setattr(rows, "_TOO_MANY_REPEATED", 1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [*range(-6, 7), -40, -30, 30])
@pytest.mark.parametrize("near", [1, 4, 8])
@pytest.mark.usefixtures("always")
def test_normals_of_all_scales(exponent: int, dtype: str, near: int) -> None:
    assert deflated(normals(10.0**exponent, (11, 500), dtype), row_opens(11), near=near)


@pytest.mark.parametrize(
    ("shape", "first"),
    [((1, 5000), 1), ((1, 16384), 1), ((3, 16384), 99), ((500, 20), 1), ((5000, 1), 98), ((2500, 2), 1), ((2, 9), 1)],
    ids=str,
)
@pytest.mark.usefixtures("always")
def test_all_shapes(shape: tuple[int, int], first: int) -> None:
    assert deflated(normals(0.1, shape), row_opens(shape[0], first))


@pytest.mark.parametrize("width", [1, 7, 1500])
@pytest.mark.usefixtures("always")
def test_odd_text_between_rows(width: int) -> None:
    opens = [b"<row>" * (row % 7) + bytes([65 + row % 60]) * (row % 11) for row in range(40)]
    numbers = normals(0.1, (40, width))
    assert deflated(numbers, opens, b"</v></c><c s='12'><v>", b"")
    assert deflated(numbers, [b""] * 40, b"-0.", b"=")
    assert deflated(numbers, [b"x" * 700] * 40, b"y" * 250, b"z" * 300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("always")
def test_numbers_of_all_kinds(dtype: str) -> None:
    rng = np.random.default_rng(2)
    powers = (-44, 38) if dtype == "float32" else (-320, 300)
    mixed = normals(1.0, (40, 300), "float64") * 10.0 ** rng.integers(*powers, (40, 300))
    mixed[rng.random(mixed.shape) < 0.2] = 0.0
    mixed[rng.random(mixed.shape) < 0.2] = -1.0
    mixed[rng.random(mixed.shape) < 0.1] = -0.0
    assert deflated(mixed.astype(dtype), row_opens(40))
    assert deflated(rng.integers(-(2**62), 2**62, (40, 300)).astype(dtype), row_opens(40))


@pytest.mark.usefixtures("always")
def test_a_few_long_numbers_among_short_ones() -> None:
    values = normals(0.02, dtype="float64").round(4)
    values[::5, ::100] *= np.pi * 1e-200
    assert deflated(values, row_opens(len(values)))


@pytest.mark.usefixtures("always")
def test_a_number_that_is_far_from_its_like() -> None:
    """No match goes back more than 32768 bytes: inflating would fail."""
    values = normals(0.1, (1, 16384))
    values[0, ::4000] = -123456.5
    assert deflated(values, row_opens(1))
    assert deflated(normals(0.1, (3, 2000)), row_opens(3), b"s" * 250)


@pytest.mark.usefixtures("always")
@given(
    values=st.tuples(st.integers(1, 12), st.sampled_from([np.float32, np.float64])).flatmap(
        lambda given: st.lists(
            st.lists(
                st.floats(allow_nan=False, allow_infinity=False, width=32 if given[1] is np.float32 else 64),
                min_size=given[0],
                max_size=given[0],
            ),
            min_size=1,
        ).map(lambda lists: np.array(lists, given[1]))
    ),
    separator=st.binary(min_size=3, max_size=60).filter(lambda text: b"\x00" not in text),
    near=st.integers(1, 9),
)
@settings(deadline=None, max_examples=300)
def test_any_numbers(values: Array, separator: bytes, near: int) -> None:
    assert deflated(values, row_opens(len(values)), separator, near=near)


def test_pieces_are_joined_in_any_order() -> None:
    numbers, opens = normals(0.02), row_opens(43)
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
    numbers = normals(scale)
    result = deflated(numbers, row_opens(43), separator)
    assert result
    assert len(result) < 5.3 * 43 * 768
    assert len(result) < 0.94 * len(zlib.compress(xml(numbers, row_opens(43), separator), 6))


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
    opens = row_opens(len(values))
    result = deflated(values, opens)
    assert result is None or len(result) < 1.02 * len(zlib.compress(xml(values, opens), 1))


def test_leaves_to_libraries_what_they_do_better() -> None:
    assert deflated(normals(0.1), row_opens(43), b",,") is None
    assert deflated(normals(0.1), row_opens(43), b"s" * 252) is None
    assert deflated(normals(0.1, (4, 500)), row_opens(4)) is None
    assert deflated(normals(0.1, (4000, 8)), row_opens(4000)) is None
    assert deflated(np.ones((43, 768)), row_opens(43)) is None
    assert deflated(np.repeat(normals(0.1)[:1], 43, axis=0), row_opens(43)) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(bad: float, dtype: str) -> None:
    values = normals(0.1, dtype=dtype)
    values[7, 5] = bad
    with pytest.raises(ValueError, match="NaN or an infinity"):
        deflate_rows(values, row_opens(43), SEPARATOR, CLOSE, 4)


def test_threads_do_not_disturb_each_other() -> None:
    pieces = [normals(scale) for scale in (0.01, 0.02, 0.1, 0.5, 1.0, 5.0)]
    alone = [deflated(piece, row_opens(43)) for piece in pieces]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda piece: deflated(piece, row_opens(43)), pieces)) == alone


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=286).filter(lambda counts: sum(map(bool, counts)) > 1))
@settings(deadline=None)  # the first is compiled
def test_codes_are_complete_and_short(counts: list[int]) -> None:
    lengths = code_lengths(np.array(counts), 15)
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]
    assert max(lengths) <= 15
    assert sum(2.0**-length for length in lengths if length) == 1.0  # Kraft's sum
    words = [f"{code:0{length}b}"[::-1] for code, length in zip(codes(lengths), lengths, strict=True) if length]
    assert all(not one.startswith(other) for one in words for other in words if one is not other)


def test_no_other_lengths_are_shorter_in_all() -> None:
    """Huffman's are the best: those of 1, 1, 2, 3, 5, 8 and 13 are known."""
    assert code_lengths(np.array([1, 1, 2, 3, 5, 8, 13, 0]), 15).tolist() == [6, 6, 5, 4, 3, 2, 1, 0]


def test_a_code_that_would_be_too_long() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths(np.array(fibonacci), 14)
    assert max(lengths) <= 14
    assert sum(2.0**-length for length in lengths) == 1.0


def test_symbols_are_those_of_the_tables() -> None:
    """RFC 1951, 3.2.5."""
    assert LENGTHS[[3, 10, 11, 12, 13, 34, 35, 227, 257, 258], 0].tolist() == [
        *(257, 264, 265, 265, 266, 272, 273, 284, 284, 285)
    ]
    distances = np.array([1, 4, 5, 6, 7, 24, 25, 192, 193, 24576, 24577, 32768])
    assert DISTANCE_SYMBOLS[distances].tolist() == [0, 3, 4, 4, 5, 8, 9, 14, 15, 28, 29, 29]
