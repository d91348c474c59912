"""What several tests share: the embedded model, its workbooks built once, checkpoints of other sizes."""

from __future__ import annotations

import gc
import os
import signal

# Tests run side by side, one process a core: more threads than that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from sharing import Lent, made_once

import gpt2xl
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint

# A shell starts what it puts in the background deaf to Ctrl-C, and so would be all that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROMPT = "The cat sat on the"


def pytest_collection_finish() -> None:
    """Half of a build's time here would go into looking for garbage among all that the tests have imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session")
def tiny() -> Checkpoint:
    """The embedded model."""
    return load_checkpoint("tiny")


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workbook of the README's first command. Tests that change it work on a copy."""
    return made_once(tmp_path_factory, "first.xlsx", lambda path: gpt2xl.build(PROMPT, path))


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model in a workbook for six tokens, which is quicker in everything. It too is copied to change."""
    return made_once(
        tmp_path_factory, "short.xlsx", lambda path: gpt2xl.build("The cat sat", path, max_tokens=6, max_chars=16)
    )


@pytest.fixture(scope="session")
def opened_first(first: Path) -> Lent:
    return Lent.open(first)


@pytest.fixture
def wb(opened_first: Lent) -> Iterator[gpt2xl.Workbook]:
    """`first`, open, as it is in its file."""
    yield from opened_first.for_one_test()


@pytest.fixture(scope="module")
def read_values(first: Path) -> openpyxl.Workbook:
    """The values of `first` as an independent reader has them. Not to be changed."""
    return openpyxl.load_workbook(first, data_only=True)


@pytest.fixture(scope="module")
def read_formulas(first: Path) -> openpyxl.Workbook:
    """The formulas and formats of `first` as an independent reader has them. Not to be changed."""
    return openpyxl.load_workbook(first)


@pytest.fixture(scope="session")
def opened_short(short: Path) -> Lent:
    return Lent.open(short)


@pytest.fixture
def short_wb(opened_short: Lent) -> Iterator[gpt2xl.Workbook]:
    """`short`, open, as it is in its file."""
    yield from opened_short.for_one_test()
