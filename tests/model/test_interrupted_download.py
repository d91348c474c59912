"""A download that breaks off, is interrupted, or is killed: no workbook, and the next try is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoints import random_checkpoint
from small_hub import Hub, serving

from gpt2xl import Workbook
from gpt2xl.model.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 2, "n_positions": 8}
    folder = random_checkpoint(tmp_path_factory.mktemp("hub") / "letters", vocab="letters", **sizes)
    with serving({"letters": folder}) as hub:
        yield hub


def start(hub: Hub, home: Path) -> subprocess.Popen[str]:
    """A build whose hub is `hub` and whose cache lies in `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1"}
    options = ["--model", "letters", "--max-tokens", "4", "--max-chars", "4", "--plain", "--quiet"]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "build", "abc", "-o", str(home / "book.xlsx"), *options],
        env=kept | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", ["breaks off", "SIGINT", "SIGKILL", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_half_of_the_weights(how: str, hub: Hub, tmp_path: Path) -> None:
    hub.cut, hub.stalls = {"model.safetensors": 0.5}, how != "breaks off"
    hub.asked.clear()
    build = start(hub, tmp_path)
    if hub.stalls:
        deadline = time.monotonic() + 60
        while "model.safetensors" not in hub.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        build.send_signal(getattr(signal, how))
        told = time.monotonic()
    _, said = build.communicate(timeout=120)
    if hub.stalls:
        assert time.monotonic() - told < 8  # before huggingface_hub gives up the first time
    hub.cut, hub.stalls = {}, False
    assert not (tmp_path / "book.xlsx").exists()
    if how == "breaks off":
        assert build.returncode == 2
        (sentence,) = said.splitlines()
        assert sentence.startswith("gpt2xl: `letters` could not be fetched from the Hugging Face hub (")
        assert sentence.endswith("try again later, or give a folder, or `tiny`")
    elif how == "SIGKILL":
        assert build.returncode == -signal.SIGKILL
    else:
        assert build.returncode == 128 + getattr(signal, how)
        assert said == ("gpt2xl: interrupted\n" if how == "SIGINT" else "")
    again = start(hub, tmp_path)
    assert again.communicate(timeout=120) == ("", "")
    assert again.returncode == 0
    workbook = Workbook.open(tmp_path / "book.xlsx")
    assert workbook["model.fingerprint"] == load_checkpoint(hub.folders["letters"]).fingerprint
