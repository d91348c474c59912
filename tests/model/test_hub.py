"""Names on the hub through the real huggingface_hub: a hub on this machine, its cache, and no network at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from checkpoints import random_checkpoint
from safetensors.torch import load_file, save_file
from small_hub import COMMIT, Hub, serving
from torch import save

from gpt2xl.errors import ModelError
from gpt2xl.model.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
FINGERPRINT = "import sys; from gpt2xl.model.checkpoint import load_checkpoint as l; print(l(sys.argv[1]).fingerprint)"


def pickled(folder: Path) -> Path:
    """The same model as pytorch_model.bin."""
    save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    folders = {
        "gpt2": random_checkpoint(folder / "gpt2"),
        "someone/model": random_checkpoint(folder / "model", vocab="words"),
        "someone/pickled": pickled(random_checkpoint(folder / "pickled")),
        "someone/nothing": folder / "nothing",
    }
    (folder / "nothing").mkdir()
    (folder / "nothing" / "config.json").write_text("{}")
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md", "generation_config.json"):
        (folders["gpt2"] / name).write_text("not needed")
    with serving(folders) as hub:
        yield hub


def python(hub: Hub, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another Python whose hub is `hub` and whose cache lies in `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1"}
    # Whoever runs the tests may have switched bars off for themselves.
    settings["HF_HUB_DISABLE_PROGRESS_BARS"] = "0"
    return subprocess.run(
        [sys.executable, *arguments], env=kept | settings | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("model", "fetched"),
    [
        ("gpt2", {"config.json", "merges.txt", "model.safetensors", "vocab.json"}),
        ("someone/model@v1", {"config.json", "merges.txt", "model.safetensors", "vocab.json"}),
        (f"gpt2@{COMMIT}", {"config.json", "merges.txt", "model.safetensors", "vocab.json"}),
        ("someone/pickled", {"config.json", "merges.txt", "pytorch_model.bin", "vocab.json"}),
    ],
)
def test_a_name_is_fetched_once_and_found_without_a_network_after_that(
    hub: Hub, tmp_path: Path, model: str, fetched: set[str]
) -> None:
    expected = load_checkpoint(hub.folders[model.partition("@")[0]])
    hub.asked.clear()
    first = python(hub, tmp_path, "-c", FINGERPRINT, model)
    # generation_config.json and files of other formats stay where they are
    assert (set(hub.asked), len(hub.asked)) == (fetched, len(fetched))
    assert "Fetching" in first.stderr
    for environment in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        later = python(hub, tmp_path, "-c", FINGERPRINT, model, **environment)
        assert later.stdout == first.stdout
    assert len(hub.asked) == len(fetched)
    assert first.stdout.strip() == expected.fingerprint


@pytest.mark.parametrize(
    ("model", "environment", "sentence"),
    [
        ("gpt2@v9", {}, "`gpt2` on the Hugging Face hub has no revision `v9`; give one that it has"),
        ("gpt2@refs/pr/9", {}, "`gpt2` on the Hugging Face hub has no revision `refs/pr/9`"),
        ("nobody/nothing", {}, "no model of that name that you may read on the Hugging Face hub; check the name"),
        ("someone/gated", {}, "asks for its terms to be accepted; do so there and run `hf auth login`"),
        ("someone/gated-to-strangers", {}, "asks for its terms to be accepted; do so there and run `hf auth login`"),
        ("someone/nothing", {}, "`someone/nothing` has neither model.safetensors nor pytorch_model.bin"),
        (
            "someone/broken",
            {},
            "could not be fetched from the Hugging Face hub (Server error '500 Internal Server Error",
        ),
        ("someone/forbidden", {}, "could not be fetched from the Hugging Face hub (403 Forbidden"),
        ("gpt2", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the Hugging Face hub cannot be reached"),
        ("gpt2", {"HF_HUB_OFFLINE": "1"}, "connect once so that it is kept there, or give a folder, or `tiny`"),
        ("gpt2", {"HTTP_PROXY": "http://127.0.0.1:9"}, "the Hugging Face hub cannot be reached"),
        ("gpt2", {"HF_ENDPOINT": "nonsense://x"}, "could not be fetched from the Hugging Face hub"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(
    hub: Hub, tmp_path: Path, model: str, environment: dict[str, str], sentence: str
) -> None:
    target = tmp_path / "book.xlsx"
    run = python(
        hub, tmp_path / "home", str(ROOT / "cli.py"), "build", "a", "-o", str(target), "--model", model, **environment
    )
    said = [line for line in run.stderr.splitlines() if line.strip() and "Fetching" not in line]
    assert run.returncode == 2, run.stderr
    assert len(said) == 1, run.stderr
    assert said[0].startswith("gpt2xl: ")
    assert sentence in said[0]
    assert not target.exists()


def test_quiet_shows_no_progress(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "book.xlsx"
    run = python(
        hub, tmp_path / "home", str(ROOT / "cli.py"), "build", "a", "-o", str(target), "--model", "gpt2", "--quiet"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert target.exists()


# --- a cache that something else has filled ----------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def fill(cache: Path, name: str, folder: Path, files: list[str], ref: str = "main") -> Path:
    """Lay out a model as the hub's cache does: blobs, links to them in a snapshot, a ref to its commit."""
    storage = cache / f"models--{name.replace('/', '--')}"
    snapshot = storage / "snapshots" / COMMIT
    for part in (storage / "blobs", snapshot, storage / "refs"):
        part.mkdir(parents=True, exist_ok=True)
    (storage / "refs" / ref).write_text(COMMIT)
    for number, file in enumerate(files):
        shutil.copy(folder / file, storage / "blobs" / str(number))
        (snapshot / file).symlink_to(f"../../blobs/{number}")
    return snapshot


ALL = ["config.json", "model.safetensors", "vocab.json", "merges.txt"]


@pytest.mark.parametrize(
    ("name", "ref", "model"),
    [
        ("gpt2", "main", "gpt2"),
        ("distilgpt2", "main", "distilgpt2"),
        ("gpt2", "v1", "gpt2@v1"),
        ("gpt2", "main", f"gpt2@{COMMIT}"),
        ("someone/model", "main", "someone/model"),
        ("someone/model", "v1", "someone/model@v1"),
    ],
)
def test_a_model_in_the_cache(cache: Path, folder: Path, name: str, ref: str, model: str) -> None:
    snapshot = fill(cache, name, folder, ALL, ref)
    checkpoint = load_checkpoint(model)
    assert (checkpoint.name, checkpoint.folder) == (model, snapshot)
    assert checkpoint.fingerprint == load_checkpoint(folder).fingerprint


def in_shards(folder: Path) -> list[str]:
    """Two shards with their index in place of the weights' one file."""
    state = load_file(folder / "model.safetensors")
    names = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(state)}
    for file in set(names.values()):
        save_file({name: state[name] for name in state if names[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return ["model.safetensors.index.json", *sorted(set(names.values()))]


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["model.safetensors"], "neither model.safetensors nor pytorch_model.bin"),  # as AutoTokenizer leaves it
        (["config.json"], "no config.json"),
        (["merges.txt"], "no merges.txt"),
        (["vocab.json", "merges.txt"], "no tokenizer (vocab.json and merges.txt, or tokenizer.json)"),
    ],
)
@pytest.mark.parametrize("how", ["not fetched", "lost"])
def test_a_part_of_a_model_in_the_cache(cache: Path, folder: Path, missing: list[str], named: str, how: str) -> None:
    snapshot = fill(cache, "gpt2", folder, ALL)
    for file in missing:
        if how == "lost":  # of a cache that was cleared by hand
            (snapshot / file).resolve().unlink()
            named = named if "neither" in named else f"no {missing[0]}"
        else:
            (snapshot / file).unlink()
    said = f"`gpt2` has {named}, or only a part of it is in the cache ({snapshot}); connect once so that the rest is"
    with pytest.raises(ModelError, match=re.escape(said)):
        load_checkpoint("gpt2")


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_part_of_the_shards_in_the_cache(cache: Path, scratch: Path, missing: int) -> None:
    parts = in_shards(scratch)
    snapshot = fill(cache, "gpt2", scratch, [*parts, *(file for file in ALL if file != "model.safetensors")])
    assert load_checkpoint("gpt2").folder == snapshot
    (snapshot / parts[missing]).unlink()
    said = f"`gpt2` has no {parts[missing]}, or only a part of it is in the cache"
    with pytest.raises(ModelError, match=re.escape(said)):
        load_checkpoint("gpt2")


def test_an_added_token_that_the_cache_lost(cache: Path, scratch: Path) -> None:
    """Without it the tokenizer would be another one."""
    (scratch / "added_tokens.json").write_text("{}")
    snapshot = fill(cache, "gpt2", scratch, [*ALL, "added_tokens.json"])
    (snapshot / "added_tokens.json").resolve().unlink()
    with pytest.raises(ModelError, match=r"has no added_tokens\.json, or only a part of it is in the cache"):
        load_checkpoint("gpt2")


def test_another_revision_in_the_cache(cache: Path, folder: Path) -> None:
    fill(cache, "gpt2", folder, ALL, "main")
    with pytest.raises(ModelError, match="`gpt2@v2`, and the Hugging Face hub cannot be reached"):
        load_checkpoint("gpt2@v2")
