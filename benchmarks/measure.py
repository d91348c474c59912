"""What the benchmarks share: a checkpoint of random numbers, time, and the memory of a program with its processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from gpt2xl.model.checkpoint import expected_shapes
from gpt2xl.model.config import Config

PROMPTS = ("Mike is quick. He moves", "Sarah is slow. She walks", "The small red car is fast")
SMALL = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}


def random_checkpoint(folder: Path, tokenizer: Path, sizes: dict[str, int] = SMALL) -> Path:
    """A checkpoint as the hub lays it out, with GPT-2's vocabulary and random numbers."""
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **sizes})
    )
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(tokenizer / name, folder / name)
    random = np.random.default_rng(0)
    tensors = {}
    for name, shape in expected_shapes(Config.from_folder(folder)).items():
        stored = f"{name}.weight" if name in ("wte", "wpe") else name
        numbers = random.standard_normal(shape, dtype=np.float32)
        numbers *= 0.02
        vector = np.ones if name.endswith("weight") else np.zeros
        tensors[stored] = numbers if len(shape) > 1 else vector(shape, dtype=np.float32)
    save_file(tensors, folder / "model.safetensors")
    return folder


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fastest(work: Callable[[str], object]) -> float:
    """The shorter of two edits, to prompts that were not the last."""
    return min(seconds(lambda text=text: work(text)) for text in PROMPTS[1:])


def command(*arguments: str, before: str = "") -> tuple[float, float]:
    """Seconds and gigabytes of a command of ours and the processes that it starts, together.

    `before` is run first, in the same process.
    """
    start = time.perf_counter()
    program = f"{before}\nfrom gpt2xl.commands import main; main()"
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL)
    most = watched(process)
    if process.returncode:
        raise SystemExit(f"gpt2xl {' '.join(arguments)} failed")
    return time.perf_counter() - start, most


def watched(process: subprocess.Popen[bytes], most: float = float("inf")) -> float:
    """Wait for a program's end; the largest memory of it and its processes in gigabytes, killed beyond `most`."""
    largest = 0.0
    while process.poll() is None:
        largest = max(largest, memory(process.pid) / 1e9)
        if largest > most:
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    return largest


def memory(process: int) -> int:
    """Bytes of a process and of those that it has started: a page that several share counts once in all (Pss)."""
    total = 0
    for number in _family(process):
        with suppress(OSError):  # what has just ended
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


def _family(process: int) -> Iterator[int]:
    yield process
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            for child in task.read_text().split():
                yield from _family(int(child))


def free_memory() -> float:
    """What this machine has left, in gigabytes."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
