"""The network of AnoleVLA behind LeRobot's PreTrainedPolicy; the computation is robomamba_ros's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_LANGUAGE_TOKENS, OBS_STATE
from torch import Tensor

from robomamba_ros.policies.anolevla.network import AnoleVLA, rescaled
from robomamba_ros.training.anolevla.losses import acceleration_loss, velocity_loss
from robomamba_ros.training.shared.optimization import make_optimizer

from .configuration_anolevla import AnolevlaConfig

PADDED = 'action_is_pad'


class AnolevlaPolicy(PreTrainedPolicy):
    """An AnoleVLA whose scales are LeRobot's processors', but for that of the step of the state.

    dataset_meta: of the data set that it is to be trained on, for the time between two frames.
    """

    config_class = AnolevlaConfig
    name = 'anolevla'

    def __init__(self, config: AnolevlaConfig, dataset_meta: Any = None, **kwargs: Any) -> None:
        super().__init__(config)
        if dataset_meta is not None:
            config.dt_ns = round(1e9 / dataset_meta.fps)
        config.validate_features()
        self.network = AnoleVLA(config.ours())
        (channels,) = config.robot_state_feature.shape
        # delta_state on its unit scale = delta_gain * (step of the normalised state) - delta_bias.
        self.register_buffer('delta_gain', torch.full((channels,), 1.0 / config.step_of_state))
        self.register_buffer('delta_bias', torch.zeros(channels))
        self.reset()

    def get_optim_params(self) -> list[dict[str, Any]]:
        """Return the parameters in groups: matrices decay, vectors and Mamba's A do not."""
        decay = self.config.optimizer_weight_decay
        groups = make_optimizer(self.network.named_parameters(), 1.0, decay).param_groups
        return [{key: group[key] for key in ('params', 'weight_decay')} for group in groups]

    def reset(self) -> None:
        """Begin an episode."""
        self._queue: deque[Tensor] = deque()
        self._before: Tensor | None = None

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, and its parts.

        batch: as the preprocessor gives it: state (b, 2, d), images (b, 3, s, s), token ids (b, l),
        action (b, H, d_a) and action_is_pad (b, H).
        """
        actions, valid = self._actions(batch), ~batch[PADDED]
        velocity = velocity_loss(actions, batch[ACTION], valid)
        acceleration = acceleration_loss(actions, batch[ACTION], valid)
        loss = velocity + self.config.acceleration_weight * acceleration
        return loss, {'velocity': velocity.item(), 'acceleration': acceleration.item()}

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Tensor], **kwargs: Any) -> Tensor:
        """Return the chunk (b, H, d_a) on the unit scale.

        batch: as of `forward`, without actions. A state without the one before it (b, d) is taken
        for one at rest, unless select_action saw the one before.
        """
        self.eval()
        return self._actions(batch)

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **kwargs: Any) -> Tensor:
        """Return the next action (b, d_a) on the unit scale; to be called at every step."""
        if not self._queue:
            chunk = self.predict_action_chunk(batch)[:, : self.config.n_action_steps]
            self._queue.extend(chunk.unbind(1))
        state = batch[OBS_STATE]
        self._before = state[:, -1] if state.ndim == 3 else state
        return self._queue.popleft()

    def _actions(self, batch: dict[str, Tensor]) -> Tensor:
        state = batch[OBS_STATE]
        if state.ndim == 2:
            before = state if self._before is None else self._before
            state = torch.stack([before, state], dim=1)
        step = self.delta_gain * (state[:, 1] - state[:, 0]) - self.delta_bias
        images = [_newest(batch[key]) for key in self.config.image_features]
        seen = rescaled(torch.stack(images, dim=1).float())
        words = batch[OBS_LANGUAGE_TOKENS]
        # Two observations that were processed one by one have the words twice.
        words = words[:, -1] if words.ndim == 3 else words
        actions: Tensor = self.network(seen, state[:, 1], step, words).actions
        return actions

    def unit_scales(self) -> Iterable[Tensor]:
        """Return delta_gain and delta_bias, for conversions."""
        return self.delta_gain, self.delta_bias


def _newest(images: Tensor) -> Tensor:
    """Return (b, 3, s, s) of images (b, 3, s, s) or of several steps (b, t, 3, s, s)."""
    return images[:, -1] if images.ndim == 5 else images
