"""What a policy of LeRobot is shown, and what its actions mean: config.yaml of the kind `lerobot`.

LeRobot's own config.json has the shapes of what goes in and comes out, not what the channels are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robomamba_ros.common.config_file import refuse
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.policies.scaling import Scaling, read_actions
from robomamba_ros.policies.spec_file import (
    SPEC_KEYS,
    open_policy,
    read_keyed_cameras,
    read_spec_in,
)

KIND = 'lerobot'
_FEATURE = ('a feature of LeRobot, as observation.images.wrist', r'[\w./-]+')
_NAMES = ('state_names', 'action_names')
_REQUIRED = tuple(key for key in SPEC_KEYS if key not in _NAMES)
_REQUIRED += ('directory', 'cameras', 'state', 'actions')
_OPTIONAL = ('earlier_images',)


@dataclass(frozen=True)
class LeRobotConfig:
    """A policy of LeRobot behind our contract."""

    # What the policy needs and gives.
    spec: PolicySpec
    # With LeRobot's config.json and model.safetensors.
    directory: Path
    # LeRobot's name of each camera's images, in the order of the cameras of `spec`.
    images: tuple[str, ...]
    # Of each channel of the state and of the actions.
    state: tuple[Scaling, ...]
    actions: tuple[Scaling, ...]
    # Whether the newest image may stand for those of earlier steps.
    repeats_images: bool


def read_config(path: Path, name: str) -> LeRobotConfig:
    """Return the configuration in a YAML file, for a policy called `name`.

    Raises ConfigError with every error of the file at once.
    """
    document, root, errors = open_policy(path, KIND, _REQUIRED, _OPTIONAL)
    cameras, images = read_keyed_cameras(root, *_FEATURE)
    state, state_names = read_actions(root, 'state')
    actions, action_names = read_actions(root)
    channels = {'state_names': state_names, 'action_names': action_names}
    directory = root.text('directory', 'the folder of config.json and model.safetensors')
    if root.has('earlier_images'):
        root.choice('earlier_images', ('repeat',))
    config = LeRobotConfig(
        read_spec_in({**document, **channels}, errors, name, cameras),
        path.parent / directory,
        images,
        state,
        actions,
        root.has('earlier_images'),
    )
    refuse(f'the policy {path}', errors)
    return config
