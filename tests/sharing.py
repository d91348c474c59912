"""What is slow to make, made once: files for all processes of a run, an open workbook for one test after the other."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gpt2xl

LONGEST = 600  # seconds that one process waits for another's file


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The file `name` of this run: the first process that needs it makes it, the others wait until it is whole."""
    run = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent  # each worker has a folder in that of the run
    path, making = run / name, run / f"{name}.making"
    deadline = time.monotonic() + LONGEST
    while not path.exists():
        try:
            making.mkdir()
        except FileExistsError:
            assert time.monotonic() < deadline, f"another process has not made {name} in {LONGEST} seconds"
            time.sleep(0.05)
            continue
        try:
            make(making / name)
            (making / name).replace(path)
        finally:
            shutil.rmtree(making)
    return path


class Lent(gpt2xl.Workbook):
    """An open workbook that tests use one after the other, each as it is in its file."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._typed: list[str] = []

    def __setitem__(self, ref: str, value: Any) -> None:
        super().__setitem__(ref, value)
        self._typed.append(ref)

    def for_one_test(self) -> Iterator[gpt2xl.Workbook]:
        """What a fixture yields."""
        yield self
        self.take_back()

    def take_back(self) -> None:
        """Undo what a test has typed."""
        for ref in self._typed:
            super().__setitem__(ref, self.cached(ref))
        self._typed.clear()
        self.book.recalculate()
