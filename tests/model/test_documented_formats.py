"""docs/checkpoints.md: every format in its table is written here, and loads as the model that it was made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from linear_checkpoints import CHARACTERS, State, linear_state, save_meta, save_mingpt, save_nanogpt
from test_checkpoint import as_pickle, as_pickles_in_shards, in_shards, save, weights

from gpt2xl.model.checkpoint import load_checkpoint

DOCUMENT = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
MATRICES = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def in_linear_layout(state: State) -> State:
    state = {name: value.t().contiguous() if name.endswith(MATRICES) else value for name, value in state.items()}
    return state | {"lm_head.weight": state["transformer.wte.weight"]}


def openai_names(_: State, folder: Path) -> None:
    (folder / "vocab.json").rename(folder / "encoder.json")
    (folder / "merges.txt").rename(folder / "vocab.bpe")


def nanogpt(state: State, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    openai_names(state, folder)
    sizes = {
        "n_layer": 2,
        "n_head": 2,
        "n_embd": 8,
        "block_size": 16,
        "vocab_size": len(state["transformer.wte.weight"]),
    }
    save_nanogpt(folder, in_linear_layout(state), **sizes)


# What makes the folder of a format out of the small checkpoint's as transformers saves it.
WRITERS: dict[str, Callable[[State, Path], None]] = {
    "safetensors": save,
    "safetensors in shards": in_shards,
    "PyTorch": as_pickle,
    "PyTorch in shards": as_pickles_in_shards,
    "OpenAI's tokenizer": openai_names,
    "nanoGPT, GPT-2's tokens": nanogpt,
}


def test_every_row_of_the_table_is_tested() -> None:
    rows = re.findall(r"^\| ([^|]+?) \|", DOCUMENT, re.MULTILINE)
    assert set(rows[2:]) == {"`tiny`", *WRITERS, "nanoGPT, characters", "minGPT"}


@pytest.mark.parametrize("name", WRITERS)
def test_formats_of_the_table(scratch: Path, folder: Path, name: str) -> None:
    WRITERS[name](weights(scratch), scratch)
    ours, theirs = load_checkpoint(scratch), load_checkpoint(folder)
    assert list(ours.tensors) == list(theirs.tensors)
    assert all(np.array_equal(ours.tensors[name], values) for name, values in theirs.tensors.items())
    assert ours.vocabulary.encode("The cat's sat") == theirs.vocabulary.encode("The cat's sat")
    mentioned = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| {name} |"))
    new = {path.name for path in scratch.iterdir()} - {path.name for path in folder.iterdir()}
    assert all(f"`{file}`" in mentioned for file in new if not re.search(r"-\d+-of-", file))


def test_tiny() -> None:
    assert load_checkpoint("tiny").config.n_head == 4


@pytest.mark.parametrize("place", ["out/meta.pkl", "data/letters/meta.pkl"])
def test_nanogpt_with_characters(tmp_path: Path, place: str) -> None:
    save_nanogpt(tmp_path / "out", linear_state(tmp_path / "theirs"))
    save_meta(tmp_path / place)
    assert load_checkpoint(tmp_path / "out").vocabulary.encode(CHARACTERS) == list(range(len(CHARACTERS)))


@pytest.mark.parametrize("file", ["model.pt", "ckpt.pt"])
@pytest.mark.parametrize("tokenizer", ["input.txt", "meta.pkl"])
def test_mingpt(tmp_path: Path, file: str, tokenizer: str) -> None:
    save_mingpt(tmp_path, linear_state(tmp_path / "theirs", tied=False), name=file)
    if tokenizer == "meta.pkl":
        save_meta(tmp_path / tokenizer)
    else:
        (tmp_path / tokenizer).write_text(CHARACTERS * 2, encoding="utf-8")
    assert load_checkpoint(tmp_path).vocabulary.encode(CHARACTERS) == list(range(len(CHARACTERS)))
