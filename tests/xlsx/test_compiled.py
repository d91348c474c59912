"""Compiled functions: where numba finds no folder to keep them in, and what they are kept for."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numba.core import caching

from gpt2xl.xlsx.compiled import compiled, contents


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


def test_contents_tell_files_apart(tmp_path: Path) -> None:
    """What the disk keeps of functions that call those of other files goes with these files."""
    module, other = ModuleType("one"), ModuleType("other")
    module.__file__, other.__file__ = str(tmp_path / "one.py"), str(tmp_path / "other.py")
    for path in (module.__file__, other.__file__):
        Path(path).write_text("def double(x): return 2 * x\n", encoding="utf-8")
    before = contents(module, other)
    assert contents(module, other) == before
    Path(other.__file__).write_text("def double(x): return x + x\n", encoding="utf-8")
    assert contents(module, other) != before
