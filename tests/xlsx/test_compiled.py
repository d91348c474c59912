"""Compiled functions where numba finds no folder to keep them in."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core import caching

from gpt2xl.xlsx.compiled import compiled


def total(numbers: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    result = 0.0
    for number in numbers:
        result += number
    return result


def test_without_a_folder_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only installation for a user without a home: compiled in every process, and otherwise the same."""
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    faster = compiled(total)
    assert faster(np.array([1.0, 2.5])) == 3.5
    assert faster.stats.cache_path is None
