"""AnoleVLA (Takagi et al. 2026, arXiv 2603.15046): state, image and instruction tokens go through
a Mamba backbone; a linear head turns the last token into a chunk of actions in one forward pass.

`AnoleVLA` is the network on normalised tensors; `AnoleVLAPolicy` keeps the Policy contract with
it. Knows nothing about ROS, files or training.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from robomamba_ros.errors import ConfigError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.types import ActionChunk, ActionSpace, Observation
from robomamba_ros.vision.encoders import KeypointEncoder
from robomamba_ros.vision.preprocess import CropResize

# The paper's order (eq. 2): proprioception first, so that the recurrence reads the image and the
# instruction already knowing where the robot is.
TOKEN_ORDER = ('state', 'delta_state', 'vision', 'language')


@dataclass(frozen=True)
class AnoleVLAConfig:
    """The network and what it reads and writes; config.yaml of a checkpoint.

    cameras: names in the order their tokens take; crop: what is cut out of every image;
    keypoints: vision tokens per camera; d_condition: width of the vector by which the
    instruction modulates the image encoder; execute_steps: actions run before the next inference.
    """

    cameras: tuple[str, ...]
    crop: CropResize
    state_names: tuple[str, ...]
    action_space: ActionSpace
    action_names: tuple[str, ...]
    horizon: int
    dt_ns: int
    execute_steps: int
    vocabulary: int
    instruction_length: int
    d_model: int = 256
    n_layer: int = 3
    d_state: int = 16
    keypoints: int = 32
    d_condition: int = 128
    token_order: tuple[str, ...] = field(default=TOKEN_ORDER)

    def __post_init__(self) -> None:
        if sorted(self.token_order) != sorted(TOKEN_ORDER):
            raise ConfigError(
                f'token_order is {list(self.token_order)}; it must hold each of '
                f'{", ".join(TOKEN_ORDER)} once'
            )


class AnoleVLAOutput(NamedTuple):
    """actions (b, H, d_a) on the unit scale; keypoints (b, cameras * k, 2) in -1..1 over the image;
    points (b, 3, 3): object, goal and end effector in the base frame [m], read from the vision
    tokens. Keypoints and points exist for the localisation loss."""

    actions: Tensor
    keypoints: Tensor
    points: Tensor


class AnoleVLA(nn.Module):
    """The network; all inputs normalised."""

    def __init__(self, config: AnoleVLAConfig) -> None:
        super().__init__()
        d_model = config.d_model
        self.config = config
        self.state = nn.Linear(len(config.state_names), d_model)
        self.delta_state = nn.Linear(len(config.state_names), d_model)
        self.language = nn.Embedding(config.vocabulary, d_model)
        self.condition = nn.Sequential(
            nn.Linear(d_model, config.d_condition),
            nn.SiLU(),
            nn.Linear(config.d_condition, config.d_condition),
            nn.SiLU(),
        )
        self.vision = KeypointEncoder(config.keypoints, config.d_condition, d_model)
        self.camera = nn.Parameter(torch.zeros(len(config.cameras), 1, d_model))
        self.keypoint = nn.Parameter(0.02 * torch.randn(config.keypoints, d_model))
        self.backbone = MambaBackbone(
            MambaConfig(d_model=d_model, n_layer=config.n_layer, d_state=config.d_state)
        )
        self.head = nn.Linear(d_model, config.horizon * len(config.action_names))
        self.localization = nn.Linear(len(config.cameras) * config.keypoints * d_model, 9)

    def forward(
        self, images: Tensor, state: Tensor, delta_state: Tensor, instruction: Tensor
    ) -> AnoleVLAOutput:
        """Run one forward pass.

        images (b, cameras, 3, s, s) in -1..1; state, delta_state (b, d_s) on the unit scale;
        instruction (b, N_l) token ids.
        """
        batch, cameras = images.shape[:2]
        language = self.language(instruction)
        condition = self.condition(language.mean(dim=1))
        tokens, keypoints = self.vision(
            images.flatten(0, 1), condition.repeat_interleave(cameras, dim=0)
        )
        vision = tokens.unflatten(0, (batch, cameras)) + self.keypoint + self.camera
        parts = {
            'state': self.state(state)[:, None],
            'delta_state': self.delta_state(delta_state)[:, None],
            'vision': vision.flatten(1, 2),
            'language': language,
        }
        sequence = torch.cat([parts[name] for name in self.config.token_order], dim=1)
        hidden, _ = self.backbone(sequence)
        actions = self.head(hidden[:, -1])
        return AnoleVLAOutput(
            actions.unflatten(1, (self.config.horizon, len(self.config.action_names))),
            keypoints.reshape(batch, -1, 2),
            self.localization(functional.silu(vision.flatten(1))).unflatten(1, (3, 3)),
        )


def images_to_tensor(images: Tensor) -> Tensor:
    """Return (..., h, w, 3) uint8 images as (..., 3, h, w) float32 in -1..1."""
    return images.movedim(-1, -3).float() / 127.5 - 1.0


class AnoleVLAPolicy:
    """The network behind the Policy contract: physical units in, physical units out."""

    def __init__(
        self,
        network: AnoleVLA,
        tokenizer: InstructionTokenizer,
        normalization: Normalization,
        *,
        name: str,
        device: torch.device,
    ) -> None:
        config = network.config
        self._network = network.to(device).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._normalization = normalization
        self._device = device
        self._spec = PolicySpec(
            name=name,
            cameras=tuple(
                CameraSpec(camera, config.crop.height, config.crop.width)
                for camera in config.cameras
            ),
            state_names=config.state_names,
            action_space=config.action_space,
            action_names=config.action_names,
            horizon=config.horizon,
            dt_ns=config.dt_ns,
            execute_steps=config.execute_steps,
        )

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._spec

    def reset(self) -> None:
        """Start an episode; every chunk follows from its own observation, so nothing is kept."""

    @torch.inference_mode()
    def infer(self, observation: Observation) -> ActionChunk:
        """Return the chunk for one observation; raises ObservationError on a bad one."""
        self._spec.check(observation)
        crop = self._network.config.crop
        images = torch.stack(
            [self._tensor(crop(observation.images[c.name])) for c in self._spec.cameras]
        )
        scales = self._normalization
        delta = observation.state - observation.previous_state
        output = self._network(
            images_to_tensor(images)[None],
            self._tensor(scales.state.normalize(observation.state))[None],
            self._tensor(scales.delta_state.normalize(delta))[None],
            self._tensor(self._tokenizer.encode(observation.instruction))[None],
        )
        return ActionChunk(
            stamp_ns=observation.stamp_ns,
            dt_ns=self._spec.dt_ns,
            actions=scales.action.restore(output.actions[0].float().cpu().numpy()),
            space=self._spec.action_space,
            names=self._spec.action_names,
        )

    def _tensor(self, array: object) -> Tensor:
        return torch.as_tensor(array).to(self._device)
