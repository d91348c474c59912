"""Opening, the first calculation and an edit, ours beside LibreOffice's and IronCalc's, in one run on one machine.

    python benchmarks/engines.py TOKENIZER [--sizes tiny,medium,full] [--engines gpt2xl,libreoffice,ironcalc]

TOKENIZER is a folder with GPT-2's vocab.json and merges.txt. `medium` and `full` are checkpoints of random numbers: a
third of GPT-2 small's blocks and of its width, and all of it. IronCalc reads the same model with cell
references, which it needs. Each program runs by itself and has the machine to itself; one that takes more memory than
is free is stopped, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import PROMPTS, SMALL, free_memory, random_checkpoint, watched

import gpt2xl

SIZES: dict[str, dict[str, int]] = {
    "tiny": {},
    "medium": SMALL | {"n_embd": 256, "n_layer": 4, "n_head": 4},
    "full": SMALL,
}
ENGINES = ("gpt2xl", "libreoffice", "ironcalc")
MOST_OF_MEMORY = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--engines", default=",".join(ENGINES))
    arguments = parser.parse_args()
    print(f"{'':8}{'':14}{'open':>9}{'calculate':>11}{'edit':>9}{'memory':>10}   ratios to ours")
    for size in arguments.sizes.split(","):
        with tempfile.TemporaryDirectory() as name:
            compare(size, Path(name), arguments.tokenizer, arguments.engines.split(","))


def compare(size: str, folder: Path, tokenizer: Path, engines: list[str]) -> None:
    model = random_checkpoint(folder / "model", tokenizer, SIZES[size]) if SIZES[size] else "tiny"
    ours: dict[str, float] | None = None
    for engine in engines:
        book = folder / f"{engine}.xlsx"
        gpt2xl.build(PROMPTS[0], book, model=model, refs=engine == "ironcalc", compression="fast")
        most = free_memory() * MOST_OF_MEMORY
        process = subprocess.Popen(
            [sys.executable, __file__.replace("engines.py", "one_engine.py"), engine, str(book)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        start = time.perf_counter()
        largest = watched(process, most)
        output, errors = process.communicate()
        if process.returncode:
            took = time.perf_counter() - start
            why = "stopped: no more memory" if largest > most else errors.decode().strip().splitlines()[-1]
            print(f"{size:8}{engine:14}no answer after {took:.0f} s and {largest:.1f} GB ({why})")
            continue
        times: dict[str, Any] = json.loads(output)
        ours = ours or times
        ratios = " ".join(f"{times[what] / ours[what]:.1f}" for what in ("open", "calculate", "edit"))
        print(
            f"{size:8}{times['program']:14}{times['open']:9.2f}{times['calculate']:11.2f}{times['edit']:9.3f}"
            f"{largest:7.2f} GB   {ratios}   {times['answer']}"
        )
        book.unlink()


if __name__ == "__main__":
    main()
