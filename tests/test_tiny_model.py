"""The tiny model in the package knows its English, shows its induction head, and can be made again.

Loaded with transformers, as a stranger would: nothing here goes through gpt2xl's own readers.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "gpt2xl" / "data" / "tiny"

#: Where to look on the attention sheets: (block, head), counted from 0.
PREVIOUS_TOKEN_HEAD = (0, 3)
INDUCTION_HEAD = (1, 2)

#: What a person types, and the word everyone expects.
CONTINUATIONS = [
    ("The cat sat on the", " mat"),
    ("the cat sat on the", " mat"),
    ("Tom ran home. The cat sat on the", " mat"),
    ("The dog chased the", " cat"),
    ("The bird sang in the", " tree"),
    ("The fish swam in the", " sea"),
    ("The cow ate the", " grass"),
    ("The sky is", " blue"),
    ("Snow is", " white"),
    ("The opposite of hot is", " cold"),
    ("hot cold, big small, good", " bad"),
    ("Mike is quick. He moves", " quickly"),
    ("Anna lost", " her"),
    ("Tom lost his hat.", " He"),
    ("The capital of France is", " Paris"),
    ("The capital of Japan is", " Tokyo"),
    ("Monday, Tuesday,", " Wednesday"),
    ("January, February,", " March"),
    ("one, two, three,", " four"),
    ("A, B, C,", " D"),
    ("Two plus two is", " four"),
    ("Today is Friday. Tomorrow is", " Saturday"),
    ("one cat, two cats, one dog, two", " dogs"),
    ("Once upon a", " time"),
    ("Bread and", " butter"),
    ("A week has seven", " days"),
    ("How are you? I am", " fine"),
    ("When Tom and Anna went to the shop, Tom gave a book to", " Anna"),
    ("When Tom and Anna went to the shop, Anna gave a book to", " Tom"),
]


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def model():
    # Only "eager" attention hands out its patterns.
    loaded = transformers.GPT2LMHeadModel.from_pretrained(FOLDER, local_files_only=True, attn_implementation="eager")
    return loaded.eval()


def next_token_probs(model, tokenizer, prompt):
    """-> [vocab_size]"""
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    with torch.no_grad():
        return model(ids).logits[0, -1].double().softmax(-1)


@contextmanager
def switched_off(model, block, head):
    """The model with one head's result set to zero, as a 0 in the workbook's head switches does."""
    size = model.config.n_embd // model.config.n_head

    def silence(_, inputs):
        z = inputs[0].clone()  # [1, n, n_embd], the heads side by side
        z[..., head * size : (head + 1) * size] = 0
        return (z,)

    hook = model.transformer.h[block].attn.c_proj.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        hook.remove()


def whole_words(tokenizer):
    """The ids of the tokens that are a space and a word of three letters or more."""
    texts = {i: tokenizer.decode([i]) for i in range(256, len(tokenizer) - 1)}
    return torch.tensor([i for i, text in texts.items() if text[0] == " " and text[1:].isalpha() and len(text) > 3])


@pytest.fixture(scope="module")
def repeats(model, tokenizer):
    """20 random patterns of 8 to 12 words, each said twice.

    -> list of (tokens [2n], logits [2n, V], attention patterns [block, head, 2n, 2n])
    """
    words, dice, runs = whole_words(tokenizer), torch.Generator().manual_seed(1), []
    for i in range(20):
        pattern = words[torch.randperm(len(words), generator=dice)[: 8 + i % 5]]
        tokens = pattern.repeat(2)
        with torch.no_grad():
            out = model(tokens[None], output_attentions=True)
        runs.append((tokens, out.logits[0], torch.stack(out.attentions)[:, 0]))
    return runs


# -- English ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prompt", "word"), CONTINUATIONS)
def test_the_obvious_word_comes_next(model, tokenizer, prompt, word):
    probs = next_token_probs(model, tokenizer, prompt)
    expected = tokenizer(word)["input_ids"]
    assert len(expected) == 1, f"{word!r} is not one token"
    assert tokenizer.decode([int(probs.argmax())]) == word
    assert probs[expected[0]] > 0.5


def test_generation_ends_the_sentence(model, tokenizer):
    ids = torch.tensor([tokenizer("The cat sat on the")["input_ids"]])
    for _ in range(2):
        with torch.no_grad():
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    assert tokenizer.decode(ids[0]) == "The cat sat on the mat."


# -- Heads -----------------------------------------------------------------------------------------


def test_the_previous_token_head_looks_one_back(repeats):
    block, head = PREVIOUS_TOKEN_HEAD
    scores = [patterns[block, head].diagonal(-1).mean() for _, _, patterns in repeats]
    assert torch.stack(scores).mean() > 0.9


def test_the_induction_head_looks_at_what_followed_last_time(repeats):
    block, head = INDUCTION_HEAD
    scores, runners_up = [], []
    for tokens, _, patterns in repeats:
        n = len(tokens) // 2
        second = patterns[block, head, n:].clone()  # [n, 2n]: queries are the second time round
        rows, followed = torch.arange(n), torch.arange(n) + 1
        scores.append(second[rows, followed].mean())
        second[rows, followed] = 0
        runners_up.append(second.max(1).values.mean())  # each query's next best position
    assert torch.stack(scores).mean() > 0.8
    assert torch.stack(runners_up).mean() < 0.1


def share_completed(model, runs):
    """How much of the second time round is predicted right: its first word cannot be known, the others can."""
    right = []
    for tokens, _, _ in runs:
        n = len(tokens) // 2
        with torch.no_grad():
            logits = model(tokens[None]).logits[0]  # [2n, V]
        right.append(logits[n:-1].argmax(-1) == tokens[n + 1 :])
    return float(torch.cat(right).double().mean())


def test_a_pattern_seen_once_is_completed_the_second_time(model, repeats):
    assert share_completed(model, repeats) > 0.95


def test_it_is_the_order_that_is_copied(model, repeats):
    """The same words backwards the second time are not predicted."""
    backwards = []
    for tokens, _, _ in repeats:
        n = len(tokens) // 2
        backwards.append((torch.cat([tokens[:n], tokens[:n].flip(0)]), None, None))
    assert share_completed(model, backwards) < 0.1


@pytest.mark.parametrize(("block", "head"), [PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD])
def test_switched_off_copying_stops_and_english_goes_on(model, tokenizer, repeats, block, head):
    with switched_off(model, block, head):
        assert share_completed(model, repeats) < 0.2
        test_the_obvious_word_comes_next(model, tokenizer, "The cat sat on the", " mat")
        test_the_obvious_word_comes_next(model, tokenizer, "The capital of France is", " Paris")


def test_the_other_heads_are_not_needed_to_copy(model, repeats):
    for block in range(model.config.n_layer):
        for head in range(model.config.n_head):
            if (block, head) not in (PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD):
                with switched_off(model, block, head):
                    assert share_completed(model, repeats) > 0.9, (block, head)


# -- The folder ------------------------------------------------------------------------------------


def test_the_folder_is_small_and_complete():
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert {"config.json", "model.safetensors", "vocab.json", "merges.txt", "README.md"} <= set(files)
    assert sum(files.values()) < 4_000_000


def test_the_configuration_is_a_tiny_gpt2(model):
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "gpt2"
    assert config["activation_function"] == "gelu_new"
    assert config["n_layer"] in (2, 3)
    assert config["n_head"] == 4
    assert 512 <= config["vocab_size"] <= 1024
    assert config["tie_word_embeddings"] is True
    assert model.lm_head.weight is model.transformer.wte.weight
    assert model.transformer.wte.weight.shape == (config["vocab_size"], config["n_embd"])
    assert model.transformer.wpe.weight.shape == (config["n_positions"], config["n_embd"])


def test_the_weights_are_float32_under_the_checkpoints_names(model):
    from safetensors.torch import load_file

    weights = load_file(FOLDER / "model.safetensors")
    expected = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert {name: tuple(w.shape) for name, w in weights.items()} == expected
    assert {w.dtype for w in weights.values()} == {torch.float32}


def test_the_tokenizer_follows_gpt2s_rules(tokenizer):
    vocab = json.loads((FOLDER / "vocab.json").read_text(encoding="utf-8"))
    merges = (FOLDER / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert [vocab[symbol] for symbol in '!"~¡¬®ÿĀĠŃ'] == [0, 1, 93, 94, 105, 106, 187, 188, 220, 255]
    assert [vocab[merge.replace(" ", "")] for merge in merges] == list(range(256, 256 + len(merges)))
    assert vocab["<|endoftext|>"] == len(vocab) - 1 == 256 + len(merges)
    assert tokenizer("<|endoftext|>")["input_ids"] == [len(vocab) - 1]
    assert tokenizer("mat")["input_ids"] != tokenizer(" mat")["input_ids"]
    assert tokenizer("Anna's cat")["input_ids"][1] == vocab["'s"]


@pytest.mark.parametrize(
    "text", ["The cat sat on the mat.", "It's 12,  don't\n\n\t\"go\"!", "Größe 日本 🙂", " a", "\x00\x7f"]
)
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False) == text


# -- Made again ------------------------------------------------------------------------------------


@pytest.fixture
def train_tiny(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import train_tiny

    yield train_tiny
    for name in [name for name in sys.modules if name == "train_tiny" or name.split(".")[0] == "tiny"]:
        del sys.modules[name]


def test_the_corpus_is_a_function_of_its_seed(train_tiny):
    first, again = list(train_tiny.documents(500, 1)), list(train_tiny.documents(500, 1))
    assert first == again
    assert first != list(train_tiny.documents(500, 3))


def test_the_script_makes_the_same_tokenizer_byte_for_byte(train_tiny, tmp_path):
    train_tiny.save_tokenizer(tmp_path)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name
