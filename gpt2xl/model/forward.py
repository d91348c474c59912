"""GPT-2 written out in numpy, after jaymody/picoGPT: one small function an idea, a shape at every line.

n tokens, D = n_embd, d = d_head, V = vocab_size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.interventions import Interventions
from gpt2xl.model.steps import Array, Steps, check_finite, check_ids, not_finite, step_names

# Where a result can be finite though a number on the way was not, as x / infinity is, and cells show an error. Never
# around a matrix product, of which some BLAS libraries report what did not happen.
_strictly = np.errstate(over="raise", divide="raise", invalid="raise")


@_strictly
def gelu_new(x: Array) -> Array:
    """GPT-2's GELU, by tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def gelu(x: Array) -> Array:
    """GELU by the error function: x times the normal distribution's cumulative probability."""
    erf = np.vectorize(math.erf, otypes=[np.float64])
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def silu(x: Array) -> Array:
    """x times its logistic function, by tanh, which does not overflow."""
    return np.asarray(x * 0.5 * (1 + np.tanh(0.5 * x)))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


ACTIVATION: dict[str, Callable[[Array], Array]] = {
    "gelu_new": gelu_new,
    "gelu": gelu,
    "gelu_pytorch_tanh": gelu_new,
    "relu": relu,
    "silu": silu,
}


def softmax(x: Array) -> Array:
    """Along the last axis; the largest value is subtracted first, so that nothing overflows."""
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), dtype=np.float64)


@_strictly
def layer_norm(x: Array, weight: Array, bias: Array, epsilon: float) -> Array:
    """Rows of mean 0 and (population) variance 1, then scaled and shifted: [n, D] -> [n, D]."""
    mean = x.mean(axis=-1, keepdims=True)  # [n, 1]
    variance = x.var(axis=-1, keepdims=True)  # [n, 1]
    return np.asarray((x - mean) / np.sqrt(variance + epsilon) * weight + bias, dtype=np.float64)


class NumpyReference:
    """GPT-2 in numpy alone, in float64; needs neither torch nor transformers."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checkpoint.config
        self._tensors = checkpoint.tensors

    @np.errstate(all="ignore")  # `check_finite` says what came of it
    def run(self, token_ids: Sequence[int], changes: Interventions | None = None) -> Steps:
        check_ids(self.config, token_ids)
        changes = changes or Interventions.none(self.config)
        steps: Steps = {}
        try:
            self._run(list(token_ids), steps, changes)
        except FloatingPointError:
            check_finite(steps)
            raise not_finite(next(name for name in step_names(self.config) if name not in steps)) from None
        check_finite(steps)
        return steps

    def _run(self, ids: list[int], steps: Steps, changes: Interventions) -> None:
        x = self._get("wte", ids) + self._get("wpe", slice(len(ids))) * changes.positions  # [n, D]
        steps["embed"] = x
        for i in range(self.config.n_layer):
            x = self._block(changes.resid_pre(x, i), i, steps, changes)  # [n, D] -> [n, D]
        steps["ln_f"] = self._layer_norm(x, "ln_f")  # [n, D]
        steps["logits"] = self._logits(steps["ln_f"][-1])  # [D] -> [V]
        steps["probs"] = softmax(steps["logits"])  # [V]

    def _block(self, x: Array, layer: int, steps: Steps, changes: Interventions) -> Array:
        at = f"h.{layer}."
        steps[at + "resid_pre"] = x  # [n, D]
        steps[at + "ln_1"] = self._layer_norm(x, at + "ln_1")  # [n, D]
        steps[at + "attn.out"] = self._attention(steps[at + "ln_1"], layer, steps, changes)  # [n, D]
        steps[at + "resid_mid"] = x + steps[at + "attn.out"]  # [n, D]
        steps[at + "ln_2"] = self._layer_norm(steps[at + "resid_mid"], at + "ln_2")  # [n, D]
        steps[at + "mlp.pre"] = self._linear(steps[at + "ln_2"], at + "mlp.c_fc")  # [n, D] -> [n, n_inner]
        steps[at + "mlp.post"] = ACTIVATION[self.config.activation_function](steps[at + "mlp.pre"])  # [n, n_inner]
        out = self._linear(steps[at + "mlp.post"], at + "mlp.c_proj")  # [n, n_inner] -> [n, D]
        steps[at + "mlp.out"] = out * changes.mlp[layer]
        steps[at + "resid_post"] = steps[at + "resid_mid"] + steps[at + "mlp.out"]  # [n, D]
        return steps[at + "resid_post"]

    def _attention(self, x: Array, layer: int, steps: Steps, changes: Interventions) -> Array:
        at = f"h.{layer}.attn."
        q, k, v = np.split(self._linear(x, at + "c_attn"), 3, axis=-1)  # [n, D] -> [n, 3D] -> 3 of [n, D]
        steps |= {at + "q": q, at + "k": k, at + "v": v}
        heads = []
        for j in range(self.config.n_head):
            head = slice(j * self.config.d_head, (j + 1) * self.config.d_head)
            scores = q[:, head] @ k[:, head].T * self.config.attention_scale(layer)  # [n, d] @ [d, n] -> [n, n]
            pattern = softmax(scores + changes.mask_of(len(x)))  # [n, n]
            z = pattern @ v[:, head] * changes.heads[layer, j]  # [n, n] @ [n, d] -> [n, d]
            steps |= {f"{at}scores.{j}": scores, f"{at}pattern.{j}": pattern, f"{at}z.{j}": z}
            heads.append(z)
        steps[at + "z"] = np.hstack(heads)  # [n, D]
        return np.asarray(self._linear(steps[at + "z"], at + "c_proj") * changes.attention[layer])  # [n, D]

    def _logits(self, x: Array) -> Array:
        """[D] -> [V], a part of the head at a time: in float64 all of it would be twice the checkpoint."""
        head = "wte" if self.config.tied else "lm_head.weight"  # [V, D]
        return np.concatenate(
            [self._get(head, slice(row, row + 4096)) @ x for row in range(0, self.config.vocab_size, 4096)]
        )

    def _layer_norm(self, x: Array, name: str) -> Array:
        return layer_norm(x, self._get(name + ".weight"), self._get(name + ".bias"), self.config.layer_norm_epsilon)

    def _linear(self, x: Array, name: str) -> Array:
        return np.asarray(
            x @ self._get(name + ".weight") + self._get(name + ".bias")
        )  # [n, in] @ [in, out] -> [n, out]

    def _get(self, name: str, rows: slice | list[int] = slice(None)) -> Array:
        return np.asarray(self._tensors.rows(name, rows), dtype=np.float64)
