"""Opens damaged files one after another, in a process of its own with a bound on its memory.

    python tests/fuzz_worker.py books 0 2000 [--seed WORD] [--keep FOLDER]

Prints one JSON object a line: one for each case that did something else than to work or to raise `Gpt2xlError`, then
one with the number of each outcome. What a case does is bounded in time, all of them together in memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hostile_books
import mutated_books
import mutated_checkpoints

from gpt2xl import build
from gpt2xl.answer import describe, is_ours, read_answer
from gpt2xl.audit import audit
from gpt2xl.errors import Gpt2xlError
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.verify import check
from gpt2xl.workbook import Workbook

Step = Callable[[], object]

SECONDS = 20  # of processor time for one step of a case; most take a hundredth of one
MEMORY = 3 << 30  # address space of the whole process, libraries and threads included

AUDITED = Path(__file__).parent / "data" / "audit"


class TookTooLong(BaseException):
    """A case that is not over in time."""


def _too_long(_: int, frame: FrameType | None) -> NoReturn:
    raise TookTooLong(traceback.format_stack(frame)[-1])


def books(number: int, seed: str, folder: Path) -> tuple[str, list[Step]]:
    """A damaged workbook, and what is done with it: mostly a small one, some of other programs, a few of ours."""
    if number % 100 == 99:
        model = _model(folder)
        name, parts = "model", mutated_books.parts_of(model)
    elif number % 10 >= 7:
        saved = sorted(path for path in AUDITED.glob("*.xlsx") if path.stat().st_size < 14_000)
        path = saved[number // 10 % len(saved)]
        name, parts = path.stem, mutated_books.parts_of(path)
    else:
        name, parts = "small", mutated_books.small_book()
    how, data = mutated_books.mutated(parts, number, seed)
    path = folder / f"{number}.xlsx"
    path.write_bytes(data)
    steps = uses(path)
    if name == "model":
        steps.append(lambda: check(path, model=model.parent, reference="numpy"))
    return f"{name} {how}", steps


def uses(path: Path) -> list[Step]:
    """What `info`, `run`, `audit` and `run --save` do with a file."""

    def read() -> None:
        workbook = Workbook.open(path)
        describe(workbook)
        if is_ours(workbook):
            read_answer(workbook)
        for sheet in workbook.sheets:
            workbook.cached(f"'{sheet}'!A1:C9")
        workbook.recalculate()

    def save() -> None:
        workbook = Workbook.open(path)
        workbook["A2"] = 7
        workbook.save(path.with_name("saved.xlsx"))

    return [read, lambda: audit(path), save]


def _model(folder: Path) -> Path:
    """A workbook of a model of two blocks and four tokens, beside its checkpoint."""
    path = folder / "model" / "model.xlsx"
    if not path.exists():
        mutated_checkpoints.write(path.parent, mutated_checkpoints.small_checkpoint((), alphabet="abc"))
        build("ab", path, model=path.parent, max_tokens=4, max_chars=4, plain=True)
    return path


def checkpoints(number: int, seed: str, folder: Path) -> tuple[str, list[Step]]:
    """A damaged checkpoint, and what is done with it."""
    how, files = mutated_checkpoints.mutated(mutated_checkpoints.small_checkpoint(), number, seed)
    path = folder / "checkpoint"
    mutated_checkpoints.write(path, files)

    def load() -> None:
        checkpoint = load_checkpoint(path)
        assert checkpoint.fingerprint
        checkpoint.vocabulary.encode("ab")

    return how, [load]


def hostile(number: int, _: str, folder: Path) -> tuple[str, list[Step]]:
    """A file of `hostile_books`, and what is done with it."""
    name = list(hostile_books.CASES)[number]
    path = folder / f"{name}.xlsx"
    path.write_bytes(hostile_books.CASES[name]())
    return name, uses(path)


KINDS: dict[str, Callable[[int, str, Path], tuple[str, list[Step]]]] = {
    "books": books,
    "checkpoints": checkpoints,
    "hostile": hostile,
}


def cases(kind: str, numbers: range, seed: str, folder: Path) -> Iterator[dict[str, object]]:
    """Do the cases; yields what is wrong, of hostile files everything, and at last a summary."""
    outcomes: Counter[str] = Counter()
    slowest = (0.0, -1)
    for number in numbers:
        name, steps = KINDS[kind](number, seed, folder)
        said = []
        for step in steps:
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                step()
            except Gpt2xlError as error:
                said.append(str(error))
                outcome = type(error).__name__
                if not said[-1] or "\n" in said[-1] or len(said[-1]) > 2000:
                    yield {"case": number, "what": name, "error": f"{outcome} is no sentence: {said[-1]!r}"}
            except BaseException as error:
                said.append("failed")
                outcome = "failed"
                shown = "".join(traceback.format_exception(error)[-6:])
                yield {"case": number, "what": name, "error": f"{type(error).__name__}: {error}"[:300], "trace": shown}
            else:
                said.append("")
                outcome = "done"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            outcomes[outcome] += 1
            slowest = max(slowest, (time.process_time() - begun, number))
        if kind == "hostile":
            yield {"case": number, "what": name, "said": said}
    yield {"cases": len(numbers), "outcomes": dict(outcomes), "slowest": slowest, "peak_kib": peak_kib()}


def peak_kib() -> int:
    """The most resident memory of this program: `ru_maxrss` counts what the process had before it became this one."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", default="gpt2xl")
    parser.add_argument("--keep", type=Path, help="leave the files in this folder")
    options = parser.parse_args()
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _too_long)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        numbers = range(options.first, options.first + options.count)
        for line in cases(options.kind, numbers, options.seed, folder):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
