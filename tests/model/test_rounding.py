"""Rounding to significant digits against Python's own `%e`, which is exact: every bit of every number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpt2xl.model.rounding import MOST_DIGITS, rounded

DIGITS = range(1, MOST_DIGITS + 1)


def written_out(values: NDArray[Any], digits: int) -> NDArray[np.float64]:
    return np.array([float(f"{float(value):.{digits - 1}e}") for value in values.ravel()]).reshape(values.shape)


def same_bits(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(ours.view(np.uint64), theirs.view(np.uint64))


def bits(kind: str, size: int) -> NDArray[Any]:
    """Numbers of all magnitudes: random bits."""
    width = np.dtype(kind).itemsize
    raw = np.random.default_rng(0).integers(0, 256, size * width, dtype=np.uint8).view(kind)
    return raw[np.isfinite(raw)]


RANDOM = np.random.default_rng(1)
TENS = 10.0 ** np.arange(-30, 30)
SETS: dict[str, NDArray[Any]] = {
    "weights": (0.02 * RANDOM.standard_normal(3000)).astype(np.float32),
    "doubles": 0.02 * RANDOM.standard_normal(3000),
    "bits of float32": bits("f4", 3000),
    "bits of float64": bits("f8", 3000),
    "float16": RANDOM.standard_normal(3000).astype(np.float16).astype(np.float32),
    "halves": RANDOM.integers(-100_000, 100_000, 3000) / 2,
    "binary fractions": RANDOM.integers(-(10**6), 10**6, 3000) / 64,
    "few decimals": np.round(RANDOM.standard_normal(3000), 3),
    "decimals that end in 5": np.array([float(f"{n}5e{n % 20 - 12}") for n in RANDOM.integers(1, 10**5, 3000)]),
    "powers": np.concatenate([TENS, np.nextafter(TENS, 0), np.nextafter(TENS, np.inf), 2.0 ** np.arange(-60, 60)]),
    "nines": np.array([float("9" * count + f"e{power}") for count in range(1, 18) for power in range(-20, 10)]),
    "zeros and extremes": np.array([0.0, -0.0, 5e-324, -5e-324, 1.7e308, np.finfo(np.float64).tiny]),
}


@pytest.mark.parametrize("name", SETS)
def test_as_if_written_out(name: str) -> None:
    for digits in DIGITS:
        same_bits(rounded(SETS[name], digits), written_out(SETS[name], digits))


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(DIGITS))
def test_any_number(number: float, digits: int) -> None:
    same_bits(rounded(np.array([number]), digits), written_out(np.array([number]), digits))


def test_the_decimals_have_at_most_so_many_digits() -> None:
    for digits in (1, 4, 7, 15):
        for number in rounded(SETS["weights"][:200], digits).tolist():
            mantissa = repr(number).partition("e")[0].replace(".", "").lstrip("-0").rstrip("0")
            assert 1 <= len(mantissa) <= digits


def test_any_shape_and_no_change_with_all_digits() -> None:
    values = SETS["weights"].reshape(30, 100)[:, ::2]
    assert rounded(values, 3).shape == (30, 50)
    same_bits(rounded(values, MOST_DIGITS), values.astype(np.float64))
    assert rounded(np.zeros((0, 4), np.float32), 3).shape == (0, 4)
