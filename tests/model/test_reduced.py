"""Checkpoints with fewer tokens and fewer digits: the tokenizer, the tensors, and what is refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from checkpoints import END_OF_TEXT, random_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from linear_checkpoints import linear_state, save_meta, save_nanogpt
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from gpt2xl.errors import LimitError, ModelError
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.model.reduced import first_tokens, reduced
from gpt2xl.model.reference import NumpyReference, TorchReference

TINY = Path(__file__).parents[2] / "gpt2xl/data/tiny"
COUNTS = (256, 257, 300, 511, 700, 1023)


@cache
def first_of_tiny(count: int) -> Checkpoint:
    return first_tokens(load_checkpoint("tiny"), count)


@cache
def first_of_files(count: int) -> Tokenizer:
    """The library's own BPE from the first ids of vocab.json and the first lines of merges.txt."""
    vocab = {token: id_ for token, id_ in json.loads((TINY / "vocab.json").read_text()).items() if id_ < count}
    lines = (TINY / "merges.txt").read_text().splitlines()[1:]
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=[tuple(line.split(" ")) for line in lines[: count - 256]]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


WORDS = st.lists(st.sampled_from(["The", "cat", "sat", "on", "Anna", "lost", "her", ".", "it's", "é", "😀", ""])).map(
    " ".join
)


@given(st.one_of(st.text(), WORDS), st.sampled_from(COUNTS))
def test_the_ids_are_those_of_the_first_tokens_and_merges(text: str, count: int) -> None:
    ids = first_of_tiny(count).vocabulary.encode(text)
    assert ids == first_of_files(count).encode(text).ids
    assert all(id_ < count for id_ in ids)
    assert first_of_tiny(count).vocabulary.decode(ids) == text


def test_what_is_kept_of_tokens_and_merges(tiny: Checkpoint) -> None:
    few = first_of_tiny(300)
    assert few.config.vocab_size == few.vocabulary.size == 300
    assert few.vocabulary.tokens == tiny.vocabulary.tokens[:300]
    assert few.vocabulary.merges == tiny.vocabulary.merges[:44]
    assert few.fingerprint == tiny.fingerprint
    assert tiny.vocabulary.special == {END_OF_TEXT: 1023}
    assert few.vocabulary.special == {}
    assert len(few.vocabulary.encode(END_OF_TEXT)) > 1  # ordinary text
    everything = first_tokens(tiny, 1024)
    assert everything.vocabulary.special == {END_OF_TEXT: 1023}
    assert everything.vocabulary.encode("a" + END_OF_TEXT) == tiny.vocabulary.encode("a" + END_OF_TEXT)


@pytest.mark.parametrize("tied", [True, False])
def test_embedding_and_head_have_the_first_rows(tied: bool, tmp_path: Path) -> None:
    whole = load_checkpoint(random_checkpoint(tmp_path, vocab="words", tied=tied))
    few = first_tokens(whole, 260)
    for name, values in whole.tensors.items():
        kept = values[:260] if name in ("wte", "lm_head.weight") else values
        np.testing.assert_array_equal(few.tensors[name], kept)
        assert few.tensors.shape(name) == kept.shape
    ids = few.vocabulary.encode("the cat")
    short, long = NumpyReference(few).run(ids), NumpyReference(whole).run(ids)
    np.testing.assert_array_equal(short["logits"], long["logits"][:260])
    np.testing.assert_array_equal(short["ln_f"], long["ln_f"])
    assert short["probs"].sum() == pytest.approx(1)
    for name, step in TorchReference(few).run(ids).items():
        np.testing.assert_allclose(step, short[name], atol=1e-12, err_msg=name)


@pytest.mark.parametrize("count", [-1, 0, 1, 255, 1025, 10**9])
def test_counts_out_of_range(count: int, tiny: Checkpoint) -> None:
    with pytest.raises(LimitError, match=f"--vocab is {count:,}; it goes from 256, .* to 1,024"):
        first_tokens(tiny, count)


def test_a_special_token_first(tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path, vocab="words")
    vocab = json.loads((folder / "vocab.json").read_text())
    tokens = [END_OF_TEXT, *(token for token in vocab if token != END_OF_TEXT)]
    (folder / "vocab.json").write_text(json.dumps({token: id_ for id_, token in enumerate(tokens)}))
    few = first_tokens(load_checkpoint(folder), 258)
    assert few.vocabulary.special == {END_OF_TEXT: 0}
    assert few.vocabulary.encode(END_OF_TEXT + " t") == [0, 257]
    with pytest.raises(LimitError, match="from 257"):
        first_tokens(load_checkpoint(folder), 256)


@pytest.mark.parametrize("kind", ["sorted", "merges first", "parts later"])
def test_a_vocabulary_that_is_not_in_merge_order(kind: str, tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path, vocab="words")
    tokens = list(json.loads((folder / "vocab.json").read_text()))
    if kind == "sorted":
        tokens.sort()
    elif kind == "merges first":
        tokens = [*tokens[256:], *tokens[:256]]
    else:  # a token and one that it is made of change places
        tokens[256], tokens[260] = tokens[260], tokens[256]
    (folder / "vocab.json").write_text(json.dumps({token: id_ for id_, token in enumerate(tokens)}))
    with pytest.raises(ModelError, match=r"not in merge order \(token \d+ .*leave out --vocab"):
        first_tokens(load_checkpoint(folder), 270)


def test_a_vocabulary_of_characters(tmp_path: Path) -> None:
    state = linear_state(tmp_path / "hub")
    save_nanogpt(tmp_path / "nano", state)
    save_meta(tmp_path / "nano" / "meta.pkl")
    with pytest.raises(ModelError, match="one of characters"):
        first_tokens(load_checkpoint(tmp_path / "nano"), 10)


@pytest.mark.parametrize("digits", [-3, 0, 18, 400])
def test_digits_out_of_range(digits: int, tiny: Checkpoint) -> None:
    with pytest.raises(LimitError, match=f"--digits is {digits}; it goes from 1 to 17"):
        reduced(tiny, None, digits)


def test_rounded_tensors(tiny: Checkpoint) -> None:
    both = reduced(tiny, 300, 3)
    assert both.tensors.shape("wte") == (300, 64)
    for name, values in tiny.tensors.items():
        kept = values[:300] if name == "wte" else values
        expected = np.array([float(f"{value:.2e}") for value in kept.ravel().tolist()]).reshape(kept.shape)
        assert both.tensors.dtype(name) == np.float64
        np.testing.assert_array_equal(both.tensors[name], expected)
        np.testing.assert_array_equal(both.tensors.rows(name, slice(1, 3)), expected[1:3])
        np.testing.assert_array_equal(np.concatenate(list(both.tensors.pieces(name))), expected.ravel())
    np.testing.assert_array_equal(both.tensors.rows("wte", [5, 2, 5]), both.tensors["wte"][[5, 2, 5]])
    assert reduced(tiny, None, None) is tiny
