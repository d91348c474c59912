"""Both references: the same numbers, step by step, as each other and as transformers."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from transformers import AutoModelForCausalLM

from gpt2xl.errors import EngineError, PromptError
from gpt2xl.model import forward
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.reference import NumpyReference, TorchReference, step_names

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "gelu_new": {},
    "gelu, n_inner": {"activation_function": "gelu", "n_inner": 12},
    "gelu_pytorch_tanh, one head": {"activation_function": "gelu_pytorch_tanh", "n_head": 1},
    "relu, no scale": {"activation_function": "relu", "scale_attn_weights": False},
    "silu, scale by layer": {"activation_function": "silu", "scale_attn_by_inverse_layer_idx": True, "n_layer": 3},
    "untied": {"tied": False, "n_layer": 1, "n_embd": 12, "n_head": 3},
    "epsilon": {"layer_norm_epsilon": 0.1, "reorder_and_upcast_attn": True},
    "letters": {"vocab": "letters", "n_positions": 9},
}
IDS = [1, 0, 2, 2, 1, 0, 0]


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_both_references_agree_at_every_step(tmp_path: Path, settings: dict[str, Any]) -> None:
    checkpoint = load_checkpoint(random_checkpoint(tmp_path, seed=7, **settings))
    theirs, ours = TorchReference(checkpoint).run(IDS), NumpyReference(checkpoint).run(IDS)
    assert list(theirs) == list(ours) == step_names(checkpoint.config)
    for name, values in theirs.items():
        assert values.dtype == ours[name].dtype == np.float64
        assert values.shape == ours[name].shape, name
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_the_torch_reference_is_the_model_that_transformers_loads_itself(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = random_checkpoint(tmp_path, seed=8, **settings)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    model.eval()
    with torch.no_grad():
        output = model(torch.tensor([IDS]), output_hidden_states=True)
    steps = TorchReference(load_checkpoint(folder)).run(IDS)
    tolerance = 1e-5 if settings.get("reorder_and_upcast_attn") else 1e-12  # upcast means: to float32
    np.testing.assert_allclose(steps["logits"], output.logits[0, -1].numpy(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(steps["embed"], output.hidden_states[0][0].numpy(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(steps["ln_f"], output.hidden_states[-1][0].numpy(), rtol=0, atol=tolerance)


def test_the_steps_of_one_block_fit_together(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    n, (d, heads) = len(IDS), (checkpoint.config.d_head, checkpoint.config.n_head)
    steps = TorchReference(checkpoint).run(IDS)
    for i in range(checkpoint.config.n_layer):
        at = f"h.{i}."
        for j in range(heads):
            head = slice(j * d, (j + 1) * d)
            scores, pattern = steps[f"{at}attn.scores.{j}"], steps[f"{at}attn.pattern.{j}"]
            expected = steps[at + "attn.q"][:, head] @ steps[at + "attn.k"][:, head].T / np.sqrt(d)
            np.testing.assert_allclose(scores, expected, atol=1e-12)
            assert np.abs(np.triu(scores, 1)).min(initial=1, where=np.triu(np.ones((n, n)), 1) > 0) > 0
            assert not np.triu(pattern, 1).any()
            np.testing.assert_allclose(pattern.sum(axis=1), 1)
            np.testing.assert_allclose(steps[f"{at}attn.z.{j}"], pattern @ steps[at + "attn.v"][:, head], atol=1e-12)
        z = [steps[f"{at}attn.z.{j}"] for j in range(heads)]
        np.testing.assert_array_equal(steps[at + "attn.z"], np.hstack(z))
        np.testing.assert_allclose(steps[at + "resid_mid"], steps[at + "resid_pre"] + steps[at + "attn.out"])
        np.testing.assert_allclose(steps[at + "resid_post"], steps[at + "resid_mid"] + steps[at + "mlp.out"])
    np.testing.assert_array_equal(steps["embed"], steps["h.0.resid_pre"])
    np.testing.assert_array_equal(steps["h.0.resid_post"], steps["h.1.resid_pre"])
    assert steps["logits"].shape == steps["probs"].shape == (checkpoint.config.vocab_size,)
    assert steps["probs"].sum() == pytest.approx(1)


def test_step_names_for_a_learner(folder: Path) -> None:
    names = step_names(load_checkpoint(folder).config)
    assert names[:9] == [
        "embed",
        "h.0.resid_pre",
        "h.0.ln_1",
        "h.0.attn.q",
        "h.0.attn.k",
        "h.0.attn.v",
        "h.0.attn.scores.0",
        "h.0.attn.pattern.0",
        "h.0.attn.z.0",
    ]
    assert names[-3:] == ["ln_f", "logits", "probs"]


@pytest.mark.parametrize("reference", [TorchReference, NumpyReference])
def test_running_twice_gives_the_same(folder: Path, reference: type[TorchReference | NumpyReference]) -> None:
    runner = reference(load_checkpoint(folder))
    first = runner.run(IDS)
    runner.run([5])
    second = runner.run(IDS)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("reference", [TorchReference, NumpyReference])
@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([], "the prompt has no tokens"),
        ([0] * 17, "the prompt has 17 tokens and the model holds 16; shorten it"),
        ([0, 5000], "token id 5000, and the model's embedding ends at"),
        ([-1], "token id -1"),
    ],
)
def test_prompts_that_do_not_fit(
    folder: Path, reference: type[TorchReference | NumpyReference], ids: list[int], sentence: str
) -> None:
    with pytest.raises(PromptError, match=re.escape(sentence)):
        reference(load_checkpoint(folder)).run(ids)


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_without_torch_the_sentence_names_the_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(EngineError, match=re.escape("`pip install gpt2xl[torch]`, or take the numpy reference")):
        TorchReference(load_checkpoint(folder))


@pytest.mark.parametrize("name", forward.ACTIVATION)
def test_activations_are_those_of_transformers(name: str) -> None:
    from transformers.activations import ACT2FN

    x = np.concatenate([np.linspace(-8, 8, 321), [-800.0, 800.0, 0.0]])
    theirs = ACT2FN[name](torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(forward.ACTIVATION[name](x), theirs, rtol=0, atol=1e-12)
