"""Reads cameras and steps of a policy without torch, before its node loads it.

It checks nothing: the policy reports an invalid config.yaml when it is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robomamba_ros.common.documents import read_yaml
from robomamba_ros.errors import CheckpointError
from robomamba_ros.policies.location import checkpoint_directory


@dataclass(frozen=True)
class CameraOutline:
    """A camera that a policy sees by; sizes as the file has them [px]."""

    name: str
    height: Any
    width: Any


@dataclass(frozen=True)
class Outline:
    """A policy from outside.

    execute_steps: actions to run before the next inference; 0 for one that gives no chunks. dt_ns:
    how long an action lasts [ns]; 0 where the file does not say it.
    """

    directory: Path
    cameras: tuple[CameraOutline, ...]
    execute_steps: int
    dt_ns: int = 0


def read_outline(checkpoint: str) -> Outline:
    """Return the outline of a checkpoint directory, or of a name in models/.

    Raises CheckpointError where there is none, ConfigError where its config.yaml is no YAML.
    """
    directory = checkpoint_directory(checkpoint)
    path = directory / 'config.yaml'
    if not path.is_file():
        raise CheckpointError(
            f"'{path.parent}' lacks {path.name}; give the directory of a checkpoint"
        )
    document, _ = read_yaml(path)
    document = document if isinstance(document, dict) else {}
    cameras, vision = document.get('cameras'), document.get('vision')
    # RoboMamba's one camera is a part of its vision.
    if not cameras and isinstance(vision, dict):
        cameras = [vision.get('camera')]
    found = [
        CameraOutline(each['name'], each.get('height'), each.get('width'))
        for each in (cameras if isinstance(cameras, list) else [])
        if isinstance(each, dict) and 'name' in each
    ]
    steps, dt_ns = document.get('execute_steps', 0), document.get('dt_ns', 0)
    return Outline(directory, tuple(found), steps, dt_ns if isinstance(dt_ns, int) else 0)
