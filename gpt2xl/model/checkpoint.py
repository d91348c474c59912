"""A GPT-2 checkpoint: configuration, parameters under the workbook's names, vocabulary.

The formats are those of transformers, nanoGPT and minGPT (docs/checkpoints.md).
"""

from __future__ import annotations

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from gpt2xl.errors import ModelError
from gpt2xl.model.config import Config
from gpt2xl.model.karpathy import find_linear, read_linear
from gpt2xl.model.source import TOKENIZER_FILES, find_folder
from gpt2xl.model.tensors import Tensors, unwrapped
from gpt2xl.model.vocabulary import Vocabulary
from gpt2xl.model.weights import WEIGHT_FILES, read_weights, refuse_other_frameworks, weight_files

# Causal masks that older versions of transformers stored beside the parameters.
_MASK = re.compile(r"h\.\d+\.(attn|crossattention)\.(bias|masked_bias)")
# Heads of other tasks, which do not take part in predicting the next token.
# (`v_head.` is that of trl's AutoModelForCausalLMWithValueHead.)
_OTHER_HEADS = ("score.", "classifier.", "multiple_choice_head.", "qa_outputs.", "v_head.")


@dataclass
class Checkpoint:
    """A loaded checkpoint.

    `tensors` maps the workbook's names (`expected_shapes`) to arrays of float32, or float64 where they are stored so;
    those of such a file are read-only views of the mapped file. `name` is what the user asked for, `folder` where it
    was found, `files` all that was read.
    """

    config: Config
    tensors: Tensors
    vocabulary: Vocabulary
    name: str
    folder: Path
    files: tuple[Path, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over names and bytes of the files.

        The same files give the same fingerprint wherever they lie. Computed when first asked for.
        """
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    @property
    def end_id(self) -> int:
        """The id of `<|endoftext|>`, after which nothing is generated; -1 where the model has no such token."""
        found = self.vocabulary.special.get("<|endoftext|>", -1)
        return found if found < self.config.vocab_size else -1


def load_checkpoint(model: str | Path) -> Checkpoint:
    """Load `"tiny"`, a folder, or a name on the Hugging Face hub (`name` or `name@revision`).

    Raises `ModelError` with one sentence where there is no such checkpoint or where its configuration, its
    weights (missing, misshapen, not finite, unknown) or its tokenizer cannot be used.
    """
    folder = find_folder(model)
    config, stored, vocabulary, files = _read(folder)
    tensors = _by_workbook_name(stored, folder)
    config = replace(config, tied=_is_tied(config, tensors, folder))
    tensors = _checked(config, tensors, folder)
    if vocabulary.base_size > config.vocab_size:
        raise ModelError(
            f"the tokenizer in {folder} knows token {vocabulary.base_size - 1}, but the model's vocab_size is "
            f"{config.vocab_size}; use the tokenizer that the model was trained with"
        )
    return Checkpoint(config, tensors, vocabulary, str(model), folder, tuple(files))


def _read(folder: Path) -> tuple[Config, Tensors, Vocabulary, list[Path]]:
    """What the files of a folder say, and which files these are."""
    tokenizer = [path for path in map(folder.joinpath, TOKENIZER_FILES) if path.is_file()]
    configuration = folder / "config.json"
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        if path := find_linear(folder):
            linear = read_linear(path)
            vocabulary, others = linear.vocabulary()
            beside = [configuration] if configuration.is_file() else []
            return linear.config, linear.tensors, vocabulary, [*beside, path, *(others or tokenizer)]
        refuse_other_frameworks(folder)
    config = Config.from_folder(folder)
    vocabulary = Vocabulary.from_folder(folder)
    return config, read_weights(folder), vocabulary, [configuration, *weight_files(folder), *tokenizer]


def expected_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The names of all parameters in the order of the forward pass, with their shapes.

    Matrices are laid out [in, out], as GPT-2's Conv1D has them; `lm_head.weight` is [vocab_size, n_embd], as `wte`.
    """
    d, inner = config.n_embd, config.n_inner
    block: dict[str, tuple[int, ...]] = {
        "ln_1.weight": (d,),
        "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d),
        "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d),
        "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,),
        "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, inner),
        "mlp.c_fc.bias": (inner,),
        "mlp.c_proj.weight": (inner, d),
        "mlp.c_proj.bias": (d,),
    }
    shapes: dict[str, tuple[int, ...]] = {"wte": (config.vocab_size, d), "wpe": (config.n_positions, d)}
    shapes |= {f"h.{i}.{name}": shape for i in range(config.n_layer) for name, shape in block.items()}
    shapes |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocab_size, d)
    return shapes


def _by_workbook_name(stored: Tensors, folder: Path) -> Tensors:
    """`transformer.wte.weight` -> `wte`, `transformer.h.0.ln_1.bias` -> `h.0.ln_1.bias`, without masks."""
    names: dict[str, str] = {}
    seen: set[str] = set()
    for stored_name, name in unwrapped(stored).items():
        name = name.removeprefix("transformer.")
        if _MASK.fullmatch(name) or name.startswith(_OTHER_HEADS):
            continue
        name = {"wte.weight": "wte", "wpe.weight": "wpe"}.get(name, name)
        if name in seen:
            raise ModelError(
                f"the weights in {folder} hold `{name}` twice, with and without `transformer.`; save one only"
            )
        seen.add(name)
        names[stored_name] = name
    return stored.renamed(names)


def _is_tied(config: Config, tensors: Tensors, folder: Path) -> bool:
    """Whether the logits come from `wte`, decided as transformers does: a head of its own wins over config.json."""
    if "lm_head.weight" not in tensors:
        if not config.tied:
            raise ModelError(
                f"tie_word_embeddings in config.json is False, but the weights in {folder} hold no lm_head.weight; "
                f"save the whole GPT2LMHeadModel, or set tie_word_embeddings to true"
            )
        return True
    if "wte" not in tensors:
        return False  # `_checked` says what is missing
    return tensors.shape("wte") == tensors.shape("lm_head.weight") and all(
        np.array_equal(embedding, head)
        for embedding, head in zip(tensors.pieces("wte"), tensors.pieces("lm_head.weight"), strict=True)
    )


def _checked(config: Config, tensors: Tensors, folder: Path) -> Tensors:
    """The parameters in the order of `expected_shapes`, all there, of these shapes, finite, and nothing else."""
    shapes = expected_shapes(config)
    for name, shape in shapes.items():
        if name not in tensors:
            raise ModelError(f"the weights in {folder} lack `{name}`; use weights and configuration of the same model")
        if tensors.shape(name) != shape:
            raise ModelError(
                f"`{name}` in {folder} has shape {_by(tensors.shape(name))} where the configuration asks for "
                f"{_by(shape)}; use weights and configuration of the same model"
            )
    for name in tensors:
        if name not in shapes and name != "lm_head.weight":
            raise ModelError(
                f"the weights in {folder} hold `{name}`, which is no part of a GPT-2 of this configuration; "
                f"use weights and configuration of the same model"
            )

    def is_finite(name: str) -> bool:
        # The extremes are finite only where everything is: NaN and infinities pass through min and max.
        return all(np.isfinite(piece.min()) and np.isfinite(piece.max()) for piece in tensors.pieces(name))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        finite = dict(zip(shapes, threads.map(is_finite, shapes), strict=True))
    for name in shapes:
        if not finite[name]:
            row = int(np.argwhere(~np.isfinite(tensors[name]))[0][0]) + 1
            raise ModelError(
                f"`{name}` in {folder} holds a number that is not finite (first in row {row}), which no cell can show; "
                f"train or fetch the model again"
            )
    return tensors.renamed({name: name for name in shapes})


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "no dimension"
