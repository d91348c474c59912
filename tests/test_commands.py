"""The command line: what it prints where, its exit status, and that a mistake leaves nothing behind."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner, Result

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.model.checkpoint import Checkpoint

ROOT = Path(__file__).parents[1]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def is_one_sentence(result: Result, *parts: str) -> None:
    """Exit status 2, nothing on standard output, one line on standard error, no traceback."""
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gpt2xl: ")
    for part in parts:
        assert part in lines[0]


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the three letters a, b and c with a context of 8 tokens, which builds in no time."""
    return random_checkpoint(
        tmp_path_factory.mktemp("letters") / "model", n_layer=1, n_head=1, n_embd=2, n_positions=8, vocab="letters"
    )


@pytest.fixture(scope="module")
def small(letters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.xlsx"
    gpt2xl.build("abc", path, model=letters, max_tokens=4, max_chars=4)
    return path


@pytest.fixture(scope="module")
def of_bytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook of a small model that reads any text."""
    folder = tmp_path_factory.mktemp("bytes")
    random_checkpoint(folder / "model", n_layer=1, n_head=1, n_embd=2, n_positions=8)
    gpt2xl.build("abc", folder / "book.xlsx", model=folder / "model", max_tokens=8, max_chars=8)
    return folder / "book.xlsx"


# The program as a whole


@pytest.mark.parametrize("program", [["cli.py"], ["-m", "gpt2xl"]])
def test_started_as_a_program_without_installing_it(program: list[str]) -> None:
    done = subprocess.run([sys.executable, *program, "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == gpt2xl.__version__
    assert done.stderr == ""


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str) -> None:
    result = invoke(option)
    assert result.exit_code == 0
    for command in ("build", "run", "check", "info"):
        assert f"\n  {command} " in result.stdout
        assert invoke(command, option).stdout.startswith("Usage: ")


def test_the_contracts_options_are_there() -> None:
    options = {
        "build": "--output --model --max-tokens --max-chars --vocab --digits --compression --refs --force --quiet",
        "run": "--prompt --set --get --top --json --save",
        "check": "--model --prompt --engine --reference --tolerance --json",
        "info": "--json",
    }
    for command, expected in options.items():
        text = invoke(command, "--help").stdout
        assert [option for option in expected.split() if option not in text] == []


def test_unknown_commands_and_options() -> None:
    for arguments in (["frobnicate"], ["run"], ["build", "x"], ["info", "x.xlsx", "--what"]):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "Usage: " in result.stderr


# build


def test_build_says_what_it_made(letters: Path, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    result = invoke("build", "abca", "-o", path, "--model", letters, "--max-chars", 6)
    assert result.exit_code == 0
    assert result.stdout == ""
    before, first, second = result.stderr.splitlines()
    assert re.fullmatch(r"about [0-9,]+ cells, [0-9,]+ of them formulas, in [0-9.]+ MB: for Excel and Libre.*", before)
    assert first.startswith(f"{path}: ")
    assert first.endswith(" MB")
    assert "of them formulas" in first
    workbook = gpt2xl.Workbook.open(path)
    assert second == f"'abca' (4 tokens) continues with {workbook.cached('next_token')!r}"
    assert workbook.cached("prompt") == "abca"
    assert list(tmp_path.iterdir()) == [path]


def test_build_quietly(letters: Path, tmp_path: Path) -> None:
    result = invoke("build", "a", "-o", tmp_path / "book.xlsx", "--model", letters, "--max-chars", 2, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "book.xlsx").is_file()


def test_the_prompt_may_be_as_long_as_the_workbook_holds(letters: Path, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    result = invoke("build", "abcabcab", "-o", path, "--model", letters, "--max-tokens", 8, "--max-chars", 8)
    assert result.exit_code == 0
    assert gpt2xl.Workbook.open(path).cached("n_tokens") == 8


def test_an_existing_file_is_kept_unless_forced(letters: Path, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    path.write_bytes(b"a year of work")
    command = ["build", "ab", "-o", path, "--model", letters, "--max-chars", 4]
    is_one_sentence(invoke(*command), str(path), "exists already", "--force")
    assert path.read_bytes() == b"a year of work"
    assert invoke(*command, "--force").exit_code == 0
    assert gpt2xl.Workbook.open(path).cached("prompt") == "ab"
    assert list(tmp_path.iterdir()) == [path]


def test_force_keeps_the_old_file_where_the_new_one_cannot_be_made(letters: Path, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    path.write_bytes(b"a year of work")
    is_one_sentence(invoke("build", "a" * 99, "-o", path, "--model", letters, "--force"), "99 tokens")
    assert path.read_bytes() == b"a year of work"


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.xlsx").mkdir()
    is_one_sentence(invoke("build", "a", "-o", tmp_path / "no" / "book.xlsx"), "the folder", "does not exist")
    is_one_sentence(invoke("build", "a", "-o", tmp_path / "folder.xlsx", "--force"), "is a folder")
    is_one_sentence(invoke("build", "a", "-o", tmp_path), "is a folder")
    for name in ("book.xls", "book", "book.ods", "book.xlsx.zip"):
        is_one_sentence(invoke("build", "a", "-o", tmp_path / name), ".xlsx, the only format that gpt2xl writes")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.xlsx"]


@pytest.mark.parametrize(
    ("prompt", "options", "parts"),
    [
        ("", [], ["the prompt is empty"]),
        ("xyz", [], ["no token for any character of the prompt"]),
        ("abcabcabc", [], ["9 tokens", "would hold 8", "a model with a longer context"]),
        ("abc", ["--max-tokens", 2], ["3 tokens", "would hold 2", "--max-tokens (up to 8)"]),
        ("abc", ["--max-chars", 2], ["3 characters", "would hold 2", "--max-chars"]),
        ("abc", ["--max-tokens", 0], ["--max-tokens is 0", "from 1 to 8"]),
        ("abc", ["--max-tokens", -1], ["--max-tokens is -1", "from 1 to 8"]),
        ("abc", ["--max-tokens", 9], ["--max-tokens is 9", "from 1 to 8", "context"]),
        ("abc", ["--max-chars", 0], ["--max-chars is 0"]),
        ("abc", ["--max-chars", -5], ["--max-chars is -5"]),
        ("abc", ["--max-chars", 16_384], ["--max-chars is 16,384", "columns"]),
        ("a" * 40_000, [], ["40,000 characters", "a cell holds 32,767"]),
        ("abc", ["--vocab", 0], ["--vocab is 0", "from 3", "to 3"]),
        ("abc", ["--vocab", 2], ["--vocab is 2", "from 3", "to 3"]),
        ("abc", ["--vocab", 5], ["--vocab is 5", "from 3", "to 3"]),
        ("abc", ["--digits", 0], ["--digits is 0", "from 1 to 17"]),
        ("<|endoftext|>", [], ["<|endoftext|>", "no embedding"]),
    ],
)
def test_what_a_workbook_cannot_hold(
    prompt: str, options: list[object], parts: list[str], letters: Path, tmp_path: Path
) -> None:
    result = invoke("build", prompt, "-o", tmp_path / "book.xlsx", "--model", letters, *options)
    is_one_sentence(result, *parts)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_used(letters: Path, tmp_path: Path) -> None:
    output = tmp_path / "book.xlsx"
    empty = tmp_path / "empty"
    empty.mkdir()
    is_one_sentence(invoke("build", "a", "-o", output, "--model", empty), str(empty))
    is_one_sentence(invoke("build", "a", "-o", output, "--model", tmp_path / "missing"), "missing")
    broken = tmp_path / "broken"
    shutil.copytree(letters, broken)
    (broken / "config.json").write_text("{not json", encoding="utf-8")
    is_one_sentence(invoke("build", "a", "-o", output, "--model", broken), "config.json")
    shutil.copy(letters / "config.json", broken)
    (broken / "model.safetensors").write_bytes(b"\x00" * 100)
    is_one_sentence(invoke("build", "a", "-o", output, "--model", broken), "model.safetensors")
    (broken / "model.safetensors").unlink()
    is_one_sentence(invoke("build", "a", "-o", output, "--model", broken), str(broken))
    assert not output.exists()


def test_half_a_character_in_the_arguments(letters: Path, small: Path, tmp_path: Path) -> None:
    """A byte that is no UTF-8 reaches a program as half of a surrogate pair."""
    is_one_sentence(invoke("build", "a\udcff", "-o", tmp_path / "book.xlsx", "--model", letters), "surrogate")
    assert list(tmp_path.iterdir()) == []
    is_one_sentence(invoke("run", small, "--prompt", "a\udcff"), "surrogate")
    is_one_sentence(invoke("run", small, "--set", "prompt=a\udcff"), "surrogate")


# run


RUN_KEYS = (
    "prompt", "token_ids", "tokens", "n_tokens", "next_token_id", "next_token", "top", "generated_ids",
    "generated_text", "generated_end", "values",
)  # fmt: skip


def test_run_prints_the_prediction(first: Path) -> None:
    result = invoke("run", first, "--top", 3)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[:2] == ["prompt      'The cat sat on the'", "tokens      The |  cat |  sat |  on |  the"]
    assert lines[2].startswith("next token  ' mat' (id ")
    assert len(lines) == 3 + 3
    assert lines[3].endswith("' mat'")


def test_run_says_that_a_token_was_sampled(first: Path) -> None:
    settings = ["--set", "temperature=2", "--set", "random=0.9999", "--get", "what_if.line"]
    result = invoke("run", first, *settings)
    assert result.exit_code == 0, result.stderr
    assert "the probabilities before sampling:" in result.stdout
    assert "Sampled at temperature 2" in result.stdout
    assert "sampling" not in invoke("run", first).stdout


def test_run_json_has_the_keys_of_the_contract(first: Path, tiny: Checkpoint) -> None:
    result = invoke("run", first, "--json", "--top", 3, "--prompt", "Anna lost her hat. She")
    assert result.exit_code == 0
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert tuple(answer) == RUN_KEYS
    assert answer["prompt"] == "Anna lost her hat. She"
    assert answer["token_ids"] == tiny.vocabulary.encode("Anna lost her hat. She")
    assert "".join(answer["tokens"]) == answer["prompt"]
    assert answer["n_tokens"] == len(answer["token_ids"]) == len(answer["tokens"])
    assert answer["next_token"] == tiny.vocabulary.text(answer["next_token_id"])
    assert (answer["generated_ids"], answer["generated_text"]) == ([answer["next_token_id"]], answer["next_token"])
    assert (answer["generated_end"], answer["values"]) == ("", {})
    assert len(answer["top"]) == 3
    assert all(list(entry) == ["id", "token", "logit", "prob"] for entry in answer["top"])
    assert answer["top"][0]["id"] == answer["next_token_id"]
    assert answer["top"][0]["token"] == answer["next_token"]
    logits = [entry["logit"] for entry in answer["top"]]
    assert logits == sorted(logits, reverse=True)
    assert 0 < sum(entry["prob"] for entry in answer["top"]) <= 1 + 1e-12


def test_top_is_ten_and_never_more_than_there_are(of_bytes: Path, small: Path) -> None:
    assert len(json.loads(invoke("run", of_bytes, "--json").stdout)["top"]) == 10
    answer = json.loads(invoke("run", small, "--json").stdout)
    assert sorted(entry["id"] for entry in answer["top"]) == [0, 1, 2]
    assert sum(entry["prob"] for entry in answer["top"]) == pytest.approx(1)
    assert invoke("run", small, "--top", 0).exit_code == 2


def test_get(small: Path) -> None:
    command = ["run", small, "--json"]
    names = ["n_tokens", "next_token", "token_ids", "h.0.attn.pattern.0", "Start!C4", "'Block 0'!A1", "start.ids"]
    values = json.loads(invoke(*command, *(part for name in names for part in ("--get", name))).stdout)["values"]
    workbook = gpt2xl.Workbook.open(small)
    assert list(values) == names
    assert values["n_tokens"] == 3
    assert values["next_token"] == workbook["next_token"]
    assert values["token_ids"] == [[0], [1], [2], [0]]
    assert values["start.ids"] == [[0, 1, 2, *[""] * 5]]
    assert values["Start!C4"] == "abc"
    assert isinstance(values["'Block 0'!A1"], str)
    np.testing.assert_array_equal(values["h.0.attn.pattern.0"], workbook["h.0.attn.pattern.0"])
    text = invoke("run", small, "--get", "n_tokens", "--get", "Start!C4").stdout
    assert text.splitlines()[-2:] == ["n_tokens = 3.0", "Start!C4 = 'abc'"]


def test_set(small: Path) -> None:
    answer = json.loads(invoke("run", small, "--json", "--set", "prompt=ca").stdout)
    assert (answer["prompt"], answer["token_ids"]) == ("ca", [2, 0])
    before = json.loads(invoke("run", small, "--json", "--get", "ln_f.bias").stdout)
    after = json.loads(invoke("run", small, "--json", "--set", "ln_f.bias=1.5", "--get", "ln_f.bias").stdout)
    assert after["values"]["ln_f.bias"] == [[1.5, 1.5]]
    assert after["top"] != before["top"]
    both = json.loads(invoke("run", small, "--json", "--set", "prompt=b", "--set", "ln_f.bias=0").stdout)
    assert both["prompt"] == "b"
    # What Python reads as a number and a spreadsheet does not is a text: no answer, and no NaN in a file.
    is_one_sentence(invoke("run", small, "--set", "ln_f.bias=nan"))
    is_one_sentence(invoke("run", small, "--set", "ln_f.bias=inf"))


@pytest.mark.parametrize("prompt", ["=1+1", "1E5", "TRUE", "a=b", "-5", "007", "'quoted'"])
def test_a_prompt_is_set_as_text(prompt: str, of_bytes: Path) -> None:
    by_name = json.loads(invoke("run", of_bytes, "--json", "--set", f"prompt={prompt}").stdout)
    assert by_name["prompt"] == prompt
    assert "".join(by_name["tokens"]) == prompt


def test_save_then_run_again(small: Path, tmp_path: Path) -> None:
    path, before = tmp_path / "saved.xlsx", small.read_bytes()
    answer = invoke("run", small, "--prompt", "cb", "--json", "--save", path)
    assert answer.exit_code == 0
    assert small.read_bytes() == before
    assert invoke("run", path, "--json").stdout == answer.stdout
    assert gpt2xl.Workbook.open(path).cached("prompt") == "cb"
    assert gpt2xl.Workbook.open(path).cached("next_token_id") == json.loads(answer.stdout)["next_token_id"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--get", "nothing.of.the.kind"], ["nothing.of.the.kind"]),
        (["--get", "Nowhere!A1"], ["Nowhere"]),
        (["--get", "1+1"], ["1+1"]),
        (["--get", ""], []),
        (["--set", "no.such.input=1"], ["no.such.input"]),
        (["--set", "prompt"], ["--set 'prompt'", "NAME=VALUE"]),
        (["--set", "=1"], ["NAME=VALUE"]),
        (["--set", "next_token_id=5"], ["next_token_id holds a formula"]),
        (["--prompt", "abcab"], ["5 characters and this workbook holds 4"]),
        (["--prompt", ""], ["type a prompt"]),
        (["--prompt", "xyz"], ["type a prompt"]),
        (["--save", "no/such/folder/book.xlsx"], ["no/such/folder"]),
    ],
)
def test_run_cannot(arguments: list[str], parts: list[str], small: Path) -> None:
    is_one_sentence(invoke("run", small, *arguments), *parts)


def test_a_prompt_too_long_saves_nothing(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "saved.xlsx"
    is_one_sentence(invoke("run", small, "--prompt", "abcab", "--save", path, "--json"), "holds 4")
    assert not path.exists()


@pytest.mark.parametrize("command", ["run", "info", "check"])
def test_no_workbook(command: str, tmp_path: Path) -> None:
    is_one_sentence(invoke(command, tmp_path / "missing.xlsx"), "missing.xlsx")
    garbage = tmp_path / "garbage.xlsx"
    garbage.write_bytes(b"PK\x03\x04 and no more")
    is_one_sentence(invoke(command, garbage), "garbage.xlsx")


def test_run_of_a_workbook_of_someone_else(tmp_path: Path) -> None:
    import openpyxl

    openpyxl.Workbook().save(tmp_path / "book.xlsx")
    is_one_sentence(invoke("run", tmp_path / "book.xlsx"), "run takes a workbook that gpt2xl built")


BLOCKER = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "huggingface_hub", "ironcalc"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
from gpt2xl.commands import main
main(sys.argv[1:])
"""


def test_run_needs_neither_pytorch_nor_the_checkpoint(letters: Path, tmp_path: Path) -> None:
    model, path = tmp_path / "model", tmp_path / "book.xlsx"
    shutil.copytree(letters, model)
    gpt2xl.build("ab", path, model=model, max_tokens=4, max_chars=4)
    expected = invoke("run", path, "--prompt", "bc", "--json").stdout
    shutil.rmtree(model)
    program = [sys.executable, "-W", "error", "-c", BLOCKER]
    done = subprocess.run(
        [*program, "run", path, "--prompt", "bc", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == expected
    # The blocker does block: the reference cannot do without PyTorch, and says so.
    done = subprocess.run(
        [*program, "check", path, "--model", letters], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "the PyTorch reference needs torch" in done.stderr


# info


def test_info(small: Path, letters: Path) -> None:
    result = invoke("info", small, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    facts = json.loads(result.stdout)
    workbook = gpt2xl.Workbook.open(small)
    assert facts["file"] == str(small)
    assert facts["sheets"] == workbook.sheets
    assert facts["formulas"] == sum(rect.size for _, rect, _ in workbook.formulas())
    assert facts["names"] == len(workbook.names)
    assert facts["model"] == str(letters)
    assert (facts["max_tokens"], facts["max_chars"], facts["prompt"]) == (4, 4, "abc")
    assert facts["next_token"] == workbook.cached("next_token")
    assert facts["parameters"] == 3 * 2 + 8 * 2 + (2 + 2 + 12 + 6 + 4 + 2) + (2 + 2 + 16 + 8 + 16 + 2) + 2 + 2
    lines = invoke("info", small).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(facts)


def test_info_of_a_workbook_of_someone_else(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"] = "=1+1"
    book.save(tmp_path / "book.xlsx")
    facts = json.loads(invoke("info", tmp_path / "book.xlsx", "--json").stdout)
    assert facts == {"file": str(tmp_path / "book.xlsx"), "sheets": ["Sheet"], "formulas": 1, "names": 0}
