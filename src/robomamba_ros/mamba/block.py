"""One Mamba layer: RMSNorm, mixer, residual; one path for sequences, chunks and single steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robomamba_ros.errors import ConfigError
from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.norm import RMSNorm
from robomamba_ros.mamba.packing import Packable, pack
from robomamba_ros.mamba.scan import selective_scan
from robomamba_ros.mamba.state import LayerState, computed_in

# Range of the initial step size: delta = softplus(bias) is log-uniform in it (Mamba, section 3.6).
DELTA_MIN, DELTA_MAX, DELTA_FLOOR = 1e-3, 1e-1, 1e-4


# No model is larger by far. Beyond these even a list of its layers fills the memory.
MOST_LAYERS, WIDEST = 1024, 1 << 20


@dataclass(frozen=True)
class MambaConfig:
    """Sizes of a Mamba-1 backbone in the paper's terms. Raises ConfigError for sizes below 1.

    The defaults are those of the published models.
    """

    # Width of the residual stream.
    d_model: int
    # Number of layers.
    n_layer: int
    # n, states per channel.
    d_state: int = 16
    # Taps of the convolution.
    d_conv: int = 4
    # d_inner / d_model.
    expand: int = 2
    # Rank of the projection of delta; 'auto': ceil(d_model / 16).
    dt_rank: int | str = 'auto'
    # Added to the mean square in RMSNorm.
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if isinstance(self.dt_rank, str):
            if self.dt_rank != 'auto':
                raise ConfigError(f"dt_rank is '{self.dt_rank}'; give 'auto' or a number")
            object.__setattr__(self, 'dt_rank', math.ceil(self.d_model / 16))
        for name in ('d_model', 'n_layer', 'd_state', 'd_conv', 'expand', 'dt_rank'):
            value = getattr(self, name)
            most = MOST_LAYERS if name == 'n_layer' else WIDEST
            if not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(
                    f'{name} is {value!r:.40}; a Mamba backbone needs an integer >= 1, '
                    f'at most {most}'
                )

    @property
    def d_inner(self) -> int:
        """Number of channels of the convolution and the scan."""
        return self.expand * self.d_model

    @property
    def rank(self) -> int:
        """Rank of the projection of delta, as a number."""
        return int(self.dt_rank)


class _Constants(NamedTuple):
    """What convolution and scan read beside their inputs, in the type they compute in."""

    taps: Tensor  # (d, k)
    conv_bias: Tensor | None
    A: Tensor  # (d, n)
    D: Tensor
    delta_bias: Tensor


class Mixer(nn.Module, Packable):
    """The gated selective state space of Mamba-1 (Gu and Dao 2023, section 3.4, figure 3)."""

    def __init__(self, config: MambaConfig, backend: str) -> None:
        super().__init__()
        self.backend = backend
        d, n, rank = config.d_inner, config.d_state, config.rank
        self.split = (rank, n, n)
        self._packed: _Constants | None = None
        self.in_proj = nn.Linear(config.d_model, 2 * d, bias=False)
        self.conv1d = nn.Conv1d(d, d, config.d_conv, groups=d)  # only its parameters are used
        self.x_proj = nn.Linear(d, rank + 2 * n, bias=False)
        self.dt_proj = nn.Linear(rank, d)
        self.A_log = nn.Parameter(torch.arange(1, n + 1).float().log().repeat(d, 1))
        self.D = nn.Parameter(torch.ones(d))
        self.out_proj = nn.Linear(d, config.d_model, bias=False)
        self._initialise(config)

    @torch.no_grad()
    def _initialise(self, config: MambaConfig) -> None:
        bound = config.rank**-0.5
        self.dt_proj.weight.uniform_(-bound, bound)
        log_delta = torch.empty(config.d_inner).uniform_(math.log(DELTA_MIN), math.log(DELTA_MAX))
        delta = log_delta.exp().clamp(min=DELTA_FLOOR)
        self.dt_proj.bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # softplus^-1(delta)
        # One residual branch per layer adds its variance to the stream (GPT-2's scaling).
        self.out_proj.weight.div_(math.sqrt(config.n_layer))

    def forward(
        self,
        hidden: Tensor,
        state: LayerState | None,
        *,
        valid: Tensor | None = None,
        in_place: bool = False,
    ) -> tuple[Tensor, LayerState]:
        """Mix hidden (b, l, d_model) over time from `state`, zeros where None, or write over it."""
        constants = self._packed or self._constants()
        x, z = self.in_proj(hidden).chunk(2, dim=-1)
        x, conv_state = causal_conv1d(
            x,
            constants.taps,
            constants.conv_bias,
            None if state is None else state.conv,
            valid=valid,
            in_place=in_place,
            backend=self.backend,
        )
        low_rank, B, C = self.x_proj(x).split(self.split, dim=-1)
        y, ssm_state = selective_scan(
            x,
            self._delta(low_rank),
            constants.A,
            B,
            C,
            constants.D,
            z,
            constants.delta_bias,
            delta_softplus=True,
            initial_state=None if state is None else state.ssm,
            valid=valid,
            in_place=in_place,
            backend=self.backend,
        )
        return self.out_proj(y), LayerState(conv_state, ssm_state)

    def _delta(self, low_rank: Tensor) -> Tensor:
        """Return delta (b, l, d) before its bias, which the scan adds in its own type."""
        delta: Tensor = (
            F.linear(low_rank, self.dt_proj.weight)
            if self._packed is None
            else self.dt_proj(low_rank)
        )
        return delta

    def _constants(self) -> _Constants:
        dtype = computed_in(self.A_log.dtype)
        bias = self.conv1d.bias
        return _Constants(
            taps=self.conv1d.weight.squeeze(1).to(dtype),
            conv_bias=None if bias is None else bias.to(dtype),
            A=-torch.exp(self.A_log.to(dtype)),
            D=self.D.to(dtype),
            delta_bias=self.dt_proj.bias.to(dtype),
        )

    @torch.no_grad()
    def pack(self) -> None:
        """Lay out the projections, and keep what depends on the weights alone."""
        constants = self._constants()
        # The backends read channels that lie next to each other.
        self._packed = constants._replace(
            taps=constants.taps.t().contiguous().t(), A=constants.A.t().contiguous().t()
        )
        self.dt_proj.register_parameter('bias', None)
        pack(self)


class Block(nn.Module):
    """mixer(RMSNorm(hidden)); the residual stream is float32 beside 16-bit weights.

    What a mixer says is added by the layer behind it, in one pass with its norm.
    """

    def __init__(self, config: MambaConfig, backend: str) -> None:
        super().__init__()
        self.norm = RMSNorm(config.d_model, config.norm_epsilon, backend)
        self.mixer = Mixer(config, backend)

    def forward(
        self,
        hidden: Tensor,
        update: Tensor | None,
        state: LayerState | None,
        *,
        valid: Tensor | None = None,
        in_place: bool = False,
    ) -> tuple[Tensor, Tensor, LayerState]:
        """Return the stream (b, l, d_model) in front of the mixer, its update and the new state.

        update (b, l, d_model): what the layer before has to add to `hidden`.
        """
        hidden, normed = self.norm.add(hidden, update)
        mixed, new_state = self.mixer(normed, state, valid=valid, in_place=in_place)
        return hidden, mixed, new_state
