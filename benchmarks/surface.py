"""What learners look at and what can be switched cost: a workbook beside the same one without.

    python benchmarks/surface.py [--model FOLDER] [--repeat N] [--max-tokens T] [--without all|undisturbed]
                                 [--skip libreoffice]

"all" is what --plain leaves out; "undisturbed" is the run of the model that what-ifs are compared with, which is their
price while everything is on. Prints size, time and memory of `build` and `run`, and LibreOffice's time for an edit of
the prompt. LibreOffice has both workbooks open and edits them in turns, for the machine's moods to strike both alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from measure import PROMPTS, command, seconds

from gpt2xl.engines.libreoffice import LibreOffice

# A student copy has none either; here nothing else is left out.
WITHOUT_UNDISTURBED = """
from gpt2xl.plan import planner
planner._depth = lambda full, compared, exercise: ("full", "alone")
planner.with_runs = lambda document, runs, function: document
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--without", choices=["all", "undisturbed"], default="all")
    parser.add_argument("--skip", choices=["libreoffice"])
    arguments = parser.parse_args()
    plain_options, before = (["--plain"], "") if arguments.without == "all" else ([], WITHOUT_UNDISTURBED)
    with tempfile.TemporaryDirectory() as name:
        plain, book = Path(name) / "plain.xlsx", Path(name) / "book.xlsx"
        options = ["--model", arguments.model, "--max-tokens", str(arguments.max_tokens), "--quiet"]
        for what in ("build", "run"):
            runs: list[list[tuple[float, float]]] = [[], []]
            for _ in range(arguments.repeat):
                if what == "build":
                    build = ["build", PROMPTS[0], *options, "--force", "-o"]
                    runs[0].append(command(*build, str(plain), *plain_options, before=before))
                    runs[1].append(command(*build, str(book)))
                else:
                    for path, times in zip((plain, book), runs, strict=True):
                        times.append(command("run", str(path), "--prompt", PROMPTS[1]))
            report(f"{what}, seconds", *(min(took for took, _ in each) for each in runs))
            report(f"{what}, gigabytes of memory", *(min(memory for _, memory in each) for each in runs))
        report("file, megabytes", plain.stat().st_size / 1e6, book.stat().st_size / 1e6)
        if arguments.skip:
            return
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


def report(what: str, without: float, book: float) -> None:
    print(f"{what:32}{without:9.2f}{book:9.2f}  {book / without - 1:+.1%}", flush=True)


if __name__ == "__main__":
    main()
