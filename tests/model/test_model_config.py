"""config.json: what is understood, and what is refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gpt2xl.errors import ModelError
from gpt2xl.model.config import ACTIVATIONS, Config

SMALL: dict[str, Any] = {
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 3,
    "n_embd": 12,
    "n_positions": 16,
    "vocab_size": 50,
}


def test_sizes_and_what_follows_from_them() -> None:
    config = Config.from_dict(SMALL)
    assert (config.n_layer, config.n_head, config.n_embd, config.n_positions, config.vocab_size) == (2, 3, 12, 16, 50)
    assert (config.d_head, config.n_inner, config.tied) == (4, 48, True)
    assert (config.activation_function, config.layer_norm_epsilon) == ("gelu_new", 1e-5)


def test_defaults_and_other_names_are_those_of_transformers() -> None:
    from transformers import GPT2Config

    values: dict[str, Any] = {
        "model_type": "gpt2",
        "num_hidden_layers": 3,
        "hidden_size": 48,
        "n_embd": 24,
        "num_attention_heads": 6,
    }
    ours, theirs = Config.from_dict(values), GPT2Config(**values)
    for key in ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size", "activation_function"):
        assert getattr(ours, key) == getattr(theirs, key), key
    for key in ("layer_norm_epsilon", "scale_attn_weights", "scale_attn_by_inverse_layer_idx"):
        assert getattr(ours, key) == getattr(theirs, key), key
    assert ours.tied == theirs.tie_word_embeddings
    assert ours.n_layer == 3
    assert ours.n_embd == 48


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5, 0.5]),
        ({"scale_attn_weights": False}, [1, 1]),
        ({"scale_attn_by_inverse_layer_idx": True}, [0.5, 0.25]),
    ],
)
def test_the_attention_scale_of_each_block(settings: dict[str, Any], expected: list[float]) -> None:
    config = Config.from_dict(SMALL | settings)
    assert [config.attention_scale(layer) for layer in range(2)] == expected


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    assert Config.from_dict(SMALL | {"activation_function": name}).activation_function == name


@pytest.mark.parametrize("name", ["swish", "gelu_python", "gelu_python_tanh", "gelu_accurate"])
def test_other_names_of_the_same_activations(name: str) -> None:
    from transformers.activations import ACT2FN

    x = torch.linspace(-9, 9, 1001, dtype=torch.float64)
    ours = Config.from_dict(SMALL | {"activation_function": name}).activation_function
    assert ours in ACTIVATIONS
    torch.testing.assert_close(ACT2FN[name](x), ACT2FN[ours](x), rtol=0, atol=1e-14)


def test_gelu_fast_is_another_function() -> None:
    from transformers.activations import ACT2FN

    x = torch.linspace(-9, 9, 1001, dtype=torch.float64)
    assert (ACT2FN["gelu_fast"](x) - ACT2FN["gelu_new"](x)).abs().max() > 1e-13
    with pytest.raises(ModelError, match=r"activation_function in config\.json is 'gelu_fast'"):
        Config.from_dict(SMALL | {"activation_function": "gelu_fast"})


@pytest.mark.parametrize(
    "harmless",
    [
        {"reorder_and_upcast_attn": True},  # the same numbers, computed in float32
        {"add_cross_attention": False},
        {"quantization_config": None},
        {"pruned_heads": {}},
        {"resid_pdrop": 0.9, "use_cache": False, "summary_type": "mean", "anything": [1]},
    ],
)
def test_what_changes_nothing_is_passed_over(harmless: dict[str, Any]) -> None:
    assert Config.from_dict(SMALL | harmless) == Config.from_dict(SMALL)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model_type": "llama"}, "model_type in config.json is 'llama', not 'gpt2'"),
        ({"model_type": None}, "model_type in config.json is None"),
        ({"n_layer": 0}, "n_layer in config.json is 0, not a positive whole number"),
        ({"n_head": -1}, "n_head in config.json is -1"),
        ({"n_positions": 16.0}, "n_positions in config.json is 16.0"),
        ({"vocab_size": "50"}, "vocab_size in config.json is '50'"),
        ({"n_inner": True}, "n_inner in config.json is True"),
        ({"hidden_size": 0}, "hidden_size in config.json is 0"),
        ({"n_head": 5}, "n_embd 12 is no multiple of n_head 5"),
        ({"activation_function": "quick_gelu"}, "'quick_gelu'; the ones that can be built are gelu_new, gelu,"),
        ({"activation_function": ["gelu"]}, "activation_function in config.json is ['gelu']"),
        ({"layer_norm_epsilon": -1}, "layer_norm_epsilon in config.json is -1"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon in config.json is nan"),
        ({"scale_attn_weights": 1}, "scale_attn_weights in config.json is 1, neither true nor false"),
        ({"tie_word_embeddings": None}, "tie_word_embeddings in config.json is None"),
        ({"add_cross_attention": True}, "add_cross_attention in config.json is True, which a workbook cannot express"),
        ({"quantization_config": {"bits": 4}}, "quantization_config in config.json is {'bits': 4}"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads in config.json is {'0': [1]}"),
    ],
)
def test_refused_by_name(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=re.escape(sentence)) as caught:
        Config.from_dict(SMALL | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "holds no config.json"),
        (b'{"model_type": ', "is no valid JSON (Expecting value in line 1)"),
        (b"[1]", "holds no JSON object"),
        (b"\xff\xfe", "is no UTF-8 text"),
    ],
)
def test_a_broken_file(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(sentence)):
        Config.from_folder(tmp_path)


def test_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    assert Config.from_folder(tmp_path) == Config.from_dict(SMALL)
