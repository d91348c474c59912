"""Weights: every format loads to the same tensors, every fault is one sentence."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint, write_tokenizer
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from gpt2xl.errors import ModelError
from gpt2xl.model.checkpoint import Checkpoint, expected_shapes, load_checkpoint
from gpt2xl.model.reference import NumpyReference, TorchReference
from gpt2xl.model.tensors import Stored, Tensors

WTE = "transformer.wte.weight"
State = dict[str, torch.Tensor]


def weights(folder: Path) -> State:
    return load_file(folder / "model.safetensors")


def save(state: State, folder: Path) -> None:
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def settings(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def assert_same(ours: Checkpoint, theirs: Checkpoint) -> None:
    assert list(ours.tensors) == list(theirs.tensors)
    for name, values in theirs.tensors.items():
        assert ours.tensors[name].dtype == np.float32
        np.testing.assert_array_equal(ours.tensors[name], values, err_msg=name)


# --- what a checkpoint holds -------------------------------------------------------------------------------------


def test_the_parameters_are_those_of_transformers(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    theirs = GPT2LMHeadModel.from_pretrained(folder).state_dict()
    assert checkpoint.config.tied
    assert "lm_head.weight" not in checkpoint.tensors
    assert {name: values.shape for name, values in checkpoint.tensors.items()} == expected_shapes(checkpoint.config)
    for name, values in checkpoint.tensors.items():
        full = {"wte": "wte.weight", "wpe": "wpe.weight"}.get(name, name)
        np.testing.assert_array_equal(values, theirs[f"transformer.{full}"].numpy(), err_msg=name)


def test_names_come_in_the_order_of_the_forward_pass(folder: Path) -> None:
    names = list(load_checkpoint(folder).tensors)
    assert names[:6] == [
        "wte",
        "wpe",
        "h.0.ln_1.weight",
        "h.0.ln_1.bias",
        "h.0.attn.c_attn.weight",
        "h.0.attn.c_attn.bias",
    ]
    assert names[-3:] == ["h.1.mlp.c_proj.bias", "ln_f.weight", "ln_f.bias"]


def test_the_name_is_what_was_asked_for(folder: Path) -> None:
    checkpoint = load_checkpoint(str(folder))
    assert (checkpoint.name, checkpoint.folder) == (str(folder), folder)


def test_float32_tensors_are_mapped_not_read(folder: Path) -> None:
    values = load_checkpoint(folder).tensors["h.0.mlp.c_fc.weight"]
    assert not values.flags.writeable
    assert not values.flags.owndata


def test_a_width_of_its_own_for_the_mlp(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(random_checkpoint(tmp_path, n_inner=5))
    assert checkpoint.tensors["h.0.mlp.c_fc.weight"].shape == (8, 5)
    assert checkpoint.tensors["h.0.mlp.c_proj.weight"].shape == (5, 8)


def test_three_letters_without_merges(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(random_checkpoint(tmp_path, vocab="letters"))
    assert checkpoint.config.vocab_size == 3
    assert checkpoint.vocabulary.merges == []


# --- formats -----------------------------------------------------------------------------------------------------


def without_prefix(state: State, folder: Path) -> None:
    save({name.removeprefix("transformer."): values for name, values in state.items()}, folder)


def with_masks_and_other_heads(state: State, folder: Path) -> None:
    masks = {f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 16, 16, dtype=torch.uint8) for i in range(2)}
    masks |= {"transformer.h.0.attn.masked_bias": torch.tensor(-1e4), "score.weight": torch.ones(2, 8)}
    heads = {f"{head}.weight": torch.ones(2, 8) for head in ("classifier", "qa_outputs", "v_head.summary")}
    save(state | masks | heads, folder)


def compiled(state: State, folder: Path) -> None:
    save({f"_orig_mod.{name}": values for name, values in state.items()}, folder)


def compiled_as_pickle(state: State, folder: Path) -> None:
    as_pickle({f"_orig_mod.{name}": values for name, values in state.items()}, folder)


def distributed(state: State, folder: Path) -> None:
    save({f"module.{name}": values for name, values in state.items()}, folder)


def distributed_and_compiled(state: State, folder: Path) -> None:
    in_shards({f"_orig_mod.module.{name}": values for name, values in state.items()}, folder)


def in_shards(state: State, folder: Path) -> None:
    names = sorted(state)
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: state[name] for name in names if files[name] == file}, folder / file)
    index = {"metadata": {"total_size": 1}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def as_pickle(state: State, folder: Path) -> None:
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_pickles_in_shards(state: State, folder: Path) -> None:
    names = list(state)
    files = {name: f"pytorch_model-0000{1 + i % 3}-of-00003.bin" for i, name in enumerate(names)}
    for file in set(files.values()):
        torch.save({name: state[name] for name in names if files[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / "model.safetensors").unlink()


def as_old_pickle(state: State, folder: Path) -> None:
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()


def with_a_copy_of_wte_as_head(state: State, folder: Path) -> None:
    save(state | {"lm_head.weight": state[WTE].clone()}, folder)


FORMATS = [
    without_prefix,
    with_masks_and_other_heads,
    in_shards,
    as_pickle,
    as_pickles_in_shards,
    as_old_pickle,
    with_a_copy_of_wte_as_head,
    compiled,
    compiled_as_pickle,
    distributed,
    distributed_and_compiled,
]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_the_same_tensors(write: Callable[[State, Path], None], folder: Path, scratch: Path) -> None:
    write(weights(folder), scratch)
    ours, theirs = load_checkpoint(scratch), load_checkpoint(folder)
    assert_same(ours, theirs)
    assert ours.config == theirs.config
    assert ours.fingerprint != theirs.fingerprint


def assert_logits(folder: Path) -> None:
    """Both references on what we load give what transformers gives on what it loads itself, in float64."""
    ids = [5, 0, 7, 7, 2, 11]
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        expected = model.eval()(torch.tensor([ids])).logits[0, -1].numpy()
    checkpoint = load_checkpoint(folder)
    for reference in (TorchReference, NumpyReference):
        np.testing.assert_allclose(reference(checkpoint).run(ids)["logits"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("write", [*FORMATS[:3], as_pickle, as_pickles_in_shards])
def test_the_logits_are_those_of_transformers(write: Callable[[State, Path], None], scratch: Path) -> None:
    write(weights(scratch), scratch)
    assert_logits(scratch)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("write", [save, as_pickle, in_shards])
def test_numbers_are_what_the_file_says(
    tmp_path: Path, kind: torch.dtype, write: Callable[[State, Path], None], tied: bool
) -> None:
    """Half precisions are widened exactly, and float64 keeps all of its digits."""
    folder = random_checkpoint(tmp_path, tied=tied)
    state = {name: (values.double() * (1 + 1e-9)).to(kind) for name, values in weights(folder).items()}
    write(state, folder)
    checkpoint = load_checkpoint(folder)
    for name, values in checkpoint.tensors.items():
        full = {"wte": "wte.weight", "wpe": "wpe.weight"}.get(name, name)
        theirs = state["lm_head.weight" if full == "lm_head.weight" else f"transformer.{full}"]
        assert values.dtype == (np.float64 if kind == torch.float64 else np.float32)
        np.testing.assert_array_equal(values, theirs.double().numpy(), err_msg=name)
    assert_logits(folder)


def test_transformers_own_shards(folder: Path, scratch: Path) -> None:
    (scratch / "model.safetensors").unlink()
    GPT2LMHeadModel.from_pretrained(folder).save_pretrained(scratch, max_shard_size="6KB")
    assert (scratch / "model.safetensors.index.json").is_file()
    assert_same(load_checkpoint(scratch), load_checkpoint(folder))


# --- tied or not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", [True, False])
def test_a_head_of_its_own_wins_over_config_json_as_in_transformers(tmp_path: Path, says: bool) -> None:
    folder = random_checkpoint(tmp_path, tied=False)
    settings(folder, tie_word_embeddings=says)
    checkpoint = load_checkpoint(folder)
    theirs = GPT2LMHeadModel.from_pretrained(folder).lm_head.weight.detach().numpy()
    assert not checkpoint.config.tied
    assert list(checkpoint.tensors)[-1] == "lm_head.weight"
    np.testing.assert_array_equal(checkpoint.tensors["lm_head.weight"], theirs)


def test_an_untied_head_that_equals_wte_counts_as_tied(scratch: Path) -> None:
    with_a_copy_of_wte_as_head(weights(scratch), scratch)
    settings(scratch, tie_word_embeddings=False)
    assert load_checkpoint(scratch).config.tied


# --- fingerprint -------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_that_of_the_files_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "README.md").write_text("of no matter")
    before = load_checkpoint(folder).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert load_checkpoint(copy).fingerprint == before
    (copy / "merges.txt").write_text((copy / "merges.txt").read_text().replace("#version: 0.2", "#version: 0.3"))
    assert load_checkpoint(copy).fingerprint != before


# --- faults ------------------------------------------------------------------------------------------------------


def spoil_weights(change: Callable[[State], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        state = weights(folder)
        change(state)
        save(state, folder)

    return spoil


def truncate(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-100])

    return spoil


def forbidden_pickle(folder: Path) -> None:
    torch.save({WTE: print}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def no_dictionary(folder: Path) -> None:
    torch.save([torch.ones(2)], folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def no_tensor(folder: Path) -> None:
    torch.save({"step": 3}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def garbage_pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (folder / "model.safetensors").unlink()


def shard_missing(folder: Path) -> None:
    in_shards(weights(folder), folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def index_missing(folder: Path) -> None:
    in_shards(weights(folder), folder)
    (folder / "model.safetensors.index.json").unlink()


def index_of_pickles_missing(folder: Path) -> None:
    as_pickles_in_shards(weights(folder), folder)
    (folder / "pytorch_model.bin.index.json").unlink()


def shard_without_its_tensor(folder: Path) -> None:
    in_shards(weights(folder), folder)
    shutil.copy(folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors")


def shard_elsewhere(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"wte.weight": "../other.safetensors"}}')
    (folder / "model.safetensors").unlink()


def index_without_map(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("{}")
    (folder / "model.safetensors").unlink()


def other_framework(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "config.json").rename(folder / "hparams.json")
        (folder / name).touch()

    return spoil


def set_value(name: str, value: float) -> Callable[[State], Any]:
    return lambda state: state[name].view(-1)[11:].fill_(value)


FAULTS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("no weights", lambda f: (f / "model.safetensors").unlink(), "holds no weights; gpt2xl reads model.safetensors"),
    ("no config", lambda f: (f / "config.json").unlink(), "holds no config.json"),
    ("no merges", lambda f: (f / "merges.txt").unlink(), "holds no tokenizer: merges.txt is missing"),
    ("truncated", truncate("model.safetensors"), "cannot be read as safetensors"),
    ("empty", lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be read as safetensors"),
    (
        "a pointer of git-lfs",
        lambda f: (f / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "the download or the copy is damaged or incomplete",
    ),
    ("arbitrary pickle", forbidden_pickle, "asks for `print` to be called when it is opened"),
    ("garbage pickle", garbage_pickle, "cannot be read as a file of plain PyTorch tensors"),
    ("pickled list", no_dictionary, "holds no state_dict of tensors"),
    ("pickled number", no_tensor, "`step` in"),
    ("shard missing", shard_missing, "lists model-00002-of-00002.safetensors, which is missing"),
    ("index missing", index_missing, "part of the weights only: model.safetensors.index.json, which lists the shards"),
    (
        "index of pickles missing",
        index_of_pickles_missing,
        "only: pytorch_model.bin.index.json, which lists the shards",
    ),
    ("shard incomplete", shard_without_its_tensor, "in model-00002-of-00002.safetensors, which does not hold it"),
    ("shard elsewhere", shard_elsewhere, "names '../other.safetensors', which is no file beside it"),
    ("index without map", index_without_map, "holds no weight_map"),
    ("missing tensor", spoil_weights(lambda s: s.pop("transformer.h.1.ln_2.bias")), "lack `h.1.ln_2.bias`"),
    ("no wte", spoil_weights(lambda s: s.pop(WTE)), "lack `wte`"),
    (
        "no wte but a head",
        spoil_weights(lambda s: s.update({"lm_head.weight": s.pop(WTE)})),
        "lack `wte`",
    ),
    (
        "misshapen tensor",
        spoil_weights(lambda s: s.update({"transformer.ln_f.bias": torch.zeros(2, 4)})),
        "`ln_f.bias` in {folder} has shape 2 x 4 where the configuration asks for 8",
    ),
    (
        "Linear layout",
        spoil_weights(lambda s: s.update({k: s[k].t().contiguous() for k in s if k.endswith("c_attn.weight")})),
        "`h.0.attn.c_attn.weight` in {folder} has shape 24 x 8 where the configuration asks for 8 x 24",
    ),
    ("other vocab_size", lambda f: settings(f, vocab_size=999), "the configuration asks for 999 x 8"),
    ("fewer blocks", lambda f: settings(f, n_layer=1), "hold `h.1."),
    (
        "twice",
        spoil_weights(lambda s: s.update({"wte.weight": s[WTE].clone()})),
        "hold `wte` twice, with and without `transformer.`",
    ),
    (
        "two models",
        spoil_weights(lambda s: s.update({f"module.{name}": s[name].clone() for name in list(s)})),
        "hold `module.",
    ),
    ("NaN", spoil_weights(set_value("transformer.wpe.weight", float("nan"))), "is not finite (first in row 2)"),
    ("infinity", spoil_weights(set_value("transformer.wpe.weight", float("-inf"))), "`wpe` in {folder} holds a number"),
    (
        "integers",
        spoil_weights(lambda s: s.update({"transformer.ln_f.bias": torch.ones(8, dtype=torch.int8)})),
        "`transformer.ln_f.bias` in {folder}/model.safetensors is stored as I8",
    ),
    (
        "8-bit floats",
        spoil_weights(lambda s: s.update({"transformer.ln_f.bias": torch.ones(8).to(torch.float8_e4m3fn)})),
        "save the model with float32, float16 or bfloat16 weights",
    ),
    (
        "more than float64",
        lambda f: (
            torch.save(
                weights(f) | {"transformer.ln_f.bias": torch.ones(8, dtype=torch.complex64)}, f / "pytorch_model.bin"
            ),
            (f / "model.safetensors").unlink(),
        ),
        "`transformer.ln_f.bias` in {folder}/pytorch_model.bin is stored as complex64",
    ),
    (
        "not finite in half precision",
        spoil_weights(lambda s: s.update({"transformer.ln_f.bias": torch.full((8,), float("inf")).bfloat16()})),
        "`ln_f.bias` in {folder} holds a number that is not finite",
    ),
    (
        "OpenAI's own weights",
        other_framework("model.ckpt.index"),
        "model.ckpt.index holds the weights in the format of TensorFlow, which is not read; take the same model from",
    ),
    (
        "weights of TensorFlow",
        other_framework("tf_model.h5"),
        "tf_model.h5 holds the weights in the format of TensorFlow, which is not read; load it with transformers 4",
    ),
    (
        "weights of JAX",
        other_framework("flax_model.msgpack"),
        "flax_model.msgpack holds the weights in the format of JAX",
    ),
    (
        "untied without a head",
        lambda f: settings(f, tie_word_embeddings=False),
        "tie_word_embeddings in config.json is False, but the weights in {folder} hold no lm_head.weight",
    ),
    (
        "a larger tokenizer",
        lambda f: (f / "vocab.json").write_text(
            json.dumps(json.loads((f / "vocab.json").read_text(encoding="utf-8")) | {"extra": 900})
        ),
        "knows token 900, but the model's vocab_size is",
    ),
]


@pytest.mark.parametrize(("spoil", "sentence"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_every_fault_is_one_sentence(scratch: Path, spoil: Callable[[Path], Any], sentence: str) -> None:
    spoil(scratch)
    with pytest.raises(ModelError, match=re.escape(sentence.format(folder=scratch))) as caught:
        load_checkpoint(scratch)
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path} holds no config.json")):
        load_checkpoint(tmp_path)


def test_a_pickle_without_torch(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_pickle(weights(scratch), scratch)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ModelError, match=re.escape("`pip install gpt2xl[torch]`, or save the model as model.safetensors")
    ):
        load_checkpoint(scratch)


def test_a_pickle_with_a_torch_that_is_not_safe(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_pickle(weights(scratch), scratch)
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(ModelError, match=r"PyTorch 2\.5\.1\+cpu does not open safely; update to 2\.6 or newer"):
        load_checkpoint(scratch)


def test_tokenizers_under_the_names_of_openai(scratch: Path, folder: Path) -> None:
    (scratch / "vocab.json").rename(scratch / "encoder.json")
    (scratch / "merges.txt").rename(scratch / "vocab.bpe")
    ours, theirs = load_checkpoint(scratch), load_checkpoint(folder)
    text = "The cat's 12 ’ Nov<|endoftext|>"
    assert ours.vocabulary.encode(text) == theirs.vocabulary.encode(text)
    assert {"encoder.json", "vocab.bpe"} < {path.name for path in ours.files}


def test_safetensors_need_no_torch(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert load_checkpoint(scratch).vocabulary.encode("The cat")


def test_tensors_are_a_mapping() -> None:
    loaded: list[str] = []

    def raw() -> np.ndarray[Any, np.dtype[np.float32]]:
        loaded.append("x")
        return np.arange(6, dtype=np.float32).reshape(2, 3)

    tensors = Tensors({"x": Stored((2, 3), raw)})
    assert (len(tensors), list(tensors), "x" in tensors, "y" in tensors) == (1, ["x"], True, False)
    assert tensors.shape("x") == (2, 3)
    assert tensors.stored("x").transposed.shape == (3, 2)
    assert loaded == []
    assert tensors.renamed({"x": "z"})["z"].shape == (2, 3)
    turned = Tensors({"x": tensors.stored("x").transposed})
    assert turned["x"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert np.concatenate(list(turned.pieces("x"))).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(KeyError):
        tensors["y"]


def test_write_tokenizer_counts(tmp_path: Path) -> None:
    assert write_tokenizer(tmp_path, "letters") == 3
    assert write_tokenizer(tmp_path, "bytes") == 257
