"""What learners look at and what can be switched cost: a workbook beside the same one with --plain.

    python benchmarks/surface.py [--model FOLDER] [--repeat N] [--max-tokens T]

Prints size, time and memory of `build` and `run`, and LibreOffice's time for an edit of the prompt. LibreOffice has
both workbooks open and edits them in turns, for the machine's moods to strike both alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from measure import PROMPTS, command, seconds

from gpt2xl.engines.libreoffice import LibreOffice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        plain, book = Path(name) / "plain.xlsx", Path(name) / "book.xlsx"
        options = ["--model", arguments.model, "--max-tokens", str(arguments.max_tokens), "--quiet"]
        for what, commands in (
            ("build", [["build", PROMPTS[0], "-o", str(plain), "--plain"], ["build", PROMPTS[0], "-o", str(book)]]),
            ("run", [["run", str(plain), "--prompt", PROMPTS[1]], ["run", str(book), "--prompt", PROMPTS[1]]]),
        ):
            extra = options if what == "build" else []
            runs = [command(*one, *extra) for one in commands]
            report(f"{what}, seconds", *(took for took, _ in runs))
            report(f"{what}, gigabytes of memory", *(memory for _, memory in runs))
        report("file, megabytes", plain.stat().st_size / 1e6, book.stat().st_size / 1e6)
        with LibreOffice(timeout=3600) as office:
            documents = [office.open(path) for path in (plain, book)]
            edits: list[list[float]] = [[], []]
            for turn in range(arguments.repeat + 1):
                for document, times in zip(documents, edits, strict=True):

                    def edit(document=document, turn=turn) -> None:  # type: ignore[no-untyped-def]
                        document.set("prompt", PROMPTS[turn % len(PROMPTS)])
                        document.get("next_token")

                    times.append(seconds(edit))
            report("LibreOffice, an edit, seconds", *(statistics.median(times[1:]) for times in edits))


def report(what: str, plain: float, book: float) -> None:
    print(f"{what:32}{plain:9.2f}{book:9.2f}  {book / plain - 1:+.1%}", flush=True)


if __name__ == "__main__":
    main()
