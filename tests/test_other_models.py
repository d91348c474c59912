"""Checkpoints of other sizes: nothing in the code knows the embedded model's numbers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import random_checkpoint
from test_witnesses import differences

import gpt2xl
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.model.attribution import ATTRIBUTION
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.steps import step_names

# What the checkpoint is like, what the workbook holds, prompts.
MODELS: dict[str, tuple[dict[str, Any], dict[str, int], list[str]]] = {
    "the smallest": ({"n_layer": 1, "n_head": 1, "n_embd": 4}, {"max_tokens": 5, "max_chars": 5}, ["abc", "=1+1", "é"]),
    "a wide one with merges": (
        {"n_layer": 3, "n_head": 2, "n_embd": 12, "n_inner": 20, "n_positions": 23, "vocab": "words"},
        {"max_tokens": 9, "max_chars": 12},
        ["The cat's at", "  Nov 12\n\n", "ber’s", "é"],
    ),
    "a head of its own": ({"tied": False}, {"max_tokens": 4, "max_chars": 4}, ["ab", "c"]),
    "three letters": ({"vocab": "letters"}, {"max_tokens": 6, "max_chars": 6}, ["abcabc", "c", "a-b"]),
    "gelu": ({"activation_function": "gelu"}, {"max_tokens": 3, "max_chars": 3}, ["abc"]),
    "relu": ({"activation_function": "relu"}, {"max_tokens": 3, "max_chars": 3}, ["abc"]),
    "silu": ({"activation_function": "silu"}, {"max_tokens": 3, "max_chars": 3}, ["abc"]),
    "gelu_pytorch_tanh": ({"activation_function": "gelu_pytorch_tanh"}, {"max_tokens": 3, "max_chars": 3}, ["abc"]),
    "scores divided by the block": (
        {"n_layer": 3, "scale_attn_by_inverse_layer_idx": True}, {"max_tokens": 3, "max_chars": 3}, ["abc"],
    ),
    "scores not divided": ({"scale_attn_weights": False}, {"max_tokens": 3, "max_chars": 3}, ["abc"]),
    "another epsilon": ({"layer_norm_epsilon": 0.1}, {"max_tokens": 3, "max_chars": 3}, ["abc"]),
    "one token": ({"n_embd": 4}, {"max_tokens": 1, "max_chars": 2}, ["a", "b"]),
    "one token, one character": ({"n_embd": 4, "n_positions": 1}, {"max_tokens": 1, "max_chars": 1}, ["a", " "]),
    "the whole context": ({"n_embd": 4, "n_positions": 7}, {"max_tokens": 7, "max_chars": 9}, ["abcdefg", "a"]),
    "a larger embedding than the tokenizer": ({"vocab_size": 300}, {"max_tokens": 3, "max_chars": 3}, ["ab", "é"]),
}  # fmt: skip
# These differ most from the embedded model in sizes, and in functions.
WITNESSED = ["a wide one with merges", "silu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def built(name: str, folder: Path) -> tuple[Path, Path]:
    """The checkpoint and its workbook, made once."""
    config, capacity, prompts = MODELS[name]
    model, path = folder / name, folder / f"{name}.xlsx"
    if not path.exists():
        random_checkpoint(model, **config)
        gpt2xl.build(prompts[0], path, model=model, **capacity)
    return model, path


@pytest.mark.parametrize("name", MODELS)
def test_every_step_as_pytorch(name: str, folder: Path) -> None:
    model, path = built(name, folder)
    prompts = MODELS[name][2]
    verdict = gpt2xl.check(path, prompts=prompts, reference="torch")
    checkpoint = load_checkpoint(model)
    for comparison in verdict.prompts:
        assert comparison.token_ids == checkpoint.vocabulary.encode(comparison.prompt)
        assert comparison.first_divergence is None
        assert [step.name for step in comparison.steps] == [*step_names(checkpoint.config), *ATTRIBUTION]
        assert max(step.max_abs_diff for step in comparison.steps) < 1e-9
    assert len(verdict.prompts) == len(prompts)
    assert verdict.ok


@pytest.mark.parametrize("name", ["gelu", "relu", "silu", "scores not divided", "another epsilon"])
def test_the_setting_changes_the_numbers(name: str, folder: Path) -> None:
    """The weights are the same, so a workbook that ignored the setting would not have passed above."""
    logits = gpt2xl.Workbook.open(built(name, folder)[1]).cached("logits")
    usual = gpt2xl.Workbook.open(built("gelu_pytorch_tanh", folder)[1]).cached("logits")
    assert np.abs(logits - usual).max() > 1e-6


def test_the_names_follow_the_model(folder: Path) -> None:
    _, path = built("a wide one with merges", folder)
    workbook = gpt2xl.Workbook.open(path)
    assert workbook["wte"].shape[1] == 12
    assert workbook["wpe"].shape == (23, 12)
    assert workbook["h.2.mlp.post"].shape == (9, 20)
    assert workbook["h.0.attn.z.1"].shape == (9, 6)
    assert workbook["token_ids"].shape == (9, 1)
    assert {"h.3.ln_1", "h.0.attn.z.2", "lm_head.weight"}.isdisjoint(workbook.names)
    model, path = built("a head of its own", folder)
    head = gpt2xl.Workbook.open(path)["lm_head.weight"]
    np.testing.assert_array_equal(head, load_checkpoint(model).tensors["lm_head.weight"])


@pytest.mark.parametrize("name", [*WITNESSED, "gelu"])
def test_libreoffice(name: str, folder: Path) -> None:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    _, path = built(name, folder)
    with LibreOffice() as office:
        assert differences(office.open(path), path) == []


@pytest.mark.parametrize("name", WITNESSED)
def test_ironcalc(name: str, folder: Path) -> None:
    pytest.importorskip("ironcalc")
    _, path = built(name, folder)
    with IronCalc() as ironcalc:
        assert differences(ironcalc.open(path), path) == []


def test_ironcalc_with_erf(folder: Path) -> None:
    """IronCalc 0.9.1 computes ERF to ten digits only (ERF(0.5) is 1e-10 off), which is still the same model."""
    pytest.importorskip("ironcalc")
    model, path = built("gelu", folder)
    assert gpt2xl.check(path, model=model, engine="ironcalc", reference="numpy", tolerance=1e-8).ok


@pytest.mark.parametrize(("name", "holds"), [("one token", 1), ("the whole context", 7)])
def test_one_token_more_than_fits(name: str, holds: int, folder: Path) -> None:
    workbook = gpt2xl.Workbook.open(built(name, folder)[1])
    workbook["prompt"] = "a" * (holds + 1)
    assert workbook["next_token_id"] == gpt2xl.ExcelError("#N/A")
    assert str(workbook["next_token"]).startswith(f"The prompt has {holds + 1} tokens and this workbook holds {holds}:")
    workbook["prompt"] = "a" * holds
    assert isinstance(workbook["next_token_id"], float)
