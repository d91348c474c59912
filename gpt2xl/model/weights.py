"""Tensors out of checkpoint files, as float32 arrays that are mapped rather than read.

Formats: safetensors (https://github.com/huggingface/safetensors#format), alone or in shards listed by an
index, and PyTorch's pickles, which are opened for plain tensors only (`weights_only=True`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError, safe_open

from gpt2xl.errors import ModelError
from gpt2xl.model.files import first_line, read_json

Array = np.ndarray[Any, np.dtype[np.float32]]

# In the order in which transformers prefers them.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_DAMAGED = "the download or the copy is damaged or incomplete, so fetch the file again"

# How the bytes of one number are read; bfloat16, which numpy lacks, is the upper half of a float32.
_SAFETENSORS_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class Tensors(Mapping[str, Array]):
    """Tensors by name, each made when asked for: float32 ones are views of the mapped file.

    `shape(name)` is known without touching the numbers.
    """

    def __init__(self, entries: Mapping[str, tuple[tuple[int, ...], Callable[[], Array]]]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Array:
        return self._entries[name][1]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entries[name][0]

    def renamed(self, names: Mapping[str, str]) -> Tensors:
        """The tensors named by the keys of `names` under its values, in its order."""
        return Tensors({new: self._entries[old] for old, new in names.items()})


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights in `folder`, an index first; raises `ModelError` where there are none."""
    for name in WEIGHT_FILES:
        path = folder / name
        if not path.is_file():
            continue
        if not name.endswith(".index.json"):
            return [path]
        shards = sorted(set(_weight_map(path).values()))
        for shard in shards:
            if Path(shard).name != shard:
                raise ModelError(f"{path} names {shard!r}, which is no file beside it; {_DAMAGED}")
            if not (folder / shard).is_file():
                raise ModelError(f"{path} lists {shard}, which is missing beside it; fetch that file too")
        return [path, *(folder / shard for shard in shards)]
    raise ModelError(
        f"{folder} holds no weights; gpt2xl reads model.safetensors (also in shards) and pytorch_model.bin, so save "
        f"the model in one of these forms"
    )


def read_weights(folder: Path) -> Tensors:
    """All tensors of the checkpoint in `folder` under the names that the files give them.

    Raises `ModelError` where there are none, and for files that are truncated, damaged or hold other than
    floating-point numbers.
    """
    first, *shards = weight_files(folder)
    if not first.name.endswith(".index.json"):
        return Tensors(_entries(first))
    entries: dict[str, Any] = {}
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


def _entries(path: Path) -> dict[str, tuple[tuple[int, ...], Callable[[], Array]]]:
    return _safetensors_entries(path) if path.suffix == ".safetensors" else _torch_entries(path)


def _safetensors_entries(path: Path) -> dict[str, tuple[tuple[int, ...], Callable[[], Array]]]:
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
        shape = tuple(entry["shape"])
        if entry["dtype"] not in _SAFETENSORS_TYPES:
            # Left to whoever asks for it: old causal masks are stored as U8 or BOOL and never asked for.
            entries[name] = (shape, _refuse_type(name, entry["dtype"], path))
            continue
        offset = 8 + header_size + entry["data_offsets"][0]
        entries[name] = (shape, _mapped(path, entry["dtype"], shape, offset))
    return entries


def _mapped(path: Path, kind: str, shape: tuple[int, ...], offset: int) -> Callable[[], Array]:
    def load() -> Array:
        if 0 in shape:
            return np.zeros(shape, np.float32)
        raw = np.memmap(path, dtype=_SAFETENSORS_TYPES[kind], mode="r", offset=offset, shape=shape).view(np.ndarray)
        if kind == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which the loader refuses
            return raw.astype(np.float32, copy=False)

    return load


def _torch_entries(path: Path) -> dict[str, tuple[tuple[int, ...], Callable[[], Array]]]:
    try:
        import torch
    except ImportError:
        raise ModelError(
            f"{path} is a PyTorch file and PyTorch is not installed; `pip install gpt2xl[torch]` or save the model as "
            f"model.safetensors"
        ) from None
    try:
        state = _torch_load(torch, path)
    except Exception as error:
        raise ModelError(
            f"{path} cannot be read as a file of plain PyTorch tensors ({first_line(error)}); {_DAMAGED}, or save the "
            f"model's state_dict as model.safetensors"
        ) from None
    if not isinstance(state, dict):
        raise ModelError(f"{path} holds no state_dict of tensors; save the model's state_dict() there")
    entries: dict[str, tuple[tuple[int, ...], Callable[[], Array]]] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f"`{name}` in {path} is no tensor; save the model's state_dict() there")
        shape = tuple(tensor.shape)
        kind = str(tensor.dtype).removeprefix("torch.")
        known = tensor.dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
        entries[name] = (shape, _from_torch(tensor) if known else _refuse_type(name, kind, path))
    return entries


def _torch_load(torch: Any, path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # files written before PyTorch 1.6 are no zip archives and cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)


def _from_torch(tensor: Any) -> Callable[[], Array]:
    return lambda: cast("Array", tensor.detach().float().numpy())


def _refuse_type(name: str, kind: str, path: Path) -> Callable[[], Array]:
    def load() -> Array:
        raise ModelError(
            f"`{name}` in {path} is stored as {kind}; save the model with float32, float16 or bfloat16 weights"
        )

    return load
