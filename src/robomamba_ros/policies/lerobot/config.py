"""What a policy of LeRobot is shown, and what its actions mean: config.yaml of the kind `lerobot`.

LeRobot's own config.json has the shapes of what goes in and comes out, not what the channels are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.policies.scaling import Scaling, read_actions
from robomamba_ros.policies.spec_file import CAMERA_KEYS, SPEC_KEYS, read_camera, read_spec

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
    document, errors = read_yaml(path)
    root = Section(document, '', errors, _REQUIRED, _OPTIONAL)
    refuse(f'the policy {path}', errors if not isinstance(document, Mapping) else ())
    root.choice('policy', (KIND,))
    sections = root.sections('cameras', (*CAMERA_KEYS, 'key'), empty=True)
    cameras = tuple(map(read_camera, sections))
    images = tuple(section.text('key', *_FEATURE) for section in sections)
    state, state_names = read_actions(root, 'state')
    actions, action_names = read_actions(root)
    values = {key: document.get(key) for key in SPEC_KEYS}
    values |= {'state_names': state_names, 'action_names': action_names}
    directory = root.text('directory', 'the folder of config.json and model.safetensors')
    if root.has('earlier_images'):
        root.choice('earlier_images', ('repeat',))
    config = LeRobotConfig(
        read_spec(Section(values, '', errors, SPEC_KEYS), name, cameras),
        path.parent / directory,
        images,
        state,
        actions,
        root.has('earlier_images'),
    )
    refuse(f'the policy {path}', errors)
    return config
