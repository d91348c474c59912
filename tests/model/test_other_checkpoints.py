"""nanoGPT's and minGPT's checkpoints: the same model as transformers', from their layout, names and tokenizers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import write_tokenizer
from linear_checkpoints import CHARACTERS, SIZES, STOI, State, linear_state, save_meta, save_mingpt, save_nanogpt
from torch.nn import functional
from transformers import GPT2LMHeadModel

from gpt2xl.errors import ModelError
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.model.reference import NumpyReference, TorchReference

IDS = [3, 1, 4, 1, 5, 9, 2, 6]


def logits_by_hand(state: State, ids: list[int], activation: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """What nanoGPT and minGPT compute from such a state, in float64: the logits at the last position."""
    at = {name.removeprefix("transformer."): value.double() for name, value in state.items()}

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], at[f"{name}.weight"], at.get(f"{name}.bias"), 1e-5)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, at[f"{name}.weight"], at.get(f"{name}.bias"))

    x = at["wte.weight"][ids] + at["wpe.weight"][: len(ids)]
    for i in range(SIZES["n_layer"]):
        parts = linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").split(SIZES["n_embd"], dim=-1)
        q, k, v = (part.unflatten(-1, (SIZES["n_head"], -1)).transpose(0, 1) for part in parts)
        z = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(0, 1).flatten(1)
        x = x + linear(z, f"h.{i}.attn.c_proj")
        x = x + linear(activation(linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")), f"h.{i}.mlp.c_proj")
    return functional.linear(norm(x, "ln_f")[-1], at["lm_head.weight"]).numpy()


def tanh_gelu(x: torch.Tensor) -> torch.Tensor:
    return functional.gelu(x, approximate="tanh")


def assert_logits(checkpoint: Checkpoint, expected: Any) -> None:
    for reference in (TorchReference, NumpyReference):
        found = reference(checkpoint).run(IDS)["logits"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    return linear_state(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def without_bias(tmp_path_factory: pytest.TempPathFactory) -> State:
    return linear_state(tmp_path_factory.mktemp("without"), bias=False)


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> State:
    return linear_state(tmp_path_factory.mktemp("untied"), tied=False)


# --- nanoGPT -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_nanogpt(tmp_path: Path, state: State, compiled: bool) -> None:
    save_nanogpt(tmp_path, state, compiled=compiled)
    save_meta(tmp_path / "meta.pkl")
    checkpoint = load_checkpoint(tmp_path)
    assert_logits(checkpoint, logits_by_hand(state, IDS, functional.gelu))
    assert checkpoint.config.tied
    assert checkpoint.config.n_positions == 16
    assert checkpoint.vocabulary.encode("bad €é") == [STOI[character] for character in "bad €é"]


def test_nanogpt_is_the_model_that_transformers_has(tmp_path: Path) -> None:
    """The same numbers once more through transformers, told of nanoGPT's activation."""
    state = linear_state(tmp_path / "theirs", activation_function="gelu")
    save_nanogpt(tmp_path / "ours", state)
    save_meta(tmp_path / "ours" / "meta.pkl")
    model: Any = GPT2LMHeadModel.from_pretrained(tmp_path / "theirs", dtype=torch.float64)
    with torch.no_grad():
        expected = model.eval()(torch.tensor([IDS])).logits[0, -1].numpy()
    assert_logits(load_checkpoint(tmp_path / "ours"), expected)


def test_matrices_are_views_of_the_mapped_file(tmp_path: Path, state: State) -> None:
    save_nanogpt(tmp_path, state)
    save_meta(tmp_path / "meta.pkl")
    values = load_checkpoint(tmp_path).tensors["h.0.mlp.c_fc.weight"]
    assert (values.shape, values.flags.f_contiguous, values.flags.owndata) == ((8, 32), True, False)


def test_nanogpt_without_biases_has_zeros(tmp_path: Path, without_bias: State) -> None:
    assert "transformer.ln_f.bias" not in without_bias
    save_nanogpt(tmp_path, without_bias, bias=False)
    save_meta(tmp_path / "meta.pkl")
    checkpoint = load_checkpoint(tmp_path)
    assert_logits(checkpoint, logits_by_hand(without_bias, IDS, functional.gelu))
    biases = [values for name, values in checkpoint.tensors.items() if name.endswith(".bias")]
    assert len(biases) == 6 * SIZES["n_layer"] + 1
    assert not any(values.any() for values in biases)


def test_nanogpt_of_before_the_exact_gelu(tmp_path: Path, state: State) -> None:
    """Checkpoints without `bias` in model_args are older than the change of the activation."""
    save_nanogpt(tmp_path, state)
    content = torch.load(tmp_path / "ckpt.pt", weights_only=True)
    del content["model_args"]["bias"]
    torch.save(content, tmp_path / "ckpt.pt")
    save_meta(tmp_path / "meta.pkl")
    assert_logits(load_checkpoint(tmp_path), logits_by_hand(state, IDS, tanh_gelu))


def test_a_config_json_beside_it_decides_the_activation(tmp_path: Path, state: State) -> None:
    save_nanogpt(tmp_path, state)
    save_meta(tmp_path / "meta.pkl")
    before = load_checkpoint(tmp_path).fingerprint
    (tmp_path / "config.json").write_text('{"activation_function": "relu"}')
    checkpoint = load_checkpoint(tmp_path)
    assert_logits(checkpoint, logits_by_hand(state, IDS, functional.relu))
    assert checkpoint.fingerprint != before


def test_meta_pkl_where_nanogpt_keeps_it(tmp_path: Path, state: State) -> None:
    save_nanogpt(tmp_path / "out-letters", state)
    save_meta(tmp_path / "data" / "letters" / "meta.pkl")
    checkpoint = load_checkpoint(tmp_path / "out-letters")
    assert checkpoint.vocabulary.encode("é!") == [STOI["é"], STOI["!"]]
    assert checkpoint.files == (tmp_path / "out-letters" / "ckpt.pt", tmp_path / "data" / "letters" / "meta.pkl")


def test_the_meta_pkl_beside_it_wins(tmp_path: Path, state: State) -> None:
    save_nanogpt(tmp_path / "out", state)
    save_meta(tmp_path / "data" / "letters" / "meta.pkl")
    save_meta(tmp_path / "out" / "meta.pkl", {"stoi": {"x": 0}})
    assert load_checkpoint(tmp_path / "out").vocabulary.tokens[0] == b"x"


@pytest.mark.parametrize("names", [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")])
def test_nanogpt_with_pairs_of_bytes_and_a_padded_embedding(tmp_path: Path, names: tuple[str, str]) -> None:
    state = linear_state(tmp_path / "theirs", vocab="words")
    size = write_tokenizer(tmp_path, "words")
    wide = torch.randn(size + 7, 8)
    state |= {"transformer.wte.weight": wide, "lm_head.weight": wide}
    for old, new in zip(("vocab.json", "merges.txt"), names, strict=True):
        (tmp_path / old).rename(tmp_path / new)
    save_nanogpt(tmp_path, state, vocab_size=size + 7)
    checkpoint = load_checkpoint(tmp_path)
    assert_logits(checkpoint, logits_by_hand(state, IDS, functional.gelu))
    assert checkpoint.config.vocab_size == size + 7
    assert len(checkpoint.vocabulary.encode("The cat")) == 2
    assert {path.name for path in checkpoint.files} == {"ckpt.pt", *names}


# --- minGPT ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.pt", "ckpt.pt"])
def test_mingpt(tmp_path: Path, untied: State, name: str) -> None:
    save_mingpt(tmp_path, untied, name=name)
    (tmp_path / "input.txt").write_text(f"{CHARACTERS[::-1]}\r\n{CHARACTERS}", encoding="utf-8", newline="")
    checkpoint = load_checkpoint(tmp_path)
    assert_logits(checkpoint, logits_by_hand(untied, IDS, tanh_gelu))
    assert not checkpoint.config.tied
    assert checkpoint.vocabulary.encode(CHARACTERS) == list(range(len(CHARACTERS)))
    assert [path.name for path in checkpoint.files] == ["config.json", name, "input.txt"]


def test_mingpt_by_the_name_of_its_size(tmp_path: Path) -> None:
    state = linear_state(tmp_path / "theirs", n_layer=3, n_head=3, n_embd=48, tied=False)
    sizes = dict.fromkeys(SIZES)
    save_mingpt(tmp_path, state, {"model": {"model_type": "gpt-nano", **sizes}})
    save_meta(tmp_path / "meta.pkl")
    config = load_checkpoint(tmp_path).config
    assert (config.n_layer, config.n_head, config.n_embd, config.activation_function) == (3, 3, 48, "gelu_new")


def test_mingpt_with_a_config_of_ones_own(tmp_path: Path, state: State) -> None:
    save_mingpt(tmp_path, state, {"n_head": 4})
    save_meta(tmp_path / "meta.pkl")
    assert load_checkpoint(tmp_path).config.n_head == 4


# --- faults ------------------------------------------------------------------------------------------------------


class Touch:
    """What runs a program when its pickle is opened without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("old_format", [False, True])
def test_a_program_in_a_checkpoint_does_not_run(tmp_path: Path, state: State, old_format: bool) -> None:
    content = {"model": state, "model_args": SIZES, "config": Touch(tmp_path / "ran")}
    torch.save(content, tmp_path / "ckpt.pt", _use_new_zipfile_serialization=not old_format)
    with pytest.raises(ModelError, match=r"asks for `.*` to be called when it is opened, which could be any program"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "ckpt.pt", weights_only=False)
    assert (tmp_path / "ran").exists()


def test_a_program_in_meta_pkl_does_not_run(tmp_path: Path, state: State) -> None:
    save_nanogpt(tmp_path, state)
    save_meta(tmp_path / "meta.pkl", {"stoi": STOI, "x": Touch(tmp_path / "ran")})
    with pytest.raises(ModelError, match=r"meta.pkl asks for `.*` to be called when it is opened, which could be any"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "ran").exists()


def nanogpt(**model_args: Any) -> Callable[[Path, State], None]:
    return lambda folder, state: save_nanogpt(folder, state, **model_args)


def mingpt(config: Any) -> Callable[[Path, State], None]:
    return lambda folder, state: save_mingpt(folder, state, config)


def meta(content: Any) -> Callable[[Path, State], None]:
    def spoil(folder: Path, state: State) -> None:
        save_nanogpt(folder, state)
        save_meta(folder / "meta.pkl", content)

    return spoil


def without_a_bias(folder: Path, state: State) -> None:
    save_nanogpt(folder, {name: value for name, value in state.items() if name != "transformer.ln_f.bias"})


def no_tokenizer(folder: Path, state: State) -> None:
    save_nanogpt(folder, state)
    (folder / "meta.pkl").unlink()


def another_text(folder: Path, state: State) -> None:
    no_tokenizer(folder, state)
    (folder / "input.txt").write_text("abc")


def half_a_pair(folder: Path, state: State) -> None:
    no_tokenizer(folder, state)
    (folder / "encoder.json").write_text("{}")


FAULTS: dict[str, tuple[Callable[[Path, State], Any], str]] = {
    "no tokenizer": (no_tokenizer, "{folder} holds no tokenizer for ckpt.pt; put beside it the meta.pkl of its data"),
    "half a tokenizer": (half_a_pair, "{folder} holds no tokenizer: vocab.bpe is missing"),
    "another text": (another_text, "input.txt has 3 different characters and the model 19 tokens"),
    "no size": (nanogpt(n_head=None), "n_head of model_args in {folder}/ckpt.pt is None, not a positive whole number"),
    "other sizes": (nanogpt(n_layer=3), "lack `h.2.ln_1.weight`"),
    "other heads": (nanogpt(n_head=3), "n_embd 8 is no multiple of n_head 3"),
    "another width": (nanogpt(n_embd=4), "has shape 19 x 8 where the configuration asks for 19 x 4"),
    "a changed model": (nanogpt(use_rmsnorm=True), "use_rmsnorm of model_args in {folder}/ckpt.pt is True, which"),
    "a bias missing": (without_a_bias, "lack `ln_f.bias`"),
    "activation": (
        lambda folder, state: [
            nanogpt()(folder, state),
            (folder / "config.json").write_text('{"activation_function": 1}'),
        ],
        "activation_function in config.json is 1",
    ),
    "no state": (lambda folder, _: torch.save([1], folder / "ckpt.pt"), "holds no state_dict of tensors"),
    "no tensors": (lambda folder, _: torch.save({"epoch": 1}, folder / "ckpt.pt"), "`epoch` in {folder}/ckpt.pt is no"),
    "another model": (
        lambda folder, _: torch.save({"tok_emb.weight": torch.ones(2, 2)}, folder / "model.pt"),
        "{folder}/model.pt is no checkpoint of nanoGPT or of minGPT since August 2022",
    ),
    "damaged": (lambda folder, _: (folder / "ckpt.pt").write_bytes(b"PK\3\4"), "cannot be read as a file of plain"),
    "damaged, and the way out": (
        lambda folder, _: (folder / "ckpt.pt").write_bytes(b"PK\3\4"),
        "the download or the copy is damaged or incomplete, so copy or save it anew",
    ),
    "a number of numpy": (
        lambda folder, state: torch.save(state | {"loss": np.float32(1)}, folder / "ckpt.pt"),
        "save it anew with `torch.save`, with tensors, numbers, texts and dictionaries in it and nothing else",
    ),
    "minGPT, no config": (mingpt(None), "model.pt does not say how many heads its blocks have; put the config.json"),
    "minGPT, no heads": (mingpt({"model": {"model_type": "mine"}}), "does not say how many heads its blocks have"),
    "minGPT, a list": (mingpt({"model": []}), "does not say how many heads its blocks have"),
    "minGPT, other sizes": (
        mingpt({"model": {"model_type": "gpt-mini"}}),
        "n_layer in {folder}/config.json is 6 and 2 in model.pt; use files of the same model",
    ),
    "meta of words": (meta({"stoi": {"the": 0}}), "has the token 'the', which is no single character"),
    "meta with text": (meta({"stoi": {"a": "0"}}), "'a' has the id '0' in {folder}/meta.pkl, which is no whole number"),
    "meta with an id twice": (meta({"stoi": {"a": 0, "b": 0}}), "'b' has the id 0 in {folder}/meta.pkl"),
    "meta with a negative id": (meta({"stoi": {"a": -1}}), "'a' has the id -1 in {folder}/meta.pkl"),
    "meta that contradicts itself": (meta({"stoi": {"a": 0}, "itos": ["b"]}), "is not the reverse of `stoi`"),
    "meta without a table": (meta({"vocab_size": 50257}), "meta.pkl holds no table `stoi` from characters to ids"),
    "meta that is a list": (meta([1]), "meta.pkl holds no table `stoi` from characters to ids"),
    "meta too large": (meta({"stoi": {"a": 99}}), "knows token 99, but the model's vocab_size is 19"),
    "meta damaged": (
        lambda folder, state: [nanogpt()(folder, state), (folder / "meta.pkl").write_bytes(b"\x80\x05x")],
        "meta.pkl cannot be read as a pickle of plain values",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_sentence(tmp_path: Path, state: State, name: str) -> None:
    spoil, sentence = FAULTS[name]
    save_meta(tmp_path / "meta.pkl")
    spoil(tmp_path, state)
    with pytest.raises(ModelError, match=re.escape(sentence.format(folder=tmp_path))) as caught:
        load_checkpoint(tmp_path)
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")
    assert "model.safetensors" not in str(caught.value)  # whose layout is another one


@pytest.mark.parametrize("version", [None, "2.5.1"])
def test_without_a_torch_that_is_safe(
    tmp_path: Path, state: State, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_nanogpt(tmp_path, state)
    if version is None:
        monkeypatch.setitem(sys.modules, "torch", None)
    else:
        monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(ModelError, match=r"(`pip install gpt2xl\[torch\]`|update to 2\.6 or newer)$"):
        load_checkpoint(tmp_path)
