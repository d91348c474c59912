"""The checkpoints of nanoGPT (ckpt.pt) and minGPT (model.pt): GPT-2 with its matrices as `nn.Linear` keeps them.

Read in karpathy/nanoGPT (model.py, train.py, sample.py) and karpathy/minGPT (mingpt/model.py, projects/chargpt):

* nanoGPT saves a dict: `model` is the state_dict (names start with `_orig_mod.` where it was compiled), `model_args`
  the sizes and whether there are biases, `config` the settings of train.py, among them the data set's name.
* minGPT saves the state_dict alone; n_head, which no tensor shows, is in the config.json beside it, by itself or as the
  name of a size (`gpt-mini`).
* Both keep matrices as [out, in], transposed here as views, and layer_norm_epsilon at 1e-5.
* The activation stands in no checkpoint. minGPT has GPT-2's `gelu_new`. So had nanoGPT until June 2023, when it
  changed to the exact `gelu` without a trace in what it saves; only checkpoints without `bias` in model_args, which it
  has saved since early 2023, are known to be older. A config.json with `activation_function` beside the checkpoint
  decides.
* The tokenizer of nanoGPT is data/<data set>/meta.pkl or GPT-2's, that of minGPT the characters of its input.txt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpt2xl.errors import ModelError
from gpt2xl.model.characters import META, TRAINING_TEXT, character_vocabulary, read_meta, read_training_text
from gpt2xl.model.config import Config, activation
from gpt2xl.model.files import read_json_if_there
from gpt2xl.model.pickles import LINEAR_FILES, read_pickle, tensors_of
from gpt2xl.model.tensors import Stored, Tensors, unwrapped
from gpt2xl.model.tokenizer_files import PAIRS
from gpt2xl.model.vocabulary import Vocabulary

_MATRIX = re.compile(r"(transformer\.)?h\.\d+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight")
_BLOCK = re.compile(r"(?:transformer\.)?h\.(\d+)\.")
_SIZES = ("n_layer", "n_head", "n_embd", "block_size", "vocab_size")
# minGPT's names of sizes (mingpt/model.py): n_layer, n_head, n_embd.
_NAMED_SIZES = {
    "openai-gpt": (12, 12, 768),
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
    "gopher-44m": (8, 16, 512),
    "gpt-mini": (6, 6, 192),
    "gpt-micro": (4, 4, 128),
    "gpt-nano": (3, 3, 48),
}


@dataclass(frozen=True)
class LinearCheckpoint:
    """What such a file holds: `tensors` in GPT-2's layout under the file's names, and where its data set would lie."""

    path: Path
    config: Config
    tensors: Tensors
    dataset: str | None

    def vocabulary(self) -> tuple[Vocabulary, list[Path]]:
        """The tokenizer and the files that it comes from, looked for as nanoGPT's sample.py does, first beside the
        checkpoint. Raises `ModelError` where there is none.
        """
        folder, size = self.path.parent, self.config.vocab_size
        for name in self.tensors:
            # Before lists as long as that are made.
            if name.removeprefix("transformer.") == "wte.weight" and self.tensors.shape(name)[:1] != (size,):
                raise ModelError(
                    f"`{name}` in {self.path} has shape {self.tensors.shape(name)} and vocab_size is {size}; save the "
                    f"checkpoint again"
                )
        metas = [folder / META]
        if self.dataset is not None and Path(self.dataset).name == self.dataset:
            metas.append(folder.absolute().parent / "data" / self.dataset / META)
        for meta in filter(Path.is_file, metas):
            return character_vocabulary(read_meta(meta), size), [meta]
        if any((folder / name).is_file() for name in ("tokenizer.json", *PAIRS[0], *PAIRS[1])):
            return Vocabulary.from_folder(folder), []
        text = folder / TRAINING_TEXT
        if text.is_file():
            return character_vocabulary(read_training_text(text, size), size), [text]
        raise ModelError(
            f"{folder} holds no tokenizer for {self.path.name}; put beside it the {META} of its data set, or the "
            f"{TRAINING_TEXT} whose characters it was trained on, or GPT-2's vocab.json and merges.txt"
        )


def find_linear(folder: Path) -> Path | None:
    """The checkpoint of nanoGPT or minGPT in `folder`, if there is one."""
    return next((folder / name for name in LINEAR_FILES if (folder / name).is_file()), None)


def read_linear(path: Path) -> LinearCheckpoint:
    """Read such a checkpoint, its tensors mapped.

    Raises `ModelError` for files that are neither, and by name for settings that GPT-2 does not have.
    """
    content = read_pickle(path)
    beside = read_json_if_there(path.parent / "config.json")
    if isinstance(content, Mapping) and isinstance(content.get("model_args"), Mapping) and "model" in content:
        args = content["model_args"]
        config = _nanogpt_config(args, beside, path)
        stored = _without_prefix(tensors_of(content["model"], path))
        if not args.get("bias", True):
            stored = _with_zero_biases(stored, config)
        settings = content.get("config")
        dataset = settings.get("dataset") if isinstance(settings, Mapping) else None
        return LinearCheckpoint(path, config, _transposed(stored), dataset if isinstance(dataset, str) else None)
    stored = _without_prefix(tensors_of(content, path))
    return LinearCheckpoint(path, _mingpt_config(stored, beside, path), _transposed(stored), None)


def _nanogpt_config(args: Mapping[str, Any], beside: Mapping[str, Any], path: Path) -> Config:
    for key in _SIZES:
        value = args.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(
                f"{key} of model_args in {path} is {value!r}, not a positive whole number; save the checkpoint with "
                f"nanoGPT's train.py"
            )
    for key, value in args.items():
        if key not in (*_SIZES, "bias", "dropout") and value:
            raise ModelError(
                f"{key} of model_args in {path} is {value!r}, which nanoGPT's own model does not have; only that can "
                f"be built"
            )
    default = "gelu" if "bias" in args else "gelu_new"
    return _config(args, activation(beside, default))


def _mingpt_config(stored: Mapping[str, Stored], beside: Mapping[str, Any], path: Path) -> Config:
    """Sizes from the tensors; n_head from config.json, whose other sizes must not disagree."""
    wte, wpe = (stored.get(name, stored.get(f"transformer.{name}")) for name in ("wte.weight", "wpe.weight"))
    if wte is None or wpe is None or len(wte.shape) != 2 or len(wpe.shape) != 2:
        raise ModelError(
            f"{path} is no checkpoint of nanoGPT or of minGPT since August 2022: it has no matrices "
            f"`transformer.wte.weight` and `transformer.wpe.weight`; save the state_dict of such a model there with "
            f"`torch.save`"
        )
    blocks = [int(match[1]) for match in map(_BLOCK.match, stored) if match]
    found = {
        "n_layer": max(blocks, default=-1) + 1,
        "n_embd": wte.shape[1],
        "vocab_size": wte.shape[0],
        "block_size": wpe.shape[0],
    }
    model = beside.get("model", beside)
    given = {key: model.get(key) for key in _SIZES} if isinstance(model, Mapping) else {}
    if given.get("n_head") is None and isinstance(model, Mapping) and model.get("model_type") in _NAMED_SIZES:
        given |= dict(zip(_SIZES, _NAMED_SIZES[model["model_type"]], strict=False))
    n_head = given.get("n_head")
    if isinstance(n_head, bool) or not isinstance(n_head, int) or n_head < 1:
        raise ModelError(
            f"{path} does not say how many heads its blocks have; put the config.json that minGPT wrote beside it, or "
            f'one with {{"n_head": …}}'
        )
    for key, value in found.items():
        if given.get(key) not in (None, value):
            raise ModelError(
                f"{key} in {path.parent / 'config.json'} is {given[key]!r} and {value} in {path.name}; use files of "
                f"the same model"
            )
    return _config(found | {"n_head": n_head}, activation(beside))


def _config(sizes: Mapping[str, int], function: str) -> Config:
    return Config(
        n_layer=sizes["n_layer"],
        n_head=sizes["n_head"],
        n_embd=sizes["n_embd"],
        n_positions=sizes["block_size"],
        vocab_size=sizes["vocab_size"],
        n_inner=4 * sizes["n_embd"],
        activation_function=function,
    )


def _without_prefix(stored: Mapping[str, Stored]) -> dict[str, Stored]:
    return {name: stored[old] for old, name in unwrapped(stored).items()}


def _transposed(stored: Mapping[str, Stored]) -> Tensors:
    return Tensors({name: entry.transposed if _MATRIX.fullmatch(name) else entry for name, entry in stored.items()})


def _with_zero_biases(stored: Mapping[str, Stored], config: Config) -> dict[str, Stored]:
    """Zeros where a model without biases has none, which is what they amount to."""
    d, inner = config.n_embd, config.n_inner
    block = {"ln_1": d, "attn.c_attn": 3 * d, "attn.c_proj": d, "ln_2": d, "mlp.c_fc": inner, "mlp.c_proj": d}
    widths = {f"transformer.h.{i}.{name}": width for i in range(config.n_layer) for name, width in block.items()}
    widths["transformer.ln_f"] = d
    zeros = {f"{name}.bias": Stored((width,), partial(np.zeros, width, np.float32)) for name, width in widths.items()}
    return zeros | dict(stored)
