"""The references that a workbook is held against: a forward pass in float64 with every step under its name.

`TorchReference` is transformers' own GPT2LMHeadModel, listened to through hooks. `NumpyReference` is the same
model written out in numpy, after jaymody/picoGPT. Both return, for n tokens (D = n_embd, V = vocab_size):

=================================  ===================================================================
embed, h.i.resid_pre               (n, D)        wte + wpe, what enters block i
h.i.ln_1, h.i.attn.q, .k, .v       (n, D)        heads side by side, d_head columns each
h.i.attn.scores.j                  (n, n)        head j: q @ k.T scaled, before the causal mask
h.i.attn.pattern.j                 (n, n)        head j: softmax of the masked scores, rows sum to 1
h.i.attn.z.j, h.i.attn.z           (n, d_head), (n, D)     pattern @ v of one head, of all side by side
h.i.attn.out, h.i.resid_mid        (n, D)        after the output projection; added to resid_pre
h.i.ln_2                           (n, D)
h.i.mlp.pre, h.i.mlp.post          (n, n_inner)  before and after the activation
h.i.mlp.out, h.i.resid_post        (n, D)
ln_f                               (n, D)
logits, probs                      (V,)          at the last position
=================================  ===================================================================

The names are TransformerLens' (transformer_block.py) where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from gpt2xl.errors import EngineError
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.config import Config
from gpt2xl.model.forward import NumpyReference, softmax
from gpt2xl.model.interventions import Interventions, attention_mask, hooks
from gpt2xl.model.steps import Array, Steps, check_finite, check_ids, step_names

__all__ = ["NumpyReference", "Reference", "TorchReference", "step_names"]


class Reference(Protocol):
    """What both references offer."""

    def run(self, token_ids: Sequence[int], changes: Interventions | None = None) -> Steps:
        """All steps for `token_ids` in the order of computation, with `changes` made on the way.

        Raises `PromptError` for ids that do not fit, `ModelError` where a step is not finite.
        """


def require_torch() -> None:
    """Raise `EngineError` where torch or transformers is not installed, without importing them."""
    for name in ("torch", "transformers"):
        try:
            found = find_spec(name)
        except ImportError:
            found = None
        if found is None:
            raise _missing(f"there is no {name}")


def _missing(why: str) -> EngineError:
    return EngineError(
        f"the PyTorch reference needs torch and transformers ({why}); "
        f"`pip install gpt2xl[torch]`, or take the numpy reference"
    )


class TorchReference:
    """transformers' GPT2LMHeadModel in float64, with eager attention.

    Everything comes out of its own modules except the raw scores, which it never holds without their mask:
    they are recomputed from its q and k. Raises `EngineError` where torch or transformers is missing.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        try:
            import torch
            from transformers import GPT2Config, GPT2LMHeadModel
        except ImportError as error:
            raise _missing(str(error)) from None
        self.config = checkpoint.config
        self._torch = torch
        settings = GPT2Config(**_transformers_settings(self.config))
        with torch.device("meta"):  # no time is spent on random weights
            model: Any = GPT2LMHeadModel(settings)
        if any(buffer.is_meta for buffer in model.buffers()):  # older versions keep their causal mask in buffers
            model = GPT2LMHeadModel(settings)
        model.load_state_dict(_state_dict(torch, checkpoint.tensors), strict=False, assign=True)
        if any(parameter.is_meta for parameter in model.parameters()):
            raise EngineError(
                "this version of transformers names GPT-2's parameters differently; install transformers 5"
            )
        self._model = model.double().eval()

    @np.errstate(all="ignore")  # `check_finite` says what came of it
    def run(self, token_ids: Sequence[int], changes: Interventions | None = None) -> Steps:
        check_ids(self.config, token_ids)
        seen: Steps = {}
        changed = {} if changes is None else {"attention_mask": attention_mask(self._torch, changes, len(token_ids))}
        handles = [] if changes is None else list(hooks(self._torch, self._model, changes))
        handles += self._listen(seen)
        try:
            with self._torch.no_grad():
                ids = self._torch.tensor([list(token_ids)])
                output = self._model(ids, use_cache=False, output_attentions=True, **changed)
        finally:
            for handle in handles:
                handle.remove()
        for i, attention in enumerate(output.attentions):  # [1, n_head, n, n]
            self._add_heads(seen, i, _numpy(attention))
        seen["logits"] = seen["logits"][-1]
        seen["probs"] = softmax(seen["logits"])
        steps = {name: seen[name] for name in step_names(self.config)}
        check_finite(steps)
        return steps

    def _listen(self, seen: Steps) -> list[Any]:
        """Hooks that write what passes through transformers' modules into `seen`."""

        def before(module: Any, name: str) -> Any:
            return module.register_forward_pre_hook(lambda _, args: seen.__setitem__(name, _numpy(args[0])))

        def after(module: Any, name: str) -> Any:
            return module.register_forward_hook(lambda _, _args, out: seen.__setitem__(name, _numpy(out)))

        body = self._model.transformer
        handles = [after(body.drop, "embed"), after(body.ln_f, "ln_f"), after(self._model.lm_head, "logits")]
        for i, block in enumerate(body.h):
            at = f"h.{i}."
            handles += [
                before(block, at + "resid_pre"),
                after(block.ln_1, at + "ln_1"),
                after(block.attn.c_attn, at + "attn.qkv"),
                before(block.attn.c_proj, at + "attn.z"),
                after(block.attn.c_proj, at + "attn.out"),
                before(block.ln_2, at + "resid_mid"),
                after(block.ln_2, at + "ln_2"),
                after(block.mlp.c_fc, at + "mlp.pre"),
                after(block.mlp.act, at + "mlp.post"),
                after(block.mlp.c_proj, at + "mlp.out"),
                after(block, at + "resid_post"),
            ]
        return handles

    def _add_heads(self, seen: Steps, layer: int, patterns: Array) -> None:
        """Split what transformers holds for all heads at once; `patterns` is [n_head, n, n]."""
        at = f"h.{layer}.attn."
        seen[at + "q"], seen[at + "k"], seen[at + "v"] = np.split(seen.pop(at + "qkv"), 3, axis=-1)  # each [n, D]
        for j in range(self.config.n_head):
            head = slice(j * self.config.d_head, (j + 1) * self.config.d_head)
            scores = seen[at + "q"][:, head] @ seen[at + "k"][:, head].T  # [n, n]
            seen[f"{at}scores.{j}"] = scores * self.config.attention_scale(layer)
            seen[f"{at}pattern.{j}"] = patterns[j]
            seen[f"{at}z.{j}"] = seen[at + "z"][:, head]


def _transformers_settings(config: Config) -> dict[str, Any]:
    return {
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "n_positions": config.n_positions,
        "vocab_size": config.vocab_size,
        "n_inner": config.n_inner,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "activation_function": config.activation_function,
        "scale_attn_weights": config.scale_attn_weights,
        "scale_attn_by_inverse_layer_idx": config.scale_attn_by_inverse_layer_idx,
        "tie_word_embeddings": config.tied,
        "attn_implementation": "eager",  # the others never hold the attention weights
        # transformers warns where its default, 50256, lies beyond a small vocabulary.
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _state_dict(torch: Any, tensors: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """The parameters under transformers' names, in float64: `wte` -> `transformer.wte.weight`."""
    state = {}
    for name, values in tensors.items():
        full_name = {"wte": "wte.weight", "wpe": "wpe.weight"}.get(name, name)
        full_name = full_name if full_name == "lm_head.weight" else f"transformer.{full_name}"
        state[full_name] = torch.from_numpy(values.astype(np.float64))
    state.setdefault("lm_head.weight", state["transformer.wte.weight"])
    return state


def _numpy(value: Any) -> Array:
    """The first sequence of a batch as float64; blocks of older versions answer with a tuple."""
    tensor = value[0] if isinstance(value, tuple) else value
    array: Array = tensor[0].detach().double().numpy()
    return array.copy()
