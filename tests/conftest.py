"""What several tests share: the embedded model, its workbook built once, checkpoints of other sizes."""

from __future__ import annotations

import os
import signal

# Tests run side by side, one process a core: more threads than that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import pytest

import gpt2xl
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint

# A shell starts what it puts in the background deaf to Ctrl-C, and so would be all that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
