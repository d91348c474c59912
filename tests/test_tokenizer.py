"""The tokenizer in formulas gives the ids of AutoTokenizer, under Excel's rule of counting characters and LibreOffice's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from checkpoints import END_OF_TEXT, random_checkpoint
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gpt2xl
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.vocabulary import Vocabulary

GPT2 = Path(__file__).parents[2] / "shared" / "gpt2-tokenizer"
MAX_CHARS = 24


@dataclass
class Live:
    """A workbook, open under one or both rules, beside the tokenizer it must agree with."""

    vocabulary: Vocabulary
    workbooks: list[gpt2xl.Workbook]
    max_tokens: int
    max_chars: int

    def agrees_on(self, text: str) -> bool:
        """Type `text`; True where it fitted and its ids were the same, False where the workbook said how long it is."""
        expected = self.vocabulary.encode(text)
        for workbook in self.workbooks:
            workbook["prompt"] = text
            if len(expected) > self.max_tokens:
                assert workbook["too_long"] == (
                    f"The prompt has {len(expected)} tokens and this workbook holds {self.max_tokens}: shorten it, or "
                    "build with a larger --max-tokens."
                )
                assert all(value == gpt2xl.ExcelError("#N/A") for value in np.ravel(workbook["token_ids"]))
            else:
                ids = np.ravel(workbook["token_ids"])
                assert ids[: len(expected)].tolist() == expected
                assert not ids[len(expected) :].any()
                assert workbook["n_tokens"] == len(expected)
        return len(expected) <= self.max_tokens


Open = Callable[[str], Live]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """The workbook of the embedded model, or of one that adds merges across classes: built once, opened twice."""
    opened: dict[str, Live] = {}

    def open_live(name: str) -> Live:
        if name not in opened:
            folder = tmp_path_factory.mktemp(name)
            model: str | Path = name
            if name == "words":
                model = random_checkpoint(folder / "model", n_layer=1, n_head=1, n_embd=2, n_positions=96, vocab="words")
            # As many tokens as the longest texts of four bytes a character; the embedded model is given fewer.
            max_tokens = 40 if name == "tiny" else 4 * MAX_CHARS
            path = folder / "book.xlsx"
            gpt2xl.build("a", path, model=model, max_tokens=max_tokens, max_chars=MAX_CHARS)
            workbooks = [gpt2xl.Workbook.open(path, characters=rule) for rule in ("utf16", "codepoints")]
            opened[name] = Live(load_checkpoint(model).vocabulary, workbooks, max_tokens, MAX_CHARS)
        return opened[name]

    return open_live


ADVERSARIAL = (
    # nothing, and next to nothing
    "", " ", "  ", "   a", "a   ", "a  b", " a", "\t", "\n", "\n\n", "\r\n", " \n ", "\n a", "a\n\nb", "\t\ta", "a \t b",
    # contractions, and what only looks like one
    "'s", "it's", "'s's's", "''s", "'S", "I'VE", "I'll've", "'re're", "x'll'd", " 's", "  's", "\t's", "\u00a0's", "'ll",
    "'l", "'v", "'r", "'re", "'rex", "'dd", "'t1", "'m!", "!'s", "1's", "'", "''", "'''s", "don't", "don\u2019t", "a'",
    "'s 't're've'm'll'd", "' s", "'ſ", "s'", "'d'", "'\u0301s", "'se", "'ve'",
    # case twins
    " November", " november", "November", "THE the The", "aA", "İıIi", "ßẞSS", "ŐŐ", "Ångström Ångström",
    # numbers of every kind and their neighbours
    "12", "1 2", "a1b2", "1½²Ⅻ", "٣٤", "१२", "3.14", "1,000", "1e5", "x²", "㊿", "𝟙𝟚", "〇", "一二三", "𐄡",
    # others
    "=1+1", "+x", "-5", "@a", "#N/A", "TRUE", "!!!", "...", " ...", "a-b", "a_b", "(a)", '"q"', "a&b<c>", "&amp;", "]]>",
    "_x0041_", "_x000D_", "*?~", "~*", "<1", ">=0", "=", "<>", "^", "100%", "$5",
    # white space of other kinds
    "a\u00a0b", "\u00a0\u00a0a", " \u00a0", "a\u2003b", "\u2028", "a\u2028\u2029b", "a\u3000b", "\u1680a", "a\u0085b",
    "\u200b", "a\u200bb", "\ufeffa", "\u180ea", "a\u202fb", "a\u205fb", "\x0b\x0c", "a\x1cb\x1fc", " \u200b ", "\u00a0 x",
    # scripts
    "你好，世界", "こんにちは", "カタカナ", "ﾊﾝｶｸ", "한국어", "한국어", "שלום עולם", "مرحبا بالعالم", "नमस्ते", "สวัสดี",
    "Привет, мир", "Γειά σου", "Ĥĝ ŭ", "\u202eabc\u202c", "\u2067א\u2069", "ქართული", "አማርኛ", "ᏣᎳᎩ", "ትግርኛ",
    # beyond U+FFFF: two places in Excel, one in LibreOffice
    "😀", "😀😀", "a😀b", " 😀", "😀 ", "  😀", "😀's", "'😀", "𝒜𝓑", " 𝒜", "𝒜1", "𝒜's", "1𝒜", "𠮷野家", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽",
    "🇩🇪🇫🇷", "1️⃣", "😀<|endoftext|>😀", "𐍈", "𝟘x", "\U000e0041", "\U0010fffd", "\U00020000a", "😀\n😀", "\n😀", "x😀 's",
    "😀" * 24, "𝒜" * 24, "𝟘" * 24, "😀 " * 12,
    # combining marks, joiners, selectors, control characters, what is no character
    "e\u0301", "\u0301", "a\u0301'\u0301s", "\u200d", "\u200d\u200d", "\ufe0f", "\x01", "a\x02b", "\x7f", "\x1b[0m", "\u0080",
    "\ufffd", "\ufffe", "\uffff", "\ufdd0", "\ue000", "\ud7ff", "\u0378", "\U0001fffe", "\u00ad", "ﬁ", "ǅ", "ʰ", "ª",
    # special tokens
    END_OF_TEXT, END_OF_TEXT + "a", "a" + END_OF_TEXT, " " + END_OF_TEXT, "  " + END_OF_TEXT, END_OF_TEXT + " a",
    END_OF_TEXT + "  a", END_OF_TEXT + "'s", "'" + END_OF_TEXT + "s", "a'" + END_OF_TEXT, "<|endoftext", "|endoftext|>",
    "<|ENDOFTEXT|>", "<|endoftext|<|endoftext|>"[:24], "<<|endoftext|>>", "<|endoftext |>", "\n\n" + END_OF_TEXT + "\n",
    # repetitions, which a round must merge from the left
    "aaaaaaaa", "a" * 24, "hehehe", "lllll", "lll ll", "        ", "     a", "          ", "\n\n\n", "''''", "'s" * 12, "1212121",
    "ll" * 12, "  " * 12, "the the the the the the", "atatat", "inonin", "''" * 12, "âĢ", "ââ", "’’’",
)  # fmt: skip


@pytest.mark.parametrize("model", ["words", "tiny"])
def test_adversarial(model: str, live: Open) -> None:
    book = live(model)
    assert len(set(ADVERSARIAL)) > 250
    fitted = [book.agrees_on(text[:MAX_CHARS]) for text in ADVERSARIAL]
    assert sum(fitted) > 0.95 * len(fitted)


# Any character that a cell can hold, in pieces that meet in every order.
PIECES = ["'", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", " ", "  ", "\n", "\t", "1", "12", ".", "the", " the"]
ASCII = st.characters(min_codepoint=1, max_codepoint=127)
CATEGORIES = (
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn",
)  # fmt: skip
UNICODE = [
    "😀", "👩‍👩‍👧", "👍🏽", "\u200d", "\ufe0f", "e\u0301", "\u0301", "你好", "の", "한", "שלום", "مر", "न", "𝒜", "𝟘", "𠮷",
    "\u00a0", "\u2028", "\u3000", "\u0085", "\u200b", "½", "’", "\x01", "ſ",
]  # fmt: skip


def texts(*pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of these pieces, with `<|endoftext|>` here and there, cut off at what the workbook holds."""
    special = st.sampled_from([END_OF_TEXT] + 3 * [END_OF_TEXT[:-1], "<|", "|>"])
    chosen = st.one_of(*pieces, *pieces, *pieces, special)
    return st.lists(chosen, min_size=1, max_size=MAX_CHARS).map(lambda parts: "".join(parts)[:MAX_CHARS])


ascii_texts = texts(ASCII, st.sampled_from(PIECES))
unicode_texts = texts(
    st.sampled_from([*PIECES, *UNICODE]),
    st.sampled_from(CATEGORIES).flatmap(lambda category: st.characters(categories=[category], min_codepoint=1)),
    st.sampled_from(["", " ", "'"]).flatmap(lambda first: st.characters(min_codepoint=0x10000).map(first.__add__)),
)


@pytest.mark.parametrize("model", ["words", "tiny"])
@settings(max_examples=100, deadline=None, database=None)
@given(text=ascii_texts)
def test_any_ascii(model: str, live: Open, text: str) -> None:
    live(model).agrees_on(text)


@pytest.mark.parametrize("model", ["words", "tiny"])
@settings(max_examples=100, deadline=None, database=None)
@given(text=unicode_texts)
def test_any_unicode(model: str, live: Open, text: str) -> None:
    live(model).agrees_on(text)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["words", "tiny"])
@settings(max_examples=10_000, deadline=None, database=None)
@given(text=st.one_of(ascii_texts, unicode_texts))
@example(text="x" * MAX_CHARS)
def test_twenty_thousand(model: str, live: Open, text: str) -> None:
    live(model).agrees_on(text)
