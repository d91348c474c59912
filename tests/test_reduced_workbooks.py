"""`build --vocab` and `--digits`: what the file says and holds, and what `check` makes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from validators import ooxml_errors

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.reduced import reduced

PROMPT = "The cat sat on the"
SIZES = ("--max-tokens", 13, "--max-chars", 20, "--quiet")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def checked(path: Path, *options: object) -> dict[str, Any]:
    result = invoke("check", path, "--json", *options)
    assert result.exit_code == 0, result.output
    verdict: dict[str, Any] = json.loads(result.stdout)
    assert verdict["ok"] is True
    return verdict


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every token with all digits."""
    path = tmp_path_factory.mktemp("whole") / "whole.xlsx"
    assert invoke("build", PROMPT, "-o", path, *SIZES).exit_code == 0
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 300 tokens."""
    path = tmp_path_factory.mktemp("few") / "few.xlsx"
    assert invoke("build", PROMPT, "-o", path, "--vocab", 300, *SIZES).exit_code == 0
    return path


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three digits of every parameter."""
    path = tmp_path_factory.mktemp("rounded") / "rounded.xlsx"
    assert invoke("build", PROMPT, "-o", path, "--digits", 3, *SIZES).exit_code == 0
    return path


def test_the_file_says_how_many_tokens_it_has(few: Path, whole: Path, tiny: Checkpoint) -> None:
    workbook = gpt2xl.Workbook.open(few)
    assert workbook.cached("model.vocab") == 300
    assert "model.digits" not in workbook
    assert "model.vocab" not in gpt2xl.Workbook.open(whole)
    assert workbook.book.resolve("model.vocab")[0] == workbook.sheets[0]
    assert workbook.cached("wte").shape == (300, 64)
    assert workbook.cached("model.parameters") == 173_824 - 724 * 64
    np.testing.assert_array_equal(workbook.cached("wte"), tiny.tensors["wte"][:300])
    facts = json.loads(invoke("info", few, "--json").stdout)
    assert facts["vocab"] == 300
    assert "vocab 300" in " ".join(invoke("info", few).stdout.split())
    assert few.stat().st_size < 0.85 * whole.stat().st_size


def test_first_tokens_run(few: Path, tiny: Checkpoint) -> None:
    answer = json.loads(invoke("run", few, "--json", "--prompt", "A cat, isn't it").stdout)
    assert answer["token_ids"] == reduced(tiny, 300, None).vocabulary.encode("A cat, isn't it")
    assert answer["next_token_id"] < 300
    assert answer["prompt"] == "A cat, isn't it"


def test_first_tokens_checked(few: Path) -> None:
    for reference in ("torch", "numpy"):
        verdict = checked(few, "--reference", reference, "--prompt", "the mat", "--prompt", "<|endoftext|>")
        steps = {step["name"]: step for step in verdict["prompts"][0]["steps"]}
        assert steps["logits"]["shape"] == [300]
        assert max(step["max_abs_diff"] for step in steps.values()) < 1e-11
        assert all("moved" not in step for step in steps.values())
        assert "unrounded_next_token_id" not in verdict["prompts"][0]


def test_the_file_says_how_many_digits_it_has(rounded: Path, whole: Path, tiny: Checkpoint) -> None:
    workbook = gpt2xl.Workbook.open(rounded)
    assert workbook.cached("model.digits") == 3
    assert "model.vocab" not in workbook
    for name, values in reduced(tiny, None, 3).tensors.items():
        np.testing.assert_array_equal(workbook.cached(name), np.atleast_2d(values), err_msg=name)
    assert json.loads(invoke("info", rounded, "--json").stdout)["digits"] == 3
    assert rounded.stat().st_size < 0.75 * whole.stat().st_size


def test_check_says_by_how_much_each_step_moved(rounded: Path, tiny: Checkpoint) -> None:
    from gpt2xl.model.reference import NumpyReference

    verdict = checked(rounded, "--reference", "numpy")
    (prompt,) = verdict["prompts"]
    ids = prompt["token_ids"]
    moved, exact = (NumpyReference(reduced(tiny, None, digits)).run(ids) for digits in (3, None))
    steps = [step for step in prompt["steps"] if not step["name"].startswith("attribution.")]
    assert [step["name"] for step in steps] == list(exact)
    for step in steps:
        assert step["max_abs_diff"] < 1e-11
        assert step["moved"] == pytest.approx(np.abs(moved[step["name"]] - exact[step["name"]]).max(), abs=1e-12)
        assert step["moved"] > 0
    assert prompt["unrounded_next_token_id"] == int(np.argmax(exact["logits"]))
    lines = invoke("check", rounded).stdout.splitlines()
    steps = [line.split() for line in lines if line.startswith("  ok ")]
    assert [words[-2] for words in steps] == ["moved"] * len(prompt["steps"])
    assert f"  next token before rounding {prompt['unrounded_next_token_id']}" in lines


def test_fewer_digits_move_further(tmp_path: Path) -> None:
    moved = []
    for digits in (1, 5, 17):
        path = tmp_path / f"{digits}.xlsx"
        gpt2xl.build("The cat", path, digits=digits, vocab=300, max_tokens=8, max_chars=8)
        (prompt,) = gpt2xl.check(path, reference="numpy").prompts
        moved.append(max(step.moved for step in prompt.steps if step.moved is not None))
    assert moved[0] > 100 * moved[1] > 0
    assert moved[2] == 0


def test_a_changed_parameter_is_found_all_the_same(rounded: Path, tmp_path: Path) -> None:
    """What decides is the model as it was rounded: a difference far below what rounding moved is one."""
    workbook = gpt2xl.Workbook.open(rounded)
    bias = workbook["ln_f.bias"]
    workbook["ln_f.bias"] = bias + 1e-4
    workbook.save(tmp_path / "changed.xlsx")
    verdict = gpt2xl.check(tmp_path / "changed.xlsx", reference="numpy")
    assert not verdict.ok
    (prompt,) = verdict.prompts
    assert prompt.first_divergence == "ln_f"
    (step,) = [step for step in prompt.steps if step.name == "ln_f"]
    assert step.moved is not None
    assert step.max_abs_diff == pytest.approx(1e-4)
    assert step.moved > 10 * step.max_abs_diff


def test_both_are_well_formed_and_agree_in_ironcalc(tmp_path: Path) -> None:
    pytest.importorskip("ironcalc")
    path = tmp_path / "both.xlsx"
    gpt2xl.build("The cat", path, vocab=300, digits=4, max_tokens=8, max_chars=20)
    checked(path, "--engine", "ironcalc", "--prompt", "The hat.")
    assert ooxml_errors(path) == []


def test_characters_have_no_first_tokens(tmp_path: Path) -> None:
    from linear_checkpoints import linear_state, save_meta, save_nanogpt

    save_nanogpt(tmp_path, linear_state(tmp_path / "hub"))
    shutil.rmtree(tmp_path / "hub")
    save_meta(tmp_path / "meta.pkl")
    result = invoke("build", "abc", "-o", tmp_path / "book.xlsx", "--model", tmp_path, "--vocab", 10)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "one of characters" in result.stderr
    assert not (tmp_path / "book.xlsx").exists()
