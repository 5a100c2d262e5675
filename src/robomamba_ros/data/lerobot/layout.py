"""What meta/info.json of a LeRobot data set says: features, frame rate, where its files lie.

The layout is that of lerobot's `datasets` package (huggingface/lerobot, codebase v3.0) and, for
reading, of the versions 2.0 and 2.1 before it. Knows nothing about what is in the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robomamba_ros.errors import DataError

VERSION = 'v3.0'
# 2.0 differs from 2.1 in where its statistics are.
READABLE = ('v2.0', 'v2.1', VERSION)
INFO = 'meta/info.json'
STATS = 'meta/stats.json'
TASKS = 'meta/tasks.parquet'
EPISODES = 'meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
DATA = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
VIDEO = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'
FILES_PER_CHUNK = 1000
# Smaller than lerobot's own 100 and 200: a file is rewritten whenever an episode is added to it.
DATA_FILE_MB = 32
VIDEO_FILE_MB = 64

STATE, ACTION, CAMERA_PREFIX = 'observation.state', 'action', 'observation.images.'
# Of demonstrations that were disturbed: whether something else than the frame's action was done.
DISTURBED = 'disturbed'


@dataclass(frozen=True)
class Feature:
    """One value of every frame.

    dtype: a type of NumPy, 'string', 'image' (PNG within the table) or 'video'. shape: as declared;
    an image is (h, w, 3), in older sets (3, h, w) too. names: of the channels, None for none.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    is_depth: bool = False

    @property
    def is_visual(self) -> bool:
        """Whether it holds pictures, depth included."""
        return self.dtype in ('image', 'video')

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers or flags."""
        return not self.is_visual and self.dtype != 'string'

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of its images."""
        return self.shape[-2:] if self.shape[0] in (1, 3) else self.shape[:2]  # type: ignore[return-value]

    def describe(self) -> dict[str, Any]:
        """Return what info.json says of it."""
        names = None if self.names is None else list(self.names)
        return {'dtype': self.dtype, 'shape': list(self.shape), 'names': names}


def camera_feature(height: int, width: int, *, video: bool) -> Feature:
    """Return the feature of an RGB camera of (height, width) pixels."""
    names = ('height', 'width', 'channels')
    return Feature('video' if video else 'image', (height, width, 3), names)


# What every frame has besides; not given by who writes one.
INDICES: Mapping[str, Feature] = {
    'timestamp': Feature('float32', (1,)),
    'frame_index': Feature('int64', (1,)),
    'episode_index': Feature('int64', (1,)),
    'index': Feature('int64', (1,)),
    'task_index': Feature('int64', (1,)),
}


@dataclass(frozen=True)
class Info:
    """meta/info.json, checked. fps: frames per second; document: all of it, as it was read."""

    version: str
    fps: float
    features: Mapping[str, Feature]
    robot_type: str | None
    chunks_size: int
    data_path: str
    video_path: str | None
    total_episodes: int
    total_frames: int
    document: Mapping[str, Any]

    @property
    def cameras(self) -> tuple[str, ...]:
        """The keys of the features that are RGB images."""
        return tuple(
            key for key, each in self.features.items() if each.is_visual and not each.is_depth
        )


def read_info(root: Path) -> Info:
    """Read meta/info.json; raises DataError naming what is missing, wrong or too old."""
    path = root / INFO
    if not path.is_file():
        raise DataError(f'{root} is no LeRobot data set: {path} is missing')
    try:
        document = json.loads(path.read_text(encoding='utf-8'))
        version = str(document['codebase_version'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f'{path} cannot be read as the description of a data set: {error}'
        ) from error
    _check_version(version, path)
    try:
        info = Info(
            version=version,
            fps=float(document['fps']),
            features={key: _feature(each) for key, each in document['features'].items()},
            robot_type=document.get('robot_type'),
            chunks_size=int(document.get('chunks_size', FILES_PER_CHUNK)),
            data_path=str(document['data_path']),
            video_path=document.get('video_path'),
            total_episodes=int(document['total_episodes']),
            total_frames=int(document['total_frames']),
            document=document,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        reason = f'lacks the key {error}' if isinstance(error, KeyError) else f'is wrong: {error}'
        raise DataError(f'{path} {reason}') from error
    if not info.fps > 0:
        raise DataError(f'{path}: fps is {info.fps:g}; it has to be above 0')
    return info


def _check_version(version: str, path: Path) -> None:
    if version in READABLE:
        return
    remedy = 'it is newer than this package knows; convert it to v3.0'
    if version.startswith('v1'):
        remedy = (
            "convert it with lerobot 0.3.3's lerobot.datasets.v2.convert_dataset_v1_to_v2, then "
            'read it here as it is'
        )
    raise DataError(
        f'{path}: codebase_version is {version}; read are {", ".join(READABLE)}: {remedy}'
    )


def _feature(document: Mapping[str, Any]) -> Feature:
    dtype = str(document['dtype'])
    if dtype not in ('image', 'video', 'string'):
        np.dtype(dtype)
    notes = {**(document.get('video_info') or {}), **(document.get('info') or {})}
    return Feature(
        dtype=dtype,
        shape=tuple(int(size) for size in document['shape']),
        names=_names(document.get('names')),
        is_depth=bool(notes.get('is_depth_map') or notes.get('video.is_depth_map')),
    )


def _names(names: Any) -> tuple[str, ...] | None:
    """Return channel names out of the forms they come in: a list, or lists under a heading."""
    if isinstance(names, Mapping):
        parts = [_names(each) for each in names.values()]
        flat = [name for part in parts if part for name in part]
        return tuple(flat) or None
    if isinstance(names, list):
        return tuple(str(name) for name in names)
    return None
