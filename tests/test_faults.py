"""Killed at any moment, on disks of any size, told to stop: the target is absent, the old one, or whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from checkpoints import random_checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, limits and mounts of Linux")

ROOT = Path(__file__).parents[1]
NAME = "book.xlsx"
OLD = hashlib.sha256(b"a year of work").hexdigest()
SEED = 20
# The second takes minutes.
MODELS = [pytest.param("letters", id="letters"), pytest.param("tiny", id="tiny", marks=pytest.mark.slow)]


@dataclass(frozen=True)
class Outcome:
    """How a build ended, and the digests of the target and of what else is in its folder."""

    status: int
    said: str
    seconds: float
    target: str | None
    others: dict[str, str]


class Nursery:
    """tests/nursery.py as a process that makes one build again and again; `whole` is the digest of its file."""

    def __init__(self, folder: Path, build: list[str], *before: str) -> None:
        self._folder = folder / "here"
        self._build = build
        self._process = subprocess.Popen(
            [*before, sys.executable, str(ROOT / "tests" / "nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        )
        # The same command makes the same bytes, wherever.
        first = folder / NAME
        self._ask({"arguments": [*self._command(first)], "folder": str(self._folder), "warm": True})
        self.path = self._folder / NAME
        self.size = first.stat().st_size
        self.whole = hashlib.sha256(first.read_bytes()).hexdigest()
        unharmed = self.build()
        assert (unharmed.status, unharmed.said, unharmed.target, unharmed.others) == (0, "", self.whole, {})
        self.seconds = unharmed.seconds

    def _command(self, path: Path) -> list[str]:
        return ["build", *self._build, "--quiet", "--force", "-o", str(path)]

    def _ask(self, trial: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(trial) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def build(self, *, old: bool = False, **harm: Any) -> Outcome:
        """One build in a new folder, in which the target may be there already; it is never anything in between."""
        trial = {"arguments": self._command(self.path), "folder": str(self._folder)} | harm
        answer = self._ask(trial | ({"old": NAME} if old else {}))
        target = answer["files"].pop(NAME, None)
        assert target in ((OLD if old else None), self.whole)
        return Outcome(answer["status"], answer["said"], answer["seconds"], target, answer["files"])

    def refused(self, reason: str, **harm: Any) -> None:
        """A build that ends in a sentence, and leaves what was there and nothing else."""
        outcome = self.build(**harm)
        assert (outcome.status, outcome.others) == (2, {})
        assert outcome.said == f"gpt2xl: cannot write {self.path}: {reason}\n"
        assert outcome.target != self.whole

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


class Nurseries(dict[tuple[str, ...], Nursery]):
    """By model and by what stands before the command; each is started when it is first asked for."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self._folder, self._stack = folder, stack
        sizes: dict[str, Any] = {"n_layer": 1, "n_head": 1, "n_embd": 2, "n_positions": 8, "vocab": "letters"}
        self._letters = random_checkpoint(folder / "model", **sizes)

    def __missing__(self, key: tuple[str, ...]) -> Nursery:
        model, *before = key
        short = ["abc", "--max-tokens", "4", "--max-chars", "4", "--plain", "--model", str(self._letters)]
        folder = self._folder / str(len(self))
        folder.mkdir()
        self[key] = nursery = Nursery(folder, short if model == "letters" else ["The cat sat on the"], *before)
        self._stack.callback(nursery.close)
        return nursery


@pytest.fixture(scope="module")
def nurseries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nurseries]:
    with contextlib.ExitStack() as stack:
        yield Nurseries(tmp_path_factory.mktemp("nurseries"), stack)


IN_OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


def can_mount(folder: Path) -> bool:
    command = [*IN_OWN_MOUNTS, "mount", "-t", "tmpfs", "disk", str(folder)]
    done = shutil.which("unshare") and subprocess.run(command, capture_output=True, check=False).returncode == 0
    return bool(done)


def unnamed_files(folder: Path) -> bool:
    """Whether the file system has files without a name (`O_TMPFILE` in open(2))."""
    with contextlib.suppress(OSError):
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
        return True
    return False


@pytest.mark.parametrize("model", MODELS)
def test_killed_at_fifty_moments(model: str, nurseries: Nurseries, tmp_path: Path) -> None:
    moments = random.Random(SEED)
    nursery = nurseries[model,]
    outcomes = [
        nursery.build(old=number % 2 == 0, signal=signal.SIGKILL, seconds=moments.uniform(0, nursery.seconds))
        for number in range(50)
    ]
    assert {outcome.status for outcome in outcomes} <= {0, -signal.SIGKILL}
    assert all(outcome.target == nursery.whole for outcome in outcomes if outcome.status == 0)
    assert sum(outcome.status == -signal.SIGKILL for outcome in outcomes) >= 10
    if unnamed_files(tmp_path):
        assert [outcome.others for outcome in outcomes] == [{}] * 50


@pytest.mark.parametrize("function", ["link", "replace"])
def test_killed_in_the_last_instants(function: str, nurseries: Nurseries, tmp_path: Path) -> None:
    """Between the complete file's own name and the target's lies one system call: a kill there leaves that name."""
    nursery = nurseries["letters",]
    outcome = nursery.build(old=True, dies_in=function)
    assert (outcome.status, outcome.target) == (-signal.SIGKILL, OLD)
    if unnamed_files(tmp_path):
        assert list(outcome.others.values()) == ([nursery.whole] if function == "replace" else [])
    assert all(name.startswith(".gpt2xl-") and name.endswith(".tmp") for name in outcome.others)


def test_interrupted_at_ten_moments(nurseries: Nurseries) -> None:
    """Ctrl-C: nothing stays, wherever the file lies."""
    moments = random.Random(SEED)
    nursery = nurseries["letters",]
    for number in range(10):
        seconds = moments.uniform(0.1, 1) * nursery.seconds
        outcome = nursery.build(old=number % 2 == 0, signal=signal.SIGINT, seconds=seconds)
        assert (outcome.status, outcome.said) in ((0, ""), (128 + signal.SIGINT, "gpt2xl: interrupted\n"))
        assert outcome.status != 0 or outcome.target == nursery.whole
        assert outcome.others == {}


@pytest.mark.parametrize("model", MODELS)
def test_files_of_a_size_at_most(model: str, nurseries: Nurseries, tmp_path: Path) -> None:
    """What the operating system lets a program write (RLIMIT_FSIZE in getrlimit(2))."""
    sizes = random.Random(SEED)
    nursery = nurseries[model,]
    for number in range(5 if can_mount(tmp_path) else 20):  # real disks of twenty sizes say more
        nursery.refused("file too large", old=number % 2 == 0, limit=sizes.randrange(1, nursery.size))
    assert nursery.build(old=True, limit=nursery.size).target == nursery.whole


@pytest.fixture
def mounts(tmp_path: Path) -> tuple[str, ...]:
    """What stands before a command that may mount disks."""
    if not can_mount(tmp_path):
        pytest.skip("this system lets no user mount a disk of their own")
    return IN_OWN_MOUNTS


@pytest.mark.parametrize("model", MODELS)
def test_disks_of_twenty_sizes(model: str, nurseries: Nurseries, mounts: tuple[str, ...]) -> None:
    """Real ones, in memory, which the build fills."""
    sizes = random.Random(SEED)
    nursery = nurseries[(model, *mounts)]
    page = os.sysconf("SC_PAGESIZE")
    for number in range(20):
        old = number % 2 == 0
        pages = sizes.randrange(1 + old, nursery.size // page)
        nursery.refused("no space left on device", old=old, disk=pages * page)
    assert nursery.build(old=True, disk=nursery.size + 8 * page).target == nursery.whole


@pytest.mark.parametrize("old", [True, False])
def test_a_read_only_disk(old: bool, nurseries: Nurseries, mounts: tuple[str, ...]) -> None:
    reason = "it is write-protected; choose another name" if old else "nothing can be written in its folder"
    nursery = nurseries[("letters", *mounts)]
    outcome = nursery.build(old=old, disk=1_000_000, read_only=True)
    assert (outcome.status, outcome.others) == (2, {})
    assert outcome.said.startswith(f"gpt2xl: cannot write {nursery.path}: {reason}")
