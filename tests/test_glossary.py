"""The glossary: two sentences a term, and every term that the notes use."""

from __future__ import annotations

import re

from gpt2xl.plan.template import load_templates, template_folder
from gpt2xl.surface.reading import read_glossary

_, _, TERMS, QUESTIONS = read_glossary(template_folder() / "glossary.toml")
# Words of the notes that are no everyday English, with the term that explains them.
JARGON = {
    "attends": "attention", "bytes": "byte", "code point": "code point", "cosine": "cosine", "detectors": "MLP",
    "embedding": "embedding", "exponentials": "exponential", "heads": "head", "keys": "key", "layer norm": "layer norm",
    "logits": "logit", "mask": "causal mask", "mean": "mean", "merges": "merge", "MLP": "MLP", "padding": "padding",
    "population": "variance", "principal": "principal axis", "query": "query", "residual stream": "residual stream",
    "rank": "rank", "softmax": "softmax", "special token": "special token", "symbols": "merge",
    "temperature": "temperature", "UTF-8": "UTF-8", "Unicode": "code point", "values": "value", "variance": "variance",
    "vector": "vector", "vocabulary": "vocabulary", "weights": "weight", "pattern": "attention pattern",
    "context": "context", "position": "position", "prompt": "prompt", "token": "token", "block": "block",
}  # fmt: skip


def notes() -> str:
    sheets = load_templates().sheets
    entries = [entry for sheet in sheets for entry in sheet.entries]
    return "\n".join([*(sheet.note for sheet in sheets), *(f"{entry.title}. {entry.note}" for entry in entries)])


def test_every_term_of_the_notes_is_explained() -> None:
    said = notes().casefold()
    assert [word for word in JARGON if word.casefold() not in said] == []
    assert {term for term in JARGON.values() if term not in TERMS} == set()


def test_a_term_takes_two_sentences() -> None:
    for term, meaning in TERMS.items():
        assert len(re.findall(r"[.!?](?=\s|$)", meaning.replace("RFC 3629", ""))) == 2, term


def test_what_learners_ask_is_answered() -> None:
    asked = " ".join(QUESTIONS).casefold()
    for subject in ("added", "sines", "layer norm", "mask", "padding", "decoder only", "since gpt-2"):
        assert subject in asked
    changed = QUESTIONS["What has changed since GPT-2?"]
    assert all(word in changed for word in ("RMS norm", "rotary", "SwiGLU", "rouped queries", "ost-training"))
