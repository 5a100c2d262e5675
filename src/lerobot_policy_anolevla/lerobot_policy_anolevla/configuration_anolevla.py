"""What LeRobot's config.json says of an AnoleVLA, and the configuration of the network it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lerobot.configs import NormalizationMode, PreTrainedConfig
from lerobot.optim import AdamWConfig
from lerobot.optim.schedulers import CosineDecayWithWarmupSchedulerConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from robomamba_ros.policies.anolevla.config import KIND, AnoleVLAConfig, parse_config


def _small() -> dict[str, Any]:
    """Return the sizes of the policies that are shipped."""
    return {
        'vision': {'keypoints': {'image_size': 96, 'keypoints': 32, 'd_condition': 128}},
        'language': {'vocabulary': 1024, 'length': 32},
        'backbone': {'d_model': 256, 'n_layer': 3},
    }


@PreTrainedConfig.register_subclass(KIND)
@dataclass
class AnolevlaConfig(PreTrainedConfig):
    """Configuration of an AnoleVLA; sizes of inputs and outputs are LeRobot's features.

    Raises ValueError where the number of steps cannot be.
    """

    # The newest state and the one before it, whose difference is an input. Of images only the
    # newest is read.
    n_obs_steps: int = 2
    chunk_size: int = 50
    n_action_steps: int = 10
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            'VISUAL': NormalizationMode.IDENTITY,
            'STATE': NormalizationMode.MEAN_STD,
            'ACTION': NormalizationMode.MEAN_STD,
        }
    )
    # vision, language, backbone, token_order and places, as in config.yaml of an AnoleVLA.
    network: dict[str, Any] = field(default_factory=_small)
    # Of each camera, what is cut out of its images [px]: left, top, side. Else the largest square
    # at the centre.
    crops: dict[str, dict[str, int]] = field(default_factory=dict)
    # Of the channels, and what actions mean: LeRobot does not say. Names and the time between two
    # actions [ns] come from the data set, if it has them.
    state_names: list[str] = field(default_factory=list)
    action_names: list[str] = field(default_factory=list)
    action_space: str = 'joint_position'
    dt_ns: int = 33_333_333
    # A usual step of the state, in deviations of the state: what one step is divided by.
    step_of_state: float = 0.1
    # Of the loss on differences of actions: the paper's second stage has 1.
    acceleration_weight: float = 0.0
    optimizer_lr: float = 3e-4
    optimizer_weight_decay: float = 1e-2
    warmup_steps: int = 500
    decay_steps: int = 30_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.n_action_steps <= self.chunk_size:
            raise ValueError(
                f'n_action_steps is {self.n_action_steps}, allowed: 1..{self.chunk_size}, the '
                'chunk_size'
            )
        if self.n_obs_steps != 2:
            raise ValueError(f'n_obs_steps is {self.n_obs_steps}; AnoleVLA reads 2')

    @property
    def observation_delta_indices(self) -> list[int]:
        """The frame before, and the newest."""
        return [-1, 0]

    @property
    def action_delta_indices(self) -> list[int]:
        """The actions of a chunk."""
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        """None: it learns from demonstrations."""
        return None

    def get_optimizer_preset(self) -> AdamWConfig:
        """Return the optimizer that `lerobot-train` uses where it is told of no other."""
        return AdamWConfig(lr=self.optimizer_lr, weight_decay=self.optimizer_weight_decay)

    def get_scheduler_preset(self) -> CosineDecayWithWarmupSchedulerConfig:
        """Return the learning rate over the steps."""
        return CosineDecayWithWarmupSchedulerConfig(
            peak_lr=self.optimizer_lr,
            decay_lr=0.01 * self.optimizer_lr,
            num_warmup_steps=self.warmup_steps,
            num_decay_steps=self.decay_steps,
        )

    def validate_features(self) -> None:
        """Raise ValueError where a feature is missing, ConfigError where sizes do not fit."""
        if self.robot_state_feature is None or self.action_feature is None:
            raise ValueError(f'AnoleVLA needs the features {OBS_STATE} and {ACTION}')
        if not self.image_features:
            raise ValueError(f'AnoleVLA needs at least one camera, {OBS_IMAGES}.<name>')
        self.ours()

    def set_dataset_feature_metadata(self, features: Mapping[str, Any]) -> None:
        """Take the names of the channels from those of a data set; LeRobot calls this."""
        self.state_names = _names(features, OBS_STATE)
        self.action_names = _names(features, ACTION)

    def ours(self) -> AnoleVLAConfig:
        """Return the configuration of the network; raises ConfigError with all that is wrong."""
        assert self.robot_state_feature is not None
        assert self.action_feature is not None
        cameras = [
            {'name': camera, 'height': feature.shape[1], 'width': feature.shape[2]}
            | self.crops.get(camera, {})
            for camera, feature in (
                (key.removeprefix(f'{OBS_IMAGES}.'), feature)
                for key, feature in self.image_features.items()
            )
        ]
        document = {
            'policy': KIND,
            'cameras': cameras,
            'state_names': self.state_names or _numbered('state', self.robot_state_feature.shape),
            'action_space': self.action_space,
            'action_names': self.action_names or _numbered('action', self.action_feature.shape),
            'horizon': self.chunk_size,
            'dt_ns': self.dt_ns,
            'execute_steps': self.n_action_steps,
            **self.network,
        }
        return parse_config(document, [], KIND, 'the policy in config.json')


def _names(features: Mapping[str, Any], key: str) -> list[str]:
    names = features.get(key, {}).get('names')
    # LeRobot's older data sets have them by a kind: {'motors': [...]}.
    if isinstance(names, Mapping):
        names = next((value for value in names.values() if isinstance(value, Sequence)), None)
    return [str(name) for name in names or ()]


def _numbered(label: str, shape: Sequence[int]) -> list[str]:
    return [f'{label}_{index}' for index in range(shape[0])]
