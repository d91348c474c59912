"""Templates: strict keys, formulas parsed on loading, references only backwards, shapes as the model has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gpt2xl.errors import TemplateError
from gpt2xl.formula import parse
from gpt2xl.model.checkpoint import expected_shapes
from gpt2xl.model.config import Config
from gpt2xl.plan.dimensions import Capacity, dimensions, measure
from gpt2xl.plan.plan import Plan
from gpt2xl.plan.planner import make_plan
from gpt2xl.plan.template import load_templates, template_folder

CONFIG = Config(n_layer=3, n_head=2, n_embd=12, n_positions=32, vocab_size=300, n_inner=20)


def plan(config: Config = CONFIG, folder: Path | None = None, generate: int = 1) -> Plan:
    sizes = dimensions(config, Capacity(8, 20, generate), vocabulary=config.vocab_size, merges=40, special=1, ranges=9)
    return make_plan(load_templates(folder), config, sizes)


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    return Path(shutil.copytree(template_folder(), tmp_path / "templates"))


def broken(templates: Path, file: str, old: str, new: str) -> str:
    """The error of templates in which `old` is exchanged for `new`."""
    path = templates / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        plan(folder=templates)
    return str(caught.value)


def test_an_unknown_key_is_named_with_file_and_step(templates: Path) -> None:
    error = broken(templates, "32_embedding.toml", 'block = "embed.token', 'blok = "embed.token')
    assert "32_embedding.toml" in error
    assert "[[step]] embed" in error
    assert "`blok`" in error


def test_a_formula_that_does_not_parse_is_named_with_its_column(templates: Path) -> None:
    error = broken(templates, "41_block.toml", "h.{i}.resid_pre + h.{i}.attn.out", "h.{i}.resid_pre + * h.{i}.attn.out")
    assert "41_block.toml, [[step]] h.{i}.resid_mid" in error
    assert "column" in error


def test_a_step_cannot_use_a_later_one(templates: Path) -> None:
    error = broken(templates, "41_block.toml", "h.{i}.resid_pre + h.{i}.attn.out", "h.{i}.resid_pre + h.{i}.mlp.out")
    assert "h.0.mlp.out" in error
    assert "later" in error


def test_a_step_cannot_use_what_nothing_defines(templates: Path) -> None:
    error = broken(templates, "50_prediction.toml", "MMULT({head}, ln_f.last)", "MMULT({head}, ln_g.last)")
    assert "`ln_g.last`" in error


def test_a_step_has_one_formula(templates: Path) -> None:
    error = broken(templates, "32_embedding.toml", 'block = "embed.token', 'each = "1"\nblock = "embed.token')
    assert "one of each, array, block" in error


def test_a_missing_key_is_named(templates: Path) -> None:
    assert "`title`" in broken(templates, "32_embedding.toml", 'title = "Causal mask"\n', "")


def test_a_name_is_defined_once(templates: Path) -> None:
    assert "twice" in broken(templates, "32_embedding.toml", 'name = "embed.position"', 'name = "embed.token"')


def test_broken_toml_names_the_file(templates: Path) -> None:
    assert "11_merges.toml" in broken(templates, "11_merges.toml", "[sheet]", "[sheet")


def test_an_activation_that_templates_lack_is_refused_by_name(templates: Path) -> None:
    path = templates / "activations.toml"
    path.write_text('relu = "IF(x > 0, x, 0)"\n', encoding="utf-8")
    with pytest.raises(TemplateError, match="gelu_new"):
        plan(folder=templates)


def test_parameters_are_the_models_with_their_shapes() -> None:
    for tied in (True, False):
        config = Config(**{**CONFIG.__dict__, "tied": tied})
        planned = {
            item.name: item.rect.shape
            for sheet in plan(config).sheets
            for item in sheet.items
            if item.kind == "parameter"
        }
        assert planned == {
            name: shape if len(shape) == 2 else (1, *shape) for name, shape in expected_shapes(config).items()
        }


def test_names_of_the_contract_are_there_with_their_shapes() -> None:
    names = plan().names
    t, d, v = 8, 12, 300
    expected = {"token_ids": (t, 1), "n_tokens": (1, 1), "tokens": (t, 1), "prompt": (1, 1), "embed": (t, d)}
    for i in range(3):
        block = {"resid_pre": d, "ln_1": d, "attn.q": d, "attn.k": d, "attn.v": d, "attn.z": d, "attn.out": d}
        block |= {"resid_mid": d, "ln_2": d, "mlp.pre": 20, "mlp.post": 20, "mlp.out": d, "resid_post": d}
        expected |= {f"h.{i}.{name}": (t, width) for name, width in block.items()}
        for j in range(2):
            expected |= {f"h.{i}.attn.scores.{j}": (t, t), f"h.{i}.attn.pattern.{j}": (t, t)}
            expected[f"h.{i}.attn.z.{j}"] = (t, d // 2)
    expected |= {"ln_f": (t, d), "logits": (v, 1), "probs": (v, 1), "next_token_id": (1, 1), "next_token": (1, 1)}
    assert {name: names[name].rect.shape for name in expected} == expected


def test_generated_tokens_have_rows_below_and_columns_beside() -> None:
    names = plan(generate=4).names
    shapes = {"embed": (3, 12), "h.2.mlp.post": (3, 20), "h.0.attn.q.1": (3, 6), "h.1.attn.pattern.0": (3, 11)}
    shapes |= {"ln_f.last": (12, 3), "logits": (300, 3), "sampling.pick": (1, 3)}
    for name, shape in shapes.items():
        prompt, later = names[name].rect, names[f"generated.{name}"].rect
        assert later.shape == shape
        below, beside = (prompt.bottom + 1, prompt.left), (prompt.top, prompt.right + 1)
        assert (later.top, later.left) == (below if prompt.height == 8 else beside)
    assert names["generated_ids"].rect.shape == names["random"].rect.shape == (4, 1)


def test_generated_tokens_have_the_formula_of_the_prompt() -> None:
    items = {item.name: item for item in plan(generate=3).steps()}
    scores = items["h.0.attn.scores.1"]
    qkv = items["h.0.attn.qkv"].rect
    for token, formula in enumerate(scores.generated):
        assert formula.rect.shape == (1, 8 + token + 1)  # it sees the prompt and itself
        row = qkv.part(8 + token, 6, 1, 6).absolute
        all_rows = qkv.part(0, 12 + 6, 8 + token + 1, 6).absolute
        assert formula.text == f"MMULT({row},TRANSPOSE({all_rows}))/SQRT(6)"


def test_an_unknown_way_of_generated_tokens_is_named(templates: Path) -> None:
    error = broken(templates, "32_embedding.toml", 'own = "1"', 'ours = "1"')
    assert "[[step]] mask, `generated`: unknown key `ours`" in error


def test_trees_are_what_the_texts_say() -> None:
    made = plan(generate=3)
    formulas = [formula for step in made.steps() for formula in step.all_formulas]
    assert len(formulas) > 100
    for formula in formulas:
        assert formula.tree == parse(formula.text), formula.text
    for place in made.names.values():
        assert place.tree == parse(place.formula), place.formula


@pytest.mark.parametrize("generate", [1, 4])
def test_nothing_overlaps(generate: int) -> None:
    for sheet in plan(generate=generate).sheets:
        places = [item.rect for item in sheet.items] + [label.rect for label in sheet.labels]
        places += [item.later for item in sheet.items if item.later is not None]
        for place, one in enumerate(places):
            assert not any(one.intersects(other) for other in places[place + 1 :]), sheet.name


def test_sizes() -> None:
    assert measure("3*D + 1 - d", {"D": 8, "d": 2}) == 23
    with pytest.raises(TemplateError, match="'Q'"):
        measure("Q", {"D": 8})
