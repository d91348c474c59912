"""Models whose numbers stop being finite on the way: one sentence that names the step, no warning, no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import random_checkpoint
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.errors import ModelError
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.reference import NumpyReference, TorchReference

SIZES: dict[str, Any] = {"n_layer": 1, "n_head": 1, "n_embd": 4, "n_positions": 8, "vocab": "letters"}
State = dict[str, torch.Tensor]


def nothing(_: State) -> None:
    """The configuration is enough."""


def number(name: str, value: float, *place: int) -> Callable[[State], Any]:
    return lambda state: state[f"transformer.{name}"][place].fill_(value)


def a_logit(state: State) -> None:
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
    state["transformer.ln_f.bias"].copy_(9 * signs)
    state["transformer.wte.weight"][2].copy_(1.7e308 * signs.double())


def a_dot_product(state: State) -> None:
    state["transformer.h.0.mlp.c_fc.bias"][0] = 1e160
    state["transformer.h.0.mlp.c_proj.weight"][0] = 1e160


# The prompt is aab; what is in the way; the step that is named.
MODELS: dict[str, tuple[dict[str, Any], Callable[[State], Any], str]] = {
    "a division by 0": ({"n_embd": 1, "layer_norm_epsilon": 0.0}, nothing, "h.0.ln_1"),
    "a logit": ({}, a_logit, "logits"),
    # x divided by an infinite standard deviation is 0, which would be finite
    "a variance": ({}, number("wpe.weight", 1e300, 1, 0), "h.0.ln_1"),
    # tanh of an infinite cube is 1
    "a cube": ({}, number("h.0.mlp.c_fc.bias", 1e150, 0), "h.0.mlp.post"),
    "a dot product": ({"activation_function": "relu"}, a_dot_product, "h.0.mlp.out"),
}


def spoiled(folder: Path, settings: dict[str, Any], change: Callable[[State], Any]) -> Path:
    random_checkpoint(folder, **SIZES | settings)
    state = {name: values.double() for name, values in load_file(folder / "model.safetensors").items()}
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("options", [[], ["--plain"]], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_build(name: str, options: list[str], tmp_path: Path) -> None:
    settings, change, step = MODELS[name]
    model = spoiled(tmp_path / "model", settings, change)
    target = tmp_path / "book.xlsx"
    sizes = ["--max-tokens", "4", "--max-chars", "4"]
    result = CliRunner().invoke(main, ["build", "aab", "-o", str(target), "--model", str(model), *sizes, *options])
    assert result.exit_code == 2, result.exception
    said = result.stderr.splitlines()[-1]
    assert said.startswith(f"gpt2xl: for this prompt the model's numbers stop being finite at the step `{step}`, which")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["a division by 0", "a logit", "a dot product"])
def test_references(name: str, tmp_path: Path) -> None:
    settings, change, step = MODELS[name]
    checkpoint = load_checkpoint(spoiled(tmp_path, settings, change))
    for reference in (NumpyReference, TorchReference):
        with pytest.raises(ModelError, match=f"at the step `{step}`"):
            reference(checkpoint).run([0, 0, 1])


def test_a_row_that_the_prompt_does_not_read(tmp_path: Path) -> None:
    model = spoiled(tmp_path / "model", {}, number("wpe.weight", 1e300, 7, 0))
    gpt2xl.build("aab", tmp_path / "book.xlsx", model=model, max_tokens=4, max_chars=4)
    assert gpt2xl.check(tmp_path / "book.xlsx", reference="numpy").ok


def test_a_token_that_is_generated(tmp_path: Path) -> None:
    """The prompt's three are finite, what follows is not."""
    model = spoiled(tmp_path / "model", {}, number("wpe.weight", 1e300, 3, 0))
    with pytest.raises(ModelError, match="stop being finite"):
        gpt2xl.build("aab", tmp_path / "book.xlsx", model=model, max_tokens=3, max_chars=4, generate=2, plain=True)
    assert not (tmp_path / "book.xlsx").exists()


def test_a_vector_that_is_too_long_for_its_neighbours(tmp_path: Path) -> None:
    model = spoiled(tmp_path / "model", {}, number("wte.weight", 1e200, 2, 0))
    with pytest.raises(ModelError, match=r"the length of row 3 of `wte` is beyond .* with --plain"):
        gpt2xl.build("aab", tmp_path / "book.xlsx", model=model, max_tokens=4, max_chars=4)
    gpt2xl.build("aab", tmp_path / "book.xlsx", model=model, max_tokens=4, max_chars=4, plain=True)


def test_a_perplexity(tmp_path: Path) -> None:
    model = spoiled(tmp_path / "model", {}, number("ln_f.bias", 1e5, 0))
    with pytest.raises(ModelError, match="at the step `perplexity`"):
        gpt2xl.build("aab", tmp_path / "book.xlsx", model=model, max_tokens=4, max_chars=4, loss=True)
