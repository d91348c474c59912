"""Words near words, and temperature: compared with numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoints import random_checkpoint

import gpt2xl
from gpt2xl.lessons import chosen_words, principal_axes
from gpt2xl.model.checkpoint import Checkpoint

NOTHING = gpt2xl.ExcelError("#N/A")


def token(tiny: Checkpoint, text: str) -> int:
    (index,) = tiny.vocabulary.encode(text)
    return index


def test_cosine_of_two_words(wb: gpt2xl.Workbook, tiny: Checkpoint) -> None:
    wte = tiny.tensors["wte"].astype(np.float64)
    for first, second in (("Monday", "Tuesday"), ("The", "the")):
        wb["near.words"] = [[first], [second]]
        u, v = wte[np.ravel(wb["near.id"]).astype(int)]
        assert wb["near.similarity"] == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v), abs=1e-12)


def test_a_word_is_found_exactly_first_with_a_space_before_it(wb: gpt2xl.Workbook, tiny: Checkpoint) -> None:
    wb["near.words"] = [["the"], [" the"]]
    assert wb["near.id"].tolist() == [[token(tiny, " the")]] * 2
    wb["near.words"] = [["The"], ["."]]
    assert wb["near.id"].tolist() == [[token(tiny, " The")], [token(tiny, ".")]]
    assert wb["near.says"][0, 0] == "« The»"
    wb["near.words"] = [["c*"], ["xylophone"]]
    assert wb["near.id"].tolist() == [[NOTHING], [NOTHING]]
    assert wb["near.says"].tolist() == [["no single token"]] * 2
    assert wb["near.similarity"] == NOTHING


def test_the_ten_nearest(wb: gpt2xl.Workbook, tiny: Checkpoint) -> None:
    wb["near.words"] = [["Monday"], ["cat"]]
    wte = tiny.tensors["wte"].astype(np.float64)
    monday = token(tiny, " Monday")
    cosine = wte @ wte[monday] / np.linalg.norm(wte, axis=1) / np.linalg.norm(wte[monday])
    best = np.argsort(-cosine, kind="stable")[1:11]
    assert np.ravel(wb["near.ids"]).tolist() == best.tolist()
    np.testing.assert_allclose(np.ravel(wb["near.value"]), cosine[best], rtol=1e-9)
    assert wb["near.tokens"][0, 0] == tiny.vocabulary.text(int(best[0]))


def test_points_on_the_principal_axes(wb: gpt2xl.Workbook, tiny: Checkpoint) -> None:
    words, ids = chosen_words(tiny.vocabulary, 1024, 12)
    assert np.ravel(wb["near.chosen"]).tolist() == words
    assert len(set(words)) == 12
    wte, wpe = (tiny.tensors[name].astype(np.float64) for name in ("wte", "wpe"))
    centre, axes = principal_axes(wte[ids])
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    spread = np.square((wte[ids] - centre) @ axes.T).sum(axis=0)
    values = np.linalg.eigvalsh(np.cov((wte[ids] - centre).T, bias=True))[::-1] * len(ids)
    np.testing.assert_allclose(spread, values[:2], rtol=1e-9)
    points = (wte[ids] - centre) @ axes.T
    np.testing.assert_allclose(np.hstack([wb["near.x"], wb["near.y"]]), points, atol=1e-12)
    placed = points + wpe[3] @ axes.T
    np.testing.assert_allclose(np.hstack([wb["near.x.placed"], wb["near.y.placed"]]), placed, atol=1e-12)
    wb["near.chosen"] = [["Paris"], *[[word] for word in words[1:]]]
    wb["near.position"] = 7
    paris = (wte[token(tiny, " Paris")] - centre) @ axes.T
    np.testing.assert_allclose([wb["near.x"][0, 0], wb["near.y"][0, 0]], paris, atol=1e-12)
    assert wb["near.x.placed"][0, 0] == pytest.approx((paris + wpe[7] @ axes.T)[0])


def test_models_of_few_words_and_dimensions_have_the_sheet_too(tmp_path: Path) -> None:
    random_checkpoint(tmp_path / "model", n_layer=1, n_head=1, n_embd=2, n_positions=8, vocab="letters")
    gpt2xl.build("abc", tmp_path / "book.xlsx", model=tmp_path / "model", max_tokens=4, max_chars=4)
    wb = gpt2xl.Workbook.open(tmp_path / "book.xlsx")
    assert np.ravel(wb["near.chosen"]).tolist() == ["a", "b", "c"] * 4
    assert sorted(np.ravel(wb["near.ids"]).tolist()) == [1, 2]
    assert np.isfinite(wb["near.x"]).all()


def test_temperature(wb: gpt2xl.Workbook) -> None:
    wb["temperature.tried"] = [[0.25, 1, 3]]
    logits = np.ravel(wb["logits"])
    for column, temperature in enumerate((0.25, 1, 3)):
        scaled = np.exp((logits - logits.max()) / temperature)
        best = np.sort(scaled / scaled.sum())[::-1][:10]
        np.testing.assert_allclose(wb["temperature.probs"][:, column], best, rtol=1e-9)
    np.testing.assert_allclose(wb["temperature.probs"][:, 1], np.ravel(wb["top.prob"]), rtol=1e-12)


def test_at_temperature_0_the_most_probable_token_is_sure_as_where_it_is_sampled(wb: gpt2xl.Workbook) -> None:
    wb["temperature.tried"] = [[0, -1, 1]]
    assert wb["temperature.probs"][:, 0].tolist() == [1] + 9 * [0]
    assert wb["temperature.probs"][:, 1].tolist() == 10 * [NOTHING]
