"""float32 as doubles of their shortest decimals: exactly what orjson writes and a reader reads, number by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpt2xl import decimals
from gpt2xl.decimals import Doubles, as_written

RANDOM = np.random.default_rng(7)
POWERS = 2.0 ** np.arange(-149, 128)


def read_back(values: NDArray[np.float32]) -> NDArray[np.float64]:
    text = orjson.dumps(np.ascontiguousarray(values.ravel()), option=orjson.OPT_SERIALIZE_NUMPY)
    return np.array(orjson.loads(text), dtype=np.float64).reshape(values.shape)


def same_bits(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    assert ours.dtype == np.float64
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.view(np.uint64), theirs.view(np.uint64))


def random_bits(size: int) -> NDArray[np.float32]:
    raw = RANDOM.integers(0, 1 << 32, size, dtype=np.uint32).view(np.float32)
    return raw[np.isfinite(raw)]


SETS: dict[str, NDArray[Any]] = {
    "random bits": random_bits(300_000),
    "weights": 0.02 * RANDOM.standard_normal(300_000),
    "normals": RANDOM.standard_normal(100_000),
    "large": 1e6 * RANDOM.standard_normal(50_000),
    "small": 1e-12 * RANDOM.standard_normal(50_000),
    "halves": np.arange(-20_000, 20_000) / 2,
    "integers": RANDOM.integers(-(2**31), 2**31, 50_000),
    "short decimals": np.round(RANDOM.standard_normal(50_000), 3),
    "float16": RANDOM.standard_normal(50_000).astype(np.float16),
    "bfloat16": (RANDOM.integers(0x3800, 0x4100, 50_000, dtype=np.uint32) << 16).view(np.float32),
    "denormals": RANDOM.integers(1, 1 << 23, 50_000, dtype=np.uint32).view(np.float32),
    "powers of two": np.concatenate([POWERS, -POWERS]),
    "beside powers of two": np.concatenate(
        [np.nextafter(POWERS.astype(np.float32), np.float32(side)) for side in (0, np.inf)]
    )[:-1],
    "powers of ten": 10.0 ** np.arange(-44, 39),
    "zeros and extremes": np.array([0.0, -0.0, np.finfo(np.float32).max, np.finfo(np.float32).tiny, 1e-45]),
    "nothing": np.zeros(0),
}


@pytest.mark.parametrize("name", SETS)
def test_as_a_reader_has_them(name: str) -> None:
    values = SETS[name].astype(np.float32)
    values = values[np.isfinite(values)]
    same_bits(as_written(values), read_back(values))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_any_numbers(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    same_bits(as_written(values), read_back(values))
    assert (as_written(values).astype(np.float32) == values).all()


def test_any_shape_and_layout() -> None:
    values = SETS["weights"][:60_000].astype(np.float32).reshape(200, 300)
    for view in (values, values.T, values[::3, 5:50], values[:1], values[:, 7:8], values[:0]):
        same_bits(as_written(view), read_back(view))


class Matrix:
    """Rows that are read when asked for, and a count of how many were."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self.shape, self.dtype, self.read = values.shape, values.dtype, 0

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        self.read += len(self.values[rows])
        return self.values[rows]


@pytest.mark.parametrize("share", [1, 1000, 1 << 18])
def test_parts_of_a_matrix(share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decimals, "_A_THREADS_SHARE", share)
    matrix = Matrix(SETS["weights"][:30_000].astype(np.float32).reshape(100, 300))
    expected = read_back(matrix.values)
    doubles = Doubles(matrix)
    assert doubles.shape == (100, 300)
    for part in (np.s_[:, :], np.s_[10:20, :], np.s_[99:100, 299:300], np.s_[:, 0:1], np.s_[40:41, 7:90]):
        same_bits(doubles[part], expected[part])
    matrix.read = 0
    same_bits(doubles[5:7, :], expected[5:7])
    assert matrix.read == 2


def test_float64_stays_what_it_is() -> None:
    values = RANDOM.standard_normal((40, 30))
    same_bits(Doubles(Matrix(values))[3:30, 2:9], values[3:30, 2:9])
