"""Special and other added tokens: which there are, and the ids that transformers gives them.

They stand in up to five places of a checkpoint's folder (tokenizer_config.json twice, special_tokens_map.json,
added_tokens.json, tokenizer.json). The order in which transformers 5.23 adds them decides their ids; it is
followed here and held by tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from gpt2xl.errors import ModelError
from gpt2xl.model.files import read_json_if_there

_END_OF_TEXT = "<|endoftext|>"
# transformers' SPECIAL_TOKENS_ATTRIBUTES, and the order in which GPT2Tokenizer adds them.
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def add_tokens(
    tokenizer: Tokenizer, settings: Mapping[str, Any], full: Mapping[str, Any], plain: bool, folder: Path
) -> dict[str, int]:
    """Add to `tokenizer` what AutoTokenizer adds; returns all added texts with their ids.

    `settings` is tokenizer_config.json, `full` is tokenizer.json (empty where there is none), `plain` says that
    the latter is used as it is. Raises `ModelError` for tokens with flags or ids that a workbook cannot express.
    """
    vocab = tokenizer.get_vocab(with_added_tokens=False)
    try:
        added = _added_tokens(settings, full, plain, folder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the added tokens in {folder} are no list that can be read ({type(error).__name__}: {error}); correct or "
            f"remove them"
        ) from None
    _refuse_flags(added, folder)
    tokenizer.add_tokens(added)
    special = {token.content: id_ for id_, token in tokenizer.get_added_tokens_decoder().items()}
    promised = {entry["content"]: entry["id"] for entry in full.get("added_tokens") or []} if plain else {}
    _check_added(added, vocab, special, promised, folder)
    return special


def _added_tokens(settings: Mapping[str, Any], full: Mapping[str, Any], plain: bool, folder: Path) -> list[AddedToken]:
    """Special and other added tokens in the order in which transformers adds them, which decides their ids."""
    values = dict(settings)
    declared: dict[int, AddedToken] = {}
    if "added_tokens_decoder" in values:
        declared = {int(id_): _token(token) for id_, token in values["added_tokens_decoder"].items()}
    else:
        values |= read_json_if_there(folder / "special_tokens_map.json")
        special = {_token(value).content for value in _special_tokens(values, plain)}
        for text, id_ in read_json_if_there(folder / "added_tokens.json").items():
            declared[int(id_)] = AddedToken(text, normalized=text not in special)
        declared |= {int(entry["id"]): _token(entry) for entry in full.get("added_tokens") or []}
    in_file = [_token(entry) for entry in full.get("added_tokens") or []] if plain else []
    found: dict[str, AddedToken] = {}
    for token in [
        *in_file,
        *(declared[id_] for id_ in sorted(declared)),
        *map(_token, _special_tokens(values, plain)),
    ]:
        if token.content:
            found.setdefault(token.content, token)
    return list(found.values())


def _special_tokens(values: Mapping[str, Any], plain: bool) -> list[Any]:
    """What the settings name as special tokens: the usual names first, then `*_token` of their own, then lists."""
    extra = values.get("extra_special_tokens") or values.get("additional_special_tokens") or []
    own = [value for key, value in values.items() if key.endswith("_token") and key not in _NAMED]
    if isinstance(extra, dict):
        own, extra = [*own, *extra.values()], values.get("additional_special_tokens") or []
    defaults = {} if plain else dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END_OF_TEXT)
    named = [values.get(key, defaults.get(key)) for key in _NAMED]
    # A flag such as add_bos_token ends in `_token` as well.
    return [value for value in [*named, *own, *extra] if isinstance(value, (str, dict))]


def _token(value: str | Mapping[str, Any]) -> AddedToken:
    if isinstance(value, str):
        return AddedToken(value, normalized=False)
    flags = {key: bool(value.get(key)) for key in ("single_word", "lstrip", "rstrip", "normalized")}
    return AddedToken(str(value["content"]), **flags)


def _refuse_flags(tokens: list[AddedToken], folder: Path) -> None:
    """Refuse what makes more of a special token than its text, found leftmost and longest."""
    for token in tokens:
        for flag in ("single_word", "lstrip", "rstrip"):
            if getattr(token, flag):
                raise ModelError(
                    f"the added token {token.content!r} in {folder} sets {flag}, which a workbook cannot express; "
                    f"set it to false"
                )
    # All that are not `normalized` are cut out first: this shows only where two tokens compete for a character.
    for first in tokens:
        for second in tokens:
            if first.normalized and not second.normalized and _overlap(first.content, second.content):
                raise ModelError(
                    f"the added tokens {first.content!r} and {second.content!r} in {folder} overlap and only "
                    f"one of them sets normalized, which a workbook cannot express; set it to false"
                )


def _check_added(
    tokens: list[AddedToken],
    vocab: Mapping[str, int],
    special: Mapping[str, int],
    promised: Mapping[str, int],
    folder: Path,
) -> None:
    """Refuse added tokens whose ids clash, where transformers' own answer is an accident of the order of loading."""
    by_id = {id_: token for token, id_ in vocab.items()}
    for token in tokens:
        text = token.content
        id_ = special.get(text)
        if id_ is None or by_id.get(id_, text) != text or promised.get(text, id_) != id_:
            raise ModelError(
                f"the id of the added token {text!r} in {folder} clashes with that of another token; give every token "
                f"an id of its own, the added ones those after the vocabulary"
            )


def _overlap(first: str, second: str) -> bool:
    """Whether some text holds both with a character in common."""
    if first in second or second in first:
        return True
    lengths = range(1, min(len(first), len(second)))
    return any(first.endswith(second[:n]) or second.endswith(first[:n]) for n in lengths)
