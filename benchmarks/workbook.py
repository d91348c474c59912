"""How long building, opening and editing take, ours beside LibreOffice and IronCalc, in one run on one machine.

    python benchmarks/workbook.py [--model FOLDER] [--repeat N]

Prints what the sheets for learners add to the file and to LibreOffice's edit, then medians in seconds and the ratio to
ours. An edit is a new prompt up to its next token; IronCalc recalculates the whole workbook for one. A model with
GPT-2's own vocabulary needs its folder: the embedded one has 1,024 tokens.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gpt2xl
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice

PROMPTS = ("The dog chased the", "Anna lost her hat. She", "Monday, Tuesday,", "Snow is", "One, two, three,")
LONG = "The November rain falls on the quiet town, and nobody seems to mind it at all..."


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Callable[[str], object], repeat: int) -> float:
    return statistics.median(seconds(lambda i=i: work(PROMPTS[i % len(PROMPTS)])) for i in range(repeat))


def surface_costs(book: Path, plain: Path, office: LibreOffice, model: str, repeat: int) -> list[tuple[str, float]]:
    """Size and LibreOffice's time for an edit and for a calculation of everything, each with the sheets to without."""
    gpt2xl.build(PROMPTS[-1], plain, model=model, plain=True)
    edits, everything = [], []
    for path in (book, plain):
        document = office.open(path)

        def edit(prompt: str, document=document) -> None:  # type: ignore[no-untyped-def]
            document.set("prompt", prompt)
            document.get("next_token")

        edit(PROMPTS[-1])
        edits.append(median(edit, repeat))
        everything.append(seconds(document.recalculate))
        document.close()
    return [
        ("size", book.stat().st_size / plain.stat().st_size),
        ("LibreOffice, an edit", edits[0] / edits[1]),
        ("LibreOffice, everything anew", everything[0] / everything[1]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    rows: list[tuple[str, str, float]] = []
    with tempfile.TemporaryDirectory() as name, LibreOffice() as office, IronCalc() as ironcalc:
        book = Path(name) / "book.xlsx"
        build = lambda prompt: gpt2xl.build(prompt, book, model=arguments.model, force=True)  # noqa: E731
        rows.append(("build", "gpt2xl", median(build, 3)))
        print(f"{book.stat().st_size / 1e6:.1f} MB, {len(LONG)} characters in the long prompt")

        for what, ratio in surface_costs(book, Path(name) / "plain.xlsx", office, arguments.model, arguments.repeat):
            print(f"the sheets for learners: {what} {ratio - 1:+.1%}")

        workbook = gpt2xl.Workbook.open(book)
        rows.append(("open", "gpt2xl", median(lambda _: gpt2xl.Workbook.open(book), 3)))
        workbook["prompt"] = "a"
        rows.append(("first edit", "gpt2xl", seconds(lambda: workbook["next_token"])))

        def edit(prompt: str) -> None:
            workbook["prompt"] = prompt
            assert isinstance(workbook["next_token"], str)

        rows.append(("edit", "gpt2xl", median(edit, arguments.repeat)))
        rows.append(("edit, 80 characters", "gpt2xl", median(lambda _: edit(LONG), arguments.repeat)))
        office.open(book).close()  # the program has started
        for engine, program in (("LibreOffice", office), ("IronCalc", ironcalc)):
            rows.append(("open", engine, seconds(lambda program=program: program.open(book).close())))
            document = program.open(book)

            def witness_edit(prompt: str, document=document) -> None:  # type: ignore[no-untyped-def]
                document.set("prompt", prompt)
                document.get("next_token")

            rows.append(("edit", engine, median(witness_edit, arguments.repeat)))
            long = median(lambda _, edit=witness_edit: edit(LONG), arguments.repeat)
            rows.append(("edit, 80 characters", engine, long))
            document.close()
    ours = {what: value for what, engine, value in rows if engine == "gpt2xl"}
    print(f"{'what':22}{'engine':14}{'seconds':>9}{'to ours':>9}")
    for what, engine, value in rows:
        print(f"{what:22}{engine:14}{value:9.3f}{value / ours[what]:9.2f}")


if __name__ == "__main__":
    main()
