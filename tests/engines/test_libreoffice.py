"""LibreOffice as a process: missing, hanging, killed, two at once; and what only it can do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from gpt2xl.engines.libreoffice import LibreOffice, _profile_digest
from gpt2xl.errors import EngineError, OutputError

pytestmark = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")


def processes_of(group: int) -> int:
    """How many processes, zombies aside, a process group has."""
    shown = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return sum(line.split()[0] == str(group) and "Z" not in line.split()[1] for line in shown.splitlines())


def traces(office: LibreOffice) -> tuple[int, Path]:
    """The process group and folder of a running instance."""
    worker = office._worker
    assert worker is not None
    return worker._process.pid, worker.folder


def assert_gone(group: int, folder: Path) -> None:
    deadline = time.monotonic() + 10
    while processes_of(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(group) == 0
    assert not folder.exists()
    assert sockets(folder) == []


def sockets(folder: Path) -> list[Path]:
    """The sockets in /tmp that belong to the instance whose folder this is."""
    names = folder.name, f"SingleOfficeIPC_{_profile_digest(folder)}"
    return [path for path in Path("/tmp").glob("OSL_PIPE_*") if path.name.endswith(names)]


def test_closing_leaves_nothing(book: Path) -> None:
    with LibreOffice() as office:
        office.open(book)
        group, folder = traces(office)
        assert len(sockets(folder)) == 2
    assert_gone(group, folder)


def test_carriage_returns_become_line_feeds(book: Path) -> None:
    with LibreOffice() as office:
        document = office.open(book)
        for text, kept in [("a\r\nb", "a\nb"), ("\r", "\n"), ("", None)]:
            document.set("prompt", text)
            assert document.get("prompt") == [[kept]]


def test_two_at_once(book: Path) -> None:
    with LibreOffice() as one, LibreOffice() as two:
        first, second = one.open(book), two.open(book)
        first.set("scale", 1)
        second.set("scale", 2)
        assert first.get("doubled")[0][0] == 3
        assert second.get("doubled")[0][0] == 4
        one.close()
        assert second.get("scale") == [[2.0]]


def test_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("gpt2xl.engines.libreoffice._APPLICATIONS", ())
    with pytest.raises(EngineError, match=r"LibreOffice is not installed.*apt install libreoffice-calc") as caught:
        LibreOffice().open(__file__)
    assert "\n" not in str(caught.value)


def test_missing_uno(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT2XL_UNO_PYTHON", shutil.which("true") or "true")
    monkeypatch.setattr("gpt2xl.engines.libreoffice._can_import_uno", lambda _: False)
    with pytest.raises(EngineError, match="GPT2XL_UNO_PYTHON names"):
        LibreOffice().open(__file__)
    monkeypatch.delenv("GPT2XL_UNO_PYTHON")
    with pytest.raises(EngineError, match="apt install python3-uno"):
        LibreOffice().open(__file__)


def test_program_that_fails_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "soffice"
    program.write_text("#!/bin/sh\necho no display, no luck >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("GPT2XL_SOFFICE", str(program))
    office = LibreOffice(timeout=30)
    with pytest.raises(EngineError, match="ended while starting: no display, no luck"):
        office.open(__file__)
    monkeypatch.setenv("GPT2XL_SOFFICE", str(tmp_path / "absent"))
    with pytest.raises(EngineError, match="GPT2XL_SOFFICE names"):
        office.open(__file__)


def test_program_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "soffice"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setenv("GPT2XL_SOFFICE", str(program))
    before = set(Path(os.environ.get("TMPDIR", "/tmp")).glob("gpt2xl-*"))
    start = time.monotonic()
    with pytest.raises(EngineError, match="did not answer within 2 seconds while starting"):
        LibreOffice(timeout=2).open(__file__)
    assert time.monotonic() - start < 8
    assert set(Path(os.environ.get("TMPDIR", "/tmp")).glob("gpt2xl-*")) <= before


def state(task: Path) -> str:
    """Whether a thread runs (R), sleeps (S), is stopped (T): what follows its name in proc(5)'s stat."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def test_hang_while_working(book: Path) -> None:
    with LibreOffice() as office:
        document = office.open(book)
        group, folder = traces(office)
        assert office._worker is not None
        office._worker.timeout = 1
        soffice = [int(p) for p in pids(group) if "soffice.bin" in Path(f"/proc/{p}/cmdline").read_text()]
        os.kill(soffice[0], signal.SIGSTOP)
        while not all(state(task) == "T" for task in Path(f"/proc/{soffice[0]}/task").iterdir()):
            time.sleep(0.01)  # a signal takes a moment to reach all threads
        with pytest.raises(EngineError, match="did not answer within 1 seconds while recalculating"):
            document.recalculate()
        assert_gone(group, folder)
        with pytest.raises(EngineError, match="closed"):
            document.get("scale")
        assert office.open(book).get("scale") == [[0.1]]  # a new instance takes its place


@pytest.mark.parametrize("victim", ["soffice.bin", "uno_worker.py"])
def test_killed_while_working(book: Path, victim: str) -> None:
    with LibreOffice() as office:
        document = office.open(book)
        group, folder = traces(office)
        found = [int(p) for p in pids(group) if victim in Path(f"/proc/{p}/cmdline").read_text()]
        os.kill(found[0], signal.SIGKILL)
        time.sleep(0.2)
        with pytest.raises(EngineError, match=r"crashed|ended"):
            document.recalculate()
        assert_gone(group, folder)


def test_its_end_is_the_end_of_its_parent(book: Path) -> None:
    program = (
        "import os, sys\nfrom gpt2xl.engines.libreoffice import LibreOffice\n"
        "office = LibreOffice()\noffice.open(sys.argv[1])\n"
        "print(office._worker._process.pid, office._worker.folder, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(book)], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    group, folder = run.stdout.split()
    assert_gone(int(group), Path(folder))


def pids(group: int) -> list[str]:
    shown = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in shown.splitlines() if line.split()[1] == str(group)]


def test_saving(book: Path, tmp_path: Path) -> None:
    with LibreOffice() as office:
        document = office.open(book)
        document.set("prompt", "=1+1")
        document.save_as(tmp_path / "saved.xlsx")
        document.save_as(tmp_path / "saved.ods", "ods")
        document.save_as(tmp_path / "saved.pdf", "pdf")
        assert office.open(tmp_path / "saved.ods").get("length") == [[4.0]]
        with pytest.raises(OutputError, match="no folder"):
            document.save_as(tmp_path / "absent" / "saved.xlsx")
    saved = openpyxl.load_workbook(tmp_path / "saved.xlsx", data_only=True)
    assert saved["My sheet"]["A1"].value == "=1+1"
    assert saved["Model"]["G1"].value == pytest.approx(1 / 3, abs=1e-15)
    assert (tmp_path / "saved.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved.ods", "saved.pdf", "saved.xlsx"]


def test_big_ranges_are_quick(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).standard_normal((2000, 100))
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Big")
    for row in numbers:
        sheet.append([float(x) for x in row])
    book.save(tmp_path / "big.xlsx")
    with LibreOffice() as office:
        document = office.open(tmp_path / "big.xlsx")
        start = time.monotonic()
        read = document.get_numbers("Big!A1:CV2000")
        assert time.monotonic() - start < 5
    np.testing.assert_allclose(read, numbers, rtol=1e-15)


def test_a_profile_of_its_own(book: Path) -> None:
    with LibreOffice() as office:
        office.open(book)
        group, folder = traces(office)
        commands = [Path(f"/proc/{p}/cmdline").read_text() for p in pids(group)]
    assert any(f"-env:UserInstallation=file://{folder}/profile" in command for command in commands)
