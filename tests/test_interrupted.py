"""Stopped at any moment and on a full disk: nothing under the final name, nothing half written, no thread left."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self

import pytest
from click.testing import CliRunner

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.errors import OutputError
from gpt2xl.stopping import stopping_in_order
from gpt2xl.xlsx import output

ROOT = Path(__file__).parents[1]
PROMPT = "The cat"
# Large enough that threads deflate it, and that it is far from whole after `SOME` cells of some 180,000.
SIZES: dict[str, Any] = {"vocab": 256, "max_tokens": 8, "max_chars": 16, "plain": True}
OPTIONS = ["--vocab", "256", "--max-tokens", "8", "--max-chars", "16", "--plain"]
SOME = 100_000

# The program, sending itself a signal as soon as some cells are written.
KILLED = """
import os, signal, sys
from gpt2xl import convert
from gpt2xl.commands import main
write = convert.write_workbook
left = int(sys.argv.pop())

def killed(*arguments, **options):
    def progress(cells):
        global left
        left -= cells
        if left < 0:
            os.kill(os.getpid(), {signal})
    write(*arguments, **options | {{"progress": progress}})

convert.write_workbook = killed
main()
"""


def killed(path: Path, name: str, cells: int) -> subprocess.CompletedProcess[str]:
    code = KILLED.format(signal=int(getattr(signal, name)))
    command = [sys.executable, "-c", code, "build", PROMPT, "-o", str(path), "--force", *OPTIONS]
    return subprocess.run([*command, str(cells)], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("cells", [0, SOME])
def test_stopped(name: str, cells: int, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    path.write_bytes(b"a year of work")
    done = killed(path, name, cells)
    assert done.returncode == 128 + getattr(signal, name)
    assert "Traceback" not in done.stderr
    assert ("gpt2xl: interrupted" in done.stderr.splitlines()) == (name == "SIGINT")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"a year of work"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_killed_without_warning(tmp_path: Path) -> None:
    """No program can tidy up after SIGKILL, but until it is complete the file has no name, where the system can."""
    path = tmp_path / "book.xlsx"
    assert killed(path, "SIGKILL", SOME).returncode == -signal.SIGKILL
    assert not path.exists()
    left = list(tmp_path.iterdir())
    if unnamed_files(tmp_path):
        assert left == []
    assert all(file.name.startswith(".gpt2xl-") and file.suffix == ".tmp" for file in left)
    gpt2xl.build(PROMPT, path, **SIZES)
    assert gpt2xl.Workbook.open(path).cached("prompt") == PROMPT
    assert sorted(tmp_path.iterdir()) == [*left, path]


def test_a_signal_that_python_loses_comes_again() -> None:
    """What is raised in the callback of a weak reference goes nowhere."""

    class Thing:
        pass

    @stopping_in_order()
    def lose() -> None:
        thing = Thing()
        reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
        del thing
        assert reference() is None
        time.sleep(60)

    start = time.monotonic()
    with pytest.raises(SystemExit) as stopped:
        lose()
    assert stopped.value.code == 128 + signal.SIGTERM
    assert time.monotonic() - start < 30


def unnamed_files(folder: Path) -> bool:
    """Whether the file system has files without a name (`O_TMPFILE` in open(2), which Linux alone has)."""
    try:
        os.close(os.open(folder, getattr(os, "O_TMPFILE", -1) | os.O_WRONLY))
    except OSError:
        return False
    return True


def test_a_system_without_unnamed_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(output, "_UNNAMED", None)
    path = tmp_path / "book.xlsx"
    path.write_bytes(b"a year of work")
    with pytest.raises(ZeroDivisionError), output.output_file(path) as stream:
        stream.write(b"%d" % (len(list(tmp_path.iterdir())) // 0))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"a year of work"
    with output.output_file(path) as stream:
        stream.write(b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_limit_on_files(tmp_path: Path) -> None:
    """The operating system itself refuses to write more than 200,000 bytes."""
    import resource

    path = tmp_path / "book.xlsx"
    done = subprocess.run(
        [sys.executable, "cli.py", "build", PROMPT, "-o", str(path), "--quiet", *OPTIONS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"gpt2xl: cannot write {path}: file too large"]
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A file on a disk with room for `room` bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def set_room(room: int) -> None:
        new_file = output._new_file

        def on_full_disk(temporary: Path) -> tuple[FullDisk, bool]:
            file, named = new_file(temporary)
            return FullDisk(file, room), named

        monkeypatch.setattr(output, "_new_file", on_full_disk)

    return set_room


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("deflate")}


@pytest.mark.parametrize("room", [0, 100, 30_000, 1_000_000])
def test_a_full_disk(room: int, full_disk: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    full_disk(room)
    with pytest.raises(OutputError, match=f"^cannot write {path}: no space left on device$"):
        gpt2xl.build(PROMPT, path, **SIZES)
    assert list(tmp_path.iterdir()) == []
    assert threads() == set()


def test_a_full_disk_in_one_sentence(full_disk: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    full_disk(1000)
    result = CliRunner().invoke(main, ["build", PROMPT, "-o", str(path), "--quiet", *OPTIONS])
    assert result.exit_code == 2
    assert result.stderr == f"gpt2xl: cannot write {path}: no space left on device\n"


def test_a_full_disk_while_saving(short_wb: gpt2xl.Workbook, full_disk: Callable[[int], None], tmp_path: Path) -> None:
    short_wb["prompt"] = "A dog"
    full_disk(50_000)
    with pytest.raises(OutputError, match="no space left on device"):
        short_wb.save(tmp_path / "saved.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_threads_end_with_the_exception(tmp_path: Path) -> None:
    """Also where the interruption comes from the caller."""

    class Enough(Exception):
        pass

    written = 0

    def progress(cells: int) -> None:
        nonlocal written
        written += cells
        if written > SOME:
            assert threads()
            raise Enough

    with pytest.raises(Enough):
        gpt2xl.build(PROMPT, tmp_path / "book.xlsx", progress=progress, **SIZES)
    assert threads() == set()
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
