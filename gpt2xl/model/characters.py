"""Vocabularies whose tokens are single characters, as nanoGPT and minGPT train on small texts.

A workbook's tokenizer is a byte-level BPE (docs/tokenizer.md). It gives the ids of a table of characters because UTF-8
is free of prefixes: a character of one byte is that byte's token; the bytes of a longer one are merged from left to
right, and no merge reaches beyond a character, so that it does not matter where words begin. Bytes, and beginnings of
characters, that are no token of the model have ids from `unknown` on. These are left only where a character is none of
the vocabulary's, and there is no embedding for them, so that such a prompt is answered with a sentence.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gpt2xl.errors import ModelError, PromptError
from gpt2xl.model.files import first_line, read_text
from gpt2xl.model.vocabulary import Merge, Vocabulary

META = "meta.pkl"
TRAINING_TEXT = "input.txt"


def character_vocabulary(ids: Mapping[str, int], unknown: int) -> Vocabulary:
    """The vocabulary with one token a character; `unknown` is the model's number of tokens, more than any id."""
    base_size = max(ids.values(), default=-1) + 1
    if base_size > unknown:
        raise ModelError(
            f"the tokenizer knows token {base_size - 1}, but the model's vocab_size is {unknown}; use the "
            f"tokenizer that the model was trained with"
        )
    # Half a surrogate pair cannot be typed: it keeps its id and nothing leads to it.
    symbols = {character.encode(): id_ for character, id_ in ids.items() if not "\ud800" <= character <= "\udfff"}
    longer = {token for token in symbols if len(token) > 1}
    beginnings = {token[:length] for token in longer for length in range(2, len(token))}
    lone = {bytes([byte]) for byte in range(256)} | beginnings
    symbols |= {symbol: id_ for id_, symbol in enumerate(sorted(lone - symbols.keys()), max(unknown, base_size))}
    tokens = [b""] * (max(symbols.values()) + 1)
    for symbol, id_ in symbols.items():
        tokens[id_] = symbol
    made = sorted(beginnings | longer, key=lambda token: (len(token), token))
    return Vocabulary(
        tokens=tokens,
        byte_ids=[symbols[bytes([byte])] for byte in range(256)],
        merges=[Merge(symbols[token[:-1]], symbols[token[-1:]], symbols[token]) for token in made],
        special={},
        base_size=base_size,
        coder=_Table(ids),
    )


class _Table:
    """Characters to ids and back, one by one."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids
        self._characters = {id_: character for character, id_ in ids.items()}

    def encode(self, text: str) -> list[int]:
        for character in text:
            if character not in self._ids:
                raise PromptError(
                    f"the prompt holds {character!r}, and the model's vocabulary of {len(self._ids):,} characters does "
                    f"not; leave it out"
                )
        return [self._ids[character] for character in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(self._characters.get(id_, "") for id_ in ids)


# --- files -------------------------------------------------------------------------------------------------------


def read_meta(path: Path) -> dict[str, int]:
    """The characters and their ids in nanoGPT's meta.pkl, which is opened without running any of it.

    Raises `ModelError` for a file that is damaged, holds more than plain values, or no table of characters.
    """
    try:
        with path.open("rb") as file:
            meta = _Plain(file).load()
    except _Refused as refused:
        raise ModelError(
            f"{path} asks for `{refused}` to be called when it is opened, which could be any program and is never "
            f"done; write it again as a plain dict of texts and numbers"
        ) from None
    except Exception as error:  # a pickle can fail in any way
        raise ModelError(
            f"{path} cannot be read as a pickle of plain values ({first_line(error)}); write it again with nanoGPT's "
            f"prepare.py"
        ) from None
    table = meta.get("stoi") if isinstance(meta, dict) else None
    if not isinstance(table, dict) or not table:
        raise ModelError(
            f"{path} holds no table `stoi` from characters to ids; write it again with nanoGPT's prepare.py, or put "
            f"GPT-2's vocab.json and merges.txt in its place"
        )
    _check(table, meta.get("itos"), path)
    return dict(table)


def read_training_text(path: Path, size: int) -> dict[str, int]:
    """The ids that nanoGPT and minGPT give to the characters of a text: their order in Unicode.

    Raises `ModelError` where the text has not exactly `size` different characters.
    """
    # Python's `open`, by which both read it, turns CRLF and CR into LF.
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    characters = sorted(set(text))
    if len(characters) != size:
        raise ModelError(
            f"{path} has {len(characters):,} different characters and the model {size:,} tokens; put the text that it "
            f"was trained on there, or the {META} made with it"
        )
    return {character: id_ for id_, character in enumerate(characters)}


def _check(table: Mapping[Any, Any], back: Any, path: Path) -> None:
    """Single characters, each with a whole number of its own that `back` (`itos`) leads back from."""
    used: set[int] = set()
    for character, id_ in table.items():
        if not isinstance(character, str) or len(character) != 1:
            raise ModelError(
                f"{path} has the token {character!r}, which is no single character; only vocabularies of characters "
                f"and GPT-2's byte-level BPE can be built"
            )
        if isinstance(id_, bool) or not isinstance(id_, int) or id_ < 0 or id_ in used:
            raise ModelError(
                f"{character!r} has the id {id_!r} in {path}, which is no whole number of its own from 0; write it "
                f"again with nanoGPT's prepare.py"
            )
        used.add(id_)
    inverse = {id_: character for character, id_ in table.items()}
    if isinstance(back, dict | list) and inverse != (back if isinstance(back, dict) else dict(enumerate(back))):
        raise ModelError(f"`itos` in {path} is not the reverse of `stoi`; write it again with nanoGPT's prepare.py")


class _Refused(Exception):
    """A pickle that names something to call."""


class _Plain(pickle.Unpickler):
    """Opens pickles of dicts, lists, texts and numbers, which need no name of any module."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _Refused(f"{module}.{name}")
