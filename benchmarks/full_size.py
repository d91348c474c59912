"""GPT-2's full size: building, reading, recalculating, beside other programs, in one run on one machine.

    python benchmarks/full_size.py TOKENIZER [--model FOLDER] [--max-tokens T] [--skip libreoffice,torch]

TOKENIZER is a folder with GPT-2's vocab.json and merges.txt. Without --model a checkpoint with GPT-2 small's shapes and
random numbers is made. Needs XlsxWriter, 6 GB of memory for LibreOffice, and the machine for itself: ratios of two
programs that share cores with a third say nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import xlsxwriter
from measure import PROMPTS, command, fastest, random_checkpoint, seconds

import gpt2xl
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.forward import NumpyReference
from gpt2xl.xlsx.compress import Compression
from gpt2xl.xlsx.numbers import NumberRows
from gpt2xl.xlsx.packer import Packer

PROMPT, SECOND, _ = PROMPTS
COMPRESSIONS: tuple[Compression, ...] = ("fast", "default", "small")
SAMPLE_ROWS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--skip", default="")
    arguments = parser.parse_args()
    skip = set(arguments.skip.split(","))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or random_checkpoint(folder / "model", arguments.tokenizer)
        cells = sum(int(np.prod(load_checkpoint(model).tensors.shape(n))) for n in load_checkpoint(model).tensors)
        print(f"{cells:,} parameters, {os.cpu_count()} cores")
        xlsx = xlsxwriter_seconds(folder / "sample.xlsx") / (SAMPLE_ROWS * 768)
        print(f"XlsxWriter, constant memory: {xlsx * 1e6:.2f} µs a cell")
        book = folder / "book.xlsx"
        for compression in COMPRESSIONS:
            bare = seconds(lambda compression=compression: serialise(model, compression))
            options = ["build", PROMPT, "-o", str(book), "--model", str(model), "--force", "--quiet"]
            took, memory = command(*options, "--compression", compression, "--max-tokens", str(arguments.max_tokens))
            size = book.stat().st_size
            print(
                f"build, {compression}: {took:.1f} s, {took / cells * 1e9:.0f} ns a parameter, "
                f"{xlsx * cells / took:.0f} times XlsxWriter's speed, {took / bare:.2f} of serialising and deflating "
                f"alone ({bare:.1f} s), {size / 1e6:.0f} MB, {memory:.2f} GB of memory"
            )
        run, memory = command("run", str(book), "--prompt", SECOND)
        print(f"run, open and edit: {run:.1f} s, {memory:.2f} GB of memory")
        workbook = gpt2xl.Workbook.open(book)
        edit(workbook, PROMPT)
        ours = fastest(lambda text: edit(workbook, text))
        for program, forward in references(model, "torch" in skip):
            forward(PROMPT)
            theirs = fastest(forward)
            print(f"second prompt: {ours:.2f} s, {ours / theirs:.2f} of {program} ({theirs:.2f} s)")
        if "libreoffice" not in skip:
            load, edited, program = libreoffice(book)
            print(
                f"{program}: opens in {load:.1f} s ({load / run:.1f} times run), an edit takes {edited:.2f} s "
                f"({edited / ours:.1f} times ours)"
            )


def xlsxwriter_seconds(path: Path) -> float:
    """XlsxWriter's time for a sample of such numbers."""
    rows = (np.random.default_rng(0).standard_normal((SAMPLE_ROWS, 768), dtype=np.float32) * 0.02).tolist()

    def write() -> None:
        book = xlsxwriter.Workbook(path, {"constant_memory": True})
        sheet = book.add_worksheet()
        for row, numbers in enumerate(rows):
            for column, number in enumerate(numbers):
                sheet.write_number(row, column, number)
        book.close()

    return seconds(write)


def serialise(model: Path, compression: Compression) -> None:
    """The parameters as rows of cells, deflated, and nothing else."""

    def pieces() -> Iterator[NumberRows]:
        tensors = load_checkpoint(model).tensors
        for name in tensors:
            shape = tensors.shape(name)
            step = max(1, 131_072 // shape[-1])
            for start in range(0, shape[0] if len(shape) > 1 else 1, step):
                rows = tensors.rows(name, slice(start, start + step)) if len(shape) > 1 else tensors[name][None]
                opens = [b'<row r="%d"><c><v>' % (start + row + 1) for row in range(len(rows))]
                yield NumberRows(rows, opens, b"</v></c><c><v>", b"</v></c></row>")

    with closing(Packer(compression, many=True)) as packer, open(os.devnull, "wb") as out:
        for packed in packer.packed(pieces()):
            out.write(packed.deflated)


def references(model: Path, skip_torch: bool) -> Iterator[tuple[str, Callable[[str], object]]]:
    """Forward passes in float64 that give every step."""
    checkpoint = load_checkpoint(model)
    numpy = NumpyReference(checkpoint)
    yield "the reference in numpy", lambda text: numpy.run(checkpoint.vocabulary.encode(text))
    if not skip_torch:
        from gpt2xl.model.reference import TorchReference

        torch = TorchReference(checkpoint)
        yield "the reference in PyTorch", lambda text: torch.run(checkpoint.vocabulary.encode(text))


def libreoffice(book: Path) -> tuple[float, float, str]:
    """Seconds to open and to take an edit, and the program's name."""
    from gpt2xl.engines.libreoffice import LibreOffice

    with LibreOffice(timeout=1800) as office:
        program = office.version
        start = time.perf_counter()
        document = office.open(book)
        load = time.perf_counter() - start
        return load, witness_edit(document), program


def witness_edit(document: object) -> float:
    def once(text: str) -> None:
        document.set("prompt", text)  # type: ignore[attr-defined]
        document.get("next_token")  # type: ignore[attr-defined]

    once(PROMPT)
    return fastest(once)


def edit(workbook: gpt2xl.Workbook, text: str) -> None:
    workbook["prompt"] = text
    assert isinstance(workbook["next_token"], str)


if __name__ == "__main__":
    main()
