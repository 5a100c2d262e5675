"""The keys that config.yaml of every policy has: what the policy needs and gives.

Reads and writes a PolicySpec. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.types import EE_DELTA_NAMES, EE_POSE_NAMES, GRIPPER_NAME, ActionSpace

SPEC_KEYS = (
    'policy',
    'state_names',
    'action_space',
    'action_names',
    'horizon',
    'dt_ns',
    'execute_steps',
)
CAMERA_KEYS = ('name', 'height', 'width')

# The largest sizes that a configuration may ask for. Anything beyond is a slip: it would take the
# memory of the machine before the weights could say that they are others.
LARGEST: Mapping[str, int] = {
    'n_layer': 512,
    'num_hidden_layers': 512,
    'num_attention_heads': 512,
    'expand': 16,
    'd_conv': 64,
    'd_state': 1024,
    'image_size': 2048,
    'patch_size': 512,
    'keypoints': 4096,
    'horizon': 10_000,
    'length': 10_000,
    'height': 8192,
    'width': 8192,
    'vocabulary': 2_000_000,
    'vocab_size': 2_000_000,
    'vocab_rows': 2_000_000,
    'intermediate_size': 1 << 20,
}
LARGEST_WIDTH = 1 << 16
# From one action to the next: 1 ms to 10 s.
SHORTEST_DT_NS, LONGEST_DT_NS = 1_000_000, 10_000_000_000

# What a list of channels may hold, in words and as a pattern.
CHANNELS = ('names of channels', r'[A-Za-z_][\w.-]*')


def open_policy(
    path: Path, kind: str, required: Sequence[str], optional: Sequence[str] = ()
) -> tuple[Mapping[str, Any], Section, list[str]]:
    """Return the document of a policy of somebody else, its section, and where errors are noted.

    Raises ConfigError at once where the file holds no mapping.
    """
    document, errors = read_yaml(path)
    root = Section(document, '', errors, required, optional)
    refuse(f'the policy {path}', errors if not isinstance(document, Mapping) else ())
    root.choice('policy', (kind,))
    return document, root, errors


def read_keyed_cameras(
    root: Section, allowed: str, pattern: str
) -> tuple[tuple[CameraSpec, ...], tuple[str, ...]]:
    """Return the cameras of a policy of somebody else, and what it calls the images of each.

    allowed, pattern: of those names, as of Section.text.
    """
    sections = root.sections('cameras', (*CAMERA_KEYS, 'key'), empty=True)
    cameras = tuple(map(read_camera, sections))
    return cameras, tuple(section.text('key', allowed, pattern) for section in sections)


def read_spec_in(
    document: Mapping[str, Any], errors: list[str], name: str, cameras: tuple[CameraSpec, ...]
) -> PolicySpec:
    """Return the spec of a policy called `name`, of those keys of a document that a spec has."""
    values = {key: document.get(key) for key in SPEC_KEYS}
    return read_spec(Section(values, '', errors, SPEC_KEYS), name, cameras)


def read_spec(root: Section, name: str, cameras: tuple[CameraSpec, ...]) -> PolicySpec:
    """Return the spec of a policy called `name`; what is wrong is noted in the section."""
    spaces = [space.value for space in ActionSpace]
    space = ActionSpace(root.choice('action_space', spaces) or spaces[0])
    spec = PolicySpec(
        name=name,
        cameras=cameras,
        state_names=root.texts('state_names', *CHANNELS),
        action_space=space,
        action_names=root.texts('action_names', *CHANNELS),
        horizon=read_size(root, 'horizon'),
        dt_ns=root.integer('dt_ns', SHORTEST_DT_NS, 'ns', most=LONGEST_DT_NS),
        execute_steps=root.integer('execute_steps', 1),
    )
    if not root.clean:
        return spec
    if not spec.action_names:
        root.error('action_names', '[]', 'at least one channel')
    if spec.execute_steps > spec.horizon:
        root.error('execute_steps', str(spec.execute_steps), f'1..{spec.horizon}, the horizon')
    names = [channel for channel in spec.action_names if channel != GRIPPER_NAME]
    if space is ActionSpace.EE_DELTA and not set(names) <= set(EE_DELTA_NAMES):
        root.error('action_names', str(names), f'{", ".join(EE_DELTA_NAMES)}, {GRIPPER_NAME}')
    if space is ActionSpace.EE_POSE and set(names) != set(EE_POSE_NAMES):
        allowed = f'all of {", ".join(EE_POSE_NAMES)}, and {GRIPPER_NAME}'
        root.error('action_names', str(names), allowed)
    return spec


def read_camera(section: Section) -> CameraSpec:
    """Return the camera of one entry of `cameras`, without what is special to a policy."""
    name = section.text('name', 'a name of letters, digits, _, - and .', CHANNELS[1])
    return CameraSpec(name, read_size(section, 'height', 'px'), read_size(section, 'width', 'px'))


def read_size(section: Section, key: str, unit: str = '') -> int:
    """Return a size that a machine can hold: a whole number from 1."""
    return section.integer(key, 1, unit, most=LARGEST.get(key, LARGEST_WIDTH))


def write_spec(spec: PolicySpec) -> dict[str, Any]:
    """Return the keys and values that `read_spec` reads; cameras are the policy's own."""
    return {
        'state_names': list(spec.state_names),
        'action_space': spec.action_space.value,
        'action_names': list(spec.action_names),
        'horizon': spec.horizon,
        'dt_ns': spec.dt_ns,
        'execute_steps': spec.execute_steps,
    }
