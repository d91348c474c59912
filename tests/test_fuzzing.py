"""Damaged workbooks and checkpoints: nothing but `Gpt2xlError` comes out of what a user can ask of them.

The corpus is the same everywhere. A longer run with another seed: `GPT2XL_FUZZ=50000 GPT2XL_FUZZ_SEED=monday pytest
tests/test_fuzzing.py -m slow`; one case again: `python tests/fuzz_worker.py books 1234 1 --keep FOLDER`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("fuzz_worker.py")
ROOT = WORKER.parents[1]
MOST_MEMORY = 1 << 20  # KiB of resident memory, at any time, of a process that opens all of them


def run(kind: str, count: int, seed: str = "gpt2xl", limit: int = 1200) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary of a run of the worker, and what it found wrong."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread of theirs reserves memory
    done = subprocess.run(
        [sys.executable, str(WORKER), kind, "0", str(count), "--seed", seed],
        capture_output=True,
        text=True,
        timeout=limit,
        env={**os.environ, **one, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *found, summary = [json.loads(line) for line in done.stdout.splitlines()]
    return summary, found


@pytest.mark.parametrize(("kind", "count"), [("books", 2000), ("checkpoints", 500)])
def test_only_errors_of_ours_come_out(kind: str, count: int) -> None:
    summary, found = run(kind, count)
    assert found == []
    assert summary["cases"] == count
    assert summary["peak_kib"] < MOST_MEMORY
    # Neither all refused nor all accepted: the damage is where it matters.
    done = summary["outcomes"].pop("done")
    assert done > count / 10
    assert sum(summary["outcomes"].values()) > count / 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["books", "checkpoints"])
def test_longer_run(kind: str) -> None:
    count, seed = int(os.environ.get("GPT2XL_FUZZ", "20000")), os.environ.get("GPT2XL_FUZZ_SEED", "longer")
    summary, found = run(kind, count, seed, limit=6 * 3600)
    assert found == []
    assert summary["peak_kib"] < MOST_MEMORY
