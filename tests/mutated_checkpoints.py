"""Checkpoints with one thing, or a few, made wrong: the same seed and number give the same folder."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from gpt2xl.model.vocabulary import ALPHABET

Files = dict[str, bytes]

# What is put in the place of a value in a JSON file.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, 10**6, 10**9, 10**18, 10**400, 1e308, "", "gelu", "gpt2", "\ud83d", "\0"),
    *([], {}, [[]], {"a": 1}, [1, 2], "../../etc/passwd", "model.safetensors", "a b", "Ġ", "F32", "BF16", "I64", [-1]),
    *(float("nan"), float("inf"), "1" * 5000, [[[[[]]]]], "<|endoftext|>", -(10**30), ["a", "b", "c"], "x" * 70_000),
)


def small_checkpoint(
    merges: Sequence[tuple[str, str]] = (("Ġ", "t"), ("h", "e"), ("Ġt", "he")),
    *,
    alphabet: Sequence[str] = ALPHABET,
    end_of_text: str = "<|endoftext|>",
    n_positions: int = 8,
) -> Files:
    """A model of two blocks with random weights, some 20 kB, as transformers saves it."""
    tokens = list(dict.fromkeys([*alphabet, *(left + right for left, right in merges), end_of_text]))
    random = Random(8)
    n_embd = 4
    shapes = {"wte.weight": [len(tokens), n_embd], "wpe.weight": [n_positions, n_embd]}
    for block in range(2):
        for name, shape in (
            *((name, [n_embd]) for name in ("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias")),
            *(("attn.c_attn.weight", [n_embd, 3 * n_embd]), ("attn.c_attn.bias", [3 * n_embd])),
            *(("attn.c_proj.weight", [n_embd, n_embd]), ("attn.c_proj.bias", [n_embd])),
            *(("mlp.c_fc.weight", [n_embd, 4 * n_embd]), ("mlp.c_fc.bias", [4 * n_embd])),
            *(("mlp.c_proj.weight", [4 * n_embd, n_embd]), ("mlp.c_proj.bias", [n_embd])),
        ):
            shapes[f"h.{block}.{name}"] = shape
    shapes |= {"ln_f.weight": [n_embd], "ln_f.bias": [n_embd]}
    header, content = {}, b""
    for name, shape in shapes.items():
        count = math.prod(shape)
        numbers = struct.pack(f"<{count}f", *(random.gauss(0, 0.3) for _ in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(content), len(content) + len(numbers)]}
        content += numbers
    config = {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": n_embd, "n_positions": n_positions}
    config |= {"vocab_size": len(tokens), "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}
    settings = {
        "tokenizer_class": "GPT2Tokenizer",
        **dict.fromkeys(("bos_token", "eos_token", "unk_token"), end_of_text),
    }
    text = _dumped(header)
    return {
        "config.json": _dumped(config),
        "vocab.json": _dumped({token: id_ for id_, token in enumerate(tokens)}),
        "merges.txt": "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges), ""]).encode(),
        "tokenizer_config.json": _dumped(settings),
        "model.safetensors": struct.pack("<Q", len(text)) + text + content,
    }


def mutated(files: Files, number: int, seed: str = "gpt2xl") -> tuple[str, Files]:
    """Case `number` of a folder: what was done to it, and its files."""
    random = Random(f"{seed} checkpoint {number}")
    how: Callable[[Random, Files], None] = random.choices(
        [_bytes, _json, _header, _numbers, _folder, _merges], [2, 6, 4, 2, 1, 1]
    )[0]
    changed = dict(files)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        how(random, changed)
    return how.__name__.strip("_"), changed


def write(folder: Path, files: Files) -> None:
    """The files in a folder, which is emptied."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _bytes(random: Random, files: Files) -> None:
    """Bytes of a file changed, left out, doubled or cut off."""
    name = random.choice(list(files))
    data = bytearray(files[name])
    head = min(len(data), 2000) if random.random() < 0.7 else len(data)
    at, size = random.randrange(head + 1), random.choice([1, 4, 40, 400])
    match random.randrange(5):
        case 0:
            data[at : at + 1] = bytes([random.randrange(256)])
        case 1:
            del data[at : at + size]
        case 2:
            data[at:at] = data[at : at + size]
        case 3:
            del data[at:]
        case 4:
            data[at:at] = random.choice(
                [b'"', b"{", b"[" * 5000, b"\0", b"\xff", b"9" * 5000, b"e999", b"\\u0000", b"-"]
            )
    files[name] = bytes(data)


def _json(random: Random, files: Files) -> None:
    """A value somewhere in a JSON file exchanged, a key left out, doubled or renamed."""
    name = random.choice([name for name in files if name.endswith(".json")])
    try:
        content = json.loads(files[name])
    except ValueError:  # damaged already
        return _bytes(random, files)
    files[name] = _dumped(_changed(random, content))
    return None


def _changed(random: Random, content: Any) -> Any:
    places = [(content, key) for key in _keys(content)]
    places += [(value, key) for parent, key in places[:400] for value in [parent[key]] for key in _keys(value)]
    if not places or random.random() < 0.02:
        return random.choice(ODD)
    parent, key = random.choice(places)
    match random.randrange(5):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[random.choice(["n_layer", "n_embd", "vocab_size", "model_type", "", "\0", "h", str(key) * 2])] = (
                parent[key]
            )
        case 2:
            parent[key] = parent[random.choice(_keys(parent))]
        case _:
            parent[key] = random.choice(ODD)
    return content


def _keys(content: Any) -> list[Any]:
    return (
        list(content) if isinstance(content, dict) else list(range(len(content))) if isinstance(content, list) else []
    )


def _dumped(content: Any) -> bytes:
    return json.dumps(content).encode("utf-8", "surrogatepass")


def _header(random: Random, files: Files) -> None:
    """The header of the weights: names, types, shapes, offsets, its length."""
    data = files.get("model.safetensors", b"")
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + size])
    except ValueError:
        return _bytes(random, files)
    text = _dumped(_changed(random, header))
    length = len(text) if random.random() < 0.8 else random.choice([0, 1, len(text) - 1, len(text) + 1, 2**31, 2**63])
    files["model.safetensors"] = struct.pack("<Q", length) + text + data[8 + size :]
    return None


def _numbers(random: Random, files: Files) -> None:
    """Weights that are not finite, huge, missing at the end, or of another folder's bytes."""
    data = bytearray(files.get("model.safetensors", b""))
    if len(data) < 64:
        return
    begin = 8 + int.from_bytes(data[:8], "little")
    at = random.randrange(min(begin, len(data) - 4), len(data) - 3)
    at -= (at - begin) % 4
    data[at : at + 4] = struct.pack("<f", random.choice([float("nan"), float("inf"), float("-inf"), 3e38, -0.0, 1e-45]))
    if random.random() < 0.2:
        del data[random.randrange(len(data)) :]
    if random.random() < 0.1:
        data += bytes(random.randrange(1, 5000))
    files["model.safetensors"] = bytes(data)


def _folder(random: Random, files: Files) -> None:
    """Files left out, exchanged, or under another name."""
    first, second = random.choice(list(files)), random.choice(list(files))
    match random.randrange(4):
        case 0:
            del files[first]
        case 1:
            files[first], files[second] = files[second], files[first]
        case 2:
            other = random.choice(["pytorch_model.bin", "ckpt.pt", "model.pt", "tokenizer.json", "added_tokens.json"])
            files[other] = files.pop(first)
        case 3:
            weights = {"wte.weight": random.choice(["model.safetensors", "../x", "", "a/b", 5])}
            files["model.safetensors.index.json"] = _dumped({"weight_map": weights})
            if random.random() < 0.5:
                files.pop("model.safetensors", None)
    if not files:
        files["config.json"] = b"{}"


def _merges(random: Random, files: Files) -> None:
    """Lines of merges.txt left out, doubled, exchanged, made of other words."""
    lines = files.get("merges.txt", b"").split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(random.randrange(len(lines)), lines[at])
        case 2:
            lines[at] = random.choice(
                [b"a", b"a b c", b"\xff \xff", b"zz yy", b" ", b"\0 a", "Ġ Ġ".encode(), b"a " * 9]
            )
        case 3:
            random.shuffle(lines)
    files["merges.txt"] = b"\n".join(lines)
