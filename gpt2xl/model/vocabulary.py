"""What a workbook needs of a byte-level BPE: tokens as bytes, merges as numbers, special tokens.

The algorithm and the alphabet of bytes are OpenAI's (gpt-2, src/encoder.py); the ids are those of
`transformers.AutoTokenizer` for the same folder, through the same library, `tokenizers`.

What holds for every vocabulary that loads, measured with transformers 5.23 and tokenizers 0.23.3:

* Special tokens are cut out of the text first, leftmost and longest first. The pieces between them are then split
  into words one by one, so that white space before a special token is at an end (`\\s+(?!\\S)` takes all of it).
* A byte without a token of its own is dropped without a trace, before merging: its neighbours can merge.
* Merging repeats: of all neighbouring pairs that have a merge, join the one of the lowest rank, the leftmost of
  these. Where `in_order` holds (every trained vocabulary), joining all pairs of the lowest rank from left to
  right at once comes to the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from tokenizers import Tokenizer

from gpt2xl.errors import PromptError
from gpt2xl.model.tokenizer_files import TokenizerFiles, read_tokenizer


class Merge(NamedTuple):
    """Two token ids that stand side by side become one. A merge's rank is its place in the list, from 0."""

    left: int
    right: int
    result: int


def byte_alphabet() -> list[str]:
    """For each of the 256 bytes, the character that stands for it in vocab.json and merges.txt.

    Printable Latin-1 stands for itself, the other 68 bytes are U+0100 and following, in order
    (`bytes_to_unicode` in OpenAI's encoder.py).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(256 + others.index(byte)) for byte in range(256)]


ALPHABET = byte_alphabet()
_BYTE_OF = {character: byte for byte, character in enumerate(ALPHABET)}


class Coder(Protocol):
    """The tokenizer that the workbook's is held against."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...


@dataclass(eq=False, repr=False)
class Vocabulary:
    """The tokens of a checkpoint.

    `tokens[id]` is the token's bytes, `b""` for an id that has none; `byte_ids[byte]` the id of the token that is
    this byte alone, -1 where there is none; `merges` are in rank order, each pair once; `special` maps texts
    that are found before anything else to their ids. `base_size` is the number of ids without added tokens:
    ids of `special` from there on may lie beyond the model's embedding (three letters and no merges get
    `<|endoftext|>` as id 3), and a prompt that uses one cannot be computed by any program. `files` are what it was read
    from, None for a vocabulary of characters.
    """

    tokens: list[bytes]
    byte_ids: list[int]
    merges: list[Merge]
    special: dict[str, int]
    base_size: int
    coder: Coder
    files: TokenizerFiles | None = None

    @classmethod
    def from_folder(cls, folder: Path) -> Vocabulary:
        """The vocabulary in vocab.json and merges.txt, or tokenizer.json, of `folder`.

        Raises `ModelError` where there is none, where it is damaged, and, by name, for every setting that
        formulas do not express: another pre-tokenizer, a normalizer, dropout and so on.
        """
        return cls.from_files(read_tokenizer(folder))

    @classmethod
    def from_files(cls, files: TokenizerFiles) -> Vocabulary:
        """The vocabulary of tokenizer files that have been read."""
        ids = files.vocab
        size = max([*ids.values(), *files.special.values()], default=-1) + 1
        tokens = [b""] * size
        for token, id_ in ids.items():
            tokens[id_] = token_bytes(token)
        for token, id_ in files.special.items():
            tokens[id_] = token.encode()
        # As `tokenizers` reads the list: a pair named twice has the rank of its last mention.
        merges: dict[tuple[int, int], Merge] = {}
        for left, right in files.merges:
            pair = (ids[left], ids[right])
            merges.pop(pair, None)
            merges[pair] = Merge(*pair, ids[left + right])
        return cls(
            tokens=tokens,
            byte_ids=[ids.get(character, -1) for character in ALPHABET],
            merges=list(merges.values()),
            special=files.special,
            base_size=max(ids.values(), default=-1) + 1,
            coder=_BytePairs(files.tokenizer),
            files=files,
        )

    @property
    def size(self) -> int:
        """The number of ids, those of added tokens and those without a token included."""
        return len(self.tokens)

    @cached_property
    def in_order(self) -> bool:
        """Whether no merge needs a token that a later merge makes, as in every list that training wrote.

        Only then may all occurrences of the lowest-ranked pair be joined in one round.
        """
        made_by: dict[int, int] = {}  # token id -> the highest rank that makes it
        for rank, merge in enumerate(self.merges):
            made_by[merge.result] = rank
        return all(
            made_by.get(part, -1) < rank for rank, merge in enumerate(self.merges) for part in (merge.left, merge.right)
        )

    def text(self, id_: int) -> str:
        """What a person sees of a token: its text, or its bytes in hexadecimal as `‹E2 80›`.

        Bytes are shown where they are no valid UTF-8 by themselves or hold a control character other than tab
        and line feed. An id without a token, also beyond `size`, is the empty text.
        """
        token = self.tokens[id_] if 0 <= id_ < self.size else b""
        try:
            text = token.decode()
        except UnicodeDecodeError:
            return _hexadecimal(token)
        return _hexadecimal(token) if any(map(_is_control, text)) else text

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, as `AutoTokenizer` gives them.

        Raises `PromptError` for half a surrogate pair, and for what a vocabulary of characters does not have.
        """
        return self.coder.encode(text)

    def decode(self, ids: list[int]) -> str:
        """The text of a row of ids, special tokens included; bytes that are no UTF-8 become U+FFFD."""
        return self.coder.decode(ids)


class _BytePairs:
    """The `tokenizers` library for one folder."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        try:
            return list(self._tokenizer.encode(text).ids)
        except (TypeError, UnicodeEncodeError):
            raise PromptError(
                "the prompt holds half of a surrogate pair, which is no character; remove it or complete it"
            ) from None

    def decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))


def token_bytes(token: str) -> bytes:
    """The bytes that a token of vocab.json stands for.

    A token with a character outside the alphabet never comes out of encoding; it decodes to its own UTF-8.
    """
    try:
        return bytes(_BYTE_OF[character] for character in token)
    except KeyError:
        return token.encode("utf-8", "surrogatepass")


def _is_control(character: str) -> bool:
    # Unicode's category Cc, but for tab and line feed.
    return character not in "\t\n" and (character < " " or "\x7f" <= character <= "\x9f")


def _hexadecimal(token: bytes) -> str:
    return f"‹{token.hex(' ').upper()}›"
