"""Numbers of other people's policies in our units: scale and offset of a config.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.common.config_file import Section
from robomamba_ros.policies.spec_file import CHANNELS
from robomamba_ros.types import Float32Array

# The keys, each of which may be left out.
SCALING = ('scale', 'offset')


@dataclass(frozen=True)
class Scaling:
    """What their numbers are of ours: theirs = scale * ours + offset."""

    scale: float = 1.0
    offset: float = 0.0

    def theirs(self, ours: Float32Array) -> Float32Array:
        """Return numbers as they have them."""
        return np.asarray(self.scale * ours + self.offset, dtype=np.float32)


def read_scaling(section: Section) -> Scaling:
    """Return the scaling of an entry; what is wrong is noted in the section."""
    scale = section.number('scale') if section.has('scale') else 1.0
    if scale == 0.0 and section.clean:
        section.error('scale', '0', 'a number other than 0')
    return Scaling(scale or 1.0, section.number('offset') if section.has('offset') else 0.0)


def read_actions(root: Section, key: str = 'actions') -> tuple[tuple[Scaling, ...], list[str]]:
    """Return scaling and name of each channel of a list of {channels, scale, offset}."""
    scalings: list[Scaling] = []
    names: list[str] = []
    for section in root.sections(key, ('channels',), SCALING):
        channels = section.texts('channels', *CHANNELS)
        scalings += [read_scaling(section)] * len(channels)
        names += channels
    return tuple(scalings), names


def our_actions(theirs: Any, scalings: Sequence[Scaling]) -> Float32Array:
    """Return actions (H, d) of theirs in our units; scalings: one a channel."""
    scale = np.array([scaling.scale for scaling in scalings])
    offset = np.array([scaling.offset for scaling in scalings])
    with np.errstate(over='ignore', invalid='ignore'):
        ours: Float32Array = ((theirs - offset) / scale).astype(np.float32)
    return ours
