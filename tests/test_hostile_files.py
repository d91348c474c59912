"""Files made to harm whoever reads them: refused in a sentence, or read within bounds; and text that stays text."""

from __future__ import annotations

import io
import os
import pickle
import re
import resource
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile_books
import mutated_checkpoints
import openpyxl
import pytest
import torch
from click.testing import CliRunner
from sharing import Lent
from test_fuzzing import run

import gpt2xl
from gpt2xl.a1 import Rect
from gpt2xl.commands import main
from gpt2xl.errors import FormulaError, ModelError
from gpt2xl.formula import Book
from gpt2xl.formula.registry import FUNCTIONS, Function
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.workbook import Workbook

MOST_MEMORY = 3 << 19  # KiB: 1.5 GiB, which docs/security.md states


@pytest.fixture(scope="module")
def said() -> dict[str, list[str]]:
    """What opening and recalculating, auditing, and saving each hostile workbook says, in a process of 3 GiB."""
    summary, lines = run("hostile", len(hostile_books.CASES))
    assert [line for line in lines if "error" in line] == []
    assert summary["peak_kib"] < MOST_MEMORY
    return {line["what"]: line["said"] for line in lines}


@pytest.mark.parametrize("name", hostile_books.CASES)
def test_hostile_workbook(said: dict[str, list[str]], name: str) -> None:
    expected, (read, audited, _) = hostile_books.SAID[name], said[name]
    if not expected:
        assert (read, audited) == ("", "")
    else:
        assert re.search(expected, read), read


def test_names_that_are_paths_leave_nothing_outside(tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    book = inside / "book.xlsx"
    book.write_bytes(hostile_books.CASES["names_that_are_paths"]())
    workbook = Workbook.open(book)
    workbook["A1"] = 2
    workbook.save(inside / "saved.xlsx")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "book.xlsx", "saved.xlsx"]


def test_workbooks_of_ours_are_far_from_the_limits(first: Path) -> None:
    """Parts of ours expand some ten times, and the limit is 200 beyond 64 MiB."""
    with zipfile.ZipFile(first) as archive:
        for entry in archive.infolist():
            assert entry.file_size < 50 * entry.compress_size


# --- checkpoints ------------------------------------------------------------------------------------------------------


class Runs:
    """A pickle that makes a folder when it is opened without care."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "ckpt.pt", "model.pt"])
@pytest.mark.parametrize("form", ["zip", "old", "bare"])
def test_pickles_run_nothing(tmp_path: Path, name: str, form: str) -> None:
    folder, harm = tmp_path / "model", tmp_path / "harm"
    files = mutated_checkpoints.small_checkpoint()
    del files["model.safetensors"]
    mutated_checkpoints.write(folder, files)
    if form == "bare":
        (folder / name).write_bytes(pickle.dumps(Runs(harm)))
    else:
        torch.save({"wte.weight": Runs(harm)}, folder / name, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ModelError):
        load_checkpoint(folder)
    assert not harm.exists()


def test_a_table_of_characters_runs_nothing(tmp_path: Path) -> None:
    folder, harm = tmp_path / "model", tmp_path / "harm"
    folder.mkdir()
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 8, "vocab_size": 3, "bias": False}
    torch.save({"model": {"transformer.wte.weight": torch.ones(3, 4)}, "model_args": sizes}, folder / "ckpt.pt")
    (folder / "meta.pkl").write_bytes(pickle.dumps({"stoi": Runs(harm)}))
    with pytest.raises(ModelError, match="never done"):
        load_checkpoint(folder)
    assert not harm.exists()


def test_a_compressed_file_of_pytorch_is_not_expanded(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"wte.weight": torch.zeros(1000, 1000)}, stream)
    files = mutated_checkpoints.small_checkpoint()
    del files["model.safetensors"]
    mutated_checkpoints.write(tmp_path / "model", files)
    with zipfile.ZipFile(stream) as whole, zipfile.ZipFile(tmp_path / "model" / "pytorch_model.bin", "w") as bomb:
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="would expand"):
        load_checkpoint(tmp_path / "model")


def test_a_tensor_larger_than_its_numbers_is_refused(tmp_path: Path) -> None:
    files = mutated_checkpoints.small_checkpoint()
    del files["model.safetensors"]
    mutated_checkpoints.write(tmp_path / "model", files)
    torch.save({"wte.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="more numbers than the file holds"):
        load_checkpoint(tmp_path / "model")


@pytest.mark.parametrize("key", ["n_layer", "n_head", "n_embd", "n_positions", "vocab_size", "n_inner"])
@pytest.mark.parametrize("value", [10**6, 10**18, 10**300])
def test_huge_sizes_cost_nothing(tmp_path: Path, key: str, value: int) -> None:
    files = mutated_checkpoints.small_checkpoint()
    files["config.json"] = files["config.json"].replace(b"}", f', "{key}": {value}}}'.encode())
    mutated_checkpoints.write(tmp_path / "model", files)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "model")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_table_of_huge_ids_is_refused(tmp_path: Path) -> None:
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 8, "vocab_size": 10**12, "bias": False}
    torch.save({"model": {"transformer.wte.weight": torch.ones(3, 4)}, "model_args": sizes}, tmp_path / "ckpt.pt")
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps({"stoi": {"a": 10**12 - 1}}))
    with pytest.raises(ModelError, match="vocab_size is 1000000000000"):
        load_checkpoint(tmp_path)


# --- text stays text --------------------------------------------------------------------------------------------------

TEXTS = ("=1+1", "+cmd|'/C calc'!A0", "@SUM(1)", "-2+3", "_x0041_", "</t>&amp;<f>1</f>", "TRUE", "1E5", "#N/A", "'=1")


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workbook of a model whose tokens are formulas, commands and escapes, in a folder of such a name."""
    folder = tmp_path_factory.mktemp("harmful") / "=1+cmd"
    merges = dict.fromkeys((text[:end], text[end]) for text in TEXTS for end in range(1, len(text)) if " " not in text)
    files = mutated_checkpoints.small_checkpoint(tuple(merges), end_of_text='=HYPERLINK("http://localhost")')
    mutated_checkpoints.write(folder, files)
    path = folder.parent / "book.xlsx"
    gpt2xl.build(TEXTS[0], path, model=folder, max_tokens=8, max_chars=24)
    return path


@pytest.fixture(scope="module")
def opened(harmful: Path) -> Lent:
    return Lent.open(harmful)


@pytest.fixture
def workbook(opened: Lent) -> Iterator[Workbook]:
    """The same workbook, open, as it is in its file."""
    yield from opened.for_one_test()


def formulas_of(path: Path) -> dict[tuple[str, str], str]:
    """Every formula as another reader finds it."""
    book = openpyxl.load_workbook(path)
    found = {}
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    found[sheet.title, cell.coordinate] = getattr(cell.value, "text", cell.value)
    return found


def test_tokens_are_data_in_every_sheet(harmful: Path, workbook: Workbook) -> None:
    tokens = {str(text) for text in workbook["vocabulary.text"].ravel()}
    assert {text for text in TEXTS if " " not in text} <= tokens
    assert '=HYPERLINK("http://localhost")' in tokens
    formulas = formulas_of(harmful)
    assert formulas
    for place, text in formulas.items():
        assert not any(word in text for word in ("cmd", "HYPERLINK(", "http", "_x0041_", "</t>")), place
        assert text not in TEXTS, place


@pytest.mark.parametrize("prompt", ["=1+1", "+cmd|'/C calc'!A0", "_x0041_", "</t>&amp;<f>1</f>", "\x00\t=1", "{=A1}"])
def test_a_prompt_never_becomes_a_formula(workbook: Workbook, tmp_path: Path, prompt: str) -> None:
    before = list(workbook.formulas())
    workbook["prompt"] = prompt
    saved = tmp_path / "saved.xlsx"
    workbook.save(saved)
    again = Workbook.open(saved)
    assert again.cached("prompt") == prompt
    assert list(again.formulas()) == before


@pytest.mark.parametrize("prompt", ["+cmd|A0", "\x1b_x0041_", "</c><f>"])
def test_a_prompt_at_the_build_never_becomes_a_formula(
    harmful: Path, workbook: Workbook, tmp_path: Path, prompt: str
) -> None:
    path = tmp_path / "book.xlsx"
    gpt2xl.build(prompt, path, model=harmful.parent / "=1+cmd", max_tokens=8, max_chars=24)
    built = Workbook.open(path)
    assert built.cached("prompt") == prompt
    assert not any(prompt in text for _, _, text in built.formulas())
    # On the sheet Check they reach over as many rows as the prompt has tokens.
    others = [[item for item in book.formulas() if item[0] != "Check"] for book in (built, workbook)]
    assert others[0] == others[1]


def test_what_a_file_says_is_printed_without_its_control_characters(tmp_path: Path) -> None:
    book = tmp_path / "book.xlsx"
    content = hostile_books.parts(hostile_books.worksheet("<c/>"))
    sheet = hostile_books.BOOK
    content[sheet] = content[sheet].replace(b'r:id="rId1"', b'r:id="rId&#9;2"').replace(b"Sheet1", b"a&#10;b")
    book.write_bytes(hostile_books.packed(content))
    result = CliRunner().invoke(main, ["run", str(book)])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_half_a_surrogate_pair_can_be_printed(tmp_path: Path) -> None:
    rows = '<row><c t="str"><v>_xD83D_</v></c><c t="str"><f>A1</f><v>other</v></c></row>'
    book = tmp_path / "book.xlsx"
    book.write_bytes(hostile_books.packed(hostile_books.parts(hostile_books.worksheet(rows))))
    for command in (
        ["audit", str(book), "--json"],
        ["audit", str(book)],
        ["run", str(book), "--explain", "B1", "--json"],
    ):
        result = CliRunner().invoke(main, command)
        assert result.exception is None or isinstance(result.exception, SystemExit), command
        result.stdout.encode()


# --- the engine -------------------------------------------------------------------------------------------------------

EXTREME = (
    "1E300",
    "-1E300",
    "1E9",
    "0",
    "-1",
    '""',
    '"x"',
    "TRUE",
    "1/0",
    "{1,2;3,4}",
    '{"a",TRUE}',
    "F1:H9",
    "",
    "G:G",
)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_survives_any_arguments(name: str) -> None:
    """As many arguments as it takes, all alike and of two kinds by turns: a value or an Excel error comes out."""
    function = FUNCTIONS[name]
    book = Book()
    book.add_sheet("Sheet1")
    counts = {function.signature.least, min(function.signature.most, function.signature.least + 2)}
    kinds = ["cell", "array"] if isinstance(function, Function) else ["cell"]
    for count in sorted(counts):
        for first, second in zip(EXTREME, EXTREME[3:] + EXTREME[:3], strict=True):
            text = f"{name}({','.join([first, second][place % 2] for place in range(count))})"
            for mode in kinds:
                rect = Rect(1, 1, 1, 1) if mode == "cell" else Rect(1, 1, 2, 2)
                try:
                    book.add_formula("Sheet1", rect, text, mode)
                    book.recalculate()
                except FormulaError:
                    pass
                book.remove_formulas("Sheet1", rect)
