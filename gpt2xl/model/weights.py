"""The weights in a folder as transformers saves them, mapped rather than read.

Formats: safetensors (https://github.com/huggingface/safetensors#format) and PyTorch's pickles, each alone or in shards
listed by an index.
"""

from __future__ import annotations

import json
import math
import mmap
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from gpt2xl.errors import ModelError
from gpt2xl.model.files import first_line, read_json
from gpt2xl.model.pickles import read_pickle, tensors_of, unusable
from gpt2xl.model.tensors import BFLOAT16, Stored, Tensors

# In the order in which transformers prefers them.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# What lists the shards that are named so.
_INDEX_OF = {
    "model-*-of-*.safetensors": "model.safetensors.index.json",
    "pytorch_model-*-of-*.bin": "pytorch_model.bin.index.json",
}
_DAMAGED = "the download or the copy is damaged or incomplete, so fetch the file again"
# Weights that are not read: file, framework, way out. First OpenAI's own, then what transformers saved up to version 4.
_OTHER_FRAMEWORKS = {
    "*.ckpt.index": (
        "TensorFlow",
        "take the same model from the hub: `--model gpt2`, `gpt2-medium`, `gpt2-large` or `gpt2-xl`",
    ),
    "tf_model.h5": ("TensorFlow", "load it with transformers 4 and `from_tf=True`, and save it with save_pretrained"),
    "flax_model.msgpack": ("JAX", "load it with transformers 4 and `from_flax=True`, and save it with save_pretrained"),
}

_SAFETENSORS_TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
}


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights in `folder`, an index first; raises `ModelError` where one is missing."""
    missing, first = lacking_weights(folder), _first(folder)
    if first is None and missing is not None:
        raise ModelError(
            f"{folder} holds a part of the weights only: {missing}, which lists the shards, is missing; fetch that "
            f"file too"
        )
    if first is None:
        raise ModelError(
            f"{folder} holds no weights; gpt2xl reads model.safetensors (also in shards), pytorch_model.bin and the "
            f"ckpt.pt or model.pt of nanoGPT and minGPT, so save the model in one of these forms"
        )
    if missing is not None:
        raise ModelError(f"{first} lists {missing}, which is missing beside it; fetch that file too")
    return [first, *_shards(first)]


def lacking_weights(folder: Path) -> str | None:
    """The file without which the weights in `folder` are a part of them only; None where all are there, or none."""
    first = _first(folder)
    if first is not None:
        return next((shard.name for shard in _shards(first) if not shard.is_file()), None)
    for pattern, index in _INDEX_OF.items():
        if any(path.is_file() for path in folder.glob(pattern)):
            return index
    return None


def _first(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)


def _shards(first: Path) -> list[Path]:
    """The files that an index lists, whether they are there or not; none for what is no index."""
    if not first.name.endswith(".index.json"):
        return []
    shards = sorted(set(_weight_map(first).values()))
    for shard in shards:
        if Path(shard).name != shard:
            raise ModelError(f"{first} names {shard!r}, which is no file beside it; {_DAMAGED}")
    return [first.parent / shard for shard in shards]


def refuse_other_frameworks(folder: Path) -> None:
    """Raise `ModelError` where the weights in `folder` are those of TensorFlow or JAX."""
    for pattern, (framework, way_out) in _OTHER_FRAMEWORKS.items():
        if found := sorted(folder.glob(pattern)):
            raise ModelError(f"{found[0]} holds the weights in the format of {framework}, which is not read; {way_out}")


def read_weights(folder: Path) -> Tensors:
    """All tensors of the checkpoint in `folder` under the names that the files give them.

    Raises `ModelError` where there are none, and for files that are truncated, damaged or hold other than
    floating-point numbers.
    """
    first, *shards = weight_files(folder)
    if not first.name.endswith(".index.json"):
        return Tensors(_entries(first))
    entries: dict[str, Stored] = {}
    for shard in shards:
        entries.update(_entries(shard))
    for name, shard_name in _weight_map(first).items():
        if name not in entries:
            raise ModelError(
                f"{first} promises `{name}` in {shard_name}, which does not hold it; fetch both files again"
            )
    return Tensors(entries)


def _weight_map(index: Path) -> dict[str, str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise ModelError(f"{index} holds no weight_map from tensors to files; {_DAMAGED}")
    return weight_map


def _entries(path: Path) -> dict[str, Stored]:
    return _safetensors(path) if path.suffix == ".safetensors" else tensors_of(read_pickle(path), path)


def _safetensors(path: Path) -> dict[str, Stored]:
    try:
        # The library checks what we then rely on: header, offsets without gaps, the size of the file.
        with safe_open(path, framework="np"):
            pass
        with path.open("rb") as file:
            header_size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(header_size))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as safetensors ({first_line(error)}); {_DAMAGED}") from None
    header.pop("__metadata__", None)
    entries = {}
    for name, entry in header.items():
        shape, kind = tuple(entry["shape"]), entry["dtype"]
        if kind in _SAFETENSORS_TYPES:
            offset = 8 + header_size + entry["data_offsets"][0]
            entries[name] = Stored(shape, partial(_mapped, path, _SAFETENSORS_TYPES[kind], shape, offset))
        else:
            entries[name] = unusable(name, shape, kind, path)
    return entries


def _mapped(path: Path, kind: np.dtype[Any], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    if 0 in shape:
        return np.zeros(shape, np.float32)
    # Anew each time, so that pages that were read do not stay; and by hand: numpy's memmap takes far longer to begin.
    begin = offset - offset % mmap.ALLOCATIONGRANULARITY
    end = offset + math.prod(shape) * kind.itemsize
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), end - begin, access=mmap.ACCESS_READ, offset=begin)
    return np.frombuffer(mapped, kind, math.prod(shape), offset - begin).reshape(shape)
