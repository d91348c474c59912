"""The tokenizer in formulas gives AutoTokenizer's ids, with characters counted as in Excel and as in LibreOffice."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from checkpoints import END_OF_TEXT, random_checkpoint
from hypothesis import given, settings
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

    def agrees_on(self, text: str, rules: int = 2) -> bool:
        """Type `text`; True where it fitted and its ids were the same, False where the workbook said how long it is."""
        expected = self.vocabulary.encode(text)
        for workbook in self.workbooks[:rules]:
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


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """The workbook of the embedded model, or of one whose merges reach across classes: built once, opened twice."""
    folder = tmp_path_factory.mktemp(request.param)
    model: str | Path = request.param
    max_tokens = 40  # so that some texts have too many
    if model == "words":
        max_tokens = 4 * MAX_CHARS  # a token a byte, so that all fit
        model = random_checkpoint(
            folder / "model", n_layer=1, n_head=1, n_embd=2, n_positions=max_tokens, vocab="words"
        )
    path = folder / "book.xlsx"
    gpt2xl.build("a", path, model=model, max_tokens=max_tokens, max_chars=MAX_CHARS)
    workbooks = [gpt2xl.Workbook.open(path, characters=rule) for rule in ("utf16", "codepoints")]
    return Live(load_checkpoint(model).vocabulary, workbooks, max_tokens)


ADVERSARIAL = (
    # nothing, and next to nothing
    "", " ", "  ", "   a", "a   ", "a  b", " a", "\t", "\n", "\n\n", "\r\n", " \n ", "\n a", "a\n\nb", "\t\ta",
    "a \t b",
    # contractions, and what only looks like one
    "'s", "it's", "'s's's", "''s", "'S", "I'VE", "I'll've", "'re're", "x'll'd", " 's", "  's", "\t's",
    "\u00a0's", "'ll",
    "'l", "'v", "'r", "'re", "'rex", "'dd", "'t1", "'m!", "!'s", "1's", "'", "''", "'''s", "don't",
    "don\u2019t", "a'",
    "'s 't're've'm'll'd", "' s", "'ſ", "s'", "'d'", "'\u0301s", "'se", "'ve'",
    # case twins
    " November", " november", "November", "THE the The", "aA", "İıIi", "ßẞSS", "ŐŐ", "Ångström Ångström",
    # numbers of every kind and their neighbours
    "12", "1 2", "a1b2", "1½²Ⅻ", "٣٤", "१२", "3.14", "1,000", "1e5", "x²", "㊿", "𝟙𝟚", "〇", "一二三", "𐄡",
    # others
    "=1+1", "+x", "-5", "@a", "#N/A", "TRUE", "!!!", "...", " ...", "a-b", "a_b", "(a)", '"q"', "a&b<c>",
    "&amp;", "]]>",
    "_x0041_", "_x000D_", "*?~", "~*", "<1", ">=0", "=", "<>", "^", "100%", "$5",
    # white space of other kinds
    "a\u00a0b", "\u00a0\u00a0a", " \u00a0", "a\u2003b", "\u2028", "a\u2028\u2029b", "a\u3000b", "\u1680a",
    "a\u0085b",
    "\u200b", "a\u200bb", "\ufeffa", "\u180ea", "a\u202fb", "a\u205fb", "\x0b\x0c", "a\x1cb\x1fc", " \u200b ",
    "\u00a0 x",
    # scripts
    "你好，世界", "こんにちは", "カタカナ", "ﾊﾝｶｸ", "한국어", "\u1112\u1161\u11ab\uad6d", "שלום עולם",
    "مرحبا بالعالم", "नमस्ते", "สวัสดี",
    "Привет, мир", "Γειά σου", "Ĥĝ ŭ", "\u202eabc\u202c", "\u2067א\u2069", "ქართული", "አማርኛ", "ᏣᎳᎩ", "ትግርኛ",
    # beyond U+FFFF: two places in Excel, one in LibreOffice
    "😀", "😀😀", "a😀b", " 😀", "😀 ", "  😀", "😀's", "'😀", "𝒜𝓑", " 𝒜", "𝒜1", "𝒜's", "1𝒜", "𠮷野家",
    "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽",
    "🇩🇪🇫🇷", "1️⃣", "😀<|endoftext|>😀", "𐍈", "𝟘x", "\U000e0041", "\U0010fffd", "\U00020000a", "😀\n😀", "\n😀",
    "x😀 's",
    "😀" * 24, "𝒜" * 24, "𝟘" * 24, "😀 " * 12,
    # combining marks, joiners, selectors, control characters, what is no character
    "e\u0301", "\u0301", "a\u0301'\u0301s", "\u200d", "\u200d\u200d", "\ufe0f", "\x01", "a\x02b", "\x7f",
    "\x1b[0m", "\u0080",
    "\ufffd", "\ufffe", "\uffff", "\ufdd0", "\ue000", "\ud7ff", "\u0378", "\U0001fffe", "\u00ad", "ﬁ", "ǅ", "ʰ",
    "ª",
    # special tokens
    END_OF_TEXT, END_OF_TEXT + "a", "a" + END_OF_TEXT, " " + END_OF_TEXT, "  " + END_OF_TEXT, END_OF_TEXT + " a",
    END_OF_TEXT + "  a", END_OF_TEXT + "'s", "'" + END_OF_TEXT + "s", "a'" + END_OF_TEXT, "<|endoftext", "|endoftext|>",
    "<|ENDOFTEXT|>", "<|endoftext|<|endoftext|>"[:24], "<<|endoftext|>>", "<|endoftext |>",
    "\n\n" + END_OF_TEXT + "\n",
    # repetitions, which a round must merge from the left
    "aaaaaaaa", "a" * 24, "hehehe", "lllll", "lll ll", "        ", "     a", "          ", "\n\n\n", "''''",
    "'s" * 12, "1212121",
    "ll" * 12, "  " * 12, "the the the the the the", "atatat", "inonin", "''" * 12, "âĢ", "ââ", "’’’",
)  # fmt: skip


@pytest.mark.parametrize("live", ["words"], indirect=True)
def test_adversarial(live: Live) -> None:
    for text in ADVERSARIAL:
        # The rules count alike up to U+FFFF; texts of that kind meet both of them below.
        assert live.agrees_on(text[:MAX_CHARS], rules=2 if max(text, default="") > "\uffff" else 1)


@pytest.mark.parametrize("live", ["tiny"], indirect=True)
def test_too_many_tokens(live: Live) -> None:
    assert not live.agrees_on("😀" * 24)
    assert not live.agrees_on("\u2028" * 24)
    assert live.agrees_on("😀" * 8)


# Any character that a cell can hold, in pieces that meet in every order.
PIECES = ["'", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", " ", "  ", "\n", "\t", "1", "12", ".", "the", " the"]
ASCII = st.characters(min_codepoint=1, max_codepoint=127)
CATEGORIES = (
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
    "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn",
)  # fmt: skip
UNICODE = [
    "😀", "👩‍👩‍👧", "👍🏽", "\u200d", "\ufe0f", "e\u0301", "\u0301", "你好", "の", "한", "שלום", "مر", "न", "𝒜",
    "𝟘", "𠮷",
    "\u00a0", "\u2028", "\u3000", "\u0085", "\u200b", "½", "’", "\x01", "ſ",
]  # fmt: skip


def texts(*pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of these pieces, with `<|endoftext|>` here and there, cut off at what the workbook holds."""
    special = st.sampled_from([END_OF_TEXT, END_OF_TEXT, END_OF_TEXT[:-1], "<|", "|>"])
    chosen = st.one_of(*pieces, *pieces, *pieces, special)
    return st.lists(chosen, min_size=1, max_size=MAX_CHARS).map(lambda parts: "".join(parts)[:MAX_CHARS])


ascii_texts = texts(ASCII, st.sampled_from(PIECES))
unicode_texts = texts(
    st.sampled_from([*PIECES, *UNICODE]),
    st.sampled_from(CATEGORIES).flatmap(lambda category: st.characters(categories=[category], min_codepoint=1)),
    st.sampled_from(["", " ", "'"]).flatmap(lambda first: st.characters(min_codepoint=0x10000).map(first.__add__)),
)


@pytest.mark.parametrize("live", ["words", "tiny"], indirect=True)
@settings(max_examples=40, deadline=None, database=None)
@given(text=ascii_texts)
def test_any_ascii(live: Live, text: str) -> None:
    live.agrees_on(text)


@pytest.mark.parametrize("live", ["words", "tiny"], indirect=True)
@settings(max_examples=40, deadline=None, database=None)
@given(text=unicode_texts)
def test_any_unicode(live: Live, text: str) -> None:
    live.agrees_on(text)


@pytest.mark.slow
@pytest.mark.parametrize("live", ["words", "tiny"], indirect=True)
@settings(max_examples=10_000, deadline=None, database=None)
@given(text=st.one_of(ascii_texts, unicode_texts))
def test_twenty_thousand(live: Live, text: str) -> None:
    live.agrees_on(text)


@pytest.fixture(scope="module")
def with_gpt2s_vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Live:
    """The smallest model that has GPT-2's 50,257 tokens and 50,000 merges."""
    if not (GPT2 / "vocab.json").is_file():
        pytest.skip("GPT-2's own vocabulary is not in ../shared/gpt2-tokenizer")
    folder = tmp_path_factory.mktemp("gpt2")
    model = random_checkpoint(
        folder / "model", n_layer=1, n_head=1, n_embd=2, n_positions=40, vocab="letters", vocab_size=50_257
    )
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(GPT2 / name, model / name)
    path = folder / "book.xlsx"
    built = gpt2xl.build(" November november", path, model=model, max_tokens=40, max_chars=30, plain=True)
    assert built.token_ids == (3389, 645, 303, 1916)  # spreadsheets that compare text find the first twice
    # 50,257 tokens as text and as bytes, 50,000 merges in two orders; the model itself is 100,000 numbers.
    assert built.size < 12_000_000
    return Live(load_checkpoint(model).vocabulary, [gpt2xl.Workbook.open(path)], 40)


# Ten scripts and more, code, emoji, white space, case twins, long words, repetitions.
REAL = (
    " November november", "NOVEMBER November", "nOVEMBER", "The quick brown fox jumps", "over the lazy dog.",
    "Once upon a time, there was", "a princess who lived in", "It was the best of times,",
    "antidisestablishmentarianism", "supercalifragilisticexpialido", "Pneumonoultramicroscopicsilico",
    "floccinaucinihilipilification", "internationalization", "counterrevolutionaries", "uncharacteristically so",
    "incomprehensibilities", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "hahahahahahahahahahaha", "zzzzzzzzzzzzzzz",
    "mmmmmmmm mmmm mm m", "------------------------------", "==============================",
    "..............................", "______________________________", "!!!!!!!!?????", "*******",
    "                    x", "          ", "  a  b   c    d     e", "    return x", "        if x:",
    "0000000000000000", "1234567890123456789", "3.14159265358979", "1,000,000 $ and 50%", "2024-11-12T13:14:15Z",
    "+49 (0)30 1234567", "192.168.0.1:8080", "1/2 + 3/4 = 5/4", "0xDEADBEEF", "def f(x): return x**2",
    "for (int i = 0; i < n; i++) {", 'print("hello, world")', '<div class="a">b</div>',
    "SELECT * FROM t WHERE a=1;",
    "if (!x && y || z) { }", "#include <stdio.h>", "lambda x: x + 1", "a[i] = b[j]; // c",
    "self.assertEqual(a, b)",
    "\\frac{a}{b}^2", '{"k": [1, 2]}', "https://example.com/a?b=c#d", "user@example.com", "C:\\Windows\\System32",
    "~/.bashrc", "&nbsp;&amp;", "import numpy as np", "x != y", "it's we're I'll don't they'd", "IT'S WE'RE I'LL",
    "'tis o'clock rock'n'roll", "she said: 'yes'", "the dogs' owners'", "l'été d'hiver", "can't've",
    "=SUM(A1:B2)",
    "=1+1", "TRUE FALSE", "#N/A #REF!", "1E5 1e5", "'quoted'", "@here", "+x-y", "SolidGoldMagikarp",
    " SolidGoldMagikarp", "RandomRedditorWithNo", "Café crème à la carte", "naïve façade", "Größe Straße Übung",
    "El niño comió piñas", "São Paulo não", "Tiếng Việt", "Łódź żółć", "Türkçe ışık", "Привет, как дела?",
    "Москва и Киев", "Українська мова", "ѝ Ђурђевдан", "Γειά σου Κόσμε", "Ελληνικά", "Ὀδυσσεύς", "שלום עולם",
    "בראשית ברא אלהים", "مرحبا بالعالم", "السلام عليكم", "فارسی زبان", "नमस्ते दुनिया", "हिन्दी भाषा", "বাংলা ভাষা",
    "தமிழ் மொழி", "ภาษาไทย", "ສະບາຍດີ", "မြန်မာ", "ខ្មែរ", "አማርኛ", "ქართული", "Հայերեն", "你好，世界！",
    "我爱北京天安门", "人工智能",
    "漢字と仮名", "こんにちは世界", "カタカナ ひらがな", "日本語のテキスト", "안녕하세요", "대한민국 만세",
    "한국어", "😀", "😀😃😄", "👍🏽 ok", "👩‍👩‍👧‍👦", "🏳️‍🌈",
    "🇩🇪🇫🇷", "❤️ love", "1️⃣2️⃣", "I ❤ NY", "a😀b 😀c", "☕️ ☃ ★ ✓", "→ ⇒ ∀x∈ℝ", "∑ ∫ √2 ≠ ∞", "½ ² Ⅻ ①", "𝒜𝓑𝒞 𝟙𝟚",
    "𠮷野家",
    "™©®°§¶", "€£¥₹₿", "“quoted” ‘text’", "an em—dash…", "a\u00a0b\u00a0\u00a0c", "x\u2028y\u2029z",
    "\u200b\u200bzero", "\ufeffbom", "tab\there", "\n\nnew",
    "a \n b\n", "line\r\nline", "\t\t\tx", "\u3000全角", "e\u0301 a\u0308", "\u202eabc", "<|endoftext|>",
    "a<|endoftext|>b",
    " <|endoftext|> x", "<|endoftext|><|endoftext|>", "<|endoftext|>'s", "  <|endoftext|>", "<|endoftext",
)  # fmt: skip


def test_gpt2s_own_vocabulary(with_gpt2s_vocabulary: Live) -> None:
    fitted = [with_gpt2s_vocabulary.agrees_on(text) for text in REAL]
    assert sum(fitted) > 0.9 * len(fitted)
