"""The table of character classes is what the tokenizers library means, code point by code point."""

from __future__ import annotations

import importlib.util
import unicodedata
from pathlib import Path

import numpy as np

from gpt2xl.tables import unicode_classes

SCRIPT = Path(__file__).parents[1] / "scripts" / "unicode_classes.py"


def test_every_code_point() -> None:
    spec = importlib.util.spec_from_file_location("unicode_classes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    starts, classes = unicode_classes()
    theirs = script.classes_of_tokenizers()
    codes = np.array(list(theirs))
    ours = classes[np.searchsorted(starts, codes, side="right") - 1]
    different = codes[ours != np.array(list(theirs.values()))]
    assert [hex(code) for code in different] == []
    assert len(codes) == 0x110000 - 0x800  # all but the halves of surrogate pairs


def test_the_ranges_are_sorted_and_begin_with_the_first_code_point() -> None:
    starts, classes = unicode_classes()
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert (np.diff(classes) != 0).all()
    assert set(classes.tolist()) == {1.0, 2.0, 3.0, 4.0}


def test_python_agrees_where_its_unicode_is_as_old_as_the_character() -> None:
    starts, classes = unicode_classes()
    by_category = {"L": 1.0, "N": 2.0}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category not in ("Cn", "Cs"):
            ours = classes[np.searchsorted(starts, code, side="right") - 1]
            space = chr(code).isspace() and not 0x1C <= code <= 0x1F
            assert ours == (3.0 if space else by_category.get(category[0], 4.0)), hex(code)
