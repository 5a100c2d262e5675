"""The stack of Mamba layers, from embeddings to normed hidden states, from any state.

Parameter names follow the native checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robomamba_ros.mamba.block import Block, MambaConfig
from robomamba_ros.mamba.norm import RMSNorm
from robomamba_ros.mamba.scan.dispatch import AUTO
from robomamba_ros.mamba.state import MambaState

__all__ = ['MambaBackbone', 'MambaConfig']


class MambaBackbone(nn.Module):
    """n_layer Mamba blocks and a final RMSNorm; `backend` is that of scan and convolution."""

    def __init__(self, config: MambaConfig, *, backend: str = AUTO) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Block(config, backend) for _ in range(config.n_layer))
        self.norm_f = RMSNorm(config.d_model, config.norm_epsilon, backend)

    def forward(
        self,
        inputs_embeds: Tensor,
        state: MambaState | None = None,
        *,
        valid: Tensor | None = None,
        in_place: bool = False,
    ) -> tuple[Tensor, MambaState]:
        """Continue from `state` (empty where None) with inputs_embeds (b, l >= 1, d_model).

        Returns the hidden states after the final norm (b, l, d_model), in the type of the weights,
        and the new state; the given state is not written to, but where `in_place`: then it becomes
        the new one in its own memory, without gradients. valid (b,), int32: how many tokens of each
        sequence are no padding; the new state is that after them. A whole sequence, chunks of it,
        and single steps give the same answer. Raises ValueError where embeddings or state do not
        fit.
        """
        self._check(inputs_embeds, state)
        # The stream sums what all layers say: in 16 bits it would lose what the last ones add.
        hidden = inputs_embeds.to(torch.promote_types(self.norm_f.weight.dtype, torch.float32))
        update: Tensor | None = None
        new_layers = []
        for index, layer in enumerate(self.layers):
            before = None if state is None else state.layers[index]
            hidden, update, after = layer(hidden, update, before, valid=valid, in_place=in_place)
            new_layers.append(after)
        normed = self.norm_f.add(hidden, update)[1]
        return normed, MambaState(tuple(new_layers))

    def _check(self, inputs_embeds: Tensor, state: MambaState | None) -> None:
        shape = tuple(inputs_embeds.shape)
        if len(shape) != 3 or shape[1] < 1 or shape[2] != self.config.d_model:
            raise ValueError(
                f'the backbone needs embeddings (b, l >= 1, {self.config.d_model}), got {shape}'
            )
        if state is None:
            return
        if len(state.layers) != self.config.n_layer:
            raise ValueError(
                f'the state has {len(state.layers)} layers, the backbone {self.config.n_layer}'
            )
        if state.batch != shape[0]:
            raise ValueError(
                f'the state is of batch {state.batch}, the embeddings of batch {shape[0]}; make it '
                f'with MambaState.empty(config, {shape[0]})'
            )
