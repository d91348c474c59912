"""The shape of a GPT-2, from config.json.

Keys, defaults and their other names: transformers, `GPT2Config` (models/gpt2/configuration_gpt2.py).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2xl.errors import ModelError
from gpt2xl.model.files import read_json

ACTIVATIONS = ("gelu_new", "gelu", "gelu_pytorch_tanh", "relu", "silu")

# What transformers also understands in a GPT-2's config.json, and the key that it means.
_OTHER_NAMES = {
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_embd": "hidden_size",
    "n_positions": "max_position_embeddings",
}
# The same functions under other names (transformers, activations.py). `gelu_fast` is none of them: its constants are
# rounded to ten digits.
_OTHER_ACTIVATIONS = {
    "swish": "silu",
    "gelu_python": "gelu",
    "gelu_python_tanh": "gelu_pytorch_tanh",
    "gelu_accurate": "gelu_pytorch_tanh",
}

# Each block has sheets of its own.
_MOST_LAYERS = 10_000
_LARGEST = sys.float_info.max  # JSON has whole numbers beyond it

# Keys that change what is computed in a way no step of the workbook shows: value that is harmless, way out.
_REFUSED: dict[str, tuple[Any, str]] = {
    "add_cross_attention": (False, "only a decoder without cross-attention can be built"),
    "quantization_config": (None, "save the model with plain float weights first"),
    "pruned_heads": ({}, "save the model with all of its heads first"),
}


@dataclass(frozen=True)
class Config:
    """Everything of config.json that the forward pass depends on.

    Sizes are counts; `n_inner` is the width of the MLP (`4 * n_embd` where config.json leaves it open).
    `tied` says that the logits are `ln_f @ wte.T`: there is then no `lm_head.weight`.
    """

    n_layer: int
    n_head: int
    n_embd: int
    n_positions: int
    vocab_size: int
    n_inner: int
    layer_norm_epsilon: float = 1e-5
    activation_function: str = "gelu_new"
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    tied: bool = True

    def __post_init__(self) -> None:
        if self.n_layer > _MOST_LAYERS:
            raise ModelError(
                f"n_layer is {self.n_layer}, and no workbook has room for more than {_MOST_LAYERS:,} blocks; correct "
                f"the configuration"
            )
        if self.n_embd % self.n_head:
            raise ModelError(
                f"n_embd {self.n_embd} is no multiple of n_head {self.n_head}; every head needs n_embd / n_head "
                f"columns, so correct the configuration"
            )

    @property
    def d_head(self) -> int:
        """The width of one head's queries, keys and values."""
        return self.n_embd // self.n_head

    def attention_scale(self, layer: int) -> float:
        """What `q @ k.T` is multiplied by in block `layer` (counted from 0).

        `1 / sqrt(d_head)` unless config.json switches it off; with `scale_attn_by_inverse_layer_idx` also
        `1 / (layer + 1)` (Mistral's stabilised GPT-2).
        """
        scale = self.d_head**-0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale

    @classmethod
    def from_folder(cls, folder: Path) -> Config:
        """Read `folder/config.json`; raises `ModelError` as `from_dict` does, or where there is none."""
        path = folder / "config.json"
        if not path.is_file():
            raise ModelError(f"{folder} holds no config.json; point --model at the folder of a GPT-2 checkpoint")
        return cls.from_dict(read_json(path))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The configuration in `values`, keyed as config.json is; keys left out have transformers' defaults.

        Raises `ModelError`, naming key, value and way out, for another architecture, for sizes that are no
        positive whole numbers, and for what a workbook cannot express.
        """
        model_type = values.get("model_type")
        if model_type != "gpt2":
            raise ModelError(
                f"model_type in config.json is {model_type!r}, not 'gpt2'; only models of GPT-2's architecture can be "
                f"built"
            )
        for key, (harmless, way_out) in _REFUSED.items():
            if values.get(key, harmless) not in (harmless, None):
                raise ModelError(f"{key} in config.json is {values[key]!r}, which a workbook cannot express; {way_out}")
        n_embd = _size(values, "n_embd", 768)
        return cls(
            n_layer=_size(values, "n_layer", 12),
            n_head=_size(values, "n_head", 12),
            n_embd=n_embd,
            n_positions=_size(values, "n_positions", 1024),
            vocab_size=_size(values, "vocab_size", 50257),
            n_inner=4 * n_embd if values.get("n_inner") is None else _size(values, "n_inner", 0),
            layer_norm_epsilon=_epsilon(values),
            activation_function=activation(values),
            scale_attn_weights=_flag(values, "scale_attn_weights", True),
            scale_attn_by_inverse_layer_idx=_flag(values, "scale_attn_by_inverse_layer_idx", False),
            tied=_flag(values, "tie_word_embeddings", True),
        )


def _size(values: Mapping[str, Any], key: str, default: int) -> int:
    # transformers lets the long name win where both stand in the file.
    key = _OTHER_NAMES[key] if _OTHER_NAMES.get(key) in values else key
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{key} in config.json is {value!r}, not a positive whole number; correct config.json")
    return value


def _flag(values: Mapping[str, Any], key: str, default: bool) -> bool:
    value = values.get(key, default)
    if not isinstance(value, bool):
        raise ModelError(f"{key} in config.json is {value!r}, neither true nor false; correct config.json")
    return value


def _epsilon(values: Mapping[str, Any]) -> float:
    value = values.get("layer_norm_epsilon", 1e-5)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LARGEST:
        raise ModelError(
            f"layer_norm_epsilon in config.json is {value!r}, not a number of at least 0; correct config.json"
        )
    return float(value)


def activation(values: Mapping[str, Any], default: str = "gelu_new") -> str:
    """The activation that `values`, keyed as config.json is, ask for; raises `ModelError` for one that is not built."""
    value = values.get("activation_function", default)
    name = _OTHER_ACTIVATIONS.get(value, value) if isinstance(value, str) else value
    if name not in ACTIVATIONS:
        raise ModelError(
            f"activation_function in config.json is {value!r}; the ones that can be built are {', '.join(ACTIVATIONS)}"
        )
    return str(name)
