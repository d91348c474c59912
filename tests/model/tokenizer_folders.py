"""Tokenizer folders as they are met, from plain to odd, as the files they consist of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from checkpoints import END_OF_TEXT, MERGES

from gpt2xl.model.vocabulary import ALPHABET

Files = dict[str, Any]

BYTES = {character: byte for byte, character in enumerate(ALPHABET)}
BASE = {token: id_ for id_, token in enumerate(dict.fromkeys([*ALPHABET, *(a + b for a, b in MERGES)]))}
SIZE = len(BASE)
FULL = BASE | {END_OF_TEXT: SIZE}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def write(folder: Path, files: Files) -> Path:
    """Write each file, dictionaries as JSON; a folder without config.json gets GPT-2's."""
    folder.mkdir(exist_ok=True)
    config = {"model_type": "gpt2", "bos_token_id": None, "eos_token_id": None}
    for name, content in ({"config.json": config} | files).items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_bytes(text.encode())
    return folder


def merges_txt(merges: Any = MERGES) -> str:
    return "".join(["#version: 0.2\n", *(f"{left} {right}\n" for left, right in merges)])


def pair(vocab: dict[str, Any] = FULL, merges: Any = MERGES, **others: Any) -> Files:
    """A folder of vocab.json and merges.txt; other files by name without `.json`."""
    return {"vocab.json": vocab, "merges.txt": merges_txt(merges)} | {f"{k}.json": v for k, v in others.items()}


def added(content: str, id_: int = 0, **flags: Any) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": id_, "content": content} | plain | flags


def full(
    vocab: dict[str, int] = FULL,
    merges: Any = MERGES,
    tokens: Any = (),
    tokenizer_config: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    **steps: Any,
) -> Files:
    """A folder of tokenizer.json; `model` changes its BPE, other keywords its steps."""
    bpe = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": [list(merge) for merge in merges],
    } | (model or {})
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(tokens),
        "normalizer": None,
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": BYTE_LEVEL | {"trim_offsets": False},
        "decoder": BYTE_LEVEL,
        "model": bpe,
    } | steps
    files = {"tokenizer.json": content}
    return files if tokenizer_config is None else files | {"tokenizer_config.json": tokenizer_config}


def without_nulls(**tokens: str | None) -> dict[str, Any]:
    return {"bos_token": None, "eos_token": None, "unk_token": None} | tokens


LETTERS = {"a": 0, "b": 1, "c": 2}

# Folders that load, and must give what AutoTokenizer gives.
FOLDERS: dict[str, Files] = {
    "vocab.json and merges.txt": pair(),
    "end of text not in vocab.json": pair(BASE),
    "end of text as id 0": pair({END_OF_TEXT: 0} | {token: id_ + 1 for token, id_ in BASE.items()}),
    "no special tokens": pair(BASE, tokenizer_config=without_nulls()),
    "class named": pair(tokenizer_config={"tokenizer_class": "GPT2Tokenizer", "model_max_length": 3}),
    "class named fast": pair(tokenizer_config={"tokenizer_class": "GPT2TokenizerFast", "errors": "strict"}),
    "class named in config.json": {"config.json": {"model_type": "gpt2", **FAST}, **full(tokens=[])},
    "tokens named in tokenizer_config.json": pair(
        tokenizer_config={
            "pad_token": "<pad>",
            "sep_token": {"__type": "AddedToken", **added("<sep>", normalized=True)},
            "image_token": "<image>",
            "extra_special_tokens": ["<x>", "<y>"],
            "add_prefix_space": False,
            "add_bos_token": False,
        }
    ),
    "extra tokens by name and by the old name": pair(
        tokenizer_config={"extra_special_tokens": {"boi_token": "<x>"}, "additional_special_tokens": ["c", "<y>"]}
    ),
    "old name of extra tokens": pair(
        tokenizer_config={"additional_special_tokens": ["<x>", "<y>"], "pad_token": "<y>"}
    ),
    "extra tokens by name": pair(tokenizer_config={"extra_special_tokens": {"boi_token": "<x>", "eoi_token": "<y>"}}),
    "special_tokens_map.json": pair(
        special_tokens_map={"pad_token": "<pad>", "bos_token": added("<x>"), "additional_special_tokens": ["<y>"]}
    ),
    "added_tokens.json": pair(added_tokens={"<y>": SIZE + 2, "<x>": SIZE + 1}),
    "added_tokens.json with a gap": pair(added_tokens={"<x>": SIZE + 70, "<y>": SIZE + 40}),
    "added_tokens.json names a special token": pair(
        added_tokens={"<x>": SIZE + 1, "<y>": SIZE + 2}, tokenizer_config={"pad_token": "<y>"}
    ),
    "added_tokens_decoder": pair(
        tokenizer_config={
            "added_tokens_decoder": {
                str(SIZE): {k: v for k, v in added(END_OF_TEXT, normalized=True).items() if k != "id"},
                str(SIZE + 1): {k: v for k, v in added("<x>", special=False).items() if k != "id"},
            }
        }
    ),
    "an added token that merging also makes": pair(tokenizer_config={"extra_special_tokens": ["he", "c"]}),
    "added tokens that overlap": pair(tokenizer_config={"extra_special_tokens": ["<a", "<ab", "b>", "><"]}),
    "an added token beyond ASCII": pair(tokenizer_config={"extra_special_tokens": ["é", "日本"]}),
    "an empty added token": pair(tokenizer_config={"pad_token": ""}),
    "letters": pair(LETTERS, []),
    "letters and an empty merges.txt": {"vocab.json": LETTERS, "merges.txt": ""},
    "letters without special tokens": pair(LETTERS, [], tokenizer_config=without_nulls()),
    "a letter as special token": pair(LETTERS, [], tokenizer_config=without_nulls(unk_token="a", eos_token="b")),
    "letters with gaps between their ids": pair({"a": 0, "b": 5, "c": 7}, []),
    "letters that merge across dropped bytes": pair(LETTERS | {"ab": 3, "abc": 4}, [("a", "b"), ("ab", "c")]),
    "tokens outside the alphabet": pair({"a": 0, "日": 1, "the cat": 2, "<pad>": 3}, []),
    "no version line, CRLF": {"vocab.json": FULL, "merges.txt": merges_txt().split("\n", 1)[1].replace("\n", "\r\n")},
    "a merge of a later token": pair({"a": 0, "b": 1, "ab": 2, "aba": 3}, [("ab", "a"), ("a", "b")]),
    "a merge named twice": pair({"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4}, [("a", "b"), ("b", "c"), ("a", "b")]),
    "two merges of one result": pair(
        LETTERS | {"ab": 3, "bc": 4, "abc": 5}, [("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")]
    ),
    "doubled letters": pair({"a": 0, "aa": 1, "aaa": 2, "aaaa": 3}, [("a", "a"), ("aa", "a"), ("aa", "aa")]),
    "tokenizer.json": full(tokens=[added(END_OF_TEXT, SIZE, normalized=True)]),
    "tokenizer.json, merges as text": full(model={"merges": [" ".join(merge) for merge in MERGES]}),
    "tokenizer.json without end of text": full(BASE),
    "tokenizer.json with more tokens": full(
        tokens=[added(END_OF_TEXT, SIZE), added("<x>", SIZE + 1), added("<y>", SIZE + 2, special=False)],
        tokenizer_config={"pad_token": "<x>", "cls_token": "<cls>"},
    ),
    "tokenizer.json wins over vocab.json": pair(LETTERS, []) | full(),
    "tokenizer.json, class fast": full(tokens=[added(END_OF_TEXT, SIZE)], tokenizer_config=FAST),
    "tokenizer.json, class backend": full(
        tokenizer_config={"tokenizer_class": "TokenizersBackend", "eos_token": "<x>"}
    ),
    "tokenizer.json, class fast, no end of text": full(BASE, tokenizer_config=FAST | {"unk_token": "<unk>"}),
    "tokenizer.json, class fast, tokens named twice": full(
        tokens=[added(END_OF_TEXT, SIZE), added("<x>", SIZE + 1)],
        tokenizer_config=FAST
        | {"added_tokens_decoder": {str(SIZE + 1): {"content": "<x>"}, str(SIZE + 2): {"content": "<y>"}}},
    ),
    "tokenizer.json, unknown token never needed": full(
        BASE | {"<unk>": SIZE}, model={"unk_token": "<unk>"}, tokenizer_config=FAST
    ),
    "tokenizer.json, truncation and padding": full(
        truncation={"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "!",
        },
    ),
    "tokenizer.json, a template that adds nothing": full(
        post_processor={
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {},
        }
    ),
}

TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {END_OF_TEXT: {"id": END_OF_TEXT, "ids": [SIZE], "tokens": [END_OF_TEXT]}},
}

# Folders that are refused, and what the sentence says.
REFUSED: dict[str, tuple[Files, str]] = {
    "nothing": (
        {},
        "holds no tokenizer: vocab.json is missing; add vocab.json and merges.txt (or OpenAI's encoder.json and ",
    ),
    "no merges.txt": ({"vocab.json": FULL}, "holds no tokenizer: merges.txt is missing"),
    "no vocab.json": ({"merges.txt": ""}, "holds no tokenizer: vocab.json is missing"),
    "vocab.json broken": ({"vocab.json": "{", "merges.txt": ""}, "vocab.json is no valid JSON"),
    "vocab.json a list": ({"vocab.json": ["a"], "merges.txt": ""}, "vocab.json holds no JSON object"),
    "an id as text": (pair({"a": "0"}, []), "token 'a' in {folder} has the id '0', not a whole number from 0"),
    "a negative id": (pair({"a": -1}, []), "token 'a' in {folder} has the id -1"),
    "an id twice": (pair({"a": 0, "b": 0}, []), "tokens 'a' and 'b' in {folder} share the id 0"),
    "half a character": (pair({"\ud800": 0}, []), "the vocabulary in {folder} cannot be used"),
    "a part without a token": (
        pair({"a": 0, "ab": 1}, [("a", "b")]),
        "needs the token 'b', which the vocabulary lacks",
    ),
    "a result without a token": (
        pair({"a": 0, "b": 1}, [("a", "b")]),
        "needs the token 'ab', which the vocabulary lacks",
    ),
    "three parts": (
        pair(LETTERS) | {"merges.txt": "#version\na b c\n"},
        "line 2 of {folder}/merges.txt is no pair of tokens",
    ),
    "an empty line": (
        pair(LETTERS) | {"merges.txt": "#version\n\n"},
        "line 2 of {folder}/merges.txt is no pair of tokens",
    ),
    "another class": (
        pair(tokenizer_config={"tokenizer_class": "BertTokenizer"}),
        "tokenizer_class in {folder} is 'BertTokenizer'",
    ),
    "class fast without its file": (pair(tokenizer_config=FAST), "tokenizer_class in {folder} needs a tokenizer.json"),
    "add_prefix_space": (
        pair(tokenizer_config={"add_prefix_space": True}),
        "add_prefix_space in {folder}/tokenizer_config.json is True",
    ),
    "add_bos_token": (
        pair(tokenizer_config={"add_bos_token": True}),
        "add_bos_token in {folder}/tokenizer_config.json is True",
    ),
    "split_special_tokens": (pair(tokenizer_config={"split_special_tokens": True}), "split_special_tokens in {folder}"),
    "a program": (pair(tokenizer_config={"auto_map": {"AutoTokenizer": ["x.X", None]}}), "auto_map in {folder}"),
    "lstrip": (
        pair(tokenizer_config={"pad_token": added("<x>", lstrip=True)}),
        "the added token '<x>' in {folder} sets lstrip",
    ),
    "rstrip": (full(tokens=[added("<x>", SIZE, rstrip=True)]), "the added token '<x>' in {folder} sets rstrip"),
    "single_word": (pair(tokenizer_config={"pad_token": added("<x>", single_word=True)}), "sets single_word"),
    "overlap of normalized and not": (
        pair(added_tokens={"<x>": SIZE + 1}, tokenizer_config={"pad_token": "x>y"}),
        "'<x>' and 'x>y' in {folder} overlap and only one of them sets normalized",
    ),
    "the id of another token": (
        full(tokens=[added("<x>", 5)], tokenizer_config=FAST),
        "the id of the added token '<x>' in {folder} clashes with that of another token",
    ),
    "a gap that an added token falls into and one that it does not": (
        pair({"a": 0, "b": 2, "c": 5}, [], tokenizer_config={"extra_special_tokens": ["<x>", "<y>", "<z>"]}),
        "the id of the added token '<y>' in {folder} clashes",
    ),
    "added tokens as a list": (
        pair(tokenizer_config={"added_tokens_decoder": [1]}),
        "the added tokens in {folder} are no list",
    ),
    "added tokens without content": (full(tokens=[{"id": 3}]), "the added tokens in {folder} are no list"),
    "a unigram model": (full(model={"type": "Unigram"}), "tokenizer.json is of type 'Unigram'"),
    "no model": (full() | {"tokenizer.json": {"version": "1.0"}}, "tokenizer.json is of type None"),
    "dropout": (full(model={"dropout": 0.1}), "dropout in {folder}/tokenizer.json is 0.1"),
    "ignore_merges": (full(model={"ignore_merges": True}), "ignore_merges in {folder}/tokenizer.json is True"),
    "byte_fallback": (full(model={"byte_fallback": True}), "byte_fallback in {folder}/tokenizer.json is True"),
    "subword prefix": (full(model={"continuing_subword_prefix": "##"}), "continuing_subword_prefix in {folder}"),
    "word suffix": (full(model={"end_of_word_suffix": "</w>"}), "end_of_word_suffix in {folder}"),
    "an unknown token that is needed": (
        full(LETTERS, [], model={"unk_token": "a"}),
        "unk_token in {folder}/tokenizer.json is 'a'",
    ),
    "merges of three": (full(model={"merges": ["a b c"]}), "merge 'a b c' in {folder}/tokenizer.json is no pair"),
    "a normalizer": (full(normalizer={"type": "NFC"}), "normalizer in {folder}/tokenizer.json is NFC"),
    "another pre-tokenizer": (
        full(pre_tokenizer={"type": "Whitespace"}),
        "pre_tokenizer in {folder}/tokenizer.json is Whitespace",
    ),
    "no pre-tokenizer": (full(pre_tokenizer=None), "pre_tokenizer in {folder}/tokenizer.json is None"),
    "without the pattern": (
        full(pre_tokenizer=BYTE_LEVEL | {"use_regex": False}),
        "only GPT-2's ByteLevel with its pattern",
    ),
    "prefix space in tokenizer.json": (
        full(pre_tokenizer=BYTE_LEVEL | {"add_prefix_space": True}),
        "add_prefix_space of the pre_tokenizer",
    ),
    "another decoder": (full(decoder={"type": "WordPiece"}), "decoder in {folder}/tokenizer.json is WordPiece"),
    "a template that adds a token": (
        full(post_processor=TEMPLATE),
        "post_processor in {folder}/tokenizer.json adds tokens",
    ),
    "a sequence that adds a token": (
        full(post_processor={"type": "Sequence", "processors": [BYTE_LEVEL, TEMPLATE]}),
        "post_processor in {folder}/tokenizer.json adds tokens",
    ),
}
