"""From a folder's tokenizer files to the `tokenizers.Tokenizer` that `transformers.AutoTokenizer` makes of them.

What AutoTokenizer does with a GPT-2's folder (read in transformers 5.23 and held by tests):

* The class is `GPT2Tokenizer` unless tokenizer_config.json or config.json names another. It takes vocabulary and
  merges from tokenizer.json where there is one, else from vocab.json and merges.txt (both are needed; we also take
  them under OpenAI's names), and
  builds the rest itself: no normalizer, byte-level pre-tokenizer, no unknown token. Normalizer, pre-tokenizer,
  dropout and so on of tokenizer.json are ignored there; older versions of transformers obey them.
* `PreTrainedTokenizerFast` (now `TokenizersBackend`) uses tokenizer.json as it is.
* `GPT2Tokenizer` makes `<|endoftext|>` a special token even where no file mentions it: as the id that vocab.json
  gives it, else as the next free id, unless tokenizer_config.json sets bos_token, eos_token and unk_token to null.
* Added tokens keep the id that the vocabulary gives them; others get the next free id, whatever id
  added_tokens.json or added_tokens_decoder promises.

Settings on which versions or classes disagree, or which formulas do not express, are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from gpt2xl.errors import ModelError
from gpt2xl.model.added_tokens import add_tokens
from gpt2xl.model.files import first_line, read_json, read_json_if_there, read_text

_GPT2_CLASSES = ("GPT2Tokenizer", "GPT2TokenizerFast")
# What transformers calls vocabulary and merges, and what OpenAI called the same files.
PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")


@dataclass(frozen=True)
class TokenizerFiles:
    """`vocab` and `merges` in the characters of vocab.json; `special` texts with their ids; the tokenizer itself."""

    vocab: dict[str, int]
    merges: list[tuple[str, str]]
    special: dict[str, int]
    tokenizer: Tokenizer

    def first(self, count: int) -> TokenizerFiles:
        """Only what has an id below `count`: tokens, the merges that make them, added tokens."""
        vocab = {token: id_ for token, id_ in self.vocab.items() if id_ < count}
        merges = [(left, right) for left, right in self.merges if left + right in vocab]
        tokenizer = _tokenizer(vocab, merges)
        added = self.tokenizer.get_added_tokens_decoder()
        tokenizer.add_tokens([added[id_] for id_ in sorted(added) if id_ < count])
        special = {text: id_ for text, id_ in self.special.items() if id_ < count}
        return TokenizerFiles(vocab, merges, special, tokenizer)


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """Read the tokenizer of `folder`; raises `ModelError` where there is none or it cannot be used."""
    settings = read_json_if_there(folder / "tokenizer_config.json")
    full = read_json_if_there(folder / "tokenizer.json")
    plain = _is_plain(folder, settings)
    _refuse_settings(folder, settings, has_full=bool(full))
    if full:
        vocab, merges = _from_full(folder / "tokenizer.json", full)
    elif plain:
        raise ModelError(
            f"tokenizer_class in {folder} needs a tokenizer.json; add it, or set the class to 'GPT2Tokenizer'"
        )
    else:
        vocab, merges = _from_pair(folder)
    _check(vocab, merges, folder)
    try:
        tokenizer = _tokenizer(vocab, merges)
    except Exception as error:
        raise ModelError(
            f"the vocabulary in {folder} cannot be used ({first_line(error)}); fetch the tokenizer's files again"
        ) from None
    special = add_tokens(tokenizer, settings, full, plain, folder)
    return TokenizerFiles(vocab, merges, special, tokenizer)


def _tokenizer(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """GPT-2's tokenizer without added tokens."""
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _is_plain(folder: Path, settings: Mapping[str, Any]) -> bool:
    name = settings.get("tokenizer_class") or read_json_if_there(folder / "config.json").get("tokenizer_class")
    if name is not None and name not in _GPT2_CLASSES + _PLAIN_CLASSES:
        raise ModelError(f"tokenizer_class in {folder} is {name!r}; only GPT-2's byte-level BPE can be built")
    return name in _PLAIN_CLASSES


def _refuse_settings(folder: Path, settings: Mapping[str, Any], has_full: bool) -> None:
    path = folder / "tokenizer_config.json"
    refused = {
        "add_prefix_space": "a workbook takes the prompt as it is typed",
        "split_special_tokens": "a workbook takes a special token as one token",
    }
    if not has_full:  # with a tokenizer.json transformers takes both from there
        refused |= dict.fromkeys(("add_bos_token", "add_eos_token"), "a workbook adds no token to the prompt")
    for key, reason in refused.items():
        if settings.get(key) not in (None, False):
            raise ModelError(f"{key} in {path} is {settings[key]!r}, but {reason}; set it to false")
    if "auto_map" in settings:
        raise ModelError(f"auto_map in {path} asks for a program of its own; only GPT-2's byte-level BPE can be built")


# --- vocabulary and merges ---------------------------------------------------------------------------------------


def _from_pair(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    for names in PAIRS:
        if all((folder / name).is_file() for name in names):
            vocab, merges = names
            return read_json(folder / vocab), _read_merges(folder / merges)
    missing = [names for names in PAIRS if any((folder / name).is_file() for name in names)] or PAIRS[:1]
    name = next(name for name in missing[0] if not (folder / name).is_file())
    raise ModelError(
        f"{folder} holds no tokenizer: {name} is missing; add vocab.json and merges.txt (or OpenAI's encoder.json and "
        f"vocab.bpe), or a tokenizer.json"
    )


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """One merge a line, its two parts divided by one space. Only LF and CRLF end a line: NEL is a byte like others."""
    lines = read_text(path).split("\n")
    if not lines[-1]:
        lines.pop()
    merges = []
    for number, line in enumerate(lines, start=1):
        if line.startswith("#version"):
            continue
        parts = line.removesuffix("\r").split(" ")
        if len(parts) != 2:
            raise ModelError(f"line {number} of {path} is no pair of tokens divided by one space; correct or remove it")
        merges.append((parts[0], parts[1]))
    return merges


def _from_full(path: Path, full: Mapping[str, Any]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = full.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE" or not isinstance(model.get("vocab"), dict):
        kind = model.get("type") if isinstance(model, dict) else None
        raise ModelError(f"model in {path} is of type {kind!r}; only GPT-2's byte-level BPE can be built")
    vocab = model["vocab"]
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        if model.get(key):
            raise ModelError(f"{key} in {path} is {model[key]!r}, which a workbook cannot express; remove it")
    if model.get("unk_token") and not all(character in vocab for character in pre_tokenizers.ByteLevel.alphabet()):
        raise ModelError(
            f"unk_token in {path} is {model['unk_token']!r} and some bytes have no token, which a workbook cannot "
            f"express; set it to null, so that such bytes are dropped"
        )
    _refuse_steps(path, full)
    merges = []
    for merge in model.get("merges") or []:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise ModelError(f"merge {merge!r} in {path} is no pair of tokens; correct or remove it")
        merges.append((parts[0], parts[1]))
    return vocab, merges


def _refuse_steps(path: Path, full: Mapping[str, Any]) -> None:
    """Refuse steps around the BPE other than GPT-2's own."""
    if full.get("normalizer") is not None:
        raise ModelError(
            f"normalizer in {path} is {_kind(full['normalizer'])}, which a workbook cannot express; set it to null"
        )
    split = full.get("pre_tokenizer")
    if not isinstance(split, dict) or split.get("type") != "ByteLevel" or split.get("use_regex", True) is not True:
        raise ModelError(
            f"pre_tokenizer in {path} is {_kind(split)}; only GPT-2's ByteLevel with its pattern can be built"
        )
    if split.get("add_prefix_space"):
        raise ModelError(
            f"add_prefix_space of the pre_tokenizer in {path} is true, but a workbook takes the prompt as it is "
            f"typed; set it to false"
        )
    decoder = full.get("decoder")
    if not isinstance(decoder, dict) or decoder.get("type") != "ByteLevel":
        raise ModelError(f"decoder in {path} is {_kind(decoder)}; only GPT-2's ByteLevel can be built")
    if _adds_tokens(full.get("post_processor")):
        raise ModelError(
            f"post_processor in {path} adds tokens around the prompt, which a workbook does not; set it to null"
        )


def _adds_tokens(step: Any) -> bool:
    if not isinstance(step, dict):
        return False
    if step.get("type") == "Sequence":
        return any(map(_adds_tokens, step.get("processors", [])))
    if step.get("type") == "TemplateProcessing":
        return any("SpecialToken" in part for part in step.get("single", []))
    return step.get("type") != "ByteLevel"


def _kind(step: Any) -> str:
    return str(step.get("type")) if isinstance(step, dict) else repr(step)


def _check(vocab: Mapping[str, Any], merges: Iterable[tuple[str, str]], folder: Path) -> None:
    """Ids are whole numbers, each used once; parts and results of merges are tokens."""
    used: dict[int, str] = {}
    for token, id_ in vocab.items():
        if isinstance(id_, bool) or not isinstance(id_, int) or not 0 <= id_ < 2**24:
            raise ModelError(
                f"token {token!r} in {folder} has the id {id_!r}, not a whole number from 0; correct the vocabulary"
            )
        if id_ in used:
            raise ModelError(f"tokens {used[id_]!r} and {token!r} in {folder} share the id {id_}; give each its own")
        used[id_] = token
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in vocab:
                raise ModelError(
                    f"the merge of {left!r} and {right!r} in {folder} needs the token {token!r}, which the vocabulary "
                    f"lacks; use vocabulary and merges of the same model"
                )
