"""The same command gives the same bytes: on another day, elsewhere, in another process, with other settings."""

from __future__ import annotations

import getpass
import io
import json
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import time_machine
from checkpoints import random_checkpoint
from click.testing import CliRunner

import gpt2xl
from gpt2xl.commands import main

ROOT = Path(__file__).parents[1]
# Before the first day that a zip entry can have, the last second of 32 bits, after the last day of a zip entry.
DAYS = [datetime(1975, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)]
DAYS += [datetime(2110, 12, 31, 23, 59, 59, tzinfo=UTC)]
KINDS = {
    "usual": [],
    "plain": ["--plain"],
    "exercise": ["--exercise", "--blank", "ln_1,attn.pattern"],
    "reduced": ["--vocab", "260", "--digits", "4"],
    "fast": ["--compression", "fast"],
    "refs": ["--refs"],
}
VALUE = re.compile(rb"(?<=<v>)-?[0-9.]+(?:[Ee][-+]?[0-9]+)?(?=</v>)")
# The program itself, on one core.
ON_ONE_CORE = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.cpu_count = lambda: 1
from gpt2xl.commands import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model in it, called model."""
    folder = tmp_path_factory.mktemp("here")
    random_checkpoint(folder / "model", n_layer=1, n_head=2, n_embd=4, n_positions=8, vocab="words")
    return folder


def command(output: str, *options: str) -> list[str]:
    sizes = ["--max-chars", "7", "--max-tokens", "6"]
    return ["build", "the cat", "-o", output, "--model", "model", *sizes, *options]


def build(*options: str, output: str = "book.xlsx") -> bytes:
    """What `gpt2xl build` writes for the model in the present folder."""
    arguments = [*command(output, *options), "--force"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return Path(output).read_bytes()


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, bytes]:
    """A workbook of every kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return {kind: build(*options) for kind, options in KINDS.items()}


def parts(content: Path | str | io.BytesIO) -> dict[str, bytes]:
    with zipfile.ZipFile(content) as package:
        return {name: package.read(name) for name in package.namelist()}


# When


@pytest.mark.parametrize("day", DAYS, ids=lambda day: str(day.year))
def test_on_another_day(day: datetime, made: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with time_machine.travel(day):
        assert datetime.now(UTC).year == day.year
        assert build() == made["usual"]


def test_a_saved_answer_on_another_day(made: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("before.xlsx").write_bytes(made["usual"])
    words = ["run", "before.xlsx", "--prompt", "the", "--save", "after.xlsx"]
    found = []
    for day in DAYS[::2]:
        with time_machine.travel(day):
            assert CliRunner().invoke(main, words).exit_code == 0
        found.append(Path("after.xlsx").read_bytes())
    assert found[0] == found[1]
    assert found[0] != Path("before.xlsx").read_bytes()


# Where, and by which process


def elsewhere(folder: Path, *arguments: str, **settings: str) -> None:
    """Run the program as another machine might: other place, time zone, language, hashes, threads, one core."""
    folder.mkdir(exist_ok=True)
    # Which kernels compute depends on the processor; these variables say so where it is to be another's.
    environment = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "NPY_"))} | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "USER": "nobody",
        "TZ": "Pacific/Chatham",
        "LANG": "C",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "4242",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "SOURCE_DATE_EPOCH": "86400",
        "COLUMNS": "40",
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-c", ON_ONE_CORE, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_elsewhere_with_other_settings_on_one_core(first: Path, tmp_path: Path) -> None:
    elsewhere(tmp_path / "ünder way", "build", "The cat sat on the", "-o", "first.xlsx")
    assert (tmp_path / "ünder way" / "first.xlsx").read_bytes() == first.read_bytes()


def test_every_kind_of_workbook_in_another_process(made: dict[str, bytes], folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "model", tmp_path / "model")
    program = (
        "import json, os, sys\nfrom gpt2xl.commands import main\n"
        "for kind, words in json.loads(sys.argv[1]).items():\n"
        "    main(words, standalone_mode=False)\n    os.rename('book.xlsx', kind)"
    )
    words = {kind: command("book.xlsx", *options) for kind, options in KINDS.items()}
    environment = os.environ | {"PYTHONHASHSEED": "4242", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, json.dumps(words)], cwd=tmp_path, env=environment, check=True)
    assert {kind: (tmp_path / kind).read_bytes() == content for kind, content in made.items()} == dict.fromkeys(
        KINDS, True
    )
    assert len({*made.values()}) == len(KINDS)


def test_on_seven_cores(made: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert build() == made["usual"]


def test_with_the_arithmetic_of_another_processor(made: dict[str, bytes], folder: Path, tmp_path: Path) -> None:
    """OpenBLAS adds products up in an order that suits the processor: last digits of values may differ, no more."""
    shutil.copytree(folder / "model", tmp_path / "model")
    elsewhere(tmp_path, *command("book.xlsx"), OPENBLAS_CORETYPE="Prescott")
    one, other = parts(io.BytesIO(made["usual"])), parts(tmp_path / "book.xlsx")
    assert one.keys() == other.keys()
    for name, content in one.items():
        if not name.startswith("xl/worksheets/"):
            assert other[name] == content, name
            continue
        assert VALUE.sub(b"", other[name]) == VALUE.sub(b"", content), name
        ours, theirs = ([float(number) for number in VALUE.findall(part)] for part in (content, other[name]))
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12, err_msg=name)


def test_from_python_as_from_the_command_line(
    made: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    gpt2xl.build("the cat", Path("book.xlsx"), model=Path("model"), max_chars=7, max_tokens=6, force=True)
    assert Path("book.xlsx").read_bytes() == made["usual"]


# What the bytes come from


def test_another_name_changes_the_command_on_the_first_sheet_and_nothing_else(
    made: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path("book.xlsx").write_bytes(made["usual"])
    build(output="other name.xlsx")
    one, other = parts("book.xlsx"), parts("other name.xlsx")
    changed = {name for name in one if one[name] != other[name]}
    assert changed == {"xl/worksheets/sheet1.xml"}
    (sheet,) = changed
    assert other[sheet] == one[sheet].replace(b"-o book.xlsx", b"-o 'other name.xlsx'")


@pytest.mark.parametrize("kind", ["reduced", "fast", "refs"])
def test_the_command_on_the_first_sheet_makes_the_same_file(
    kind: str, made: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path("book.xlsx").write_bytes(made[kind])
    words = shlex.split(str(gpt2xl.Workbook.open("book.xlsx").cached("made.with")))
    assert words[:2] == ["gpt2xl", "build"]
    Path("book.xlsx").unlink()
    assert CliRunner().invoke(main, words[1:]).exit_code == 0
    assert Path("book.xlsx").read_bytes() == made[kind]


def test_nothing_of_the_machine_is_in_it(made: dict[str, bytes], folder: Path) -> None:
    everything = b"\n".join(parts(io.BytesIO(made["usual"])).values()).lower()
    traces = [str(folder), str(Path.home()), str(ROOT), socket.gethostname(), sys.executable]
    traces += [platform.python_version(), platform.release(), str(datetime.now(UTC).year) + "-"]
    # A short name such as "a" stands in every text.
    traces += [name for name in [getpass.getuser()] if len(name) > 6]
    assert [trace for trace in traces if trace.lower().encode() in everything] == []
    assert b"book.xlsx" in everything


def test_entries_tell_nothing_of_when_and_where(made: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(made["usual"])) as package:
        found = {
            (info.date_time, info.create_system, info.external_attr, info.extra, info.comment)
            for info in package.infolist()
        }
        assert (len(found), package.comment) == (1, b"")
