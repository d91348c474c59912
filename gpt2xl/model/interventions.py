"""What is changed in a forward pass: parts switched off, a direction added, one row put in another's place.

The sources: ablation of heads (Michel, Levy, Neubig 2019, arXiv:1905.10650), activation addition (Turner et al. 2023,
arXiv:2308.10248), activation patching (Meng et al. 2022, arXiv:2202.05262, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpt2xl.model.config import Config
from gpt2xl.model.steps import Array


@dataclass(frozen=True)
class Patch:
    """`values` [D] take the place of the row of token `position` where the stream comes into `block`."""

    block: int
    position: int
    values: Array


@dataclass(frozen=True)
class Interventions:
    """Switches, each 1 (on) or 0 (off), a direction, and perhaps a patch.

    What a head brings (`heads`, [n_layer, n_head]), what attention and the MLP of a block add (`attention` and `mlp`,
    [n_layer], bias included) and the vectors of positions are multiplied by their switch; at `mask` 0 every token sees
    all tokens of the prompt, the first `prompt` ones (None: all there are), and of later ones those before it. `scale`
    times `direction` [D] is added to all rows where the stream comes into `block`.
    """

    heads: Array
    attention: Array
    mlp: Array
    direction: Array
    positions: float = 1.0
    mask: float = 1.0
    block: int = 0
    scale: float = 0.0
    patch: Patch | None = None
    prompt: int | None = None

    @classmethod
    def none(cls, config: Config) -> Interventions:
        """Everything on, nothing added."""
        blocks = np.ones(config.n_layer)
        return cls(np.ones((config.n_layer, config.n_head)), blocks, blocks, np.zeros(config.n_embd))

    @property
    def any(self) -> bool:
        """Whether this is anything else than the model as it is."""
        switches = (self.heads, self.attention, self.mlp, self.positions, self.mask)
        return not all(np.all(np.asarray(switch) == 1) for switch in switches) or self.scale != 0 or bool(self.patch)

    def mask_of(self, n: int) -> Array:
        """What is added to the scores: 0 where the row's token sees the column's, minus infinity elsewhere. [n, n]"""
        mask = np.triu(np.full((n, n), -np.inf), k=1)
        if not self.mask:
            mask[:, : self.prompt] = 0.0
        return mask

    def resid_pre(self, x: Array, block: int) -> Array:
        """The stream [n, D] as it comes into a block, steered and patched."""
        if self.scale != 0 and block == self.block:
            x = x + self.scale * self.direction
        if self.patch is not None and block == self.patch.block:
            x = x.copy()
            x[self.patch.position] = self.patch.values
        return x


def hooks(torch: Any, model: Any, changes: Interventions) -> Iterator[Any]:
    """Hooks on transformers' GPT2LMHeadModel that make these changes; yields the handles that take them off again.

    They come before those that listen, which then hear what is changed. The mask is no module: see `attention_mask`.
    """
    body = model.transformer
    yield body.wpe.register_forward_hook(lambda _, _args, out: out * changes.positions)
    for i, block in enumerate(body.h):
        width = len(changes.direction) // changes.heads.shape[1]
        heads = torch.from_numpy(np.repeat(changes.heads[i], width))  # [D]
        yield block.register_forward_pre_hook(_stream(torch, changes, i))
        yield block.attn.c_proj.register_forward_pre_hook(lambda _, args, heads=heads: (args[0] * heads, *args[1:]))
        yield block.attn.c_proj.register_forward_hook(lambda _, _args, out, i=i: out * float(changes.attention[i]))
        yield block.mlp.c_proj.register_forward_hook(lambda _, _args, out, i=i: out * float(changes.mlp[i]))


def _stream(torch: Any, changes: Interventions, block: int) -> Any:
    def hook(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        changed = changes.resid_pre(args[0][0].numpy(), block)  # [n, D]
        return torch.from_numpy(changed).unsqueeze(0), *args[1:]

    return hook


def attention_mask(torch: Any, changes: Interventions, n: int) -> Any:
    """What transformers adds to the scores [1, 1, n, n] in place of its causal mask; None where that is meant."""
    return None if changes.mask else torch.from_numpy(changes.mask_of(n))[None, None]
