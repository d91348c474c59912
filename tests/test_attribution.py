"""Direct logit attribution against PyTorch: what the logit loses when a part is taken out of transformers' own sum."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from prompts import TYPED
from test_check_sheet import edited
from transformers import GPT2LMHeadModel

import gpt2xl
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.model.attribution import ATTRIBUTION
from gpt2xl.model.checkpoint import load_checkpoint

TINY = Path(gpt2xl.__file__).parent / "data" / "tiny"
PARTS = ATTRIBUTION[: ATTRIBUTION.index("attribution.sum")]


class Model:
    """transformers' model in float64, its modules' inputs and outputs at the last token."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").double().eval()
        self.config = self.model.config

    @torch.no_grad()
    def attribution(self, token_ids: list[int], token: int) -> dict[str, np.ndarray]:
        """Each part's share by taking it out: logit(x) - logit(x - part), with the division of layer norm held."""
        body = self.model.transformer
        seen: dict[Any, torch.Tensor] = {}

        def keep_output(module: torch.nn.Module, _: Any, out: torch.Tensor) -> None:
            seen[module] = out.reshape(-1, out.shape[-1])[-1]

        def keep_input(module: torch.nn.Module, args: Any) -> None:
            seen[module] = args[0][0, -1]

        handles = [body.ln_f.register_forward_pre_hook(lambda _, args: seen.update(x=args[0][0, -1]))]
        handles += [module.register_forward_hook(keep_output) for module in (body.wte, body.wpe)]
        handles += [block.mlp.register_forward_hook(keep_output) for block in body.h]
        handles += [block.attn.c_proj.register_forward_pre_hook(keep_input) for block in body.h]
        logits = self.model(torch.tensor([token_ids])).logits[0, -1]
        for handle in handles:
            handle.remove()
        x, norm, head = seen["x"], body.ln_f, self.model.lm_head.weight[token]
        scale = torch.sqrt(x.var(unbiased=False) + norm.eps)

        def logit(stream: torch.Tensor) -> torch.Tensor:
            return head @ ((stream - stream.mean()) / scale * norm.weight + norm.bias)

        def share(part: torch.Tensor) -> float:
            return float(logit(x) - logit(x - part))

        width = self.config.n_embd // self.config.n_head
        heads = np.zeros((self.config.n_layer, self.config.n_head))
        for i, block in enumerate(body.h):
            for j in range(self.config.n_head):
                alone = torch.zeros_like(seen[block.attn.c_proj])
                alone[j * width : (j + 1) * width] = seen[block.attn.c_proj][j * width : (j + 1) * width]
                heads[i, j] = share(block.attn.c_proj(alone[None])[0] - block.attn.c_proj.bias)
        return {
            "attribution.embed": np.array([[share(seen[body.wte])]]),
            "attribution.pos_embed": np.array([[share(seen[body.wpe])]]),
            "attribution.heads": heads,
            "attribution.attn_bias": np.array([[share(block.attn.c_proj.bias)] for block in body.h]),
            "attribution.mlp": np.array([[share(seen[block.mlp])] for block in body.h]),
            "attribution.ln_f_bias": np.array([[float(head @ norm.bias)]]),
            "attribution.logit": np.array([[float(logits[token])]]),
        }


@pytest.fixture(scope="module")
def tiny_model() -> Model:
    return Model(TINY)


def agrees(wb: gpt2xl.Workbook, model: Model, folder: Path, token: int | None = None) -> None:
    """Every part, their sum, and that nothing is left over."""
    ids = load_checkpoint(folder).vocabulary.encode(str(wb["prompt"]))
    chosen = int(float(wb["attribution.token_id"]))  # type: ignore[arg-type]
    assert chosen == (wb["next_token_id"] if token is None else token)
    for name, values in model.attribution(ids, chosen).items():
        np.testing.assert_allclose(np.atleast_2d(wb[name]), values, rtol=1e-9, atol=1e-12, err_msg=name)
    assert wb["attribution.sum"] == pytest.approx(wb["attribution.logit"], rel=1e-9)
    assert wb["attribution.difference"] == 0


@pytest.mark.parametrize("prompt", ["The cat sat on the", "Tom lost his hat. Tom", "a"])
def test_the_embedded_model(prompt: str, wb: gpt2xl.Workbook, tiny_model: Model) -> None:
    wb["prompt"] = prompt
    agrees(wb, tiny_model, TINY)


def test_shapes(wb: gpt2xl.Workbook) -> None:
    shapes = {"heads": (2, 4), "attn_bias": (2, 1), "mlp": (2, 1), "attn": (2, 1)}
    assert {name: wb[f"attribution.{name}"].shape for name in shapes} == shapes
    assert {type(wb[f"attribution.{name}"]) for name in ("embed", "pos_embed", "ln_f_bias", "sum", "logit")} == {float}


def test_a_word_is_looked_for_with_a_space_then_as_it_is(wb: gpt2xl.Workbook, tiny_model: Model) -> None:
    vocabulary = load_checkpoint("tiny").vocabulary
    by_text = {vocabulary.text(token): token for token in reversed(range(vocabulary.size))}
    assert " The" in by_text
    for typed, text in (("rug", " rug"), (" rug", " rug"), ("The", " The"), ("ather", "ather")):
        wb["attribution.token"] = typed
        agrees(wb, tiny_model, TINY, by_text[text])
        assert wb["attribution.says"] == f"«{text}»"
    wb["attribution.token"] = ""
    agrees(wb, tiny_model, TINY)
    assert wb["attribution.says"] == "« mat», the model's own answer"


def test_a_word_that_is_no_token_is_said(wb: gpt2xl.Workbook) -> None:
    wb["attribution.token"] = "xylophone"
    assert wb["attribution.says"] == "No single token is that word: type another, or leave the cell empty."
    assert wb["attribution.sum"] == wb["attribution.heads"][0, 0] == gpt2xl.ExcelError("#N/A")
    assert wb["next_token"] == " mat"
    wb["attribution.token"], wb["prompt"] = "", "a" * 81
    assert "shorten it" in str(wb["attribution.says"])
    assert wb["attribution.sum"] == gpt2xl.ExcelError("#N/A")


@pytest.mark.parametrize(
    "config",
    [
        {"tied": False},
        {"n_layer": 1, "n_head": 1, "n_embd": 4},
        {"n_layer": 4, "n_head": 4, "n_inner": 5},
        {"scale_attn_by_inverse_layer_idx": True, "layer_norm_epsilon": 0.1},
        *({"activation_function": name} for name in ("gelu", "gelu_pytorch_tanh", "relu", "silu")),
    ],
    ids=str,
)
def test_other_models(config: dict[str, Any], tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "model", seed=3, **config)
    gpt2xl.build("abc", tmp_path / "book.xlsx", model=folder, max_tokens=5, max_chars=8)
    wb, model = gpt2xl.Workbook.open(tmp_path / "book.xlsx"), Model(folder)
    for prompt, word in (("abc", ""), ("z", "b"), ("hello", "")):
        wb["prompt"], wb["attribution.token"] = prompt, word
        agrees(wb, model, folder, ord(word) if word else None)


def test_the_parts_add_up_on_many_prompts(wb: gpt2xl.Workbook) -> None:
    sentences = [
        f"{who} {does} the" for who in ("The cat", "Anna", "A red bird") for does in ("saw", "sat on", "likes")
    ]
    for prompt in (*TYPED, *sentences):
        wb["prompt"] = prompt
        assert wb["state"] == ""
        parts = sum(float(np.sum(wb[name])) for name in PARTS)
        assert parts == pytest.approx(wb["attribution.logit"], rel=1e-9), prompt
        assert wb["attribution.difference"] == 0, prompt


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three letters."""
    folder = tmp_path_factory.mktemp("other")
    random_checkpoint(folder / "model", n_positions=8, vocab="letters")
    gpt2xl.build("abc", folder / "book.xlsx", model=folder / "model", max_tokens=4, max_chars=4)
    return folder / "book.xlsx"


def test_the_difference_shows_what_is_left_out(other: Path, tmp_path: Path) -> None:
    """What writes into the stream and is no part of the model."""
    wb = edited(other, tmp_path / "edited.xlsx", "h.0.resid_mid", "1.1 * h.0.resid_pre + h.0.attn.out")
    assert wb["attribution.difference"] == wb["attribution.sum"] - wb["attribution.logit"] != 0


@pytest.mark.parametrize("engine", ["libreoffice", "ironcalc"])
def test_other_engines(engine: str, short: Path, tiny_model: Model) -> None:
    if engine == "ironcalc":
        pytest.importorskip("ironcalc")
    elif shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    ids = load_checkpoint("tiny").vocabulary.encode("Anna lost")
    with LibreOffice() if engine == "libreoffice" else IronCalc() as office:
        document: Any = office.open(short)
        document.set("prompt", "Anna lost")
        document.set("attribution.token", "lost")
        token = int(document.get_numbers("attribution.token_id")[0, 0])
        for name, values in tiny_model.attribution(ids, token).items():
            np.testing.assert_allclose(document.get_numbers(name), values, rtol=1e-9, atol=1e-12, err_msg=name)
        assert document.get_numbers("attribution.difference")[0, 0] == 0


def test_what_is_switched_off_adds_nothing_and_a_direction_adds_its_share(
    short_wb: gpt2xl.Workbook, tmp_path: Path
) -> None:
    short_wb["switch.attention"] = np.array([[1.0], [0.0]])
    short_wb["switch.heads"] = np.array([[1.0, 1.0, 0.0, 1.0], [1.0] * 4])
    short_wb["switch.positions"] = 0.0
    short_wb["steer.vector"] = np.linspace(-1, 1, 64)[None]
    short_wb["steer.scale"], short_wb["steer.block"], short_wb["steer.from"] = 2.0, 1.0, "vector"
    heads = short_wb["attribution.heads"]
    assert heads[0, 2] == 0
    assert not heads[1].any()
    assert heads[0, 0] != 0
    assert short_wb["attribution.attn_bias"][1, 0] == short_wb["attribution.pos_embed"] == 0
    assert short_wb["attribution.steering"] == pytest.approx(
        2 * float(np.linspace(-1, 1, 64) @ np.ravel(short_wb["attribution.direction"]))
    )
    assert short_wb["attribution.sum"] == pytest.approx(short_wb["attribution.logit"], rel=1e-9)
    short_wb.save(tmp_path / "switched.xlsx")
    verdict = gpt2xl.check(tmp_path / "switched.xlsx", reference="torch")
    assert verdict.ok
    assert {step.name for step in verdict.prompts[0].steps} >= set(ATTRIBUTION)


def test_check_compares_every_part(short: Path, short_wb: gpt2xl.Workbook, tmp_path: Path) -> None:
    for reference in ("torch", "numpy"):
        verdict = gpt2xl.check(short, reference=reference)
        assert verdict.ok
        assert {step.name for step in verdict.prompts[0].steps} >= set(ATTRIBUTION)
    short_wb["attribution.token"] = "rug"
    short_wb.save(tmp_path / "rug.xlsx")
    assert gpt2xl.check(tmp_path / "rug.xlsx", reference="numpy").ok
    short_wb["attribution.token"] = "xylophone"
    short_wb.save(tmp_path / "none.xlsx")
    with pytest.raises(gpt2xl.errors.PromptError, match=r"'xylophone', which is no single token"):
        gpt2xl.check(tmp_path / "none.xlsx", reference="numpy")
