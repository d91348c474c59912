"""What several tests share: the embedded model, its workbook built once, checkpoints of other sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpt2xl
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint

PROMPT = "The cat sat on the"


@pytest.fixture(scope="session")
def tiny() -> Checkpoint:
    """The embedded model."""
    return load_checkpoint("tiny")


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workbook of the README's first command. Tests that change it work on a copy."""
    path = tmp_path_factory.mktemp("first") / "first.xlsx"
    gpt2xl.build(PROMPT, path)
    return path
