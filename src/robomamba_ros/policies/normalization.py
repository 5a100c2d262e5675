"""Physical units to the network's unit scale and back, per channel; part of a checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from robomamba_ros.common.documents import read_json
from robomamba_ros.errors import CheckpointError, DataError
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.types import Float32Array

# Of an offset or a scale [m, rad or per step].
LARGEST, SMALLEST_SCALE = 1e6, 1e-12


@dataclass(frozen=True)
class Affine:
    """normalized = (physical - offset) / scale, per channel."""

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def normalize(self, physical: Float32Array) -> Float32Array:
        """Return (..., d) physical values on the unit scale."""
        offset, scale = _float32(self.offset), _float32(self.scale)
        return np.asarray((physical - offset) / scale, dtype=np.float32)

    def restore(self, normalized: Float32Array) -> Float32Array:
        """Return (..., d) unit-scale values in physical units."""
        offset, scale = _float32(self.offset), _float32(self.scale)
        return np.asarray(normalized * scale + offset, dtype=np.float32)

    @classmethod
    def from_mean(cls, values: Float32Array) -> Affine:
        """Fit mean 0 and deviation 1 per channel to (n, d) values; a constant keeps scale 1."""
        deviation = values.std(axis=0)
        return cls._of(values.mean(axis=0), np.where(deviation > 1e-8, deviation, 1.0))

    @classmethod
    def from_range(cls, values: Float32Array) -> Affine:
        """Fit the range -1..1 per channel to (n, d) values; a constant keeps scale 1."""
        low, high = values.min(axis=0), values.max(axis=0)
        half = 0.5 * (high - low)
        return cls._of(0.5 * (high + low), np.where(half > 1e-8, half, 1.0))

    @classmethod
    def _of(cls, offset: Float32Array, scale: Float32Array) -> Affine:
        if not np.isfinite([offset, scale]).all():
            raise DataError(
                'the data hold states or actions that are not finite; `robomamba dataset info` '
                'names the first'
            )
        return cls(tuple(float(v) for v in offset), tuple(float(v) for v in scale))


def _float32(values: tuple[float, ...]) -> Float32Array:
    return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True)
class Normalization:
    """The scales of a policy: state, delta state (one action step), action."""

    state: Affine
    delta_state: Affine
    action: Affine

    def check(self, spec: PolicySpec, path: Path) -> None:
        """Raise CheckpointError where the scales are not those of the channels of `spec`."""
        for label, affine, names in (
            ('state', self.state, spec.state_names),
            ('delta_state', self.delta_state, spec.state_names),
            ('action', self.action, spec.action_names),
        ):
            values = (*affine.offset, *affine.scale)
            if len(affine.offset) != len(names) or len(affine.scale) != len(names):
                raise CheckpointError(
                    f'{path}: {label} has {len(affine.offset)} offsets and {len(affine.scale)} '
                    f'scales, the policy has the {len(names)} channels {", ".join(names)}'
                )
            if not np.isfinite(values).all() or 0.0 in affine.scale:
                raise CheckpointError(f'{path}: {label} has scales that are 0 or not finite')
            if max(map(abs, values)) > LARGEST or min(map(abs, affine.scale)) < SMALLEST_SCALE:
                raise CheckpointError(
                    f'{path}: {label} has scales beyond {LARGEST:g} or below {SMALLEST_SCALE:g}, '
                    'which no channel in m, rad or their steps has'
                )

    def save(self, path: Path) -> None:
        """Write normalization.json."""
        path.write_text(json.dumps(asdict(self), indent=1) + '\n', encoding='utf-8')

    @classmethod
    def identity(cls, spec: PolicySpec) -> Normalization:
        """Return the scales that change nothing."""
        state, action = (
            Affine((0.0,) * len(names), (1.0,) * len(names))
            for names in (spec.state_names, spec.action_names)
        )
        return cls(state, state, action)

    @classmethod
    def load(cls, path: Path) -> Normalization:
        """Read normalization.json; raises CheckpointError naming what is wrong with it."""
        raw = read_json(path, error=CheckpointError)
        affines = (_read_affine(raw, key, path) for key in ('state', 'delta_state', 'action'))
        return cls(*affines)


def _read_affine(document: object, key: str, path: Path) -> Affine:
    part = document.get(key) if isinstance(document, dict) else None
    values = [part.get(name) if isinstance(part, dict) else None for name in ('offset', 'scale')]
    for name, value in zip(('offset', 'scale'), values, strict=True):
        if not isinstance(value, list) or not all(_is_number(each) for each in value):
            raise CheckpointError(
                f"{path} does not hold a policy's scales: {key}.{name} is {value!r:.60}; needed is "
                'a list of numbers'
            )
    return Affine(*(tuple(float(each) for each in value or ()) for value in values))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
