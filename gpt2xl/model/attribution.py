"""Direct logit attribution of a forward pass: what each part of the model adds to one token's logit.

The last layer norm's division is held at the last token's own (Elhage et al. 2021, A Mathematical Framework for
Transformer Circuits). The parts are TransformerLens': both embeddings, each head, each attention bias, each MLP, the
last layer norm's bias; and what else was added to the stream between blocks, if anything. Here every part's vector is
projected forward and normalised by itself, where the workbook projects the token's direction back; the two agree
because all of it is linear.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.steps import Array, Steps
from gpt2xl.model.vocabulary import Vocabulary

# The names of the workbook's cells, in the order of computation.
ATTRIBUTION = tuple(
    f"attribution.{part}"
    for part in ("embed", "pos_embed", "mlp", "attn_bias", "heads", "steering", "ln_f_bias", "sum", "logit")
)


@np.errstate(all="ignore")  # what comes of it is compared, finite or not
def attribution(checkpoint: Checkpoint, steps: Steps, token_ids: Sequence[int], token: int) -> Steps:
    """What the parts of the model add to the logit of `token`, by the workbook's names, from the steps of a reference.

    Nothing is asked of what was switched or steered: what counts is what the steps show to have been added to the
    last token's row. An attention that adds nothing at all is one that is switched off, with its heads and its bias.

    L blocks, H heads: `attribution.heads` [L, H], `attribution.attn_bias` and `attribution.mlp` [L, 1]; one number in
    `attribution.embed`, `.pos_embed`, `.steering` and `.ln_f_bias`, in their `attribution.sum`, and
    `attribution.logit`, all [1, 1].
    """
    config, tensors = checkpoint.config, checkpoint.tensors

    def tensor(name: str, rows: slice | list[int] = slice(None)) -> Array:
        return np.asarray(tensors.rows(name, rows), dtype=np.float64)

    unembed = tensor("wte" if config.tied else "lm_head.weight", [token])[0]  # [D]
    scale = np.sqrt(steps[f"h.{config.n_layer - 1}.resid_post"][-1].var() + config.layer_norm_epsilon)

    def share(vectors: Array) -> Array:
        """[m, D] -> [m]: each vector through the last layer norm without its bias, times the token's row."""
        centred = vectors - vectors.mean(axis=-1, keepdims=True)
        return np.asarray(centred / scale * tensor("ln_f.weight") @ unembed)

    before = steps["embed"][-1]  # [D], what the block before has written
    heads, biases, mlps, steering = [], [], [], np.zeros_like(before)
    for i in range(config.n_layer):
        at = f"h.{i}."
        on = float(steps[at + "attn.out"][-1].any())
        z = steps[at + "attn.z"][-1].reshape(config.n_head, 1, config.d_head)
        weight = tensor(at + "attn.c_proj.weight").reshape(config.n_head, config.d_head, -1)
        heads.append(on * share((z @ weight)[:, 0]))  # [H, 1, d] @ [H, d, D] -> [H, D] -> [H]
        biases.append(on * share(tensor(at + "attn.c_proj.bias")[None]))
        mlps.append(share(steps[at + "mlp.out"][-1:]))
        steering = steering + steps[at + "resid_pre"][-1] - before
        before = steps[at + "resid_post"][-1]
    embedding = tensor("wte", [token_ids[-1]])
    parts = {
        "embed": share(embedding)[None],
        "pos_embed": share(steps["embed"][-1:] - embedding)[None],
        "heads": np.array(heads),
        "attn_bias": np.array(biases),
        "mlp": np.array(mlps),
        "steering": share(steering[None])[None],
        "ln_f_bias": np.array([[tensor("ln_f.bias") @ unembed]]),
    }
    parts["sum"] = np.array([[sum(part.sum() for part in parts.values())]])
    parts["logit"] = np.array([[steps["logits"][token]]])
    return {name: parts[name.removeprefix("attribution.")] for name in ATTRIBUTION}


def token_of(vocabulary: Vocabulary, known: int, word: str) -> int | None:
    """The token that is a space and `word`, else the one that is `word`, among the first `known`; None for neither."""
    by_text: dict[str, int] = {}
    for token in range(min(vocabulary.size, known)):
        by_text.setdefault(vocabulary.text(token), token)
    return by_text.get(f" {word}", by_text.get(word))
