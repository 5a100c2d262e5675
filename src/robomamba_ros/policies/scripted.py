"""Policies without weights: they hold still or move to and fro, and use no image.

For dry runs and for tests of an arm without weights. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.policies.base import LoadOptions, PolicySpec
from robomamba_ros.policies.description import Description
from robomamba_ros.policies.location import checkpoint_name
from robomamba_ros.policies.spec_file import SPEC_KEYS, read_spec
from robomamba_ros.types import (
    EE_POSE_NAMES,
    GRIPPER_NAME,
    ActionChunk,
    ActionSpace,
    Float32Array,
    Float64Array,
    Observation,
)

KIND = 'scripted'
STROKE_KEYS = ('channel', 'amplitude', 'period_s')
ABSOLUTE_SPACES = (ActionSpace.EE_POSE, ActionSpace.JOINT_POSITION)


@dataclass(frozen=True)
class Stroke:
    """A channel goes out to `amplitude` [m, rad or opening] and back within `period_s` [s].

    It starts and ends at rest: displacement(t) = amplitude (1 - cos(2 pi t / period)) / 2.
    """

    channel: str
    amplitude: float
    period_s: float

    def displacement(self, time_s: Float64Array) -> Float64Array:
        """Return how far from its start the channel is at times since the episode began [s]."""
        turned = 1.0 - np.cos(2.0 * np.pi * time_s / self.period_s)
        return np.asarray(0.5 * self.amplitude * turned, dtype=np.float64)


class ScriptedPolicy:
    """Follows its strokes from the first observation of an episode on.

    Channels of a delta space get displacements; absolute ones, and the gripper always, get the
    value that `state` had at the first observation plus the displacement.
    """

    def __init__(self, spec: PolicySpec, strokes: tuple[Stroke, ...]) -> None:
        self._spec = spec
        self._strokes = strokes
        self._start: tuple[int, Float32Array] | None = None

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._spec

    def reset(self) -> None:
        """Start over at the next observation."""
        self._start = None

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the chunk for one observation; raises ObservationError on a bad one."""
        spec = self._spec
        spec.check(observation)
        if self._start is None:
            self._start = (observation.stamp_ns, observation.state.copy())
        start_ns, start = self._start
        steps = np.arange(spec.horizon + 1)
        time_s = np.multiply(observation.stamp_ns - start_ns + steps * spec.dt_ns, 1e-9)
        moved = np.zeros((spec.horizon + 1, len(spec.action_names)))
        for stroke in self._strokes:
            moved[:, spec.action_names.index(stroke.channel)] += stroke.displacement(time_s)
        actions = np.diff(moved, axis=0)
        for name in absolute_channels(spec):
            column = spec.action_names.index(name)
            actions[:, column] = start[spec.state_names.index(name)] + moved[1:, column]
        return ActionChunk(
            stamp_ns=observation.stamp_ns,
            dt_ns=spec.dt_ns,
            actions=actions.astype(np.float32),
            space=spec.action_space,
            names=spec.action_names,
        )


def absolute_channels(spec: PolicySpec) -> list[str]:
    """Return the action channels that are commanded as values, not as changes."""
    absolute = spec.action_space in ABSOLUTE_SPACES
    return [name for name in spec.action_names if absolute or name == GRIPPER_NAME]


def load(folder: Path, options: LoadOptions) -> ScriptedPolicy:
    """Return the policy in a directory; there is nothing that `options` would change.

    Raises ConfigError with every error of its config.yaml at once.
    """
    return ScriptedPolicy(*_read(folder / 'config.yaml', checkpoint_name(folder)))


def describe(path: Path) -> Description:
    """Return what the policy of a configuration file is."""
    spec, strokes = _read(path, checkpoint_name(path.parent))
    motion = ', '.join(f'{s.channel} by {s.amplitude:g} in {s.period_s:g} s' for s in strokes)
    return Description(KIND, spec, {'motion': motion})


def _read(path: Path, name: str) -> tuple[PolicySpec, tuple[Stroke, ...]]:
    document, errors = read_yaml(path)
    root = Section(document, '', errors, (*SPEC_KEYS, 'motion'))
    root.choice('policy', (KIND,))
    spec = read_spec(root, name, ())
    missing = [channel for channel in absolute_channels(spec) if channel not in spec.state_names]
    if missing and root.clean:
        root.error('state_names', str(list(spec.state_names)), f'with {", ".join(missing)}')
    # A rotation is no sum of numbers.
    movable = [channel for channel in spec.action_names if channel not in EE_POSE_NAMES[3:]]
    strokes = tuple(
        Stroke(
            section.choice('channel', movable),
            section.number('amplitude'),
            section.positive('period_s', 's'),
        )
        for section in root.sections('motion', STROKE_KEYS, empty=True)
    )
    refuse(f'the policy {path}', errors)
    return spec, strokes
