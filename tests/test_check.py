"""`check`: every step of a file against the reference, its verdict, its exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner, Result

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.xlsx import open_package

PROMPT = "The cat sat"
# What each block must show, in the order of computation; `{head}` stands for each of the embedded model's four.
OF_A_BLOCK = (
    "ln_1", "attn.q", "attn.k", "attn.v", "attn.scores.{head}", "attn.pattern.{head}", "attn.z.{head}", "attn.out",
    "resid_mid", "ln_2", "mlp.pre", "mlp.post", "mlp.out", "resid_post",
)  # fmt: skip


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("other") / "model", n_layer=1, n_head=1, n_embd=4)


def check(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.mark.parametrize("reference", ["torch", "numpy"])
def test_the_first_workbook_agrees(reference: Any, first: Path) -> None:
    prompts = ["The cat sat on the", "Anna lost her hat. She", "=1+1", "  two\nlines", "a"]
    verdict = gpt2xl.check(first, prompts=prompts, reference=reference)
    assert verdict.ok
    assert [comparison.prompt for comparison in verdict.prompts] == prompts
    for comparison in verdict.prompts:
        assert comparison.first_divergence is None
        assert comparison.next_token_id == comparison.reference_next_token_id
        # The weights are written as exact doubles; what is left is the order of summation.
        assert max(step.max_abs_diff for step in comparison.steps) < 1e-10


def test_json_has_the_keys_of_the_contract(short: Path, tiny: Checkpoint) -> None:
    result = check(short, "--json", "--reference", "numpy", "--prompt", "The dog", "--prompt", "a")
    assert result.exit_code == 0
    assert result.stderr == ""
    verdict = json.loads(result.stdout)
    assert list(verdict) == ["ok", "engine", "reference", "prompts"]
    assert (verdict["ok"], verdict["engine"], verdict["reference"]) == (True, "python", "numpy")
    assert [entry["prompt"] for entry in verdict["prompts"]] == ["The dog", "a"]
    for entry in verdict["prompts"]:
        keys = ["prompt", "token_ids", "next_token_id", "reference_next_token_id", "steps", "first_divergence"]
        assert list(entry) == keys
        assert entry["token_ids"] == tiny.vocabulary.encode(entry["prompt"])
        assert entry["next_token_id"] == entry["reference_next_token_id"]
        assert entry["first_divergence"] is None
        for step in entry["steps"]:
            assert list(step) == ["name", "shape", "max_abs_diff", "ok"]
            assert step["ok"] is True
            assert isinstance(step["max_abs_diff"], float)


def test_every_step_is_compared_with_its_shape(short: Path) -> None:
    """Nothing is left out: a wrong head that does not change the next token would otherwise pass."""
    verdict = gpt2xl.check(short, reference="numpy")
    shapes = {step.name: step.shape for step in verdict.prompts[0].steps}
    wanted = [
        f"h.{block}.{name.format(head=head)}"
        for block in range(2)
        for name in OF_A_BLOCK
        for head in (range(4) if "{head}" in name else range(1))
    ]
    assert {"embed", *wanted, "ln_f", "logits", "probs"} <= set(shapes)
    order = [name for name in shapes if name in {"embed", "h.0.ln_1", "h.0.attn.out", "h.1.ln_1", "ln_f", "probs"}]
    assert order == ["embed", "h.0.ln_1", "h.0.attn.out", "h.1.ln_1", "ln_f", "probs"]
    tokens = len(verdict.prompts[0].token_ids)
    assert tokens == 3
    assert shapes["embed"] == shapes["h.0.attn.q"] == shapes["h.1.resid_post"] == (tokens, 64)
    assert shapes["h.0.attn.scores.0"] == shapes["h.1.attn.pattern.3"] == (tokens, tokens)
    assert shapes["h.1.attn.z.2"] == (tokens, 16)
    assert shapes["h.0.mlp.post"] == (tokens, 256)
    assert shapes["logits"] == shapes["probs"] == (1024,)


def with_one_weight_changed(workbook: gpt2xl.Workbook, path: Path, name: str, row: int, column: int) -> Path:
    """Save to `path` a copy in which one weight is 0.5 more than in the model; `workbook` itself stays right."""
    right = workbook[name]
    wrong = right.copy()
    wrong[row, column] += 0.5
    workbook[name] = wrong
    workbook.save(path)
    workbook[name] = right
    return path


@pytest.fixture(scope="module")
def random_book(tmp_path_factory: pytest.TempPathFactory) -> gpt2xl.Workbook:
    """Two blocks, two heads, eight dimensions: quicker still, and every weight matters."""
    folder = tmp_path_factory.mktemp("random")
    model = random_checkpoint(folder / "model", n_layer=2, n_head=2, n_embd=8)
    gpt2xl.build("ab", folder / "book.xlsx", model=model, max_tokens=4, max_chars=4)
    return gpt2xl.Workbook.open(folder / "book.xlsx")


@pytest.mark.parametrize(
    ("name", "row", "column", "first_step"),
    [
        ("wte", ord("b"), 3, "embed"),
        ("wte", ord("c"), 3, "logits"),  # not in the prompt: seen only where every token is compared
        ("wpe", 1, 0, "embed"),
        ("h.0.ln_1.bias", 0, 2, "h.0.ln_1"),
        ("h.0.attn.c_attn.weight", 0, 5, "h.0.attn.q"),
        ("h.0.attn.c_attn.weight", 0, 8 + 5, "h.0.attn.k"),
        ("h.0.attn.c_attn.weight", 0, 16 + 5, "h.0.attn.v"),
        ("h.1.attn.c_proj.weight", 7, 1, "h.1.attn.out"),
        ("h.1.mlp.c_fc.weight", 3, 30, "h.1.mlp.pre"),
        ("h.1.mlp.c_proj.bias", 0, 4, "h.1.mlp.out"),
        ("ln_f.weight", 0, 7, "ln_f"),
    ],
)
def test_one_weight_is_found(
    name: str, row: int, column: int, first_step: str, random_book: gpt2xl.Workbook, tmp_path: Path
) -> None:
    path = with_one_weight_changed(random_book, tmp_path / "edited.xlsx", name, row, column)
    verdict = gpt2xl.check(path, reference="numpy")
    assert not verdict.ok
    assert verdict.prompts[0].first_divergence == first_step
    different = [step for step in verdict.prompts[0].steps if not step.ok]
    assert different[0].name == first_step
    assert different[0].max_abs_diff > 1e-3


def test_one_weight_of_the_embedded_model_is_found(short: Path, tmp_path: Path, tiny: Checkpoint) -> None:
    token = tiny.vocabulary.encode(PROMPT)[1]
    path = with_one_weight_changed(gpt2xl.Workbook.open(short), tmp_path / "edited.xlsx", "wte", token, 3)
    result = check(path, "--reference", "numpy")
    assert result.exit_code == 1
    assert "  the first step that differs is embed" in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == "the workbook and the reference differ"
    assert result.stderr == ""


def test_json_of_a_difference_and_the_tolerance(random_book: gpt2xl.Workbook, tmp_path: Path) -> None:
    path = with_one_weight_changed(random_book, tmp_path / "edited.xlsx", "h.1.mlp.c_proj.bias", 0, 4)
    result = check(path, "--reference", "numpy", "--json")
    assert result.exit_code == 1
    verdict = json.loads(result.stdout)
    assert verdict["ok"] is False
    assert verdict["prompts"][0]["first_divergence"] == "h.1.mlp.out"
    steps = {step["name"]: step for step in verdict["prompts"][0]["steps"]}
    assert steps["h.1.mlp.out"]["max_abs_diff"] == pytest.approx(0.5)
    assert steps["h.1.mlp.post"]["ok"] is True
    assert gpt2xl.check(path, reference="numpy", tolerance=100).prompts[0].first_divergence is None


def test_stored_results_do_not_matter(random_book: gpt2xl.Workbook, tmp_path: Path) -> None:
    """A wrong stored value neither helps nor hurts: every step is computed anew from the formulas."""
    path = tmp_path / "lies.xlsx"
    sheet, rect = random_book.book.resolve("h.0.attn.out")
    zeros = (rect, np.zeros(rect.shape), np.zeros(rect.shape, np.uint8), None)
    open_package(random_book.path).save(path, {sheet: [zeros]})
    assert not gpt2xl.Workbook.open(path).cached("h.0.attn.out").any()
    assert random_book.cached("h.0.attn.out").any()
    assert gpt2xl.check(path, reference="numpy").ok


def test_another_model_than_the_workbooks(short: Path, other_model: Path) -> None:
    result = check(short, "--model", other_model)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "is not the one that short.xlsx was made from ('tiny'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_model_that_is_gone(tmp_path: Path, other_model: Path) -> None:
    folder, path = tmp_path / "model", tmp_path / "book.xlsx"
    shutil.copytree(other_model, folder)
    gpt2xl.build("a", path, model=folder, max_tokens=2, max_chars=4)
    shutil.rmtree(folder)
    result = check(path)
    assert result.exit_code == 2
    assert "name it with --model" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    # A copy elsewhere is the same model: it has the same files.
    assert check(path, "--model", other_model).exit_code == 0


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("ééé", "The prompt has 6 tokens and this workbook holds 4"),
        ("abcde", "The prompt has 5 characters and this workbook holds 4"),
        ("", "There is no token to continue from"),
    ],
)
def test_a_prompt_that_the_workbook_cannot_hold(prompt: str, sentence: str, random_book: gpt2xl.Workbook) -> None:
    result = check(random_book.path, "--reference", "numpy", "--prompt", prompt)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize(("typed", "read"), [(2024, "2024"), (1.5, "1.5"), (True, "TRUE"), ('=UPPER("abc")', "ABC")])
def test_a_prompt_that_is_no_text_is_checked_as_the_formulas_read_it(
    typed: object, read: str, short: Path, tmp_path: Path, tiny: Checkpoint
) -> None:
    path = tmp_path / "typed.xlsx"
    book = openpyxl.load_workbook(short)
    book["Start"]["C4"] = typed
    book.save(path)
    result = check(path, "--reference", "numpy", "--json")
    (prompt,) = json.loads(result.stdout)["prompts"]
    assert (prompt["prompt"], prompt["token_ids"]) == (read, tiny.vocabulary.encode(read))
    assert result.exit_code == 0
    run = CliRunner().invoke(main, ["run", str(path), "--json"])
    assert json.loads(run.stdout)["prompt"] == read
    info = CliRunner().invoke(main, ["info", str(path), "--json"])
    assert json.loads(info.stdout)["prompt"] == read


@pytest.mark.parametrize(("typed", "sentence"), [(None, "type a prompt"), ("=NA()", "is #N/A, not a text")])
def test_a_prompt_that_is_none_is_not_checked(typed: object, sentence: str, short: Path, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(short)
    book["Start"]["C4"] = typed
    book.save(tmp_path / "typed.xlsx")
    result = check(tmp_path / "typed.xlsx", "--reference", "numpy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr


def test_libreoffice(short: Path) -> None:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    result = check(short, "--engine", "libreoffice", "--prompt", "The dog", "--prompt", "it's", "--json")
    assert result.exit_code == 0
    verdict = json.loads(result.stdout)
    assert (verdict["ok"], verdict["engine"]) == (True, "libreoffice")
    assert len(verdict["prompts"]) == 2


def test_ironcalc(short: Path) -> None:
    pytest.importorskip("ironcalc")
    result = check(short, "--engine", "ironcalc", "--prompt", "The dog")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "'The dog': 2 tokens, engine ironcalc"
    assert lines[-1] == "all steps agree"
    assert any(line.split()[:2] == ["ok", "h.1.attn.pattern.3"] for line in lines)


@pytest.mark.parametrize("kind", ["missing", "garbage", "empty", "folder", "zip"])
def test_what_is_no_workbook(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    if kind == "garbage":
        path.write_bytes(b"\x00\x01garbage\xff" * 100)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "zip":
        shutil.make_archive(str(tmp_path / "other"), "zip", root_dir=Path(__file__).parent, base_dir="prompts.py")
        (tmp_path / "other.zip").rename(path)
    result = check(path)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert str(path) in result.stderr


def test_a_workbook_of_someone_else(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "book.xlsx"
    openpyxl.Workbook().save(path)
    result = check(path)
    assert result.exit_code == 2
    assert "check takes a workbook that gpt2xl built" in result.stderr
    assert len(result.stderr.splitlines()) == 1
