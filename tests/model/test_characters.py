"""Vocabularies of characters: the workbook's tokenizer gives the ids of the plain table, character for character."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from linear_checkpoints import linear_state, save_meta, save_nanogpt

import gpt2xl
from gpt2xl.errors import PromptError
from gpt2xl.model.characters import character_vocabulary
from gpt2xl.model.checkpoint import load_checkpoint

# One to four bytes in UTF-8, with common beginnings, in no order, words of all classes, what formulas look like.
KNOWN = "zb a'\n=1,é\u00a0èñ日本語—–’…€😀😁🇫🇷𝕳\u0301\u200d٣½Ж"
IDS = {character: number for number, character in enumerate(KNOWN)}
# As long, as similar.
UNKNOWN = "Zcê\u00a1曰‘😂\U0001f1e9٤"
HOLDS = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("characters") / "model"
    state = linear_state(folder / "theirs", vocab_size=len(KNOWN))
    save_nanogpt(folder, state, vocab_size=len(KNOWN))
    save_meta(folder / "meta.pkl", {"stoi": IDS, "itos": dict(enumerate(KNOWN))})
    return folder


@pytest.fixture(scope="module")
def book(model: Path) -> Path:
    path = model.parent / "book.xlsx"
    gpt2xl.build("a", path, model=model, max_tokens=HOLDS, max_chars=HOLDS)
    return path


@pytest.fixture(scope="module", params=["utf16", "codepoints"])
def workbook(request: pytest.FixtureRequest, book: Path) -> gpt2xl.Workbook:
    return gpt2xl.Workbook.open(book, characters=request.param)


def test_texts_have_the_ids_of_the_table(workbook: gpt2xl.Workbook) -> None:
    random_ = random.Random(5)
    texts = [*KNOWN, "".join(random_.sample(KNOWN, HOLDS))]
    texts += ["".join(random_.choices(KNOWN, k=random_.randint(1, HOLDS))) for _ in range(300)]
    for text in texts:
        workbook["prompt"] = text
        ids = np.ravel(workbook["token_ids"])[: len(text)].tolist()
        assert ids == [IDS[character] for character in text], text
        assert workbook["n_tokens"] == len(text)


def test_a_character_that_the_table_lacks_gets_a_sentence(workbook: gpt2xl.Workbook) -> None:
    for character in UNKNOWN:
        for text in (character, f"ab{character}", f"é{character}日"):
            workbook["prompt"] = text
            assert workbook["next_token_id"] == gpt2xl.ExcelError("#N/A"), text
            assert workbook["next_token"] == (
                "The prompt holds a special token or a character that this model does not know: leave it out."
            )
    workbook["prompt"] = "ab"
    assert isinstance(workbook["next_token_id"], float)


def test_every_step_as_pytorch(book: Path, model: Path) -> None:
    prompts = ["ab", "日本 é😀", KNOWN[:HOLDS], KNOWN[-HOLDS:]]
    verdict = gpt2xl.check(book, prompts=prompts)
    assert verdict.ok
    for comparison in verdict.prompts:
        assert comparison.token_ids == [IDS[character] for character in comparison.prompt]
        assert max(step.max_abs_diff for step in comparison.steps) < 1e-9
    vocabulary = load_checkpoint(model).vocabulary
    assert gpt2xl.Workbook.open(book).cached("next_token") in [vocabulary.text(number) for number in range(len(KNOWN))]


def test_libreoffice(book: Path) -> None:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    assert gpt2xl.check(book, prompts=["ab", "日本 é😀", KNOWN[-HOLDS:]], engine="libreoffice").ok


def test_build_and_check_refuse_a_character_that_the_table_lacks(book: Path, model: Path, tmp_path: Path) -> None:
    sentence = f"the prompt holds 'Z', and the model's vocabulary of {len(KNOWN)} characters does not; leave it out"
    with pytest.raises(PromptError, match=re.escape(sentence)):
        gpt2xl.build("aZ", tmp_path / "book.xlsx", model=model)
    with pytest.raises(PromptError, match=re.escape(sentence)):
        gpt2xl.check(book, prompts=["aZ"])


def test_what_a_vocabulary_of_characters_is() -> None:
    vocabulary = character_vocabulary({"b": 1, "é": 0, "€": 3, "\ud800": 2}, unknown=7)
    assert vocabulary.tokens[:7] == ["é".encode(), b"b", b"", "€".encode(), b"", b"", b""]
    assert (vocabulary.base_size, vocabulary.special) == (4, {})
    # every other byte, and the beginning of the euro sign, has an id that the model has no embedding for
    assert sorted(vocabulary.byte_ids)[:2] == [1, 7]
    assert len(set(vocabulary.byte_ids)) == 256
    assert vocabulary.size == 7 + 255 + 1
    assert vocabulary.in_order
    assert [vocabulary.tokens[merge.result] for merge in vocabulary.merges] == [
        "é".encode(),
        "€".encode()[:2],
        "€".encode(),
    ]
    assert vocabulary.encode("b€é") == [1, 3, 0]
    assert vocabulary.decode([1, 3, 0, 6]) == "b€é"
