"""A program that has imported everything and runs commands of ours in forked children, to be harmed on their way.

It reads a trial a line on standard input, as JSON, and answers each with a line: how the child ended, how long it took,
what it said, and the digests of the files that it leaves in its folder. A trial holds

* `arguments`, the command line, and `folder`, which is made anew, with a file `old` of that content where it is given;
* `disk`, the bytes of a disk that is mounted there for the trial; `read_only`, whether nothing may be written on it;
* `signal` after `seconds`; `limit`, the most bytes that a file may have; `dies_in`, a function of `os` in whose place
  the child kills itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from gpt2xl.commands import main


def child(trial: dict[str, Any], said: int) -> NoReturn:
    os.dup2(said, 1)
    os.dup2(said, 2)
    if limit := trial.get("limit"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if name := trial.get("dies_in"):
        setattr(os, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    status = 0
    try:
        main(trial["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    sys.stderr.flush()
    os._exit(status)


@contextlib.contextmanager
def prepared(folder: Path, trial: dict[str, Any]) -> Iterator[None]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    disk = "disk" in trial
    if disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={trial['disk']}", "disk", folder], check=True)
    try:
        if "old" in trial:
            (folder / trial["old"]).write_text("a year of work")
        if trial.get("read_only"):
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield
    finally:
        if disk:
            subprocess.run(["umount", folder], check=True)


def run(trial: dict[str, Any]) -> dict[str, Any]:
    folder = Path(trial["folder"])
    with prepared(folder, trial), tempfile.TemporaryFile() as said:
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            child(trial, said.fileno())
        if "signal" in trial:
            time.sleep(trial["seconds"])
            os.kill(pid, trial["signal"])
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        seconds = time.monotonic() - start
        said.seek(0)
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        return {"status": status, "seconds": seconds, "said": said.read().decode(), "files": files}


if __name__ == "__main__":
    for line in sys.stdin:
        trial = json.loads(line)
        if trial.get("warm"):
            with contextlib.suppress(SystemExit):  # all that a command imports only when it needs it
                main(trial["arguments"])
        print(json.dumps(run(trial)), flush=True)
