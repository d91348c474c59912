"""One program opens a workbook, calculates everything, takes edits: for benchmarks/engines.py, in its own process.

python benchmarks/one_engine.py gpt2xl|libreoffice|ironcalc BOOK.xlsx
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from measure import PROMPTS, fastest, seconds

import gpt2xl
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice


def measured(
    program: str, opened: float, recalculate: Callable[[], object], edit: Callable[[str], object]
) -> dict[str, object]:
    calculated = seconds(recalculate)
    edit(PROMPTS[0])
    return {
        "program": program,
        "open": opened,
        "calculate": calculated,
        "edit": fastest(edit),
        "answer": str(edit(PROMPTS[1])),
    }


def main() -> None:
    engine, book = sys.argv[1:]
    if engine == "gpt2xl":
        start = time.perf_counter()
        workbook = gpt2xl.Workbook.open(book)
        opened = time.perf_counter() - start

        def edit(prompt: str) -> object:
            workbook["prompt"] = prompt
            return workbook["next_token"]

        print(json.dumps(measured(f"gpt2xl {gpt2xl.__version__}", opened, workbook.recalculate, edit)))
        return
    with LibreOffice(timeout=3600) if engine == "libreoffice" else IronCalc() as program:
        version = program.version  # the program has started
        start = time.perf_counter()
        document = program.open(book)
        opened = time.perf_counter() - start

        def edit_there(prompt: str) -> object:
            document.set("prompt", prompt)
            return document.get("next_token")[0][0]

        print(json.dumps(measured(version.split("(")[0][:13], opened, document.recalculate, edit_there)))


if __name__ == "__main__":
    main()
