"""PyTorch's files (pytorch_model.bin, ckpt.pt, model.pt), opened for tensors and plain values only.

They are pickles, which can run any program when opened. `weights_only=True` builds tensors, numbers, texts and
containers and refuses everything else (https://docs.pytorch.org/docs/stable/notes/serialization.html). Versions of
PyTorch before 2.6 could be led around that (CVE-2025-32434), so that they are refused here.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpt2xl.errors import ModelError
from gpt2xl.model.files import first_line
from gpt2xl.model.tensors import BFLOAT16, Stored

# nanoGPT's and minGPT's checkpoint: their layout is read from files of these names, and from no other format.
LINEAR_FILES = ("ckpt.pt", "model.pt")
_SAFE = (2, 6)


def read_pickle(path: Path) -> Any:
    """What is in a file of PyTorch, its tensors mapped rather than read.

    Raises `ModelError` where PyTorch is missing or too old, and for files that are damaged or hold more than data.
    """
    try:
        import torch
    except ImportError:
        raise ModelError(
            f"{path} is a PyTorch file and PyTorch is not installed; `pip install "
            f"gpt2xl[torch]`{_or_other_format(path)}"
        ) from None
    version = torch.__version__
    if tuple(map(int, version.split(".")[:2])) < _SAFE:
        raise ModelError(
            f"{path} is a PyTorch file, which PyTorch {version} does not open safely; update to 2.6 or "
            f"newer{_or_other_format(path)}"
        )
    _refuse_compressed(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols that it may not read: it says so where it does not
            return _load(torch, path)
    except Exception as error:
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise ModelError(
                f"{path} asks for `{named[1]}` to be called when it is opened, which could be any program and is never "
                f"done; {_plainly(path)}"
            ) from None
        way_out = "copy or save it anew" if path.name in LINEAR_FILES else f"fetch the file again, or {_plainly(path)}"
        reason = "" if isinstance(error, UnpicklingError) else f" ({first_line(error)})"
        raise ModelError(
            f"{path} cannot be read as a file of plain PyTorch tensors{reason}; the download or the copy is damaged or "
            f"incomplete, so {way_out}"
        ) from None


def _refuse_compressed(path: Path) -> None:
    """PyTorch stores the entries of its zip files as they are: what would grow when it is read is none of its files."""
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(max(entry.file_size, 0) for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return  # older than PyTorch 1.6, or damaged, which opening it will tell
    if total > path.stat().st_size:
        raise ModelError(
            f"{path} would expand to {total:,} bytes when it is read, which no file of PyTorch does; {_plainly(path)}"
        )


def _plainly(path: Path) -> str:
    """How a model is saved so that it is read."""
    if path.name in LINEAR_FILES:
        return "save it anew with `torch.save`, with tensors, numbers, texts and dictionaries in it and nothing else"
    return "save the model's state_dict as model.safetensors"


def _or_other_format(path: Path) -> str:
    return "" if path.name in LINEAR_FILES else ", or save the model as model.safetensors"


def _load(torch: Any, path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # files written before PyTorch 1.6 are no zip archives and cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)


def tensors_of(state: Any, path: Path) -> dict[str, Stored]:
    """The tensors of a state_dict by name; raises `ModelError` for anything that is none."""
    import torch

    if not isinstance(state, Mapping):
        raise ModelError(f"{path} holds no state_dict of tensors; save the model's state_dict() there")
    entries = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f"`{name}` in {path} is no tensor; save the model's state_dict() there")
        if tensor.layout == torch.strided and tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ModelError(
                f"`{name}` in {path} has more numbers than the file holds for it; save the model's state_dict() there"
            )
        kind = str(tensor.dtype).removeprefix("torch.")
        plain = tensor.layout == torch.strided and kind in ("float64", "float32", "float16", "bfloat16")
        entries[str(name)] = _stored(tensor.detach()) if plain else unusable(str(name), tensor.shape, kind, path)
    return entries


def _stored(tensor: Any) -> Stored:
    import torch

    def raw() -> NDArray[Any]:
        if tensor.dtype == torch.bfloat16:
            bits: NDArray[Any] = tensor.view(torch.int16).numpy().view(BFLOAT16)
            return bits
        values: NDArray[np.floating[Any]] = tensor.numpy()
        return values

    return Stored(tuple(tensor.shape), raw)


def unusable(name: str, shape: tuple[int, ...], kind: str, path: Path) -> Stored:
    """A tensor of a type that cannot be used, which is said to whoever asks for it: old causal masks are never."""

    def raw() -> NDArray[Any]:
        raise ModelError(
            f"`{name}` in {path} is stored as {kind}; save the model with float32, float16 or bfloat16 weights"
        )

    return Stored(tuple(shape), raw)
