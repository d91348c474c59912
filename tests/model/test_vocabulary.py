"""The vocabulary gives the ids of transformers' AutoTokenizer, for every folder that it does not refuse."""

from __future__ import annotations

import random
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from checkpoints import END_OF_TEXT, MERGES, write_tokenizer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizer_folders import FOLDERS, LETTERS, REFUSED, pair, write
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

from gpt2xl.errors import ModelError, PromptError
from gpt2xl.model.vocabulary import ALPHABET, Merge, Vocabulary, token_bytes

GPT2 = Path(__file__).parents[3] / "shared" / "gpt2-tokenizer"
needs_gpt2 = pytest.mark.skipif(
    not (GPT2 / "vocab.json").is_file(), reason="GPT-2's own vocabulary is not in ../shared/gpt2-tokenizer"
)

# Every class of the pattern, and what is known to go wrong.
TEXTS = [
    "",
    " ",
    "The cat sat on the",
    "  two  spaces   three ",
    " \n\t \r\n x\n",
    "it's we'll I'VE don't 'S 's's ''s",
    "November 12th, 2024; 1½ ² Ⅻ ٣",
    "=1+1",
    "'quoted'",
    "TRUE",
    "1E5",
    "a\u00a0b\u200bc\u3000d\u2028e\x1cf\x85g",
    "e\u0301 n\u0303a",
    "👩‍👩‍👧‍👦 🇫🇷 👍🏽",
    "שלום עולם مرحبا नमस्ते สวัสดี 日本語 한국어 Ελληνικά Кириллица",
    "𝕳𝖊𝖑𝖑𝖔 𐍈 \U000e0001",
    "\x00\x01\x7f\x9f\ufeff\ufffd\uffff",
    "aaaa aaaaaaa abab ababab abcabc abcbc axb abxc",
    "x" * 300,
    "₀123abc½",
    END_OF_TEXT,
    END_OF_TEXT * 2,
    f" {END_OF_TEXT} ",
    f"the  {END_OF_TEXT}  the",
    f"\n\n{END_OF_TEXT}\n\n the",
    f"the{END_OF_TEXT}cat",
    "<|endoftext|",
    "<|ENDOFTEXT|>",
    "<|endo<|endoftext|>ftext|>",
    "<x><y>a <pad> b<sep>  c <image><cls><unk>",
    "<ab><a b><ab>>< the he c é 日本 é",
]


@cache
def theirs(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def assert_equal(ours: Vocabulary, folder: Path, text: str) -> None:
    ids = ours.encode(text)
    assert ids == theirs(folder)(text).input_ids, text
    assert ours.decode(ids) == theirs(folder).decode(ids), text


# --- against AutoTokenizer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS)
def test_every_folder_gives_the_ids_of_autotokenizer(tmp_path: Path, files: dict[str, Any]) -> None:
    folder = write(tmp_path, files)
    ours = Vocabulary.from_folder(folder)
    for text in TEXTS:
        assert_equal(ours, folder, text)
    assert ours.special == theirs(folder).get_added_vocab()
    assert ours.size == max(theirs(folder).get_vocab().values()) + 1
    for token, id_ in theirs(folder).get_vocab().items():
        if id_ not in ours.special.values():
            assert ours.tokens[id_] == token_bytes(token)


@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS)
def test_the_tables_say_all_that_a_workbook_needs(tmp_path: Path, files: dict[str, Any]) -> None:
    """Merging by `byte_ids` and `merges` alone, as the module says, gives the library's tokens word by word."""
    vocabulary = Vocabulary.from_folder(write(tmp_path, files))
    letters = [*"abc the", " ", "'", "é", "\n"]
    source = random.Random(5)
    for _ in range(300):
        word = "".join(source.choices(letters, k=source.randint(1, 9)))
        if any(text in word for text in vocabulary.special):
            continue
        pieces = ByteLevel(add_prefix_space=False).pre_tokenize_str(word)
        expected = [id_ for piece, _ in pieces for id_ in merged(vocabulary, token_bytes(piece))]
        assert vocabulary.encode(word) == expected, word


def merged(vocabulary: Vocabulary, word: bytes) -> list[int]:
    """The rule in the module's docstring: drop bytes without a token, then join the lowest rank, leftmost first."""
    rank = {(merge.left, merge.right): (i, merge.result) for i, merge in enumerate(vocabulary.merges)}
    ids = [vocabulary.byte_ids[byte] for byte in word if vocabulary.byte_ids[byte] >= 0]
    while True:
        found = [(rank[pair_][0], i) for i, pair_ in enumerate(pairwise(ids)) if pair_ in rank]
        if not found:
            return ids
        lowest, i = min(found)
        if vocabulary.in_order:  # then one round may join all pairs of this rank
            ids = joined(ids, vocabulary.merges[lowest])
        else:
            ids[i : i + 2] = [vocabulary.merges[lowest].result]


def joined(ids: list[int], merge: Merge) -> list[int]:
    result: list[int] = []
    for id_ in ids:
        if result and (result[-1], id_) == (merge.left, merge.right):
            result[-1] = merge.result
        else:
            result.append(id_)
    return result


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    write_tokenizer(folder, "words")
    return write(folder, {})


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | st.lists(st.sampled_from(TEXTS), max_size=4).map("".join))
def test_any_text(words: Path, text: str) -> None:
    assert_equal(our_vocabulary(words), words, text)


@cache
def our_vocabulary(folder: Path) -> Vocabulary:
    return Vocabulary.from_folder(folder)


@cache
def gpt2_folder(base: Path) -> Path:
    """GPT-2's files by link, beside a config.json, which AutoTokenizer asks for."""
    for name in ("vocab.json", "merges.txt"):
        (base / name).symlink_to(GPT2 / name)
    return write(base, {})


@needs_gpt2
@settings(max_examples=400, deadline=None)
@given(
    text=st.text(max_size=60)
    | st.lists(st.sampled_from(TEXTS), max_size=4).map("".join)
    | st.text(st.sampled_from(" \n\t'saeitllNov.2½é日👍\u200d<|endoftext|>"), max_size=60)
)
def test_any_text_with_gpt2s_own_vocabulary(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = gpt2_base(tmp_path_factory)
    assert_equal(our_vocabulary(folder), folder, text)


_BASE: list[Path] = []


def gpt2_base(factory: pytest.TempPathFactory) -> Path:
    if not _BASE:
        _BASE.append(gpt2_folder(factory.mktemp("gpt2")))
    return _BASE[0]


@needs_gpt2
def test_gpt2s_own_vocabulary() -> None:
    vocabulary = Vocabulary.from_folder(GPT2)
    assert (vocabulary.size, vocabulary.base_size, len(vocabulary.merges)) == (50257, 50257, 50000)
    assert vocabulary.special == {END_OF_TEXT: 50256}
    assert vocabulary.in_order
    assert vocabulary.encode("Hello world") == [15496, 995]
    assert vocabulary.encode(" November") == [3389]
    assert vocabulary.tokens[995] == b" world"
    assert vocabulary.byte_ids[ord("!")] == 0
    assert vocabulary.byte_ids[ord(" ")] == 220
    assert sorted(vocabulary.byte_ids) == list(range(256))
    assert vocabulary.merges[0] == Merge(220, 83, 256)  # Ġ t
    assert vocabulary.text(447) == "‹E2 80›"


# --- what was found out about AutoTokenizer ----------------------------------------------------------------------


def test_a_byte_without_a_token_is_dropped_before_merging(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_folder(write(tmp_path, pair(LETTERS | {"ab": 3}, [("a", "b")])))
    assert vocabulary.byte_ids[ord("x")] == -1
    assert vocabulary.encode("abxc") == [3, 2]
    assert vocabulary.encode("axb") == [3]
    assert vocabulary.encode("xyz") == []
    assert vocabulary.encode("a b") == [0, 1]  # two words: the space is dropped, but had divided them


def test_end_of_text_gets_an_id_even_where_no_file_names_it(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_folder(write(tmp_path, pair(LETTERS, [])))
    assert vocabulary.special == {END_OF_TEXT: 3}
    assert (vocabulary.size, vocabulary.base_size) == (4, 3)
    assert vocabulary.encode(f"a{END_OF_TEXT}c") == [0, 3, 2]


def test_an_added_token_gets_the_next_free_id_whatever_its_file_promises(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_folder(write(tmp_path, FOLDERS["added_tokens.json with a gap"]))
    end = vocabulary.special[END_OF_TEXT]
    assert vocabulary.special == {END_OF_TEXT: end, "<y>": end + 1, "<x>": end + 2}


def test_white_space_ends_at_a_special_token(words: Path) -> None:
    """Two spaces are one word before `<|endoftext|>`, as at the end of the prompt, but two before a letter."""
    vocabulary = our_vocabulary(words)
    double = vocabulary.tokens.index(b"  ")
    space = vocabulary.byte_ids[ord(" ")]
    assert vocabulary.encode(f"  {END_OF_TEXT}") == [double, vocabulary.special[END_OF_TEXT]]
    assert vocabulary.encode("  z")[0] == space


def test_special_tokens_are_found_leftmost_and_longest(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_folder(write(tmp_path, FOLDERS["added tokens that overlap"]))
    special = vocabulary.special
    assert vocabulary.encode("<ab>") == [special["<ab"], vocabulary.byte_ids[ord(">")]]
    assert vocabulary.encode("><ab") == [special["><"], vocabulary.byte_ids[97], vocabulary.byte_ids[98]]


def test_merges_join_one_pair_at_a_time_lowest_rank_first(tmp_path: Path) -> None:
    """Where a merge needs a later one's token, joining all pairs of a rank at once would give `ab ab`."""
    vocabulary = Vocabulary.from_folder(write(tmp_path, FOLDERS["a merge of a later token"]))
    assert not vocabulary.in_order
    assert vocabulary.merges == [Merge(2, 0, 3), Merge(0, 1, 2)]
    assert vocabulary.encode("abab") == [3, 1]  # aba b


def test_a_merge_named_twice_has_its_last_rank(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_folder(write(tmp_path, FOLDERS["a merge named twice"]))
    assert vocabulary.merges == [Merge(1, 2, 4), Merge(0, 1, 3)]
    assert vocabulary.encode("abc") == [0, 4]


@pytest.mark.parametrize(
    "name", ["vocab.json and merges.txt", "two merges of one result", "doubled letters", "letters"]
)
def test_lists_in_order(tmp_path: Path, name: str) -> None:
    assert Vocabulary.from_folder(write(tmp_path, FOLDERS[name])).in_order


# --- bytes and text ----------------------------------------------------------------------------------------------


def test_the_alphabet_of_bytes() -> None:
    assert len(set(ALPHABET)) == 256
    assert [ALPHABET[byte] for byte in (0, 10, 32, 65, 0x7F, 0xA0, 0xAD, 0xFF)] == list("ĀĊĠAġłŃÿ")
    assert token_bytes("ĠcafÃ©") == " café".encode()
    assert token_bytes("日本") == "日本".encode()


def test_tokens_and_bytes_and_merges(words: Path) -> None:
    vocabulary = our_vocabulary(words)
    assert vocabulary.size == vocabulary.base_size == 256 + len(MERGES) + 1
    assert vocabulary.byte_ids == list(range(256))
    assert vocabulary.merges[0] == Merge(32, ord("t"), 256)
    assert vocabulary.tokens[256] == b" t"
    assert vocabulary.tokens[-1] == END_OF_TEXT.encode()
    for merge in vocabulary.merges:
        assert vocabulary.tokens[merge.left] + vocabulary.tokens[merge.right] == vocabulary.tokens[merge.result]


def test_ids_without_a_token(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_folder(write(tmp_path, FOLDERS["letters with gaps between their ids"]))
    assert vocabulary.tokens == [b"a", b"", b"", END_OF_TEXT.encode(), b"", b"b", b"", b"c"]
    assert [vocabulary.text(id_) for id_ in (0, 1, 7, 8, 99)] == ["a", "", "c", "", ""]


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (b" the", " the"),
        (b"\t\n", "\t\n"),
        ("é日".encode(), "é日"),
        (b"\r", "‹0D›"),
        (b"a\x00", "‹61 00›"),
        (b"\x7f", "‹7F›"),
        ("\x85".encode(), "‹C2 85›"),
        (b"\xe2\x80", "‹E2 80›"),
        (b"\xe2\x80\x99", "\u2019"),
        (b"\xed\xa0\x80", "‹ED A0 80›"),
        (b"\xff", "‹FF›"),
    ],
)
def test_what_a_person_sees(words: Path, token: bytes, text: str) -> None:
    vocabulary = Vocabulary.from_folder(words)
    vocabulary.tokens[0] = token
    assert vocabulary.text(0) == text


def test_half_a_surrogate_pair(words: Path) -> None:
    with pytest.raises(PromptError, match="half of a surrogate pair"):
        our_vocabulary(words).encode("a\ud83d")


def test_decoding_joins_what_single_tokens_cannot_show(words: Path) -> None:
    vocabulary = our_vocabulary(words)
    ids = list("👍".encode())
    assert [vocabulary.text(id_) for id_ in ids] == ["‹F0›", "‹9F›", "‹91›", "‹8D›"]
    assert vocabulary.decode(ids) == "👍"
    assert vocabulary.decode(ids[:3]) == "\ufffd"


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refused_by_name(tmp_path: Path, files: dict[str, Any], sentence: str) -> None:
    folder = write(tmp_path, files)
    with pytest.raises(ModelError, match=re.escape(sentence.format(folder=folder))) as caught:
        Vocabulary.from_folder(folder)
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")
