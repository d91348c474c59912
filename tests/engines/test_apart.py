"""An engine in a process of its own: its crash is a sentence, its hang has an end, nothing is left running."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gpt2xl.engines.apart import Apart
from gpt2xl.engines.document import CellError
from gpt2xl.errors import EngineError, NameNotFound, WorkbookError


@pytest.fixture(autouse=True)
def find_faulty_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "error", "sentence"),
    [
        ("hang", EngineError, "Faulty did not answer within 1 seconds while reading hang.xlsx and was ended"),
        ("crash", EngineError, "Faulty crashed while reading crash.xlsx"),
        ("leave", EngineError, "Faulty crashed while reading leave.xlsx"),
        ("mistake", EngineError, "Faulty crashed while reading mistake.xlsx"),
        ("refuse", WorkbookError, "not this one"),
    ],
)
def test_what_goes_wrong(kind: str, error: type[Exception], sentence: str) -> None:
    with Apart("faulty_engine", "Faulty", timeout=20) as engine:
        document = engine.open("fine.xlsx")
        assert document.get("a name") == [["a name"]]
        engine._timeout = 1 if kind == "hang" else 20
        start = time.monotonic()
        with pytest.raises(error, match=f"^{sentence}"):
            engine.open(f"{kind}.xlsx")
        assert time.monotonic() - start < 15
        if error is EngineError:
            assert engine._process.returncode is not None
            with pytest.raises(EngineError, match="was ended; open the workbook again"):
                document.get("a name")
        else:
            assert document.get("a name") == [["a name"]]
    assert not is_running(engine._process.pid)


def test_what_cannot_start() -> None:
    with pytest.raises(WorkbookError, match="install it"):
        Apart("faulty_engine", "NotInstalled")
    with pytest.raises(EngineError, match="crashed while starting"):
        Apart("no_such_module", "Engine")


def test_forgotten_and_still_ended() -> None:
    engine = Apart("faulty_engine", "Faulty")
    pid = engine._process.pid
    del engine
    assert not is_running(pid)


def test_the_same_answers_as_in_this_process(book: Path) -> None:
    pytest.importorskip("ironcalc")
    from gpt2xl.engines.ironcalc import IronCalc

    with IronCalc() as here, Apart("gpt2xl.engines.ironcalc", "IronCalc") as apart:
        document, other = here.open(book), apart.open(book)
        for each in (document, other):
            each.set("prompt", "=1+1")
            each.set("scale", 2.0)
        for name in ("doubled", "product", "length", "Model!G2:G4"):
            assert other.get(name) == document.get(name)
        assert isinstance(other.get("Model!G2")[0][0], CellError)
        np.testing.assert_array_equal(other.get_numbers("product"), document.get_numbers("product"))
        with pytest.raises(NameNotFound, match="no range named `nothing`"):
            other.get("nothing")
        with pytest.raises(EngineError, match="where a number was expected"):
            other.get_numbers("Model!G2")
        with pytest.raises(WorkbookError, match="there is no file"):
            apart.open(book.with_name("missing.xlsx"))


def test_ironcalc_that_is_missing(book: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ironcalc.py").write_text("raise ImportError")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(EngineError, match=r"IronCalc is not installed; `pip install gpt2xl\[ironcalc\]` installs it"):
        Apart("gpt2xl.engines.ironcalc", "IronCalc").open(book)
