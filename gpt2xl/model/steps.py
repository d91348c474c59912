"""The steps of the forward pass: their names, in order, and which prompts have them at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpt2xl.errors import ModelError, PromptError
from gpt2xl.model.config import Config

Array = np.ndarray[Any, np.dtype[np.float64]]
Steps = dict[str, Array]


def step_names(config: Config) -> list[str]:
    """The names of all steps in the order in which they are computed, the keys of `run`'s answer."""
    heads = range(config.n_head)
    block = ["resid_pre", "ln_1", "attn.q", "attn.k", "attn.v"]
    block += [f"attn.{step}.{j}" for j in heads for step in ("scores", "pattern", "z")]
    block += ["attn.z", "attn.out", "resid_mid", "ln_2", "mlp.pre", "mlp.post", "mlp.out", "resid_post"]
    return ["embed", *(f"h.{i}.{step}" for i in range(config.n_layer) for step in block), "ln_f", "logits", "probs"]


def check_ids(config: Config, token_ids: Sequence[int]) -> None:
    """Raise `PromptError` unless the model can take these ids."""
    if not token_ids:
        raise PromptError("the prompt has no tokens, so there is nothing to predict from; type at least one character")
    if len(token_ids) > config.n_positions:
        raise PromptError(
            f"the prompt has {len(token_ids)} tokens and the model holds {config.n_positions}; shorten it"
        )
    for id_ in token_ids:
        if not 0 <= id_ < config.vocab_size:
            raise PromptError(
                f"the prompt holds token id {id_}, and the model's embedding ends at {config.vocab_size - 1}; "
                f"leave that token out"
            )


def check_finite(steps: Steps) -> None:
    """Raise `ModelError` where a step holds what is no number: nothing after it would be one."""
    for name, values in steps.items():
        if not np.isfinite(values).all():
            raise not_finite(name)


def not_finite(step: str) -> ModelError:
    """What is said of a division by 0, or of a number beyond float64."""
    return ModelError(
        f"for this prompt the model's numbers stop being finite at the step `{step}`, which no cell can show; correct "
        f"its weights or its layer_norm_epsilon, or take another model"
    )
