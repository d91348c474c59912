"""Small random checkpoints as nanoGPT and minGPT save them, made from transformers' own."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from checkpoints import random_checkpoint
from transformers import GPT2LMHeadModel

State = dict[str, torch.Tensor]
CHARACTERS = "\n !,abcdefghijkzé€😀"
STOI = {character: number for number, character in enumerate(CHARACTERS)}
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 16, "vocab_size": len(CHARACTERS)}
MATRICES = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


# What minGPT logs before it knows the vocabulary and the context.
LOGGED = {"system": {"seed": 3407}, "model": {"model_type": None, **SIZES, "vocab_size": None, "block_size": None}}


def linear_state(folder: Path, *, bias: bool = True, tied: bool = True, **config: Any) -> State:
    """A random GPT-2 as `nn.Linear` has it: matrices are [out, in], and the head is there even where it is tied."""
    random_checkpoint(folder, **{"vocab_size": SIZES["vocab_size"], "tied": tied} | config)
    state: State = GPT2LMHeadModel.from_pretrained(folder).state_dict()
    state = {name: value.t().contiguous() if name.endswith(MATRICES) else value for name, value in state.items()}
    return state if bias else {name: value for name, value in state.items() if not name.endswith(".bias")}


def save_nanogpt(
    folder: Path, state: State, *, compiled: bool = False, dataset: str = "letters", **model_args: Any
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "model": {f"_orig_mod.{name}" if compiled else name: value for name, value in state.items()},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.95)}]},
        "model_args": SIZES | {"bias": True, "dropout": 0.2} | model_args,
        "iter_num": 5000,
        "best_val_loss": torch.tensor(1.4697),
        "config": {"out_dir": folder.name, "dataset": dataset, "batch_size": 64, "compile": compiled},
    }
    torch.save(content, folder / "ckpt.pt")


def save_meta(path: Path, meta: Any = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    inverse = {number: character for character, number in STOI.items()}
    plain = {"vocab_size": len(STOI), "itos": inverse, "stoi": STOI}
    path.write_bytes(pickle.dumps(plain if meta is None else meta))


def save_mingpt(folder: Path, state: State, config: Any = LOGGED, name: str = "model.pt") -> None:
    masks = {f"transformer.h.{i}.attn.bias": torch.ones(16, 16).tril()[None, None] for i in range(SIZES["n_layer"])}
    torch.save(state | masks, folder / name)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
