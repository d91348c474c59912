"""Fixtures for the model's tests: no test here asks the network for anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/checkpoints.py

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint that no test changes."""
    from checkpoints import random_checkpoint

    return random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "small", vocab="words")


@pytest.fixture
def scratch(folder: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint to spoil."""
    import shutil

    return Path(shutil.copytree(folder, tmp_path / "scratch"))
