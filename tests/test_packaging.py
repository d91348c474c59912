"""The wheel and the source distribution: built, installed where nothing else is, and used as a stranger would."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gpt2xl

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
PROMPT = "The cat sat on the"
NEWEST = 13


def run(*command: object, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command without what the present Python would find by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=environment | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip


def done(*command: object, cwd: Path | None = None, **settings: str) -> str:
    result = run(*command, cwd=cwd, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("source")
    unwanted = shutil.ignore_patterns(".git", "node_modules", "build", "dist", "*.egg-info", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, folder / "checkout", ignore=unwanted)
    build = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    name = done(sys.executable, "-c", build, folder, cwd=folder / "checkout").splitlines()[-1]
    return folder / name


@pytest.fixture(scope="module")
def unpacked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution, so that nothing of the checkout can be missing there."""
    folder = tmp_path_factory.mktemp("wheel")
    done(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, unpacked)
    (found,) = folder.glob("*.whl")
    return found


def needed(requirements: list[str]) -> set[str]:
    """The distributions that requirements without extras bring with them, as they are installed here."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in metadata.requires(name) or []]
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and the distributions that it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    done(sys.executable, "-m", "venv", "--without-pip", folder)
    interpreter = folder / SCRIPTS / "python"
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "--quiet", "--disable-pip-version-check"]
    done(*pip, "install", "--no-deps", "--no-index", wheel)
    packages = Path(done(interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for name in needed(PROJECT["dependencies"]):
        for file in metadata.distribution(name).files or []:
            top = packages / file.parts[0]
            if ".." not in file.parts and not top.exists():
                top.symlink_to(Path(str(metadata.distribution(name).locate_file(file.parts[0]))))
    return interpreter


# What is in them


def test_the_source_distribution_holds_all_that_the_tests_need(unpacked: Path) -> None:
    for folder in ("gpt2xl", "templates", "tests", "docs", "examples", "scripts"):
        wanted = {
            str(path.relative_to(ROOT))
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".xlsx")
        }
        assert [name for name in sorted(wanted) if not (unpacked / name).is_file()] == []
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "cli.py", "pyproject.toml", "constraints.txt"):
        assert (unpacked / name).is_file()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"gpt2xl-{gpt2xl.__version__}.dist-info/")}
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "gpt2xl").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    templates = {f"gpt2xl/templates/gpt2/{path.name}" for path in (ROOT / "templates" / "gpt2").glob("*.toml")}
    assert names == package | templates
    assert "gpt2xl/py.typed" in names
    assert "gpt2xl/data/tiny/model.safetensors" in names
    assert wheel.stat().st_size < 4_000_000


# Installed


def test_it_needs_no_pytorch(python: Path) -> None:
    brought = needed(PROJECT["dependencies"])
    assert not {"torch", "transformers", "ironcalc", "pandas"} & brought
    assert {"numpy", "openpyxl", "click", "tokenizers"} <= brought
    result = run(python, "-I", "-c", "import gpt2xl, sys; print(gpt2xl.__file__, 'torch' in sys.modules); import torch")
    assert str(python.parents[1]) in result.stdout
    assert "No module named 'torch'" in result.stderr


def test_build_and_run_need_nothing_more(python: Path, first: Path, tmp_path: Path) -> None:
    program = python.parent / "gpt2xl"
    assert done(program, "--version").split() == ["gpt2xl,", "version", gpt2xl.__version__]
    done(program, "build", PROMPT, "-o", "first.xlsx", "--quiet", cwd=tmp_path)
    assert (tmp_path / "first.xlsx").read_bytes() == first.read_bytes()
    assert "next token  ' mat'" in done(program, "run", "first.xlsx", cwd=tmp_path)


def test_check_says_what_it_lacks(python: Path, first: Path) -> None:
    program = python.parent / "gpt2xl"
    result = run(program, "check", first)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    for part in ("torch", "pip install gpt2xl[torch]", "numpy reference"):
        assert part in result.stderr
    assert done(program, "check", first, "--reference", "numpy").splitlines()[-1] == "all steps agree"
    result = run(program, "check", first, "--reference", "numpy", "--engine", "ironcalc")
    assert result.returncode == 2
    assert "pip install gpt2xl[ironcalc]" in result.stderr


def test_the_extra_brings_what_check_lacks() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {Requirement(text).name for text in extras["torch"]} == {"torch", "transformers"}


def test_types_are_shipped(python: Path) -> None:
    """As a type checker finds them: `py.typed` beside the package, and a signature for every public name."""
    code = "from importlib.resources import files; print(files('gpt2xl').joinpath('py.typed').is_file())"
    assert done(python, "-I", "-c", code).strip() == "True"
    for name in ("build", "check"):
        signature = inspect.signature(getattr(gpt2xl, name))
        kinds = [parameter.annotation for parameter in signature.parameters.values()] + [signature.return_annotation]
        assert inspect.Signature.empty not in kinds


# Versions of Python


def pythons() -> list[str]:
    oldest = int(PROJECT["requires-python"].removeprefix(">=3."))
    return [f"3.{minor}" for minor in range(oldest, NEWEST + 1)]


def interpreter(version: str) -> str:
    """A Python of this version: the present one, on the path, or as pyenv keeps it; skips where there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    places = [shutil.which(f"python{version}") or ""]
    if shutil.which("pyenv"):
        prefix = run("pyenv", "prefix", version).stdout.strip()
        places.append(str(Path(prefix) / "bin" / "python") if prefix else "")
    for place in filter(None, places):
        if run(place, "--version").stdout.startswith(f"Python {version}."):
            return place
    pytest.skip(f"there is no Python {version} here")


@pytest.mark.parametrize("version", pythons())
def test_the_sources_are_of_every_version(version: str, unpacked: Path) -> None:
    code = (
        "import sys, pathlib\nfor path in pathlib.Path(sys.argv[1]).rglob('*.py'):\n"
        "    compile(path.read_bytes(), path, 'exec')"
    )
    done(interpreter(version), "-W", "error", "-c", code, unpacked / "gpt2xl")


@pytest.mark.slow
@pytest.mark.parametrize("version", pythons())
def test_installed_from_the_index(version: str, wheel: Path, first: Path, tmp_path: Path) -> None:
    """`pip install gpt2xl` in a fresh environment, as the index has it; the file is the same where numpy is."""
    done(interpreter(version), "-m", "venv", tmp_path / "fresh")
    folder = tmp_path / "fresh" / SCRIPTS
    done(folder / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    done(folder / "gpt2xl", "build", PROMPT, "-o", "first.xlsx", cwd=tmp_path)
    assert "next token  ' mat'" in done(folder / "gpt2xl", "run", "first.xlsx", cwd=tmp_path)
    assert "all steps agree" in done(folder / "gpt2xl", "check", "first.xlsx", "--reference", "numpy", cwd=tmp_path)
    assert "pip install gpt2xl[torch]" in run(folder / "gpt2xl", "check", "first.xlsx", cwd=tmp_path).stderr
    code = "import importlib.metadata as m; print(m.version('numpy'))"
    if done(folder / "python", "-c", code).strip() == metadata.version("numpy"):
        assert (tmp_path / "first.xlsx").read_bytes() == first.read_bytes()


# The public face


def test_public_names() -> None:
    assert gpt2xl.__all__ == ["Built", "ExcelError", "Gpt2xlError", "Workbook", "__version__", "build", "check"]
    assert all(hasattr(gpt2xl, name) for name in gpt2xl.__all__)
    # The same to the letter as in the package's description.
    assert gpt2xl.__version__ == PROJECT["version"]


def test_public_names_of_a_workbook() -> None:
    special = {"__init__", "__getitem__", "__setitem__", "__contains__"}
    methods = {name for name in vars(gpt2xl.Workbook) if not name.startswith("_")}
    assert methods == {
        "cached", "formula_at", "formulas", "names", "open", "precision_as_displayed", "recalculate", "save", "sheets",
    }  # fmt: skip
    assert special <= vars(gpt2xl.Workbook).keys()


def test_public_parameters() -> None:
    assert list(inspect.signature(gpt2xl.build).parameters)[:2] == ["prompt", "output"]
    kinds = {parameter.kind for parameter in list(inspect.signature(gpt2xl.build).parameters.values())[2:]}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert list(inspect.signature(gpt2xl.check).parameters) == [
        "path", "model", "prompts", "engine", "reference", "tolerance", "timeout",
    ]  # fmt: skip
    assert list(inspect.signature(gpt2xl.Workbook.open).parameters) == ["path", "characters"]


# Completion by the shell


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o nosort"), ("zsh", "compdef"), ("fish", "complete ")])
def test_the_shells_script(shell: str, word: str, python: Path) -> None:
    text = run(python.parent / "gpt2xl", _GPT2XL_COMPLETE=f"{shell}_source").stdout
    assert word in text or "is not installed" in text
    assert "_GPT2XL_COMPLETE" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("gpt2xl ", {"build", "run", "check", "audit", "info"}),
        ("gpt2xl ch", {"check"}),
        ("gpt2xl check --en", {"--engine"}),
        ("gpt2xl check --engine i", {"ironcalc"}),
        ("gpt2xl build x --comp", {"--compression"}),
        ("gpt2xl build x --compression ", {"fast", "default", "small"}),
    ],
)
def test_what_is_completed(words: str, expected: set[str], python: Path) -> None:
    count = len(words.split()) - (not words.endswith(" "))
    settings = {"_GPT2XL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    lines = run(python.parent / "gpt2xl", **settings).stdout.splitlines()
    assert {re.sub("^plain,", "", line) for line in lines} >= expected
    if not words.endswith(" "):
        assert len(lines) == len(expected)
