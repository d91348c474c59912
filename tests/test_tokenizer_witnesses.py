"""Many texts typed into one open workbook: LibreOffice's ids, and ours, against the tokenizers library's."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_tokenizer import ADVERSARIAL, GPT2, PIECES, UNICODE
from transformers import GPT2Config, GPT2LMHeadModel

import gpt2xl
from gpt2xl.engines.document import Document
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.vocabulary import Vocabulary

LONGEST = 24
# Ten scripts, whose pieces meet the odd ones.
SENTENCES = """
The November rain isn't quiet, it's LOUD; they've 3 cats & 12½ dogs. def f(x): return x**2
Der Straßenbär läuft über Öl. L’été où naît l’œuf. Ёжик в тумане идёт. Η γάτα κάθεται. הילד רץ. القطة على الحصير.
बिल्ली बैठी है। แมวนั่งอยู่ 猫は座っている。 고양이가 앉아 있다. კატა ზის. ድመት ተቀምጣለች።
"""
WORDS = SENTENCES.split()


def texts(count: int, seed: int) -> list[str]:
    """`count` different texts of 1 to `LONGEST` characters, the same for the same seed."""
    random_ = random.Random(seed)
    pieces = [*WORDS, *WORDS, *(f" {word}" for word in WORDS), *PIECES, *UNICODE, "<|endoftext|>", "  ", "\n"]
    found: dict[str, None] = dict.fromkeys(text[:LONGEST] for text in ADVERSARIAL if text)
    while len(found) < count:
        if random_.random() < 0.1:  # any characters at all, but half pairs
            codes = (random_.choice((0x7F, 0x2FF, 0xFFFF, 0x10FFFF)) for _ in range(random_.randint(1, LONGEST)))
            chosen = (random_.randint(1, last) for last in codes)
            text = "".join(chr(code) for code in chosen if not 0xD800 <= code <= 0xDFFF)
        else:
            text = "".join(random_.choices(pieces, k=random_.randint(1, 8)))
        if text:
            found[text[:LONGEST]] = None
    return list(found)[:count]


def in_libreoffice(text: str) -> bool:
    """Whether LibreOffice keeps the text: it drops carriage returns, and two code points that are no characters."""
    return not set(text) & {"\r", "\ufffe", "\uffff"} and all(ord(character) & 0xFFFE != 0xFFFE for character in text)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's vocabulary and a model that is hardly there, with room for every text."""
    return tokenizer_book(tmp_path_factory.mktemp("book"), load_checkpoint("tiny").folder)


def tokenizer_book(folder: Path, vocabulary: Path) -> Path:
    """A workbook with the tokenizer of a folder, of as many tokens as a text has bytes, beside its checkpoint."""
    model = folder / "model"
    size = len(json.loads((vocabulary / "vocab.json").read_text(encoding="utf-8")))
    GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=1, n_embd=2, n_positions=4 * LONGEST, vocab_size=size)
    ).save_pretrained(model)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(vocabulary / name, model)
    gpt2xl.build("a", folder / "book.xlsx", model=model, max_tokens=4 * LONGEST, max_chars=LONGEST, plain=True)
    return folder / "book.xlsx"


@pytest.fixture(scope="module")
def office() -> Iterator[LibreOffice]:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    with LibreOffice() as office:
        yield office


def wrong_in(document: Document, vocabulary: Vocabulary, chosen: list[str]) -> list[tuple[str, list[object]]]:
    """The texts whose ids differ, with the ids that the witness gives."""
    wrong: list[tuple[str, list[object]]] = []
    for text in chosen:
        document.set("prompt", text)
        expected = vocabulary.encode(text)
        ids = [row[0] for row in document.get("token_ids")]
        if ids[: len(expected)] != expected or document.get("n_tokens")[0][0] != len(expected):
            wrong.append((text, ids))
    return wrong


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_libreoffice_gives_the_same_ids(book: Path, office: LibreOffice, count: int) -> None:
    chosen = [text for text in texts(count * 9 // 8, seed=1) if in_libreoffice(text)][:count]
    assert len(chosen) == count
    assert wrong_in(office.open(book), load_checkpoint("tiny").vocabulary, chosen) == []


def ours_wrong(path: Path, vocabulary: Vocabulary, chosen: list[str], characters: str) -> list[str]:
    workbook = gpt2xl.Workbook.open(path, characters=characters)
    wrong = []
    for text in chosen:
        workbook["prompt"] = text
        expected = vocabulary.encode(text)
        ids = np.ravel(workbook["token_ids"])
        if ids[: len(expected)].tolist() != expected or workbook["n_tokens"] != len(expected):
            wrong.append(text)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("characters", ["utf16", "codepoints"])
def test_20_000_texts(characters: str, book: Path) -> None:
    assert ours_wrong(book, load_checkpoint("tiny").vocabulary, texts(20_000, seed=2), characters) == []


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Vocabulary]:
    """A workbook with GPT-2's own vocabulary and a model that is hardly there."""
    if not GPT2.is_dir():
        pytest.skip(f"GPT-2's vocabulary is not in {GPT2}")
    book = tokenizer_book(tmp_path_factory.mktemp("gpt2"), GPT2)
    return book, Vocabulary.from_folder(book.parent / "model")


@pytest.mark.slow
@pytest.mark.parametrize("characters", ["utf16", "codepoints"])
def test_20_000_texts_with_the_vocabulary_of_gpt2(characters: str, gpt2: tuple[Path, Vocabulary]) -> None:
    assert ours_wrong(*gpt2, texts(20_000, seed=3), characters) == []


@pytest.mark.slow
def test_libreoffice_with_the_vocabulary_of_gpt2(gpt2: tuple[Path, Vocabulary], office: LibreOffice) -> None:
    chosen = [text for text in texts(560, seed=4) if in_libreoffice(text)][:500]
    assert wrong_in(office.open(gpt2[0]), gpt2[1], chosen) == []
