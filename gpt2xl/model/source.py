"""Where a checkpoint lies: the package's own, a folder, or a name on the Hugging Face hub."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from gpt2xl.errors import ModelError
from gpt2xl.model.files import first_line
from gpt2xl.model.weights import WEIGHT_FILES, lacking_weights

TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")
# Any of these is a whole tokenizer.
_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))


def find_folder(model: str | Path) -> Path:
    """The folder of the checkpoint that `model` means.

    `"tiny"` is the model inside the package, an existing folder comes next, and anything else that can be
    one is a name on the hub, `name` or `name@revision`, fetched into (or, offline, found in) huggingface_hub's
    cache. Raises `ModelError` where there is no such folder or name, or no network to ask.
    """
    if model == "tiny":
        return _tiny_folder()
    if model == "":
        raise ModelError("the name of the model is empty; give `tiny`, a folder or a name on the Hugging Face hub")
    path = Path(model).expanduser()
    if os.path.isdir(path):  # which takes a name that is too long for a folder for none, as Path.is_dir does not
        return path
    if os.path.exists(path):
        raise ModelError(f"{model} is a file; give the folder of the checkpoint that it belongs to")
    if isinstance(model, Path) or _is_path(model):
        raise ModelError(
            f"there is no folder {model}; give the folder of a checkpoint or a name on the Hugging Face hub"
        )
    return _download(model)


def _tiny_folder() -> Path:
    folder = Path(str(files("gpt2xl") / "data" / "tiny"))
    if not (folder / "config.json").is_file():
        raise ModelError("the embedded model `tiny` is missing from this installation; install gpt2xl again")
    return folder


def _is_path(name: str) -> bool:
    # A hub name is `name` or `owner/name`; whatever else has separators can only have been meant as a path.
    name = name.partition("@")[0] or name  # a revision has separators too, as in `refs/pr/1`
    return name[0] in "./~\\" or name.endswith("/") or name.count("/") > 1 or (os.sep != "/" and os.sep in name)


def _download(model: str) -> Path:
    """The folder of the snapshot in huggingface_hub's cache, with the files that are needed and no others."""
    name, _, revision = model.partition("@")
    small = ["config.json", *TOKENIZER_FILES]
    folder = _fetch(name, revision, [*small, *_SAFETENSORS])
    if not any((folder / file).is_file() for file in _SAFETENSORS[:2]):
        folder = _fetch(name, revision, [*small, *_PICKLES])
    if lacking := _lacking(folder):
        raise ModelError(
            f"`{model}` has {lacking}, or only a part of it is in the cache ({folder}); connect once so that the rest "
            f"is fetched, or take another model"
        )
    return folder


def _lacking(folder: Path) -> str | None:
    """What a snapshot lacks, as half a sentence; None for a whole model.

    Its files are links into the cache, of which some may point to nothing any more.
    """
    for file in ("config.json", *TOKENIZER_FILES):
        path = folder / file
        if not path.is_file() and (path.is_symlink() or file == "config.json"):
            return f"no {file}"
    if missing := lacking_weights(folder):
        return f"no {missing}"
    if not any((folder / file).is_file() for file in WEIGHT_FILES):
        return "neither model.safetensors nor pytorch_model.bin"
    lacks = [[file for file in files if not (folder / file).is_file()] for files in _TOKENIZERS]
    if all(lacks):
        half = [missing for missing, files in zip(lacks, _TOKENIZERS, strict=True) if len(missing) < len(files)]
        return f"no {half[0][0]}" if half else "no tokenizer (vocab.json and merges.txt, or tokenizer.json)"
    return None


def _fetch(name: str, revision: str, patterns: list[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    model = f"{name}@{revision}" if revision else name
    try:
        with _quiet("huggingface_hub"):
            return Path(_interruptibly(snapshot_download, name, revision=revision or None, allow_patterns=patterns))
    except errors.HFValidationError:
        raise ModelError(
            f"`{model}` is neither a folder nor a possible name on the Hugging Face hub; give one of them, or `tiny`"
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelError(
            f"`{name}` on the Hugging Face hub has no revision `{revision}`; give one that it has"
        ) from None
    except errors.GatedRepoError:
        raise ModelError(
            f"`{name}` on the Hugging Face hub asks for its terms to be accepted; do so there and run `hf auth login`"
        ) from None
    except errors.RepositoryNotFoundError:
        raise ModelError(
            f"there is no folder `{model}`, and no model of that name that you may read on the Hugging Face hub; "
            f"check the name, or run `hf auth login` if it is private"
        ) from None
    except errors.LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise _not_fetched(model, error.__cause__) from None
        raise ModelError(
            f"there is no folder `{model}`, and the Hugging Face hub cannot be reached to look for a model of that "
            f"name, which is not or not wholly in the cache; connect once so that it is kept there, or give a folder, "
            f"or `tiny`"
        ) from None
    except Exception as error:  # of the network libraries under huggingface_hub, which change with its versions
        raise _not_fetched(model, error) from None


def _interruptibly(function: Callable[..., str], *arguments: Any, **options: Any) -> str:
    """Call `function` so that Ctrl-C ends the waiting at once: huggingface_hub would first finish its downloads."""
    outcome: SimpleQueue[str | Exception] = SimpleQueue()

    def call() -> None:
        try:
            outcome.put(function(*arguments, **options))
        except Exception as error:
            outcome.put(error)

    Thread(target=call, daemon=True).start()
    found = outcome.get()
    if isinstance(found, Exception):
        raise found
    return found


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the warnings of a library: what it tries again is either well in the end or becomes our sentence."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _not_fetched(model: str, error: Exception) -> ModelError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    way_out = "run `hf auth login`" if status in (401, 403) else "try again later, or give a folder, or `tiny`"
    return ModelError(f"`{model}` could not be fetched from the Hugging Face hub ({first_line(error)}); {way_out}")
