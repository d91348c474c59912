"""Where a checkpoint is looked for, and the sentences when it is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from gpt2xl.errors import ModelError
from gpt2xl.model.source import find_folder


def answer(code: int) -> Any:
    """A response of the hub, as the errors of huggingface_hub carry it."""

    class Response:
        status_code = code
        headers: dict[str, str] = {}  # noqa: RUF012
        request = None
        url = "https://huggingface.co/x"
        text = ""

    return Response()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A hub that answers with what is in `hub.answers`, and remembers what it was asked."""

    class Hub:
        answers: list[Any] = []  # noqa: RUF012
        asked: list[tuple[str, str | None, list[str]]] = []  # noqa: RUF012

        def __call__(self, name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
            self.asked.append((name, revision, allow_patterns))
            value = self.answers.pop(0)
            if isinstance(value, Exception):
                raise value
            return str(value)

    hub = Hub()
    Hub.answers, Hub.asked = [], []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    monkeypatch.chdir(tmp_path)
    return hub


def snapshot(folder: Path, *files: str) -> Path:
    """What a hub's answer has: these files, and configuration and tokenizer."""
    folder.mkdir()
    for name in ("config.json", "vocab.json", "merges.txt", *files):
        (folder / name).touch()
    return folder


def test_a_folder_by_text_or_path(tmp_path: Path) -> None:
    assert find_folder(str(tmp_path)) == tmp_path
    assert find_folder(tmp_path) == tmp_path


def test_an_existing_folder_wins_over_a_name_on_the_hub(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "gpt2").mkdir()
    assert find_folder("gpt2") == Path("gpt2")
    assert hub.asked == []


def test_a_name_with_a_revision_and_without_pickles(hub: Any, tmp_path: Path) -> None:
    hub.answers = [snapshot(tmp_path / "snapshot", "model.safetensors")]
    assert find_folder("someone/model@v1") == tmp_path / "snapshot"
    [(name, revision, patterns)] = hub.asked
    assert (name, revision) == ("someone/model", "v1")
    assert {"config.json", "vocab.json", "merges.txt", "tokenizer.json", "model.safetensors"} <= set(patterns)
    assert not any("bin" in pattern for pattern in patterns)


def test_pickles_are_fetched_where_there_is_nothing_else(hub: Any, tmp_path: Path) -> None:
    hub.answers = [snapshot(tmp_path / "snapshot", "pytorch_model.bin")] * 2
    find_folder("gpt2")
    assert [revision for _, revision, _ in hub.asked] == [None, None]
    assert "pytorch_model.bin" in hub.asked[1][2]


def test_other_safetensors_are_nothing(hub: Any, tmp_path: Path) -> None:
    """Whatever else fetched model.fp16.safetensors, it is not read; nor is a link to what the cache lost."""
    folder = snapshot(tmp_path / "snapshot", "model.fp16.safetensors", "pytorch_model.bin")
    (folder / "model.safetensors").symlink_to(tmp_path / "lost")
    hub.answers = [folder] * 2
    assert find_folder("gpt2") == folder
    assert "pytorch_model.bin" in hub.asked[1][2]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.LocalEntryNotFoundError("offline"), "the Hugging Face hub cannot be reached to look for a model"),
        (errors.RepositoryNotFoundError("404", response=answer(404)), "no model of that name that you may read"),
        (errors.GatedRepoError("403", response=answer(403)), "asks for its terms to be accepted"),
        (errors.RevisionNotFoundError("404", response=answer(404)), "has no revision `r`"),
        (errors.HFValidationError("bad"), "is neither a folder nor a possible name on the Hugging Face hub"),
        (
            errors.HfHubHTTPError("500 Server Error\nmore", response=answer(500)),
            "(500 Server Error); try again later, or give a folder, or `tiny`",
        ),
        (errors.HfHubHTTPError("401 Client Error", response=answer(401)), "(401 Client Error); run `hf auth login`"),
        (ValueError("no such proxy"), "(no such proxy); try again later"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_the_hub_says_no(hub: Any, error: Exception, sentence: str) -> None:
    hub.answers = [error]
    with pytest.raises(ModelError, match=re.escape(sentence)) as caught:
        find_folder("gpt2@r")
    assert "\n" not in str(caught.value)


def test_offline_with_an_empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real library in its offline mode, so that no network is asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="connect once so that it is kept there, or give a folder, or `tiny`"):
        find_folder("gpt2")


def test_a_name_that_cannot_be_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="neither a folder nor a possible name"):
        find_folder("no such model!")


@pytest.mark.parametrize(
    "model", ["./here", "~/nowhere", "/nowhere/at/all", "a/b/c", "a/b/c@main", "models/", Path("gpt2")]
)
def test_a_path_is_never_asked_of_the_hub(hub: Any, model: str | Path) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        find_folder(model)
    assert hub.asked == []


def test_an_empty_name(hub: Any) -> None:
    with pytest.raises(ModelError, match="the name of the model is empty"):
        find_folder("")
    assert hub.asked == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="is a file; give the folder"):
        find_folder(tmp_path / "model.safetensors")


def test_tiny_is_the_packages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpt2xl.model import source

    package = tmp_path / "package"
    (package / "data" / "tiny").mkdir(parents=True)
    monkeypatch.setattr(source, "files", lambda _: package)
    with pytest.raises(ModelError, match="install gpt2xl again"):
        find_folder("tiny")
    (package / "data" / "tiny" / "config.json").touch()
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_folder("tiny") == package / "data" / "tiny"
