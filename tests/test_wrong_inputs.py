"""What a user gets wrong: one sentence, exit status 2, no traceback, no file left and none touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import openpyxl
import pytest
import torch
from checkpoints import random_checkpoint
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.errors import Gpt2xlError

REFUSED = Path(__file__).parent / "data" / "refused"
COMMANDS = ("run", "check", "audit", "info")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models of three letters and a context of 8, and a workbook of the first, for 4 letters."""
    folder = tmp_path_factory.mktemp("place")
    sizes: dict[str, Any] = {"n_layer": 1, "n_head": 1, "n_embd": 2, "n_positions": 8, "vocab": "letters"}
    random_checkpoint(folder / "model", **sizes)
    random_checkpoint(folder / "alike", **sizes, seed=1)
    gpt2xl.build("abc", folder / "small.xlsx", model=folder / "model", max_tokens=4, max_chars=4)
    (folder / "book.xlsx").write_bytes(b"a year of work")
    (folder / "folder.xlsx").mkdir()
    return folder


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file below a folder, with the time of its last change."""
    paths = sorted(folder.rglob("*"))
    return {path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in paths}


def refused(folder: Path, *arguments: object) -> str:
    """The sentence with which a command is refused; `folder` is as it was before."""
    before = content(folder)
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("about ")]  # what would be made
    assert line.startswith("gpt2xl: ")
    assert content(folder) == before
    return line.removeprefix("gpt2xl: ")


# --- build: prompts, options, targets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([""], "the prompt is empty"),
        (["xyz"], "no token for any character of the prompt"),
        (["abcabcabc"], "the prompt has 9 tokens and the workbook would hold 8"),
        (["abc", "--max-tokens", "2"], "the prompt has 3 tokens and the workbook would hold 2"),
        (["abc", "--max-chars", "2"], "the prompt has 3 characters and the workbook would hold 2"),
        (["a" * 32_768], "the prompt has 32,768 characters; a cell holds 32,767"),
        (["😀" * 16_384], "characters; a cell holds 32,767"),
        (["a\udcff"], "half of a surrogate pair"),
        (["abc", "--max-tokens", "0"], "--max-tokens is 0; it goes from 1 to 8"),
        (["abc", "--max-tokens", "-1"], "--max-tokens is -1; it goes from 1 to 8"),
        (["abc", "--max-tokens", "9"], "--max-tokens is 9; it goes from 1 to 8, the model's context"),
        (["abc", "--max-tokens", "2.5"], "'2.5' is not a valid integer"),
        (["abc", "--max-chars", "0"], "--max-chars is 0"),
        (["abc", "--max-chars", "99999999999999999999"], "--max-chars is 99,999,999,999,999,999,999; it goes from 1"),
        (["abc", "--vocab", "4"], "--vocab is 4; it goes from 3"),
        (["abc", "--digits", "18"], "--digits is 18; it goes from 1 to 17"),
        (["abc", "--compression", "best"], "'best' is not one of 'fast', 'default', 'small'"),
        (["abc", "--blank", "no.such.step"], "--blank 'no.such.step' is none of the steps"),
        (["abc", "--blank", ", ,"], "--blank names no step"),
        (["abc", "--plain", "--exercise"], "--plain leaves out the sheets"),
    ],
)
def test_build(arguments: list[str], sentence: str, place: Path) -> None:
    said = refused(place, "build", *arguments, "--model", place / "model", "-o", place / "new.xlsx")
    assert sentence in said
    assert len(said) < 400


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        ("book.xlsx", [], "exists already; choose another name, or use --force"),
        ("folder.xlsx", ["--force"], "is a folder; name a file such as"),
        (".", ["--force"], "is a folder"),
        ("no/such/folder/new.xlsx", [], "the folder .* does not exist; create it"),
        ("book.xlsx/new.xlsx", [], "the folder .* does not exist"),
        ("new.xls", [], "does not end in .xlsx"),
        ("new", [], "does not end in .xlsx"),
        ("n" * 300 + ".xlsx", [], "file name too long"),
    ],
)
def test_build_to(target: str, options: list[str], sentence: str, place: Path) -> None:
    said = refused(place, "build", "abc", "--model", place / "model", "-o", place / target, *options)
    assert re.search(sentence, said)


def test_names_that_no_file_can_have(place: Path) -> None:
    with pytest.raises(Gpt2xlError, match="null byte"):
        gpt2xl.build("abc", place / "new\0.xlsx", model=place / "model")
    with pytest.raises(Gpt2xlError, match="null byte"):
        gpt2xl.Workbook.open(place / "small\0.xlsx")


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder in which this process may write nothing and change no file, though it may be run by root."""
    folder = Path(tempfile.mkdtemp())
    (folder / "book.xlsx").write_bytes(b"a year of work")
    (folder / "book.xlsx").chmod(0o444)
    folder.chmod(0o555)
    is_root = os.getuid() == 0
    if is_root:
        os.setresuid(65534, 65534, 0)
    try:
        yield folder
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="users of Linux")
def test_what_must_not_be_written(place: Path, locked: Path) -> None:
    workbook = gpt2xl.Workbook.open(place / "small.xlsx") if os.access(place, os.R_OK) else None
    command = ["build", "abc", "--force", "-o"]
    assert "nothing can be written in its folder" in refused(locked, *command, locked / "new.xlsx")
    assert "it is write-protected" in refused(locked, *command, locked / "book.xlsx")
    if workbook:
        with pytest.raises(Gpt2xlError, match="nothing can be written in its folder"):
            workbook.save(locked / "new.xlsx")


# --- build and check: models -------------------------------------------------------------------------------------


def config(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil


def written(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def cut(name: str, kept: float) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * kept)])

    return spoil


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


LN = "transformer.ln_f.bias"
MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (shutil.rmtree, "there is no folder"),
    "empty": (emptied, "holds no config.json"),
    "no tokenizer": (without("vocab.json", "merges.txt"), "holds no tokenizer"),
    "no merges": (without("merges.txt"), "merges.txt is missing"),
    "broken vocab.json": (cut("vocab.json", 0.5), "vocab.json is no valid JSON"),
    "no config.json": (without("config.json"), "holds no config.json"),
    "broken config.json": (cut("config.json", 0.5), "config.json is no valid JSON"),
    "empty config.json": (written("config.json", b""), "config.json is no valid JSON"),
    "config.json of bytes": (written("config.json", b"\xff\xfe\x00"), "config.json is no UTF-8 text"),
    "config.json a list": (written("config.json", b"[]"), "config.json holds no JSON object"),
    "a number as text": (config(n_layer="1"), "n_layer in config.json is '1', not a positive whole number"),
    "no heads": (config(n_head=0), "n_head in config.json is 0"),
    "heads that do not fit": (config(n_head=3), "n_embd 2 is no multiple of n_head 3"),
    "too many blocks": (config(n_layer=2), "lack `h.1.ln_1.weight`"),
    "another vocabulary": (config(vocab_size=7), "`wte` in .* has shape 3 x 2 where the configuration asks for 7 x 2"),
    "another context": (config(n_positions=9), "`wpe` in .* has shape 8 x 2 where"),
    "another architecture": (config(model_type="llama"), "model_type in config.json is 'llama', not 'gpt2'"),
    "another activation": (config(activation_function="mish"), "activation_function in config.json is 'mish'"),
    "no weights": (without("model.safetensors"), "holds no weights"),
    "empty weights": (written("model.safetensors", b""), "cannot be read as safetensors"),
    "truncated weights": (cut("model.safetensors", 0.9), "cannot be read as safetensors"),
    "half a header": (cut("model.safetensors", 0.1), "cannot be read as safetensors"),
    "corrupt header": (
        lambda folder: written(
            "model.safetensors", (folder / "model.safetensors").read_bytes().replace(b'"F32"', b'"F3\xff"')
        )(folder),
        "cannot be read as safetensors",
    ),
    "text as weights": (written("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"), "safetensors"),
    "a missing tensor": (weights(lambda state: state.pop(LN)), "lack `ln_f.bias`"),
    "a misshapen tensor": (
        weights(lambda state: state.update({LN: torch.zeros(3)})),
        "`ln_f.bias` in .* has shape 3 where the configuration asks for 2",
    ),
    "a tensor too many": (weights(lambda state: state.update({"more": torch.zeros(1)})), "hold `more`"),
    "not a number": (weights(lambda state: state[LN].fill_(float("nan"))), "`ln_f.bias` .* not finite"),
    "infinity": (weights(lambda state: state[LN].fill_(float("inf"))), "`ln_f.bias` .* not finite"),
    "whole numbers": (weights(lambda state: state.update({LN: torch.ones(2, dtype=torch.int32)})), "stored as I32"),
}


@pytest.mark.parametrize(("spoil", "sentence"), MODELS.values(), ids=MODELS)
def test_model(spoil: Callable[[Path], None], sentence: str, place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(place / "model", folder)
    spoil(folder)
    said = refused(tmp_path, "build", "abc", "--model", folder, "-o", tmp_path / "new.xlsx")
    assert re.search(sentence, said)
    assert said in refused(tmp_path, "check", place / "small.xlsx", "--model", folder)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("", "the name of the model is empty"),
        ("gpt2", "the Hugging Face hub cannot be reached"),
        ("someone/model@v1", "the Hugging Face hub cannot be reached"),
        ("no such model!", "neither a folder nor a possible name on the Hugging Face hub"),
        ("m" * 5000, "neither a folder nor a possible name on the Hugging Face hub"),
        ("{place}/book.xlsx", "is a file; give the folder"),
        ("./nowhere", "there is no folder ./nowhere"),
    ],
)
def test_name_of_a_model(
    model: str, sentence: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network; a hub that answers badly, and a network that fails, are in tests/model/test_hub.py."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    model = model.format(place=place)
    assert sentence in refused(tmp_path, "build", "abc", "--model", model, "-o", "new.xlsx")
    assert sentence in refused(place, "check", place / "small.xlsx", "--model", model)


# --- run, check, audit, info: files ------------------------------------------------------------------------------


def nothing(*_: object) -> None:
    """Write no file."""


def package(**parts: str) -> Callable[[Path, bytes], None]:
    """A zip file of these parts."""

    def write(path: Path, _: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in parts.items():
                archive.writestr(name.replace("__", "/").replace("_dot_", "."), text)

    return write


RELATIONS = "http://schemas.openxmlformats.org/{}/2006/relationships"
MAIN_PART = (
    f'<Relationships xmlns="{RELATIONS.format("package")}"><Relationship Id="rId1" Target="{{}}" '
    f'Type="{RELATIONS.format("officeDocument")}/officeDocument"/></Relationships>'
)
FILES: dict[str, tuple[Callable[[Path, bytes], Any], str]] = {
    "missing": (nothing, "there is no file"),
    "empty": (lambda path, _: path.touch(), "is empty"),
    "folder": (lambda path, _: path.mkdir(), "is a directory"),
    "text": (lambda path, _: path.write_text("a,b\n1,2\n"), "is no Excel workbook: it is not a zip file"),
    "bytes": (lambda path, _: path.write_bytes(bytes(range(256))), "is no Excel workbook: it is not a zip file"),
    "one letter": (lambda path, _: path.write_text("P"), "is no Excel workbook"),
    "cut after 10 bytes": (lambda path, book: path.write_bytes(book[:10]), "is damaged, perhaps not copied complete"),
    "cut in half": (lambda path, book: path.write_bytes(book[: len(book) // 2]), "is damaged"),
    "cut at the end": (lambda path, book: path.write_bytes(book[:-1]), "is damaged"),
    "beginning lost": (lambda path, book: path.write_bytes(b"PK\3\4" + book[len(book) // 2 :]), "is damaged"),
    "an empty zip": (package(), "it is a zip file without a workbook in it"),
    "another zip": (package(a_dot_txt="a"), "it is a zip file without a workbook in it"),
    "a document": (
        package(_rels___dot_rels=MAIN_PART.format("word/document.xml"), word__document_dot_xml="<document/>"),
        "word/document.xml is no workbook",
    ),
    "OpenDocument": (lambda path, _: shutil.copy(REFUSED / "calc.ods", path), "a zip file without a workbook in it"),
    "binary": (
        package(_rels___dot_rels=MAIN_PART.format("xl/workbook.bin"), xl__workbook_dot_bin="\x01"),
        r"is a binary workbook \(.xlsb\): save it as .xlsx first",
    ),
    "Excel 97": (lambda path, _: shutil.copy(REFUSED / "excel97.xls", path), r"Excel 97 to 2003 \(.xls\): save it as"),
    "Excel 97 with a password": (lambda path, _: shutil.copy(REFUSED / "password97.xls", path), r"\(.xls\): save it"),
    "password": (lambda path, _: shutil.copy(REFUSED / "password.xlsx", path), "is encrypted: .* without a password"),
    "a name too long": (nothing, "file name too long"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", FILES)
def test_file(kind: str, command: str, place: Path, tmp_path: Path) -> None:
    write, sentence = FILES[kind]
    path = tmp_path / ("n" * 300 if "too long" in kind else "file.xlsx")
    write(path, (place / "small.xlsx").read_bytes())
    said = refused(tmp_path, command, path)
    assert re.search(sentence, said)
    assert str(path) in said


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_workbook_of_someone_else(command: str, tmp_path: Path) -> None:
    openpyxl.Workbook().save(tmp_path / "book.xlsx")
    said = refused(tmp_path, command, tmp_path / "book.xlsx")
    assert f"has no cell named `prompt`; {command} takes a workbook that gpt2xl built" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["run", "info", "audit"])
def test_a_full_disk_behind_standard_output(command: str, short: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "cli.py", command, str(short)],
            cwd=Path(__file__).parents[1],
            stdout=full,
            stderr=subprocess.PIPE,
        )
    said = done.stderr.decode()
    assert done.returncode == 2
    assert (
        said == "gpt2xl: standard output cannot be written: No space left on device; make room, or send it elsewhere\n"
    )


# --- run and check: names and values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--get", "no.such.name"], "no cell, range or defined name `no.such.name`"),
        (["--get", "nxt_token"], "defined name `nxt_token`; did you mean `next_token`"),
        (["--get", "zzzzzzzzzz"], "defined name `zzzzzzzzzz`; give one of its "),
        (["--get", "Nowhere!A1"], "no sheet named Nowhere"),
        (["--get", "Start!A0"], "`Start!A0`"),
        (["--get", "Start!XFE1"], "`Start!XFE1`"),
        (["--get", "Start!A1048577"], "`Start!A1048577`"),
        (["--get", "Start!A1:XFD1048576"], "too large to compute with"),
        (["--get", "1+1"], "1+1"),
        (["--get", ""], "is no cell, range or defined name"),
        (["--get", "a\nb\x1b[31m"], r"`a\nb\x1b[31m`"),
        (["--explain", "no.such.name"], "no cell, range or defined name `no.such.name`"),
        (["--set", "no.such.name=1"], "no cell, range or defined name `no.such.name`"),
        (["--set", "prompt"], "--set 'prompt' is not of the form NAME=VALUE"),
        (["--set", "=1"], "is not of the form NAME=VALUE"),
        (["--set", "token_ids=1"], "token_ids holds a formula"),
        (["--set", "next_token=abc"], "next_token holds a formula"),
        (["--set", "wte=abc"], "wte holds numbers, and 'abc' is none; give a number, such as --set wte=1"),
        (["--set", "wte="], "wte holds numbers, and '' is none"),
        (["--set", "wte=nan"], "wte holds numbers, and 'nan' is none"),
        (["--set", "wte=1e999"], "wte holds numbers, and '1e999' is none"),
        (["--set", "Start!Z99=" + "a" * 32_768], "has 32,768 characters; a cell holds 32,767"),
        (["--prompt", "a" * 32_768], "has 32,768 characters; a cell holds 32,767"),
        (["--prompt", "abcab"], "5 characters and this workbook holds 4"),
        (["--prompt", ""], "type a prompt"),
        (["--prompt", "xyz"], "type a prompt"),
        (["--prompt", "a\udcff"], "half of a surrogate pair"),
        (["--top", "0"], "0 is not in the range x>=1"),
        (["--top", "many"], "'many' is not a valid integer"),
        (["--save", "{place}"], "is a folder"),
        (["--save", "{place}/no/such/new.xlsx"], "the folder"),
        (["--save", "{place}/book.xlsx/new.xlsx"], "the folder"),
        (["--prompt", "abcab", "--save", "{place}/book.xlsx"], "5 characters and this workbook holds 4"),
        (["--get", "no.such.name", "--save", "{place}/book.xlsx"], "no.such.name"),
    ],
)
def test_run(arguments: list[str], sentence: str, place: Path) -> None:
    given = [argument.replace("{place}", str(place)) for argument in arguments]
    assert sentence in refused(place, "run", place / "small.xlsx", *given)


@pytest.mark.parametrize("options", [["--get", "no.such.name"], ["--set", "wte=abc"], ["--prompt", "abcab"]])
def test_run_for_a_program(options: list[str], place: Path) -> None:
    """Nothing on standard output, which is read as JSON."""
    assert refused(place, "run", place / "small.xlsx", "--json", *options)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "tiny"], "the model 'tiny' is not the one that small.xlsx was made from"),
        (["--model", "{place}/alike"], "alike' is not the one that small.xlsx was made from"),
        (["--prompt", ""], "type a prompt"),
        (["--prompt", "xyz"], "type a prompt"),
        (["--prompt", "abcab"], "5 characters and this workbook holds 4"),
        (["--prompt", "ab" * 5000], "10000 characters and this workbook holds 4"),
        (["--prompt", "a" * 32_768], "32,768 characters; a cell holds 32,767"),
        (["--prompt", "a" * 32_768, "--engine", "ironcalc"], "32,768 characters; a cell holds 32,767"),
        (["--prompt", "a\udcff", "--engine", "ironcalc"], "half of a surrogate pair"),
        (["--tolerance", "0"], "the tolerance is 0.0"),
        (["--tolerance", "-1"], "the tolerance is -1.0"),
        (["--tolerance", "nan"], "the tolerance is nan"),
        (["--tolerance", "inf"], "the tolerance is inf"),
        (["--tolerance", "small"], "'small' is not a valid float"),
        (["--engine", "excel"], "'excel' is not one of 'python', 'libreoffice', 'ironcalc'"),
        (["--reference", "jax"], "'jax' is not one of 'torch', 'numpy'"),
    ],
)
def test_check(arguments: list[str], sentence: str, place: Path) -> None:
    if "ironcalc" in arguments:
        pytest.importorskip("ironcalc")
    given = [argument.format(place=place) for argument in arguments]
    said = refused(place, "check", place / "small.xlsx", *given)
    assert sentence in said
    assert len(said) < 400


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf", "small"])
def test_audit(tolerance: str, place: Path) -> None:
    assert tolerance in refused(place, "audit", place / "small.xlsx", "--tolerance", tolerance)


def test_check_without_torch(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "needs torch" in refused(place, "check", place / "small.xlsx")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("prompt", object(), "cannot take this value: a cell cannot hold a object"),
        ("prompt", b"abc", "a cell cannot hold a bytes"),
        ("prompt", {"a": 1}, "a cell cannot hold a dict"),
        ("prompt", date(2026, 1, 1), "a cell cannot hold a date"),
        ("prompt", ["a", "b"], "has 1 × 1 cells and the value 1 × 2"),
        ("prompt", "a" * 32_768, "has 32,768 characters; a cell holds 32,767"),
        ("prompt", "😀" * 16_384, "has 32,768 characters"),
        ("wte", np.zeros((3, 3)), "has 3 × 2 cells and the value 3 × 3"),
        ("wte", np.zeros((3, 2, 1)), "cells have two dimensions, not 3"),
        ("wte", [[1, 2], [3]], "the rows of a list of lists differ in length"),
        ("wte", [], "has 3 × 2 cells and the value 0 × 0"),
        ("wte", 10**400, "int too large"),
        ("wte", np.full((3, 2), np.nan), "takes finite numbers only"),
        ("wte", 1j, "a cell cannot hold a complex"),
        ("wte", np.zeros((3, 2), complex), "a cell cannot hold a complex"),
        ("token_ids", 1, "holds a formula"),
    ],
)
def test_values_from_python(name: str, value: Any, sentence: str, place: Path) -> None:
    workbook = gpt2xl.Workbook.open(place / "small.xlsx")
    before = workbook[name]
    with pytest.raises(Gpt2xlError, match=re.escape(sentence)):
        workbook[name] = value
    np.testing.assert_array_equal(workbook[name], before)
