"""A second prompt, a row of the stream copied to it from the first, and what that does to one token's logit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner
from sharing import Lent

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.model.interventions import Interventions, Patch
from gpt2xl.model.reference import TorchReference

FIRST, SECOND = "abca", "abda!"
BLOCKS = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("patching") / "model", n_layer=BLOCKS, n_head=2, n_embd=8, seed=4)


@pytest.fixture(scope="module")
def book(model: Path) -> Path:
    path = model.parent / "book.xlsx"
    gpt2xl.build(FIRST, path, model=model, corrupted=SECOND, max_tokens=6, max_chars=8)
    return path


@pytest.fixture(scope="module")
def opened(book: Path) -> Lent:
    return Lent.open(book)


@pytest.fixture
def workbook(opened: Lent) -> Iterator[gpt2xl.Workbook]:
    """The workbook, open, as it is in its file."""
    yield from opened.for_one_test()


@pytest.fixture(scope="module")
def checkpoint(model: Path) -> Checkpoint:
    return load_checkpoint(model)


def patched_logits(checkpoint: Checkpoint, block: int, position: int) -> np.ndarray[Any, Any]:
    """transformers' logits for the second prompt with that row of the first in it."""
    reference = TorchReference(checkpoint)
    first = reference.run(checkpoint.vocabulary.encode(FIRST))
    patch = Patch(block, position, first[f"h.{block}.resid_pre"][position])
    changes = replace(Interventions.none(checkpoint.config), patch=patch)
    return reference.run(checkpoint.vocabulary.encode(SECOND), changes)["logits"]


def test_it_begins_where_the_prompts_differ(workbook: gpt2xl.Workbook, checkpoint: Checkpoint) -> None:
    assert workbook["corrupted"] == SECOND
    assert workbook["patch.position"] == 2
    assert workbook["patch.token"] == workbook["next_token_id"]
    ids = checkpoint.vocabulary.encode(SECOND)
    assert workbook["corrupted.token_ids"][: len(ids), 0].tolist() == ids


def test_every_row_has_the_effect_that_transformers_finds(workbook: gpt2xl.Workbook, checkpoint: Checkpoint) -> None:
    token = int(workbook["patch.token"])
    logits = [
        TorchReference(checkpoint).run(checkpoint.vocabulary.encode(text))["logits"][token] for text in (FIRST, SECOND)
    ]
    effects = set()
    for block in range(BLOCKS):
        for position in range(len(FIRST)):
            workbook["patch.block"], workbook["patch.position"] = block, position
            expected = patched_logits(checkpoint, block, position)
            np.testing.assert_allclose(workbook["patched.logits"][:, 0], expected, rtol=0, atol=1e-10)
            effect = expected[token] - logits[1]
            assert workbook["patch.logit.first"] == pytest.approx(logits[0], abs=1e-10)
            assert workbook["patch.logit.corrupted"] == pytest.approx(logits[1], abs=1e-10)
            assert workbook["patch.logit"] == pytest.approx(expected[token], abs=1e-10)
            assert workbook["patch.effect"] == pytest.approx(effect, abs=1e-10)
            assert workbook["patch.restored"] == pytest.approx(effect / (logits[0] - logits[1]), abs=1e-8)
            effects.add(round(effect, 6))
    assert len(effects) > BLOCKS  # not every row matters alike


@pytest.mark.parametrize(("block", "position"), [(0, 2), (1, 3), (2, 2)])
def test_check_compares_every_step_of_every_run(
    book: Path, workbook: gpt2xl.Workbook, tmp_path: Path, block: int, position: int
) -> None:
    workbook["patch.block"], workbook["patch.position"] = block, position
    workbook.save(tmp_path / "book.xlsx")
    verdict = gpt2xl.check(tmp_path / "book.xlsx")
    names = [step.name for step in verdict.prompts[0].steps]
    assert {"corrupted.embed", "corrupted.h.1.attn.pattern.1", "patched.h.0.resid_pre", "patched.probs"} <= set(names)
    assert verdict.ok
    assert max(step.max_abs_diff for step in verdict.prompts[0].steps) < 1e-10
    read = gpt2xl.Workbook.open(tmp_path / "book.xlsx")["patched.logits"]
    assert np.abs(read - gpt2xl.Workbook.open(book)["corrupted.logits"]).max() > 1e-6


def test_a_patch_elsewhere_would_be_found(book: Path, monkeypatch: Any) -> None:
    read = gpt2xl.verify.read_settings

    def other(workbook: Any) -> Any:
        found = read(workbook)
        return replace(found, patching=replace(found.patching, block=1))

    monkeypatch.setattr(gpt2xl.verify, "read_settings", other)
    assert gpt2xl.check(book, reference="numpy").prompts[0].first_divergence == "patched.h.0.resid_pre"


def test_without_a_patch_the_run_is_the_second_prompts_bit_by_bit(workbook: gpt2xl.Workbook) -> None:
    workbook["patch.on"] = 0
    assert np.array_equal(workbook["patched.logits"], workbook["corrupted.logits"])
    assert (workbook["patch.effect"], workbook["patch.restored"]) == (0, 0)


def test_the_second_prompt_is_tokenized_live(workbook: gpt2xl.Workbook, checkpoint: Checkpoint) -> None:
    workbook["corrupted"] = "d é"
    ids = checkpoint.vocabulary.encode("d é")
    assert workbook["corrupted.token_ids"][: len(ids), 0].tolist() == ids
    expected = TorchReference(checkpoint).run(ids)["logits"]
    np.testing.assert_allclose(workbook["corrupted.logits"][:, 0], expected, rtol=0, atol=1e-10)


def test_a_token_by_its_word(workbook: gpt2xl.Workbook) -> None:
    workbook["patch.token"] = "b"
    assert workbook["patch.token.text"] == "b"
    assert workbook["patch.logit.first"] == workbook["logits"][int(workbook["patch.token.id"]), 0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("patch.on", 0.5, "patch.on is neither 1 (on) nor 0 (off)"),
        ("patch.block", 3, "patch.block must be a whole number from 0 to 2"),
        ("patch.block", "x", "patch.block must be a whole number from 0 to 2"),
        ("patch.position", 4, "patch.position must be the whole number, from 0, of a token that both prompts have"),
        ("patch.position", -1, "patch.position must be the whole number"),
        ("patch.token", "qqq", "patch.token must be a word that is one token, or an id from 0 to"),
        ("patch.token", 99999, "patch.token must be a word that is one token, or an id from 0 to"),
        ("corrupted", "abcdabcd", "Of the second prompt: The prompt has 8 tokens and this workbook holds 6"),
        ("prompt", "", "Of the first prompt: There is no token to continue from"),
        ("corrupted", "", "Of the second prompt: There is no token to continue from"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(workbook: gpt2xl.Workbook, name: str, value: object, said: str) -> None:
    workbook[name] = value
    assert said in workbook["patch.state"]
    assert str(workbook["patch.logit"]) == str(workbook["patch.effect"]) == "#N/A"
    assert isinstance(workbook["next_token_id"], float) == (name != "prompt")  # the first prompt's answer stands


def test_steering_by_the_difference_of_the_prompts(
    workbook: gpt2xl.Workbook, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    workbook["steer.from"], workbook["steer.block"], workbook["steer.scale"] = "prompts", 1, 1.5
    first, second = (
        TorchReference(checkpoint).run(checkpoint.vocabulary.encode(text))["h.1.resid_pre"][-1]
        for text in (FIRST, SECOND)
    )
    np.testing.assert_allclose(workbook["steer.direction"][0], first - second, rtol=0, atol=1e-10)
    workbook.save(tmp_path / "book.xlsx")
    assert gpt2xl.check(tmp_path / "book.xlsx").ok


@pytest.mark.parametrize("engine", ["libreoffice", "ironcalc"])
def test_the_other_engines(workbook: gpt2xl.Workbook, tmp_path: Path, engine: Any) -> None:
    if engine == "libreoffice" and shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    workbook["patch.block"], workbook["patch.position"] = 1, 2
    workbook["steer.from"], workbook["steer.scale"] = "prompts", 0.5
    workbook.save(tmp_path / "book.xlsx")
    verdict = gpt2xl.check(tmp_path / "book.xlsx", engine=engine)
    assert verdict.ok
    assert {"clean.probs", "corrupted.probs", "patched.probs"} <= {step.name for step in verdict.prompts[0].steps}


def test_run_refuses_what_cannot_be_used(book: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(book), "--set", "patch.on=1", "--set", "patch.position=99"])
    assert result.exit_code == 2
    assert "patch.position" in result.stderr
    # Switched off, it is of no consequence.
    result = CliRunner().invoke(main, ["run", str(book), "--set", "patch.on=0", "--set", "patch.position=99"])
    assert result.exit_code == 0, result.stderr


def test_plain_and_two_prompts_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    result = CliRunner().invoke(main, ["build", "a", "-o", str(path), "--corrupted", "b", "--plain"])
    assert result.exit_code == 2
    assert "leave out one of the two" in result.stderr
    assert not path.exists()
