"""Loading maps: whatever the format, memory grows by far less than the weights have, and by no copy of a tensor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from linear_checkpoints import save_meta
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]
SIZES = {"n_layer": 2, "n_head": 4, "n_embd": 512, "block_size": 512, "vocab_size": 20_000}
# Private memory, which mapped files do not count into, before and after; PyTorch is there before.
SCRIPT = """
import sys
from gpt2xl.model.checkpoint import load_checkpoint
if sys.argv[2] == "torch":
    import torch
    torch.load(sys.argv[3], weights_only=True, mmap=True)
def private():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) * 1024
before = private()
checkpoint = load_checkpoint(sys.argv[1])
kept = dict(checkpoint.tensors)
checkpoint.fingerprint
print(private() - before, sum(value.nbytes for value in kept.values()), any(v.flags.owndata for v in kept.values()))
"""


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    d, one = SIZES["n_embd"], {"ln_1.weight": (1,), "ln_1.bias": (1,), "ln_2.weight": (1,), "ln_2.bias": (1,)}
    block: dict[str, Any] = dict.fromkeys(one, (d,))
    for name, width, inner in (("attn.c_attn", 3, 1), ("attn.c_proj", 1, 1), ("mlp.c_fc", 4, 1), ("mlp.c_proj", 1, 4)):
        block |= {f"{name}.weight": (inner * d, width * d), f"{name}.bias": (width * d,)}
    shapes = {"wte.weight": (SIZES["vocab_size"], d), "wpe.weight": (SIZES["block_size"], d)}
    shapes |= {f"h.{i}.{name}": shape for i in range(SIZES["n_layer"]) for name, shape in block.items()}
    shapes |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
    return {f"transformer.{name}": torch.randn(shape) for name, shape in shapes.items()}


def write(folder: Path, kind: str, state: dict[str, torch.Tensor]) -> Path:
    """The weights as files of a kind; returns the first."""
    config = {"model_type": "gpt2", "n_positions": SIZES["block_size"]}
    if kind == "ckpt.pt":
        state = {
            name: value.t().contiguous() if ".c_" in name and value.dim() == 2 else value
            for name, value in state.items()
        }
        torch.save({"model": state, "model_args": SIZES | {"bias": True}}, folder / kind)
        save_meta(folder / "meta.pkl")
        return folder / kind
    (folder / "config.json").write_text(json.dumps(config | SIZES))
    (folder / "vocab.json").write_text('{"a": 0}')
    (folder / "merges.txt").write_text("")
    if kind == "model.safetensors":
        save_file(state, folder / kind)
    else:
        torch.save(state, folder / kind)
    return folder / kind


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="private memory is read from Linux's /proc")
@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin", "ckpt.pt"])
def test_loading_copies_no_tensor(tmp_path: Path, state: dict[str, torch.Tensor], kind: str) -> None:
    path = write(tmp_path, kind, state)
    library = "none" if kind == "model.safetensors" else "torch"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), library, str(path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    grown, weights, copied = run.stdout.split()
    assert int(weights) > 60e6
    assert copied == "False"
    assert int(grown) < int(weights) / 6
