"""Changes in the forward pass: both references alike, and each change against one made in the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import random_checkpoint

from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.model.interventions import Interventions, Patch
from gpt2xl.model.reference import NumpyReference, TorchReference

IDS = [1, 0, 2, 2, 1, 0, 0]
L, H, D = 3, 4, 12


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("changed")
    return load_checkpoint(random_checkpoint(folder, n_layer=L, n_head=H, n_embd=D, seed=3))


def changed(checkpoint: Checkpoint, **changes: Any) -> Interventions:
    return replace(Interventions.none(checkpoint.config), **changes)


def off(shape: tuple[int, ...], *places: tuple[int, ...]) -> np.ndarray[Any, Any]:
    switches = np.ones(shape)
    for place in places:
        switches[place] = 0
    return switches


DIRECTION = np.linspace(-1, 2, D)
CHANGES: dict[str, dict[str, Any]] = {
    **{f"head {i}.{j}": {"heads": off((L, H), (i, j))} for i in range(L) for j in range(H)},
    "several heads": {"heads": off((L, H), (0, 1), (0, 3), (2, 0))},
    "attention": {"attention": off((L,), (1,))},
    "mlp": {"mlp": off((L,), (0,), (2,))},
    "positions": {"positions": 0.0},
    "mask": {"mask": 0.0},
    "steered": {"direction": DIRECTION, "block": 1, "scale": -1.5},
    "patched": {"patch": Patch(2, 3, DIRECTION)},
    "all at once": {
        "heads": off((L, H), (1, 2)), "attention": off((L,), (2,)), "mlp": off((L,), (1,)), "positions": 0.0,
        "mask": 0.0, "direction": DIRECTION, "block": 2, "scale": 3.0, "patch": Patch(0, 6, DIRECTION),
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_both_references_agree_and_the_change_matters(checkpoint: Checkpoint, changes: dict[str, Any]) -> None:
    wanted = changed(checkpoint, **changes)
    assert wanted.any
    theirs, ours = (Reference(checkpoint).run(IDS, wanted) for Reference in (TorchReference, NumpyReference))
    assert list(theirs) == list(ours)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=1e-10, err_msg=name)
    usual = TorchReference(checkpoint).run(IDS)
    assert np.abs(usual["logits"] - theirs["logits"]).max() > 1e-6


@pytest.mark.parametrize("reference", [TorchReference, NumpyReference])
def test_no_change_changes_no_bit(checkpoint: Checkpoint, reference: Any) -> None:
    none = Interventions.none(checkpoint.config)
    assert not none.any
    usual, same = reference(checkpoint).run(IDS), reference(checkpoint).run(IDS, none)
    assert all(np.array_equal(values, same[name]) for name, values in usual.items())


def with_weights(folder: Path, **changes: Any) -> Checkpoint:
    """The same checkpoint with some weights set to zero or added to: name (dots as __) -> index, value."""
    found = load_checkpoint(random_checkpoint(folder, n_layer=L, n_head=H, n_embd=D, seed=3))
    tensors = {name: np.array(found.tensors[name]) for name in found.tensors}
    for name, (where, value) in changes.items():
        tensors[name.replace("__", ".")][where] = value
    object.__setattr__(found, "tensors", Arrays(tensors))
    return found


class Arrays(dict[str, Any]):
    """Tensors by name, read as a checkpoint's are."""

    def rows(self, name: str, rows: Any) -> Any:
        return self[name][rows]


HEAD = slice(2 * D // H, 3 * D // H)
IN_WEIGHTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a head is its rows of c_proj": (CHANGES["head 1.2"], {"h__1__attn__c_proj__weight": (HEAD, 0)}),
    "attention is c_proj with its bias": (
        CHANGES["attention"],
        {"h__1__attn__c_proj__weight": (slice(None), 0), "h__1__attn__c_proj__bias": (slice(None), 0)},
    ),
    "an MLP is its c_proj with its bias": (
        {"mlp": off((L,), (2,))},
        {"h__2__mlp__c_proj__weight": (slice(None), 0), "h__2__mlp__c_proj__bias": (slice(None), 0)},
    ),
    "positions are wpe": (CHANGES["positions"], {"wpe": (slice(None), 0)}),
}


@pytest.mark.parametrize(("changes", "weights"), IN_WEIGHTS.values(), ids=IN_WEIGHTS)
def test_a_part_off_is_the_model_without_its_weights(
    checkpoint: Checkpoint, tmp_path: Path, changes: dict[str, Any], weights: dict[str, Any]
) -> None:
    switched = NumpyReference(checkpoint).run(IDS, changed(checkpoint, **changes))
    without = NumpyReference(with_weights(tmp_path, **weights)).run(IDS)
    np.testing.assert_allclose(switched["logits"], without["logits"], rtol=0, atol=1e-12)


def test_a_token_sees_later_ones_without_the_mask(checkpoint: Checkpoint) -> None:
    steps = TorchReference(checkpoint).run(IDS, changed(checkpoint, mask=0.0))
    pattern = steps["h.0.attn.pattern.0"]
    assert (pattern > 0).all()
    np.testing.assert_allclose(pattern.sum(axis=1), 1)


def test_a_steered_stream_has_the_direction_in_every_row(checkpoint: Checkpoint) -> None:
    usual = TorchReference(checkpoint).run(IDS)
    steered = TorchReference(checkpoint).run(IDS, changed(checkpoint, **CHANGES["steered"]))
    np.testing.assert_allclose(steered["h.1.resid_pre"] - usual["h.1.resid_pre"], np.tile(-1.5 * DIRECTION, (7, 1)))
    np.testing.assert_array_equal(steered["h.0.resid_post"], usual["h.0.resid_post"])


def test_a_patched_row_and_no_other(checkpoint: Checkpoint) -> None:
    usual = TorchReference(checkpoint).run(IDS)
    patched = TorchReference(checkpoint).run(IDS, changed(checkpoint, **CHANGES["patched"]))
    np.testing.assert_array_equal(patched["h.2.resid_pre"][3], DIRECTION)
    others = [row for row in range(len(IDS)) if row != 3]
    np.testing.assert_array_equal(patched["h.2.resid_pre"][others], usual["h.2.resid_pre"][others])
