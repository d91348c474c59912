"""How surprising a prompt is: the negative logarithm of each token's probability, given those before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.steps import Steps

# The names of the workbook's cells, in the order of computation.
LOSS = ("loss.bits", "loss.mean", "loss.nats", "perplexity")
_ROWS_AT_A_TIME = 4096


@np.errstate(over="ignore")  # beyond exp(709) the perplexity is infinite
def surprise(checkpoint: Checkpoint, steps: Steps, token_ids: Sequence[int]) -> Steps:
    """`loss.bits` [n, 1] of n tokens, NaN for the first; of the others `loss.mean` in bits, the same in nats as PyTorch
    has it (`loss.nats`), and `perplexity`, all [1, 1] and NaN where there is one token only.

    `steps` are a reference's, of which the last layer norm's rows are taken.
    """
    count, rows = len(token_ids), steps["ln_f"][:-1]  # [n - 1, D]
    head = "wte" if checkpoint.config.tied else "lm_head.weight"
    total = np.full(count - 1, -np.inf)  # logarithm of the sum of the exponentials so far
    for first in range(0, checkpoint.config.vocab_size, _ROWS_AT_A_TIME):  # in float64 the head is twice the checkpoint
        part = checkpoint.tensors.rows(head, slice(first, first + _ROWS_AT_A_TIME)).astype(np.float64)
        total = np.logaddexp(total, np.logaddexp.reduce(rows @ part.T, axis=1))
    targets = checkpoint.tensors.rows(head, list(token_ids[1:])).astype(np.float64)  # [n - 1, D]
    nats = total - (rows * targets).sum(axis=1)
    mean = nats.mean() if count > 1 else np.nan
    bits = np.concatenate([[np.nan], nats / np.log(2)])
    found = bits[:, None], mean / np.log(2), mean, np.exp(mean)
    return {name: np.atleast_2d(values) for name, values in zip(LOSS, found, strict=True)}
