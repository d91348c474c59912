"""`check` with a LibreOffice that is missing, old, hangs or crashes; two at once, beside one that a user has open."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.engines import libreoffice
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.errors import EngineError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook of a model of three letters."""
    folder = tmp_path_factory.mktemp("small")
    model = random_checkpoint(folder / "model", n_layer=1, n_head=1, n_embd=2, n_positions=8, vocab="letters")
    gpt2xl.build("abc", folder / "small.xlsx", model=model, max_tokens=4, max_chars=4, plain=True)
    return folder / "small.xlsx"


def refused(small: Path, *options: str) -> str:
    before = small.read_bytes()
    result = CliRunner().invoke(
        main, ["check", str(small), "--engine", "libreoffice", "--reference", "numpy", *options]
    )
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert small.read_bytes() == before
    assert sorted(path.name for path in small.parent.iterdir()) == ["model", "small.xlsx"]
    return line


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of which nothing may stay."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# --- in place of LibreOffice -------------------------------------------------------------------------------------


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, temporary: Path) -> Iterator[Path]:
    """A program in place of the worker that talks to LibreOffice; the test writes it."""
    worker = tmp_path / "worker.py"
    monkeypatch.setattr(libreoffice, "_WORKER", worker)
    monkeypatch.setattr(libreoffice, "_find_soffice", lambda: "soffice")
    monkeypatch.setattr(libreoffice, "_find_python", lambda _: sys.executable)
    yield worker
    assert list(temporary.iterdir()) == []


def says(*answers: object) -> str:
    lines = "".join(json.dumps(answer) + "\n" for answer in answers)
    return f"import sys, time\nfor line in {lines.splitlines()!r}:\n    input()\n    print(line, flush=True)\n"


@pytest.mark.parametrize(
    "version", ["LibreOffice 7.3.7.2", "LibreOffice 6.4.7.2", "LibreOffice 5.0", "OpenOffice 4.1.15"]
)
def test_an_old_version(version: str, stand_in: Path, small: Path) -> None:
    stand_in.write_text(says({"ok": version}))
    line = refused(small)
    assert line.startswith(f"gpt2xl: {version} is too old: 7.4 was the first with all of Excel's columns; install")


@pytest.mark.parametrize("version", ["LibreOffice 7.4.0.3", "LibreOffice 24.8.4.2", "LibreOfficeDev 25.2", "New"])
def test_a_version_that_will_do(version: str, stand_in: Path) -> None:
    stand_in.write_text(says({"ok": version}))
    with LibreOffice() as office:
        assert office.version == version


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("raise SystemExit", "LibreOffice's worker ended while starting"),
        ("import os; os.abort()", "LibreOffice's worker ended while starting"),
        ("import time; time.sleep(1000)", "LibreOffice did not answer within 1 seconds while starting"),
        ("input(); print('what?', flush=True)", "LibreOffice crashed while starting"),
        (says({"ok": "7.4"}), "LibreOffice's worker ended while opening small.xlsx"),
        (says({"ok": "7.4"}) + "time.sleep(1000)", "LibreOffice did not answer within 1 seconds while opening small"),
        (says({"ok": "7.4"}, {"crashed": ""}), "LibreOffice crashed while opening small.xlsx"),
        (says({"ok": "7.4"}, {"refused": "a reason"}), "LibreOffice failed while opening small.xlsx: a reason"),
    ],
)
def test_a_crash_or_a_hang(program: str, sentence: str, stand_in: Path, small: Path) -> None:
    """Each in seconds, though the program that hangs would do so for long, and nothing is left of it."""
    stand_in.write_text(program)
    start = time.monotonic()
    assert refused(small, "--timeout", "1" if "1000" in program else "60").startswith(f"gpt2xl: {sentence}")
    assert time.monotonic() - start < 30


def test_the_timeout_that_is_stated() -> None:
    assert "another engine may take for one request.  [default: 600]" in " ".join(
        CliRunner().invoke(main, ["check", "--help"]).stdout.split()
    ).replace(". [", ".  [")


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon"])
def test_no_timeout(timeout: str, small: Path) -> None:
    assert timeout in refused(small, "--timeout", timeout)


def test_missing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(libreoffice, "_APPLICATIONS", ())
    line = refused(small)
    assert "LibreOffice is not installed, or `soffice` is not on the PATH; install it" in line


def test_no_room_for_a_profile(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.write_text(says({"ok": "7.4"}))
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    with pytest.raises(EngineError, match=r"there is no room for LibreOffice's profile .*; set TMPDIR"):
        LibreOffice().open(__file__)


# --- LibreOffice itself ------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, small: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path, dict[str, str]]]:
    """A user's LibreOffice with a workbook open: its process, the workbook, and the user's environment."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    path = Path(shutil.copy(small, tmp_path / "mine.xlsx"))
    command = ["soffice", "--headless", "--norestore", "--nologo", "--nodefault", str(path)]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield process, path, environment
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def processes_of(group: int) -> set[str]:
    shown = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in shown.splitlines() if line.split()[1] == str(group) and "Z" not in line}


def test_two_checks_beside_a_users_own(
    own: tuple[subprocess.Popen[bytes], Path, dict[str, str]], small: Path, temporary: Path
) -> None:
    process, path, environment = own
    lock = path.with_name(f".~lock.{path.name}#")
    deadline = time.monotonic() + 60
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    held, content, running = lock.read_bytes(), path.read_bytes(), processes_of(process.pid)
    command = [sys.executable, "cli.py", "check", "--engine", "libreoffice", "--reference", "numpy", "--json"]
    checks = [
        subprocess.Popen(
            [*command, str(file), "--prompt", prompt],
            cwd=ROOT,
            env=environment | {"TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for file, prompt in ((small, "ab"), (path, "cba"))  # the second is the one that is open
    ]
    for check, prompt in zip(checks, ("ab", "cba"), strict=True):
        verdict = json.loads(check.communicate(timeout=120)[0])
        assert check.returncode == 0
        assert verdict["ok"]
        assert [entry["prompt"] for entry in verdict["prompts"]] == [prompt]
    assert processes_of(process.pid) == running
    assert process.poll() is None
    assert (lock.read_bytes(), path.read_bytes()) == (held, content)
    assert list(temporary.iterdir()) == []
