"""`run --set`: numbers, matrices as JSON, one cell of a matrix; what is none of these is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner, Result

import gpt2xl
from gpt2xl.commands import main


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    model = random_checkpoint(folder / "model", n_layer=3, n_head=2, n_embd=4)
    gpt2xl.build("ab", folder / "book.xlsx", model=model, max_tokens=4, max_chars=4)
    return folder / "book.xlsx"


def run(book: Path, *settings: str, get: str) -> Result:
    options = [option for setting in settings for option in ("--set", setting)]
    return CliRunner().invoke(main, ["run", str(book), "--json", *options, "--get", get])


def got(result: Result) -> object:
    assert result.exit_code == 0, result.stderr
    return next(iter(json.loads(result.stdout)["values"].values()))


@pytest.mark.parametrize(
    ("settings", "name", "values"),
    [
        (["switch.heads=[[1,1],[0,1],[1,0]]"], "switch.heads", [[1, 1], [0, 1], [1, 0]]),
        (["switch.heads[0,1]=0", "switch.heads[2, 0]=0"], "switch.heads", [[1, 0], [1, 1], [0, 1]]),
        (["switch.heads=0", "switch.heads[1,1]=1"], "switch.heads", [[0, 0], [0, 1], [0, 0]]),
        (["switch.mlp=[1,0,1]"], "switch.mlp", [[1], [0], [1]]),
        (["switch.mlp=[[1],[0],[0]]"], "switch.mlp", [[1], [0], [0]]),
        (["switch.mlp[2]=0"], "switch.mlp", [[1], [1], [0]]),
        (["steer.vector=[0.5,-1,2e-3,0]"], "steer.vector", [[0.5, -1, 2e-3, 0]]),
        (["steer.vector[2]=7"], "steer.vector", [[0, 0, 7, 0]]),
        (['steer.words=["a","b"]', "steer.from=words"], "steer.words", [["a"], ["b"]]),
        (["switch.mask[0,0]=0"], "switch.mask", 0),
    ],
)
def test_values_reach_their_cells(book: Path, settings: list[str], name: str, values: object) -> None:
    assert got(run(book, *settings, get=name)) == values


def test_a_head_set_by_its_place_is_the_head_that_goes(book: Path) -> None:
    z = np.array(got(run(book, "switch.heads[1,0]=0", get="h.1.attn.z.0")))
    assert not z.any()
    assert np.array(got(run(book, "switch.heads[1,0]=0", get="h.1.attn.z.1"))).any()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("switch.heads=[[1,1],[0,1]]", "switch.heads takes 3 rows of 2 values"),
        ("switch.heads=[1,1,0]", "switch.heads takes 3 rows of 2 values"),
        ("switch.heads=[[1,1],[0],[1,1]]", "switch.heads takes 3 rows of 2 values"),
        ("switch.heads=[[1,1],[0,1]", "begins as a list and is none"),
        ("switch.heads=[[1,1],[0,null],[1,1]]", "cannot hold null"),
        ("switch.heads=[[1,1],[0,NaN],[1,1]]", "cannot hold NaN"),
        ("switch.heads[3,0]=0", "its last one is switch.heads[2,1]"),
        ("switch.heads[1]=0", "switch.heads has 3 × 2 cells"),
        ("switch.tails[1,1]=0", "switch.tails"),
        ("switch.heads[0,0]=0.5", "neither 1 (on) nor 0 (off)"),
        ("h.0.ln_1[0,0]=1", "holds a formula"),
    ],
)
def test_what_cannot_be_set_is_one_sentence(book: Path, setting: str, said: str) -> None:
    result = run(book, setting, get="next_token_id")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
